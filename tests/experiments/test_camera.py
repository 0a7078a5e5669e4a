"""A Speck's camera layer: its settings from a line, and programs that take a sensor's own events through it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conversion import speck
from datasets.events import Events
from experiments.camera import camera_of
from experiments.recording import Recording, prepare
from experiments.running import run_input
from hardware import devices
from hardware.camera import Camera
from hardware.check import check
from hardware.program import ChipProgram
from hardware.speck.camera import seen
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, ValenceArousalNet
from snn.networks import scale_to_rate

torch = pytest.importorskip("torch")
IF = Neuron(reset="subtract", low=-1.0, multi_spike=True)


def sensor_events(size: tuple[int, int] = (128, 128)) -> Events:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 100_000, 20_000))
    x, y, p = (rng.integers(0, most, len(t)) for most in (*size, 2))
    return Events.from_columns(t, x, y, p, size)


def program(channels: int, camera: Camera | None) -> ChipProgram:
    torch.manual_seed(1)
    layers = (LayerSpec("conv", 4, IF, (3, 3), (2, 2), (1, 1)), LayerSpec("dense", 5, IF))
    spec = NetworkSpec("speck", layers, (channels, 24, 16), "counts", dt_us=10_000, outputs=None)
    net, x = ValenceArousalNet(spec), torch.poisson(torch.full((8, 1, channels, 24, 16), 0.5))
    scale_to_rate(net, x, 0.1)
    return replace(check(speck.lower(net, "speck2f", x)).program, camera=camera)


@pytest.mark.parametrize(
    ("text", "shape", "wanted"),
    [
        ("crop: centre", (2, 64, 64), Camera(pool=(2, 2), crop=((0, 64), (0, 64)))),
        ("crop: centre", (2, 32, 32), Camera(pool=(4, 4), crop=((0, 32), (0, 32)))),
        ("crop: centre", (1, 24, 16), Camera(polarity="merged", pool=(4, 4), crop=((4, 28), (8, 24)))),
        ("pool: 2, polarity: on", (1, 24, 16), Camera(polarity="on", pool=(2, 2), crop=((20, 44), (24, 40)))),
        ("swap_xy: true, mirror_y: true", (2, 24, 16), Camera(
            pool=(4, 4), crop=((8, 24), (4, 28)), swap_xy=True, mirror_y=True)),
        ("pool: [1, 2], crop: [[0, 24], [40, 56]]", (2, 24, 16), Camera(pool=(1, 2), crop=((0, 24), (40, 56)))),
        ("size: [64, 96]", (2, 24, 16), Camera(size=(64, 96), pool=(4, 4), crop=((0, 24), (0, 16)))),
    ],
)  # fmt: skip
def test_what_is_not_said_is_chosen_for_the_networks_input(text: str, shape: tuple, wanted: Camera) -> None:
    assert camera_of(text, shape) == wanted
    assert wanted.shape == shape


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("poool: 2", "poool is unknown: known are size, polarity"),
        ("pool: [", "write .key: value"),
        ("pool: two", "pool.* is"),
        ("pool: 0", "pooling of at least 1"),
        ("mirror_x: 7", "mirror_x is 7"),
        ("polarity: off-on", "polarity is off-on"),
        ("pool: 8", "16x16 pixels after pooling are fewer than the network's 16x24"),
        ("crop: [[0, 8], [0, 16]]", r"gives \(2, 8, 16\), the network takes \(2, 24, 16\)"),
        ("crop: [[0, 300], [0, 16]]", "leaves its map"),
        ("polarity: merged", r"gives \(1, 24, 16\)"),
        ("crop", "crop is|gives"),
    ],
)
def test_settings_that_cannot_be_are_one_line(text: str, said: str) -> None:
    with pytest.raises(NeuvaError, match=said) as caught:
        camera_of(text, (2, 24, 16))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["pool: 4, mirror_x: true", "pool: 2, swap_xy: true, polarity: merged", "pool: 1"])
def test_raw_events_through_the_program_are_the_seen_ones_without_it(text: str) -> None:
    channels = 1 if "merged" in text else 2
    camera = camera_of(text, (channels, 24, 16))
    whole, raw = program(channels, camera), sensor_events()
    given = prepare(Recording("r", raw, None, 0, 100_000), whole)
    assert given.x.shape == (10, channels, 24, 16)
    assert given.x.sum() == len(seen(camera, raw.array)) > 100
    trace = run_input(whole, given, "emulator-events")
    plain = devices.run_events(replace(whole, camera=None), seen(camera, raw.array), 10)
    assert trace.spikes["conv1"].total > 20
    assert trace.spikes["dense2"].total > 0
    for name, spikes in plain.spikes.items():
        assert np.array_equal(spikes.dense(10, 10_000), trace.spikes[name].dense(10, 10_000))
    other = replace(camera, mirror_y=True)
    mirrored = devices.run_events(replace(whole, camera=other), raw.array, 10)
    assert not np.array_equal(mirrored.spikes["conv1"].dense(10, 10_000), plain.spikes["conv1"].dense(10, 10_000))
    clocked = run_input(whole, given, "emulator")
    assert np.array_equal(clocked.spikes["input"].dense(10, 10_000), given.x)


def test_a_recording_of_another_sensor_is_refused_with_the_cure() -> None:
    recording = Recording("r", sensor_events((64, 48)), None, 0, 100_000)
    with pytest.raises(NeuvaError, match=r'r: its sensor has 64x48 .*--camera "size: \[64, 48\]"'):
        prepare(recording, program(2, camera_of("pool: 4", (2, 24, 16))))
