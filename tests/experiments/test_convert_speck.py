"""`neuva convert`, `run` and `verify` on a branched graph for a Speck, with all that is asked for of a Speck alone."""

from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest

from conversion.nir_import import Reading
from datasets.events import Events
from datasets.files import read_events, write_events
from experiments import pipeline
from hardware.camera import Camera
from hardware.energy.fanout import arrivals
from hardware.program import ChipProgram
from hardware.trace import Trace
from tests.command import neuva

ROOT = Path(__file__).parents[2]
SAID = ("--dt-us", 10_000, "--encoding", "counts", "--low", -1, "--multi-spike", "--data")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.nir: two branches behind the first layer, added up before five neurons; spikes.npy; a sensor's events.npz."""
    folder, rng = tmp_path_factory.mktemp("branched"), np.random.default_rng(0)
    nodes: dict = {"input": nir.Input(np.array([2, 8, 8])), "output": nir.Output(np.array([5]))}
    for name, inputs in (("c1", 2), ("c2", 4), ("c3", 4)):
        weight = rng.normal(0.1, 0.4, size=(4, inputs, 3, 3)).astype(np.float32)
        nodes[name] = nir.Conv2d((8, 8), weight, 1, 1, 1, 1, np.zeros(4, np.float32))
        nodes[f"{name}_if"] = nir.IF(r=np.ones((4, 8, 8)), v_threshold=np.ones((4, 8, 8)))
    nodes["flat"] = nir.Flatten(np.array([4, 8, 8]), 0, -1)
    nodes["fc"] = nir.Linear(rng.normal(0.01, 0.1, size=(5, 256)).astype(np.float32))
    nodes["fc_if"] = nir.IF(r=np.ones(5), v_threshold=np.ones(5))
    edges = [("input", "c1"), ("c1", "c1_if"), ("c1_if", "c2"), ("c2", "c2_if"), ("c1_if", "c3"), ("c3", "c3_if")]
    edges += [("c2_if", "flat"), ("c3_if", "flat"), ("flat", "fc"), ("fc", "fc_if"), ("fc_if", "output")]
    nir.write(folder / "net.nir", nir.NIRGraph(nodes, edges))
    np.save(folder / "spikes.npy", rng.poisson(0.1, (20, 2, 2, 8, 8)))
    t = np.sort(rng.integers(0, 200_000, 5000))
    x, y, p = rng.integers(0, 32, 5000), rng.integers(0, 32, 5000), rng.integers(0, 2, 5000)
    write_events(folder / "events.npz", Events.from_columns(t, x, y, p, (32, 32)))
    return folder


def test_from_the_graph_to_run_and_certificate(folder: Path) -> None:
    program, data = folder / "chip.h5", folder / "spikes.npy"
    camera = ("--scale", "sinabs", "--classes-on-chip", "--camera", "size: [32, 32], mirror_x: true")
    done = neuva("convert", folder / "net.nir", "--target", "speck2f", "--out", program, *SAID, data, *camera)
    assert done.returncode == 0, done.stderr
    loaded = ChipProgram.load(program)
    assert loaded.camera == Camera(size=(32, 32), pool=(4, 4), crop=((0, 8), (0, 8)), mirror_x=True)
    assert loaded.layers[-1].sources == ("conv2", "conv3")
    assert loaded.layers[-1].out_shape == (17, 1, 1)
    assert pipeline.reading_of(loaded) == Reading(10_000, "counts", low=-1.0, multi_spike=True)

    trace = folder / "trace.h5"
    done = neuva("run", program, folder / "events.npz", "--on", "emulator-events", "--out", trace)
    assert done.returncode == 0, done.stderr
    ran = Trace.load(trace)
    t = read_events(folder / "events.npz").array["t"]
    assert ran.spikes["input"].total == (t < t[0] + 190_000).sum()  # whole steps; each event is one after pooling
    assert ran.spikes["dense4"].total > 0
    assert set(ran.spikes["dense4"].neuron % 4) == {0}
    both = sum(np.bincount(ran.spikes[n].neuron, ran.spikes[n].count, 256) for n in ("conv2", "conv3"))
    assert np.array_equal(arrivals(ran, loaded, 3).ravel(), both)

    certificate = folder / "certificate.json"
    asked = ("--reference", folder / "net.nir", "--data", data, "--clips", 2, "--vendor-clips", 1)
    done = neuva("verify", program, *asked, "--out", certificate)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(certificate.read_text())
    for pair in figures["fidelity"]:
        assert all(layer["spikes_from"] > 0 for layer in pair["layers"])
        if pair["must_be_equal"]:
            assert [layer["mismatches"] for layer in pair["layers"]] == [0, 0, 0, 0]
    events = figures["fidelity"][-1]  # clips are past the camera layer: it must not be applied to them again
    assert events["to"] == "event-driven emulator"
    assert events["layers"][0]["rate_correlation"] > 0.8


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("loihi2", ("--scale", "sinabs"), "--scale, --camera and --classes-on-chip are for Speck"),
        ("loihi2", (), "conv3 hears conv1: on Loihi"),
        ("speck2f", ("--scale", "mine"), "--scale mine: allowed are calibrated and sinabs"),
        ("speck2f", ("--camera", "pool: 3, crop: [[0, 8]]"), "--camera: crop"),
    ],
)
def test_what_cannot_be_is_one_line(target: str, options: tuple, said: str, folder: Path) -> None:
    data = folder / "spikes.npy"
    done = neuva("convert", folder / "net.nir", "--target", target, "--out", folder / "no.h5", *SAID, data, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
