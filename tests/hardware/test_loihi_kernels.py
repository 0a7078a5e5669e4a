"""The emulator's arithmetic at the ends of its bits, against Python's integers, and what is left out of the work."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.loihi import emulator, kernels
from hardware.loihi.emulator import PAYLOAD_MAX
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron
from neuva import NeuvaError

LIMIT = 2**23
unhurried = settings(deadline=None)  # the first call compiles
states = st.integers(-LIMIT, LIMIT) | st.integers(-8192, 8192)


@given(states, st.integers(0, 4096))
@unhurried
def test_decay_truncates_toward_zero(state: int, keep: int) -> None:
    exact = abs(state) * keep // 4096 * (1 if state >= 0 else -1)
    assert kernels.decay(np.int32(state), np.int32(keep)) == exact


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 4095))
@unhurried
def test_decay_holds_for_what_lava_leaves_in_32_bits(state: int, keep: int) -> None:
    exact = abs(state) * keep // 4096 * (1 if state >= 0 else -1)
    assert kernels.decay(np.int32(state), np.int32(keep)) == exact


@given(st.lists(st.booleans(), min_size=1, max_size=50))
@unhurried
def test_collect_lists_what_is_set(flags: list[bool]) -> None:
    padded = np.zeros((len(flags) + 7) // 8 * 8, np.uint8)
    padded[: len(flags)] = flags
    out = np.full(padded.size, -1, np.int32)
    count = kernels._collect(padded, out)
    assert out[:count].tolist() == np.flatnonzero(flags).tolist()


def dense(weight: np.ndarray, exp: int = 0, du: int = 4095, **neuron: int) -> ChipProgram:
    """One dense layer that never spikes, on graded input."""
    n_out, n_in = weight.shape
    constants = {"dv": 4095, "vth": 131071} | neuron
    layer = Layer(
        "huge",
        (n_in, 1, 1),
        (n_out, 1, 1),
        Connection("dense", weight, weight_exp=exp),
        LoihiNeuron(du, bias=np.zeros(n_out, np.int32), **constants),
    )
    return ChipProgram("loihi2", 1000, InputEncoding((n_in, 1, 1), "counts"), (layer,), None)


def wrapped(value: int) -> int:
    """Into -2^23 < u <= 2^23."""
    return (value + LIMIT - 1) % (2 * LIMIT) - (LIMIT - 1)


# largest graded sums: beyond 32 bits, where a plain accumulator would wrap unseen
@given(
    st.lists(st.integers(0, PAYLOAD_MAX), min_size=6, max_size=6),
    st.lists(st.integers(-128, 127).map(lambda w: 2 * w), min_size=12, max_size=12),
    st.integers(-8, 7),
)
@unhurried
def test_graded_sums_of_any_size_are_exact(payload: list[int], weight: list[int], exp: int) -> None:
    matrix = np.array(weight).reshape(2, 6)
    fed = emulator.run(dense(matrix, exp), np.array(payload).reshape(1, 6, 1, 1), record_state=True)
    on_grid = matrix if matrix.min() < 0 < matrix.max() else np.clip(matrix, -255, 255)
    drives = [sum(int(w) * p for w, p in zip(row, payload, strict=True)) for row in on_grid]
    drives = [(drive << exp if exp > 0 else drive >> -exp) << 6 for drive in drives]
    assert fed.u["huge"].ravel().tolist() == [wrapped(drive) for drive in drives]
    wraps = sum(wrapped(drive) != drive for drive in drives)
    assert fed.notes.get("overflows", {"huge": {"u_wraps": 0}})["huge"]["u_wraps"] == wraps


def test_a_sum_that_32_bits_would_wrap_to_zero_is_counted_and_refused_if_strict() -> None:
    program = dense(np.full((1, 512), 2))
    spikes = np.full((1, 512, 1, 1), 2**22)  # 512 * 2 * 2^22 = 2^32
    trace = emulator.run(program, spikes, record_state=True)
    assert trace.u["huge"].item() == 0
    assert trace.notes["overflows"]["huge"]["u_wraps"] == 1
    with pytest.raises(NeuvaError, match="layer huge: u left its 24 bits 1 times"):
        emulator.run(program, spikes, strict=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"du": 4096}, "layer huge: du 4096, allowed 0..4095"),
        ({"dv": -1}, "layer huge: dv -1, allowed 0..4095"),
        ({"vth": 131072}, "layer huge: vth 131072, allowed 0..131071"),
        ({"exp": 8}, "layer huge: weight_exp 8, allowed -8..7"),
        ({"bias": 4096 * 128 + 1}, r"layer huge: bias 524289, allowed -524288..524288"),
    ],
)
def test_constants_beyond_their_registers_are_refused(change: dict[str, int], told: str) -> None:
    bias = change.pop("bias", 0)
    program = dense(np.ones((1, 1), int), **change)
    neuron = dataclasses.replace(program.layers[0].neuron, bias=np.array([bias], np.int32))
    layer = dataclasses.replace(program.layers[0], neuron=neuron)
    with pytest.raises(NeuvaError, match=told):
        emulator.LoihiEmulator(dataclasses.replace(program, layers=(layer,)))


def test_every_neuron_spiking_in_every_step_fits() -> None:
    """The list of spikes grows; 5 neurons are no multiple of the eight flags looked at together."""
    program = dense(np.full((5, 1), 200), vth=0)
    trace = emulator.run(program, np.ones((40, 1, 1, 1), int))
    assert trace.spikes["huge"].total == 200
    assert trace.spikes["huge"].neuron.tolist() == list(range(5)) * 40


def test_places_that_fell_silent_wake_up_and_do_not_spike_again() -> None:
    """A spike, long silence until u and v are zero, then the same again."""
    weight = np.full((3, 1, 1, 1), 100)
    layer = Layer("c", (1, 2, 2), (3, 2, 2), Connection("conv", weight), LoihiNeuron(4095, 4095, 50, np.zeros(3, int)))
    program = ChipProgram("loihi2", 1000, InputEncoding((1, 2, 2), "binary"), (layer,), None)
    spikes = np.zeros((12, 1, 2, 2), int)
    spikes[[1, 2, 8], 0, 1, 0] = 1
    trace = emulator.run(program, spikes, record_state=True)
    expected = np.zeros((12, 3, 2, 2), int)
    expected[[1, 2, 8], :, 1, 0] = 1
    assert np.array_equal(trace.spikes["c"].dense(12, 1000), expected)
    assert np.array_equal(trace.u["c"], 6400 * expected)
    assert not trace.v["c"].any()
