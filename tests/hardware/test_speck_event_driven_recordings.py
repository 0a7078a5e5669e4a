"""Real recordings event by event through a 128x128 network: the same twice, and what must hold whatever they show."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hardware.camera import Camera
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, SpeckNeuron
from hardware.speck import event_driven
from hardware.speck.queueing import Queue
from hardware.trace import Trace

REAL = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
CAMERAS = {
    "gesture-dvs128.bin": Camera((128, 128)),
    "face-dvxplorer.aedat4": Camera((320, 240), crop=((60, 188), (96, 224))),
}
EVENTS = {"gesture-dvs128.bin": 63_471, "face-dvxplorer.aedat4": 111_954}


@cache
def recording(name: str) -> np.ndarray:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"real recording {name} is not there (NEUVA_REAL_DATA)")
    if name.endswith(".bin"):  # 5 bytes: x, y, p in bit 7, 23 bits of t
        raw = np.fromfile(path, np.uint8).reshape(-1, 5).astype(np.int64)
        columns = ((raw[:, 2] & 127) << 16 | raw[:, 3] << 8 | raw[:, 4], raw[:, 0], raw[:, 1], raw[:, 2] >> 7)
    else:
        faery = pytest.importorskip("faery")
        events = np.concatenate(list(faery.events_stream_from_file(path)))
        columns = (events["t"].astype(np.int64), events["x"], events["y"], events["on"])
    rows = np.empty(len(columns[0]), [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
    for field, column in zip("txyp", columns, strict=True):
        rows[field] = column
    return rows[np.argsort(rows["t"], kind="stable")]


def network(camera: Camera) -> ChipProgram:
    """Two branches that meet again; random weights that fire in every layer."""
    rng = np.random.default_rng(0)

    def layer(name: str, features: int, shape: tuple, heard: tuple, stride: int, pool: int = 1) -> Layer:
        weight = rng.normal(8, 40, (features, shape[0], 3, 3)).clip(-128, 127).astype(np.int8)
        own = SpeckNeuron(250, -250, "subtract", np.zeros(features, np.int64))
        sides = (shape[1] // stride, shape[2] // stride)
        return Layer(
            name, shape, (features, *sides), Connection("conv", weight, (stride,) * 2, (1, 1)), own, pool, heard
        )

    layers = (
        layer("a", 8, (2, 128, 128), ("input",), 2, 2),
        layer("b", 8, (8, 32, 32), ("a",), 1),
        layer("join", 16, (8, 32, 32), ("a", "b"), 2, 4),
    )
    return ChipProgram("speck2f", 10_000, InputEncoding((2, 128, 128), "counts"), layers, None, camera=camera)


def run(name: str, **options: object) -> Trace:
    events = recording(name)
    assert len(events) == EVENTS[name]
    return event_driven.run(network(CAMERAS[name]), events, start_us=int(events["t"][0]), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(CAMERAS))
def test_a_recording_runs_event_by_event(name: str) -> None:
    trace, again = run(name), run(name)
    assert trace.counts == again.counts
    events, spikes = recording(name), trace.spikes
    assert all(core.spikes > 1000 for core in trace.counts)
    camera = CAMERAS[name]
    (top, bottom), (left, right) = camera.window
    inside = (events["y"] >= top) & (events["y"] < bottom) & (events["x"] >= left) & (events["x"] < right)
    assert spikes["input"].total == inside.sum()
    assert [core.spikes for core in trace.counts] == [spikes[layer].total for layer in ("a", "b", "join")]
    for layer in network(camera).layers:  # a spike answers an event: none at another time than the input's
        assert np.isin(spikes[layer.name].t, spikes["input"].t).all()
        most = 9 if layer.connection.stride == (1, 1) else 4  # neurons of one feature that an event reaches
        heard = sum(spikes[source].total for source in layer.sources)
        assert spikes[layer.name].total <= heard * most * layer.out_shape[0]  # at most one each
    tight = event_driven.run(_with_threshold(network(camera), 1000), events, start_us=int(events["t"][0]))
    assert tight.counts[0].synops == trace.counts[0].synops
    assert tight.counts[0].spikes < trace.counts[0].spikes


def _with_threshold(chip: ChipProgram, threshold: int) -> ChipProgram:
    layers = tuple(replace(layer, neuron=replace(layer.neuron, threshold=threshold)) for layer in chip.layers)
    return replace(chip, layers=layers)


def test_a_recording_with_queues() -> None:
    notes = {full: run("gesture-dvs128.bin", queue=Queue(full=full)).notes["queue"] for full in ("wait", "drop")}  # type: ignore[arg-type]
    for note in notes.values():
        assert note["latency"]["median_us"] >= 3 * 0.373
        assert [core["layer"] for core in note["cores"]] == ["a", "b", "join"]
    assert notes["wait"]["cores"][0]["load"] == notes["drop"]["cores"][0]["load"]
    assert notes["drop"]["latency"]["most_us"] <= notes["wait"]["latency"]["most_us"]
