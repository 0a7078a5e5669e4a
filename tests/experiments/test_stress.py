"""A recording at rising rates: ceilings in closed form, the picture, and the command."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.benchmarks.speck_network import EVENT
from experiments.cli import app
from experiments.commands.stress import curves
from experiments.plots import load_and_latency, png
from experiments.stress import ceilings, stress
from hardware.camera import Camera
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, SpeckNeuron
from hardware.speck.queueing import Queue, Timing
from neuva import NeuvaError


def chain(channels: int = 1) -> ChipProgram:
    """conv0 spikes twice an event; an event takes 1 + 2 us in conv0 and 2 * (1 + 1) us in conv1."""
    own = [SpeckNeuron(1, 0, "subtract", np.zeros(features, int)) for features in (2, 1)]
    first = Connection("conv", np.ones((2, channels, 1, 1), np.int8))
    second = Connection("conv", np.ones((1, 2, 1, 1), np.int8))
    layers = (
        Layer("conv0", (channels, 8, 8), (2, 8, 8), first, own[0]),
        Layer("conv1", (2, 8, 8), (1, 8, 8), second, own[1]),
    )
    return ChipProgram("speck2f", 1000, InputEncoding((channels, 8, 8), "counts"), layers, None)


TIMING = Timing(1e6, 1000, 4)


def steady(number: int = 2000, gap_us: int = 100) -> np.ndarray:
    events = np.zeros(number, EVENT)
    events["t"] = np.arange(number) * gap_us
    return events


def test_the_ceiling_is_one_over_the_work_of_an_event() -> None:
    rungs = stress(chain(), steady(), Queue(TIMING), lambda *_: None, [1, 4, 8, 16, 32, 64])
    found = ceilings(rungs)
    assert found["conv0"] == pytest.approx(1e6 / 3, rel=0.02)
    assert found["conv1"] == pytest.approx(1e6 / 4, rel=0.02)
    assert rungs[0].report.latency.most_us == 3 + 2 * 2
    assert rungs[0].report.first_full is None
    assert rungs[-1].report.latency.median_us > 1000
    assert [rung.rate for rung in rungs] == pytest.approx([1e4 * f for f in (1, 4, 8, 16, 32, 64)], rel=0.01)
    assert ceilings(rungs[:2]) == {}
    slow = ceilings(stress(chain(), steady(), Queue(Timing(1e5, 1000, 4)), lambda *_: None, [64]))
    assert slow["conv0"] == pytest.approx(1e6 / 21, rel=0.02)  # above at the first rate already
    picture = load_and_latency(*curves(rungs), found, "t")
    assert png(picture).startswith(b"\x89PNG")
    loads = picture.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(loads, [rung.report.cores[0].load * 100 for rung in rungs])


def test_no_events_or_another_chip_are_refused() -> None:
    with pytest.raises(NeuvaError, match="no events"):
        stress(chain(), steady(0), Queue(TIMING), lambda *_: None)
    own = LoihiNeuron(0, 0, 1, np.zeros(1, np.int32))
    layer = Layer("n", (1, 8, 8), (1, 8, 8), Connection("conv", np.ones((1, 1, 1, 1), np.int8)), own)
    with pytest.raises(NeuvaError, match="clocked"):
        stress(
            ChipProgram("loihi2", 1000, InputEncoding((1, 8, 8), "binary"), (layer,), None), steady(), Queue(), print
        )


def test_the_command_draws_and_prints(tmp_path) -> None:
    chain(2).save(tmp_path / "chip.h5")
    rows = "".join(f"{t},{x},{y},{p}\n" for t, x, y, p in zip(
        range(0, 200_000, 100), np.arange(2000) % 40, np.arange(2000) // 50, np.arange(2000) % 2, strict=True
    ))  # fmt: skip
    (tmp_path / "events.csv").write_text("t,x,y,p\n" + rows)
    common = [str(tmp_path / "chip.h5"), str(tmp_path / "events.csv"), "--sensor", "40x40", "--out"]
    done = CliRunner().invoke(app, ["stress", *common, str(tmp_path / "a.png"), "--json"], catch_exceptions=False)
    values = json.loads(done.stdout)
    assert [rung["factor"] for rung in values["rates"]] == [2.0**k for k in range(-2, 8)]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    done = CliRunner().invoke(app, ["stress", *common, str(tmp_path / "a.png"), "--drop", "--synops-per-s", "1e5"])
    assert "assumed: 1e+05" in done.output
    assert "dropped" in done.output


def test_the_recording_goes_through_the_camera_layer() -> None:
    """Every third event is ON, and its pixel pooled and mirrored before the cores see it."""
    chip = replace(chain(), camera=Camera((16, 16), "on", (2, 2), mirror_x=True))
    events = steady(3000)
    events["p"], events["x"] = np.arange(3000) % 3 == 0, 15
    found = stress(chip, events, Queue(TIMING), lambda *_: None, [1])[0]
    assert [core.events for core in found.report.cores] == [1000, 2000]
    assert found.rate == pytest.approx(1e6 / 300, rel=1e-3)
    events["p"] = 0
    with pytest.raises(NeuvaError, match="no events that reach"):
        stress(chip, events, Queue(TIMING), lambda *_: None, [1])


def test_a_binary_inputs_rate_is_of_what_it_lets_through() -> None:
    chip = replace(chain(), input=InputEncoding((1, 8, 8), "binary"))
    slow, fast = stress(chip, steady(), Queue(TIMING), lambda *_: None, [1, 10])
    assert (slow.report.cores[0].events, fast.report.cores[0].events) == (200, 20)  # one a pixel and step of 1 ms
    assert slow.rate == pytest.approx(fast.rate, rel=0.06)


def test_another_picture_than_a_png_is_refused(tmp_path) -> None:
    chain(2).save(tmp_path / "chip.h5")
    (tmp_path / "events.csv").write_text("t,x,y,p\n0,0,0,1\n")
    command = ["stress", str(tmp_path / "chip.h5"), str(tmp_path / "events.csv"), "--out", str(tmp_path / "a.txt")]
    with pytest.raises(NeuvaError, match=r"written as \.png"):
        CliRunner().invoke(app, command, catch_exceptions=False)
