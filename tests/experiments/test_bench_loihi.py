from __future__ import annotations

import numpy as np
import pytest

from experiments.benchmarks import loihi
from hardware.loihi import emulator, lava
from neuva import NeuvaError


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few steps of small networks, nothing timed."""
    for name, value in {
        "STEPS": 3,
        "FEW_STEPS": 4,
        "CLIPS": 2,
        "SIDE": 16,
        "SIDES": (8, 16),
        "WIDTHS": (0.5, 1),
    }.items():
        monkeypatch.setattr(loihi, name, value)
    monkeypatch.setattr(loihi, "best_of", lambda work: work() and 0.003)
    monkeypatch.setattr(loihi.network, "__defaults__", (16, 1.0))
    monkeypatch.setattr(loihi.clip, "__defaults__", (16, 0.03, 1))


def test_without_lava_it_runs_and_says_so(monkeypatch):
    monkeypatch.setenv("NEUVA_LAVA_PYTHON", "/nowhere/python")
    seen = []
    found = loihi.run(lambda *done: seen.append(done))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(len(row) == len(table.columns) for table in found.tables for row in table.rows)
    beside = found.tables[0]
    assert [row[1] for row in beside.rows] == [pytest.approx(1), None]
    assert any("Lava was not there" in note for note in beside.notes)


def test_the_ratio_is_lavas_time_over_ours(monkeypatch):
    monkeypatch.setattr(lava, "interpreter", lambda: None)
    monkeypatch.setattr(lava, "run", lambda program, x, **options: emulator.run(program, x, like_lava=True, **options))
    monkeypatch.setattr(loihi, "lava_ms_a_step", lambda program: 250.0)
    table = loihi.beside_lava()
    assert [row[1:] for row in table.rows] == [[pytest.approx(1), 1], [250, pytest.approx(250)]]
    assert any("every u, v and spike of 4 steps is the same" in note for note in table.notes)


@pytest.mark.parametrize("what", ["u", "v", "spikes"])
def test_what_is_not_lavas_is_not_timed(monkeypatch, what):
    def other(program, x, **options):
        trace = emulator.run(program, x, like_lava=True, **options)
        if what == "spikes":
            trace.spikes["conv3"] = trace.spikes["input"]
        else:
            getattr(trace, what)["conv3"][-1, 0, 0, 0] += 1
        return trace

    monkeypatch.setattr(lava, "run", other)
    with pytest.raises(NeuvaError, match="layer conv3 is not Lava's"):
        loihi.compare(loihi.network())


def test_lavas_start_is_left_out(monkeypatch):
    now = [0.0]

    def run(program, x):
        now[0] += 7 + 0.05 * len(x)

    monkeypatch.setattr(lava, "run", run)
    monkeypatch.setattr(loihi.time, "perf_counter", lambda: now[0])
    assert loihi.lava_ms_a_step(loihi.network()) == pytest.approx(50)


def test_the_networks_layers_fire_a_few_percent(monkeypatch):
    monkeypatch.undo()
    trace = emulator.run(loihi.network(), loihi.clip(40))
    for layer in loihi.network().layers:
        assert 0.01 < trace.spikes[layer.name].total / 40 / layer.neurons < 0.06, layer.name
    assert np.mean(loihi.clip(5)) == pytest.approx(0.03, abs=0.005)
