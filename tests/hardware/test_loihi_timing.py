"""Time of a step: by hand where figures are published, counted on the emulator, and unknown where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware.check import check
from hardware.loihi import emulator
from hardware.loihi.place import place
from hardware.loihi.timing import step_time
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout
from neuva import NeuvaError


def dense(name: str, inputs: int, n: int, vth: int = 100) -> Layer:
    link = Connection("dense", np.full((n, inputs), 20))
    return Layer(name, (inputs, 1, 1), (n, 1, 1), link, LoihiNeuron(4095, 0, vth, np.zeros(n, np.int32)))


def program(target: str) -> ChipProgram:
    """32 neurons with 4,000 inputs, which fit one core of either chip, and 5 after them."""
    readout = Readout(np.zeros((2, 5), np.float32), np.zeros(2, np.float32), 0.5)
    layers = (dense("big", 4000, 32), dense("small", 32, 5))
    made = ChipProgram(target, 1000, InputEncoding((4000, 1, 1), "binary"), layers, readout)
    return replace(made, placement=place(made)[0])


def test_the_core_with_the_most_work_sets_the_time_of_a_step() -> None:
    time = step_time(program("loihi1"))
    silent, full = time.timings
    assert (silent.busiest.core, silent.busiest.updates, silent.busiest.synops) == (0, 32, 0)
    assert silent.us == pytest.approx(((32 * 5.3 + 113) / 1000, (32 * 9.7 + 1800) / 1000))
    assert (full.busiest.synops, full.busiest.spikes) == (32 * 4000, 32)
    high = (128_000 * 4.0 + 32 * 9.7 + 32 * 35.1 + 1800) / 1000
    assert full.us == pytest.approx(((128_000 * 3.5 + 32 * 5.3 + 113) / 1000, high))
    assert full.us[1] != pytest.approx(high + (160 * 4.0 + 5 * (9.7 + 35.1)) / 1000)  # not the sum over cores
    assert all("Davies" in source for source in time.why.values())


def test_an_unknown_time_says_why_and_gives_the_load_all_the_same() -> None:
    time = step_time(program("loihi2"))
    assert [timing.us for timing in time.timings] == [None, None]
    assert time.timings[1].busiest.synops == 32 * 4000
    assert all("2601.10035" in reason for reason in time.why.values())


def test_without_a_placement_there_is_no_time() -> None:
    assert step_time(replace(program("loihi1"), placement=())) is None


def test_a_run_gives_the_mean_step_of_each_core() -> None:
    made = program("loihi1")
    spikes = np.zeros((10, 4000, 1, 1), np.uint8)
    spikes[3, :50] = 1  # 50 inputs once in 10 steps: 1000 a neuron, above threshold
    trace = emulator.run(made, spikes)
    found = check(made, trace)
    measured = found.step_time.timings[2]
    assert measured.when.startswith("measured")
    assert (measured.busiest.core, measured.busiest.synops) == (0, 50 * 32 / 10)
    assert (measured.busiest.updates, measured.busiest.spikes) == (32, 32 / 10)
    low = (160 * 3.5 + 32 * 5.3 + 113) / 1000
    assert measured.us[0] == pytest.approx(low)
    assert found.to_dict()["step_time"]["timings"][2]["us"][0] == pytest.approx(low)


def test_a_trace_of_another_program_is_refused() -> None:
    made = program("loihi1")
    trace = emulator.run(made, np.ones((2, 4000, 1, 1), np.uint8))
    with pytest.raises(NeuvaError, match="the trace is of layers big, small on loihi1"):
        step_time(program("loihi2"), trace)
