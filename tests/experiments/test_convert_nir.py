"""`neuva convert` and `verify` on a graph of another framework, from its file to the certificate, and on bad input."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest

from conversion.nir_import import Reading
from experiments import pipeline
from experiments.spike_clips import read_spike_clips
from hardware.program import ChipProgram
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron
from tests.command import neuva

ROOT = Path(__file__).parents[2]
SAID = ("--dt-us", 1000, "--encoding", "binary", "--graph-step", 1e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.nir: three channels in, which no camera has, five neurons out, reset by subtraction; spikes.npy for it."""
    folder, rng = tmp_path_factory.mktemp("foreign"), np.random.default_rng(0)
    constants = {"tau": 0.01, "r": 20.0, "v_leak": 0.0, "v_threshold": 1.0}
    weight = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = {
        "input": nir.Input(np.array([3, 8, 8])),
        "conv": nir.Conv2d((8, 8), weight, 2, 1, 1, 1, np.zeros(4, np.float32)),
        "a": nir.LIF(**{key: np.float64(value) for key, value in constants.items()}),
        "flat": nir.Flatten(np.array([4, 4, 4]), 0, -1),
        "fc": nir.Linear(rng.normal(size=(5, 64)).astype(np.float32)),
        "b": nir.LIF(**{key: np.float64(value) for key, value in constants.items()}),
        "output": nir.Output(np.array([5])),
    }
    nir.write(folder / "net.nir", nir.NIRGraph(nodes, list(pairwise(nodes))))
    np.save(folder / "spikes.npy", rng.random((40, 3, 3, 8, 8)) < 0.1)
    return folder


def test_a_foreign_graph_becomes_a_program_and_a_certificate(folder: Path) -> None:
    program, certificate = folder / "chip.h5", folder / "certificate.json"
    done = neuva(
        "convert", folder / "net.nir", "--target", "loihi2", "--out", program, "--data", folder / "spikes.npy", *SAID
    )
    assert done.returncode == 0, done.stderr
    assert "warning neuron_of_the_chip at conv1: reset subtract, allowed zero" in done.stdout
    loaded = ChipProgram.load(program)
    assert loaded.readout is None
    assert loaded.provenance["calibrated_on"] == "spikes.npy"
    assert pipeline.reading_of(loaded) == Reading(1000, "binary", 1e-3)
    done = neuva(
        "verify", program, "--reference", folder / "net.nir", "--data", folder / "spikes.npy",
        "--vendor-clips", 0, "--out", certificate,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no valence and arousal" in done.stdout
    figures = json.loads(certificate.read_text())
    assert figures["metrics"] is None
    first, second = figures["fidelity"]
    assert all(layer["spikes_from"] > 0 for pair in (first, second) for layer in pair["layers"])
    assert sum(layer["mismatches"] for layer in first["layers"]) > 0  # what hard reset and the grid cost
    assert sum(layer["mismatches"] for layer in second["layers"]) == 0
    assert second["output"] is None


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ("--dt-us and --encoding", ()),
        ("needs both --dt-us and --encoding", ("--dt-us", 1000)),
        ("node a has a time constant, tau", SAID[:4]),
        ("name an .npy of its input spikes", (*SAID, "--data", "store.h5")),
    ],
)
def test_what_is_left_unsaid_is_asked_for_in_one_line(said: str, options: tuple, folder: Path) -> None:
    data = () if "--data" in options else ("--data", folder / "spikes.npy")
    done = neuva("convert", folder / "net.nir", "--target", "loihi2", "--out", folder / "no.h5", *data, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_truncated_graph_is_one_line(folder: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.nir"
    cut.write_bytes((folder / "net.nir").read_bytes()[:3000])
    done = neuva(
        "convert", cut, "--target", "loihi2", "--out", tmp_path / "no.h5", "--data", folder / "spikes.npy", *SAID
    )
    assert done.returncode == 2
    assert "cut.nir: not a readable NIR graph" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 2, 3)), "needed spikes"),
        (np.full((4, 2, 1, 4), 2), "needed 0 to 1"),
        (np.full((4, 2, 1, 4), 0.5), "not whole numbers"),
        (np.full((4, 2, 1, 4), np.nan), "not whole numbers"),
        (np.zeros((0, 2, 1, 4)), "needed spikes"),
        (np.array([{}], object), "not a readable numpy file"),
    ],
)
def test_spikes_that_do_not_suit_are_refused(array: np.ndarray, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "spikes.npy", array, allow_pickle=True)
    with pytest.raises(NeuvaError, match=said):
        read_spike_clips(tmp_path / "spikes.npy", NetworkSpec("any", (LayerSpec("dense", 3, Neuron()),), (2, 1, 4)))


def test_clips_and_their_events_are_the_arrays(tmp_path: Path) -> None:
    counts = np.random.default_rng(1).integers(0, 3, (5, 4, 2, 3, 4))
    spec = NetworkSpec("any", (LayerSpec("dense", 3, Neuron()),), (2, 3, 4), "counts", dt_us=100)
    np.savez(tmp_path / "spikes.npz", x=counts)
    clips = read_spike_clips(tmp_path / "spikes.npz", spec)
    for index, clip in enumerate(clips):
        assert np.array_equal(clip.x, counts[:, index])
        again, events = np.zeros_like(clip.x), clip.events
        np.add.at(again, (events["t"] // 100, events["p"], events["y"], events["x"]), 1)
        assert np.array_equal(again, clip.x)
