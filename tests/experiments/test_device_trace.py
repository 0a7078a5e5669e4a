"""From a network to a board's recording and what is said of it, as a user types it; the board is a stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conversion import speck
from conversion.nir_export import save_nir
from hardware.check import check
from hardware.trace import Trace
from snn import LayerSpec, NetworkSpec, Neuron, ValenceArousalNet
from snn.networks import scale_to_rate
from tests.command import neuva as command_line

ROOT = Path(__file__).parents[2]
MAIN = "from experiments.cli import main; main()"
WITH_BOARD = f"""
import sys
from hardware.speck import board
from tests.hardware.fake_samna import Clock, fake_samna
board.time = Clock()
sys.modules["samna"] = fake_samna(board.time)
{MAIN}
"""
WATCHED = f"""
import atexit, os, sys
def look():
    if [name for name in sys.modules if name.split(".")[0] in ("samna", "samnagui")]:
        os._exit(99)
atexit.register(look)
{MAIN}
"""


def neuva(*arguments: object, code: str = "") -> subprocess.CompletedProcess:
    """The command; in a process of its own where that is to be prepared by `code`."""
    if not code:
        return command_line(*arguments)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=200, env=os.environ | {"COLUMNS": "200"}
    )


def refused(*arguments: object, code: str = "") -> str:
    done = neuva(*arguments, code=code)
    assert done.returncode == 2, done.stderr + done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr.strip()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, spot_store: Path) -> Path:
    """Two programs, the first's network, and what a board gave of a clip with the first."""
    folder = tmp_path_factory.mktemp("board")
    for name, seed in (("one", 0), ("two", 1)):
        torch.manual_seed(seed)
        x = (torch.rand(20, 2, 2, 16, 16) < 0.1).float()
        neuron = Neuron(reset="subtract", low=-1.0, multi_spike=True)
        layers = (LayerSpec("conv", 4, neuron, (3, 3), (2, 2), (1, 1)), LayerSpec("dense", 8, neuron))
        net = ValenceArousalNet(NetworkSpec("any", layers, (2, 16, 16), "counts"))
        scale_to_rate(net, x)
        check(speck.lower(net.eval(), "speck2f", x)).program.save(folder / f"{name}.h5")
        save_nir(net, folder / f"{name}.nir")
    run = ("run", folder / "one.h5", spot_store, "--on", "speck2f", "--out", folder / "trace.h5")
    done = neuva(*run, "--clip", "test/1", code=WITH_BOARD)
    assert done.returncode == 0, done.stderr
    return folder


def verify(made: Path, store: Path, *arguments: object) -> tuple:
    fixed = ("--reference", made / "one.nir", "--data", store, "--vendor-clips", 0, "--out", made / "certificate.json")
    return "verify", made / "one.h5", *fixed, "--device-trace", made / "trace.h5", *arguments


def test_a_recording_is_compared_anywhere(made: Path, spot_store: Path) -> None:
    trace = Trace.load(made / "trace.h5")
    assert trace.backend == "speck2f"
    assert trace.notes["origin"]["clip"] == "test/1"
    assert trace.power is not None
    done = neuva(*verify(made, spot_store), code=WATCHED)
    assert done.returncode in (0, 2), done.stderr  # untrained: its CCC may fall, and the verdict with it
    figures = json.loads((made / "certificate.json").read_text())
    pair = figures["fidelity"][-1]
    assert (pair["from"], pair["to"], pair["clips"]) == ("event-driven emulator", "speck2f board", 1)
    assert all(layer["spikes_from"] == layer["spikes_to"] > 0 for layer in pair["layers"])
    assert all(layer["rate_correlation"] > 0.999 for layer in pair["layers"])
    assert figures["metrics"]["speck2f board"]["clips"] == 1
    assert figures["versions"]["samna"] == "0.48.0"


def test_its_rails_stand_beside_the_models_energy(made: Path) -> None:
    done = neuva("energy", made / "one.h5", "--device-trace", made / "trace.h5")
    assert done.returncode == 0, done.stderr
    assert "measured RAM" in done.stdout
    assert "measured processor" in done.stdout
    report = json.loads(neuva("energy", made / "one.h5", "--device-trace", made / "trace.h5", "--json").stdout)
    measured = report["measured_per_inference_J"]
    assert measured["processor"] == pytest.approx(measured["RAM"] + measured["LOGIC"])
    trace = Trace.load(made / "trace.h5")
    assert trace.power is not None
    assert measured["IO"] == pytest.approx(trace.power.joules(trace.duration_us)["IO"] / len(trace.times))
    assert report["backends"] == ["speck2f"]


def test_a_trace_of_another_program_clip_or_place_is_one_line(made: Path, spot_store: Path) -> None:
    other = ("verify", made / "two.h5", "--reference", made / "two.nir", "--data", spot_store)
    assert "is of another program" in refused(*other, "--device-trace", made / "trace.h5")
    assert "is of another program" in refused("energy", made / "two.h5", "--device-trace", made / "trace.h5")
    line = refused(*verify(made, spot_store, "--clips", 1))
    assert "trace.h5: is of clip test/1, whose input is that of none of the 1 clips compared (test/0)" in line
    emulated = made / "emulated.h5"
    assert neuva("run", made / "one.h5", spot_store, "--clip", "test/1", "--out", emulated).returncode == 0
    assert "is of emulator, not of a speck2f board" in refused(*verify(made, spot_store, "--device-trace", emulated))
    assert "give --data or --device-trace" in refused("energy", made / "one.h5")


def test_every_way_to_run_a_clip_says_what_was_run(made: Path, spot_store: Path) -> None:
    origins = [Trace.load(made / "trace.h5").notes["origin"]]
    for on in ("emulator", "emulator-events"):
        out = made / f"{on}.h5"
        run = ("run", made / "one.h5", spot_store, "--clip", "test/1", "--on", on, "--out", out)
        assert neuva(*run).returncode == 0
        origins.append(Trace.load(out).notes["origin"])
    assert origins[0] == origins[1] == origins[2]
    assert len(origins[0]["input"]) == len(origins[0]["program"]) == 64


def test_without_samna_one_line_says_what_to_install(made: Path, spot_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "trace.h5"
    line = refused("run", made / "one.h5", spot_store, "--on", "speck2f", "--out", out, code=WATCHED)
    assert "needs samna" in line
    assert "install it as SynSense's Samna documentation says" in line
    assert not out.exists()
