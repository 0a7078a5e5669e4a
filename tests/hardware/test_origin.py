"""A trace knows its program and input; what is another's is told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.origin import board_input, input_sha256, stamped
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, SpeckNeuron
from hardware.trace import Trace
from neuva import NeuvaError

DT = 1000


def program(weight: int = 1) -> ChipProgram:
    layer = Layer(
        "a", (2, 3, 4), (1, 1, 1), Connection("dense", np.full((1, 24), weight, np.int8)),
        SpeckNeuron(5, -5, "zero", np.zeros(1, int)),
    )  # fmt: skip
    return ChipProgram("speck2f", DT, InputEncoding((2, 3, 4), "counts"), (layer,), None)


def trace(backend: str = "speck2f") -> Trace:
    return Trace("speck2f", backend, DT, 5 * DT, np.zeros(0, int), np.zeros((0, 0)), {}, ())


def events_of(x: np.ndarray) -> np.ndarray:
    step, p, y, column = np.repeat(np.argwhere(x), x[x > 0], axis=0).T
    events = np.zeros(len(step), [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
    events["t"], events["x"], events["y"], events["p"] = step * DT, column, y, p
    return events


@given(st.integers(0, 2**32 - 1))
def test_steps_and_their_events_are_one_input_in_any_order_of_equal_times(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.poisson(0.2, (5, 2, 3, 4))
    events = events_of(x)
    mixed = events[np.lexsort((rng.random(len(events)), events["t"]))]
    whole = input_sha256(x, None, DT)
    assert whole == input_sha256(x.astype(np.uint8), events, DT) == input_sha256(x, mixed, DT)
    if len(events):
        for key in ("t", "x", "y", "p"):
            other = events.copy()
            other[key][rng.integers(len(other))] += 1
            assert input_sha256(x, other, DT) != whole
        assert input_sha256(x, events[1:], DT) != whole


def test_length_and_step_are_part_of_the_input() -> None:
    x = np.zeros((5, 2, 3, 4), int)
    assert input_sha256(x, None, DT) != input_sha256(x[:4], None, DT)
    assert input_sha256(x, None, DT) != input_sha256(x, None, 2 * DT)


def test_a_stamped_trace_says_what_it_is_of(tmp_path) -> None:
    stamped(replace(trace(), notes={"saturations": 1}), program(), "ab", "clip/3").save(tmp_path / "trace.h5")
    back = Trace.load(tmp_path / "trace.h5")
    assert back.notes["saturations"] == 1
    assert board_input(back, program(), "trace.h5") == ("ab", "clip/3")


def test_what_is_not_this_programs_board_is_refused_in_one_line() -> None:
    ours = stamped(trace(), program(), "ab", "clip")
    with pytest.raises(NeuvaError, match=r"^t\.h5: is of another program \(sha256 "):
        board_input(ours, program(2), "t.h5")
    with pytest.raises(NeuvaError, match=r"^t\.h5: is of emulator, not of a speck2f board: record it with `--on"):
        board_input(replace(ours, backend="emulator"), program(), "t.h5")
    with pytest.raises(NeuvaError, match=r"^t\.h5: does not say what it is a trace of"):
        board_input(trace(), program(), "t.h5")
