"""A Speck network of random weights and a stream of moving edges: what its emulators are timed and studied on."""

from __future__ import annotations

import numpy as np

from hardware.program import ChipProgram, Connection, InputEncoding, Layer, SpeckNeuron

SIDE = 128
DT_US = 1000
EVENT = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])


def network(seed: int = 0, *, dt_us: int = DT_US, threshold: int = 250) -> ChipProgram:
    """128x128x2 -> conv16 -> conv32 -> conv64 (3x3, stride 2) -> dense 64, weights that let it fire in every layer."""
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    shape = (2, SIDE, SIDE)
    for index, features in enumerate((16, 32, 64)):
        link = Connection("conv", _weights(rng, (features, shape[0], 3, 3), 8), (2, 2), (1, 1))
        out = (features, shape[1] // 2, shape[2] // 2)
        layers.append(Layer(f"conv{index}", shape, out, link, _neuron(threshold, features)))
        shape = out
    dense = Connection("dense", _weights(rng, (64, int(np.prod(shape))), 1))
    layers.append(Layer("dense", shape, (64, 1, 1), dense, _neuron(2 * threshold, 64)))
    return ChipProgram("speck2f", dt_us, InputEncoding((2, SIDE, SIDE), "counts"), tuple(layers), None)


def moving_edges(rate: float, seconds: float, seed: int = 0) -> np.ndarray:
    """`rate` events a second, fields t, x, y, p: four bars that cross the sensor in 0.25 s, and a tenth of noise.

    A bar's leading edge gives ON events, its trailing edge, 6 pixels behind, OFF events.
    """
    rng = np.random.default_rng(seed)
    number = int(rate * seconds)
    events = np.empty(number, EVENT)
    events["t"] = np.sort(rng.integers(0, round(seconds * 1e6), number))
    events["p"] = rng.integers(0, 2, number)
    bar = rng.integers(0, 4, number) * (SIDE // 4) + events["t"] * (SIDE / 250_000)
    x = np.floor(bar - 6 * (events["p"] == 0) + rng.normal(0, 0.7, number)).astype(np.int64) % SIDE
    noise = rng.random(number) < 0.1
    events["x"] = np.where(noise, rng.integers(0, SIDE, number), x)
    events["y"] = rng.integers(0, SIDE, number)
    return events


def steps_of(events: np.ndarray, dt_us: int, seconds: float) -> np.ndarray:
    """The stream as counts [T, 2, H, W] per step of dt."""
    counts = np.zeros((round(seconds * 1e6) // dt_us, 2, SIDE, SIDE), np.int32)
    np.add.at(counts, (events["t"] // dt_us, events["p"], events["y"], events["x"]), 1)
    return counts


def _weights(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> np.ndarray:
    return rng.normal(mean, 40, shape).clip(-128, 127).astype(np.int8)


def _neuron(threshold: int, features: int) -> SpeckNeuron:
    return SpeckNeuron(threshold, -threshold, "subtract", np.zeros(features, np.int64))
