"""Synaptic operations a second: closed form, what the emulators count, and the ceiling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, SpeckNeuron
from hardware.speck import clocked, event_driven
from hardware.speck.queueing import Timing
from hardware.speck.rates import WINDOW_US, rates, synops_per_second
from neuva import NeuvaError

DT, STEPS = 10_000, 30


def chain() -> ChipProgram:
    """16 features of 3 x 3, padded, and pooled by 2; then a dense layer of 5 that hears them and nothing else."""
    rng = np.random.default_rng(0)
    first = Connection("conv", rng.integers(-10, 60, (16, 2, 3, 3)).astype(np.int8), (1, 1), (1, 1))
    neuron = SpeckNeuron(100, -100, "subtract", np.zeros(16, int))
    second = Connection("dense", rng.integers(-10, 60, (5, 16 * 4 * 4)).astype(np.int8))
    output = replace(neuron, bias=np.zeros(5, int))
    layers = (
        Layer("a", (2, 8, 8), (16, 8, 8), first, neuron, 2),
        Layer("b", (256, 1, 1), (5, 1, 1), second, output),
    )
    return ChipProgram("speck2f", DT, InputEncoding((2, 8, 8), "counts"), layers, None)


def burst(count: int) -> np.ndarray:
    """`count` events on one pixel amid the map at step 3, nothing else."""
    spikes = np.zeros((STEPS, 2, 8, 8), int)
    spikes[3, 0, 4, 4] = count
    return spikes


@pytest.mark.parametrize("run", [clocked.run, event_driven.run])
def test_rates_are_what_the_emulators_count(run) -> None:
    spikes = np.random.default_rng(1).poisson(0.3, (STEPS, 2, 8, 8))
    trace = run(chain(), spikes)
    assert [rate.synops for rate in rates(chain(), trace)] == [
        pytest.approx(counts.synops * 1e6 / trace.duration_us) for counts in trace.counts
    ]
    assert all(rate.synops <= rate.peak for rate in rates(chain(), trace))


def test_a_burst_in_closed_form() -> None:
    timing = Timing(synops_per_s=1e6, event_ns=1000, buffer=1)
    first = rates(chain(), clocked.run(chain(), burst(7)), timing)[0]
    operations = 7 * 16 * 9  # N_spikes C_out k_x k_y / (s_x s_y), as sinabs' documentation estimates it
    assert first.synops == pytest.approx(operations * 1e6 / (STEPS * DT))
    assert first.peak == pytest.approx(operations * 1e6 / WINDOW_US)
    assert first.load == pytest.approx((operations / 1e6 + 7 * 1e-6) / (WINDOW_US / 1e6))


def test_the_ceiling_is_found_and_called_an_assumption() -> None:
    timing = Timing.load()
    enough = int(WINDOW_US * 1e3 / int(timing.work_ns(np.array([16 * 9]))[0]))
    below, above = (clocked.run(chain(), burst(count)) for count in (enough, enough + 1))
    assert not [found for found in synops_per_second(rates(chain(), below)) if found.where == "layer a"]
    (found,) = (found for found in synops_per_second(rates(chain(), above)) if found.where == "layer a")
    assert (found.rule, found.severity) == ("synops_per_second", "warning")
    assert "assumed, none is published" in found.limit


def test_a_trace_without_spikes_is_no_load_and_another_programs_is_refused() -> None:
    silent = clocked.run(chain(), burst(0))
    assert [rate.load for rate in rates(chain(), silent)] == [0, 0]
    with pytest.raises(NeuvaError, match="give the program that was run"):
        rates(replace(chain(), layers=chain().layers[:1]), silent)


def test_the_user_sees_the_rates_of_a_trace(tmp_path: Path) -> None:
    chain().save(tmp_path / "chip.h5")
    for name, count in (("calm", 1), ("busy", 30_000)):
        clocked.run(chain(), burst(count)).save(tmp_path / f"{name}.h5")
    shown = {}
    for name in ("calm", "busy"):
        command = ["check", str(tmp_path / "chip.h5"), "--trace", str(tmp_path / f"{name}.h5")]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        shown[name] = " ".join(done.output.split())
    assert "synops_per_second" not in shown["calm"]
    assert "warning synops_per_second at layer a: 43,200,000 synaptic operations/s at the busiest" in shown["busy"]
    assert "30,000,000/s, assumed: none is published" in shown["calm"]


def test_the_busiest_window_is_found_wherever_it_begins() -> None:
    """120 ms in which 80 ms are busy, on either side of a border between windows; and a run shorter than a window."""
    timing = Timing(synops_per_s=1e6, event_ns=1000, buffer=1)
    spikes = burst(0)
    spikes[6:14, 0, 4, 4] = 1
    first = rates(chain(), clocked.run(chain(), spikes), timing)[0]
    assert first.peak == pytest.approx(8 * 16 * 9 * 1e6 / WINDOW_US)
    assert first.load == pytest.approx(8 * (16 * 9 + 1) / WINDOW_US)
    short = rates(chain(), clocked.run(chain(), spikes[6:14]), timing)[0]
    assert short.peak == short.synops == pytest.approx(16 * 9 * 1e6 / DT)
    assert short.load == pytest.approx((16 * 9 + 1) / DT)


def test_the_finding_names_the_times_it_was_made_with() -> None:
    slow = Timing(synops_per_s=1e4, event_ns=1234, buffer=1)
    (found,) = (
        f for f in synops_per_second(rates(chain(), clocked.run(chain(), burst(9)), slow)) if "a" in f.where[6:]
    )
    assert found.limit == "10,000/s (assumed, none is published) less 1234 ns an event"
