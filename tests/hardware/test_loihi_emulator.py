"""The Loihi emulator against closed forms, ground truth of others, brute-force counts, and itself in pieces."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hardware.loihi import emulator
from hardware.loihi.emulator import LoihiEmulator
from hardware.loihi.weights import on_grid
from hardware.program import (
    ChipProgram,
    Connection,
    CoreSlice,
    InputEncoding,
    Layer,
    LoihiNeuron,
    Readout,
    Shape,
    SpeckNeuron,
)
from hardware.trace import Trace
from neuva import NeuvaError

REAL_DATA = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
needs_data = pytest.mark.skipif(not (REAL_DATA / "lava").is_dir(), reason=f"no recordings in {REAL_DATA}")
LIMIT = 2**23


def neuron(channels: int = 1, du: int = 4095, dv: int = 0, vth: int = 131071, bias: int = 0, exp: int = 0):
    return LoihiNeuron(du, dv, vth, np.full(channels, bias << exp, np.int32), exp)


def program_of(shape: Shape, *layers: Layer, kind="binary", **changes) -> ChipProgram:
    n = layers[-1].neurons
    readout = Readout(np.ones((2, n), np.float32) / n, np.zeros(2, np.float32), 0.5)
    return ChipProgram("loihi2", 1000, InputEncoding(shape, kind), layers, readout, **changes)


def one_neuron(weight: int, kind="counts", **constants) -> ChipProgram:
    link = Connection("dense", np.array([[weight]]))
    return program_of((1, 1, 1), Layer("n", (1, 1, 1), (1, 1, 1), link, neuron(**constants)), kind=kind)


def drive(program: ChipProgram, *spikes: int, **options):
    return emulator.run(program, np.array(spikes).reshape(-1, 1, 1, 1), record_state=True, **options)


# Closed forms of one neuron. The first layer's step k answers step k of the input, after one step with bias alone.


def test_negative_voltage_decays_toward_zero_by_truncation() -> None:
    trace = drive(one_neuron(-2, dv=2048), 2, 0, 0, 0)
    assert trace.v["n"].ravel().tolist() == [-256, -128, -64, -32]
    trace = drive(one_neuron(-1, dv=2047, du=2047), 1, 0, 0)  # u: -64, -32, -16
    assert trace.u["n"].ravel().tolist() == [-64, -32, -16]
    u, v = [-64, -32, -16], []
    for value in u:
        v.append(value - (abs(v[-1]) * 2049 >> 12) if v else value)
    assert trace.v["n"].ravel().tolist() == v


def test_u_loses_du_plus_one_and_du_4095_keeps_nothing() -> None:
    assert drive(one_neuron(100, du=0), 1, 0).u["n"].ravel().tolist() == [6400, 6400 * 4095 // 4096]
    assert drive(one_neuron(100, du=4095), 1, 0).u["n"].ravel().tolist() == [6400, 0]


def test_v_equal_to_the_threshold_does_not_spike_and_one_more_resets_to_zero() -> None:
    program = one_neuron(10, vth=30)
    trace = drive(program, 3, 0, 1, 0)
    assert trace.spikes["n"].t.tolist() == [2000]
    assert trace.v["n"].ravel().tolist() == [1920, 1920, 0, 0]


def test_u_wraps_at_24_bits_and_v_is_clipped() -> None:
    link = Connection("dense", np.array([[255]]), weight_exp=7)
    layer = Layer("n", (1, 1, 1), (1, 1, 1), link, neuron(du=4095))
    program = program_of((1, 1, 1), layer, kind="counts")
    trace = drive(program, 8, 0)
    assert trace.u["n"].ravel().tolist() == [-65536, 0]
    assert trace.notes == {"overflows": {"n": {"u_wraps": 1, "v_clips": 0}}}
    inhibitory = dataclasses.replace(layer, connection=dataclasses.replace(link, weight=np.array([[-255]])))
    trace = drive(program_of((1, 1, 1), inhibitory, kind="counts"), 4, 4, 0)  # a positive v spikes before it can clip
    assert trace.v["n"].ravel().tolist() == [-4 * 255 << 13, -(LIMIT - 1), -(LIMIT - 1)]
    assert trace.notes["overflows"]["n"] == {"u_wraps": 0, "v_clips": 1}
    # beyond three registers Lava's model leaves its 24 bits, the chip's register cannot
    assert abs(drive(program, 16).u["n"].item()) < LIMIT
    assert abs(drive(program, 16, like_lava=True).u["n"].item()) > LIMIT


def test_strict_raises_where_the_default_counts() -> None:
    link = Connection("dense", np.array([[255]]), weight_exp=7)
    program = program_of((1, 1, 1), Layer("hot", (1, 1, 1), (1, 1, 1), link, neuron()), kind="counts")
    with pytest.raises(NeuvaError, match="layer hot: u left its 24 bits 1 times"):
        drive(program, 8, strict=True)
    drive(program, 4, strict=True)


def test_a_bias_integrates_before_the_input_arrives() -> None:
    layers = [
        Layer(f"l{k}", (1, 1, 1), (1, 1, 1), Connection("dense", np.array([[1]])), neuron(vth=15, bias=1000))
        for k in range(3)
    ]
    trace = emulator.run(program_of((1, 1, 1), *layers), np.zeros((3, 1, 1, 1), int), record_state=True)
    # layer l has had l steps of 1000 (threshold 960) before; l0 spikes in every one of them
    assert trace.v["l0"].ravel().tolist() == [0, 0, 0]
    assert trace.u["l0"].ravel().tolist() == [0, 0, 0]
    assert trace.u["l1"].ravel().tolist() == [64, 64, 64]  # hears the spike l0 sent in the step before
    quiet = [dataclasses.replace(layer, neuron=neuron(vth=100, bias=1000)) for layer in layers]
    trace = emulator.run(program_of((1, 1, 1), *quiet), np.zeros((3, 1, 1, 1), int), record_state=True)
    assert [trace.v[f"l{k}"].ravel()[0] for k in range(3)] == [2000, 3000, 4000]


# Weights.


@given(hnp.arrays(np.int64, st.integers(1, 30), elements=st.integers(-400, 400)))
def test_weights_on_grid_follow_their_closed_form(weight: np.ndarray) -> None:
    grid = on_grid(weight)
    assert np.array_equal(on_grid(grid), grid)
    if weight.min() < 0 < weight.max():
        assert np.array_equal(grid, 2 * np.floor(np.clip(weight, -256, 255) / 2))
    else:
        assert np.array_equal(grid, np.clip(weight, -255, 255))


def test_mixed_weights_are_floored_to_even() -> None:
    assert on_grid(np.array([101, -101])).tolist() == [100, -102]
    assert on_grid(np.array([101, 0])).tolist() == [101, 0]


# Ground truth of others.


def conv_program(weight: np.ndarray, shape: Shape, stride, padding, dilation, groups: int) -> ChipProgram:
    sides = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(shape[1:], padding, dilation, weight.shape[2:], stride, strict=True)
    ]
    out = (weight.shape[0], *sides)
    link = Connection("conv", weight, tuple(stride), tuple(padding), tuple(dilation), groups)
    return program_of(shape, Layer("conv", shape, out, link, neuron(out[0])))


@needs_data
@pytest.mark.parametrize("name", ["conv_0", "conv_3", "conv_4"])
@pytest.mark.parametrize("flipped", [True, False], ids=["flipped", "wrong"])
def test_conv_reproduces_lavas_ground_truth(name: str, flipped: bool) -> None:
    """The process is linear: ground truth on real-valued input is the sum of the input times the emulator's taps."""
    with np.load(REAL_DATA / "lava" / f"{name}.npz", allow_pickle=False) as data:
        truth = {key: data[key] for key in data}
    weight = truth["weights"].transpose(0, 3, 2, 1)  # (C_out, X, Y, C_in) to (C_out, C_in, Y, X)
    weight = weight[:, :, ::-1, ::-1] if flipped else weight
    values = truth["input"].transpose(2, 1, 0)  # (X, Y, C) to (C, Y, X)
    geometry = [tuple(truth[key][::-1]) for key in ("stride", "padding", "dilation")]
    program = conv_program(weight, values.shape, *geometry, int(truth["groups"]))
    # quantise the input to 12 bits, send it bit by bit: a_in of the steps adds up to the convolution
    steps = 12
    levels = np.floor(values * 2**steps).astype(int)
    spikes = (levels[None] >> np.arange(steps)[:, None, None, None]) & 1
    u = emulator.run(program, spikes, record_state=True, like_lava=True).u["conv"] >> 6
    total = (u * 2.0 ** (np.arange(steps) - steps)[:, None, None, None]).sum(axis=0)
    error = np.abs(total - truth["out_gt"].transpose(2, 1, 0)).max()
    bound = np.abs(weight).sum(axis=(1, 2, 3)).max() * 2.0**-steps + 1e-2
    assert (error <= bound) == flipped


@needs_data
def test_dense_layer_trained_by_others_is_reproduced() -> None:
    with np.load(REAL_DATA / "lava" / "dense_oxford.npz", allow_pickle=False) as data:
        truth = {key: data[key] for key in data}
    link = Connection("dense", truth["weight"].astype(int))
    layer = Layer("d", (200, 1, 1), (256, 1, 1), link, neuron(256, du=4095, dv=415, vth=6))
    spikes = truth["spikes_in"].T.reshape(-1, 200, 1, 1)
    trace = emulator.run(program_of((200, 1, 1), layer), spikes, record_state=True)
    # the recording has the delay of one step that the trace takes out
    assert np.array_equal(trace.u["d"][:-1, :, 0, 0] >> 6, truth["current"].T[1:])
    assert np.array_equal(trace.spikes["d"].dense(2000, 1000)[:-1, :, 0, 0], truth["spikes_out"].T[1:])
    assert trace.spikes["d"].total == 1826


# Counts, brute force.


def brute_synops(layer: Layer, in_shape: Shape, spikes: np.ndarray) -> np.ndarray:
    """Synapses driven, per output channel and row, by looking at every synapse."""
    link, (c_out, h, w) = layer.connection, layer.out_shape
    count = np.zeros((c_out, h), int)
    if link.kind == "dense":
        return count + int((spikes > 0).sum()) * w
    fired = (spikes > 0).sum(axis=0)
    per_in = link.weight.shape[1]
    for c, y, x in np.ndindex(c_out, h, w):
        group = c // (c_out // link.groups)
        for k_y, k_x in np.ndindex(*link.weight.shape[2:]):
            i = y * link.stride[0] - link.padding[0] + k_y * link.dilation[0]
            j = x * link.stride[1] - link.padding[1] + k_x * link.dilation[1]
            if 0 <= i < in_shape[1] and 0 <= j < in_shape[2]:
                count[c, y] += fired[group * per_in : (group + 1) * per_in, i, j].sum()
    return count


def two_layers(rng: np.random.Generator) -> ChipProgram:
    conv = Connection("conv", on_grid(rng.integers(-60, 90, (4, 2, 3, 2))), (2, 1), (1, 1), (1, 2), 2)
    first = Layer("conv", (4, 7, 6), (4, 4, 6), conv, neuron(4, vth=60, bias=200))
    dense = Connection("dense", on_grid(rng.integers(-60, 70, (12, 96))))
    second = Layer("dense", (4, 4, 6), (2, 3, 2), dense, neuron(2, vth=60))
    return program_of((4, 7, 6), first, second)


def test_counts_are_exact_and_slices_add_up() -> None:
    rng = np.random.default_rng(5)
    program = two_layers(rng)
    spikes = (rng.random((9, 4, 7, 6)) < 0.3).astype(np.uint8)
    whole = emulator.run(program, spikes)
    assert [core.core for core in whole.counts] == [-1, -1]
    expected = {}
    heard, in_shape = spikes, program.input.shape
    for layer, core in zip(program.layers, whole.counts, strict=True):
        expected[layer.name] = brute_synops(layer, in_shape, heard)
        heard, in_shape = whole.spikes[layer.name].dense(9, 1000), layer.out_shape
        assert core.synops == expected[layer.name].sum()
        assert core.updates == 9 * layer.neurons
        assert core.spikes == whole.spikes[layer.name].total > 0
    slices = [
        CoreSlice(core, layer.name, c0, c0 + 1, y0, y0 + 1)
        for core, (layer, c0, y0) in enumerate(
            (layer, c, y)
            for layer in program.layers
            for c in range(layer.out_shape[0])
            for y in range(layer.out_shape[1])
        )
    ]
    placed = emulator.run(dataclasses.replace(program, placement=tuple(slices)), spikes)
    for part, core in zip(slices, placed.counts, strict=True):
        assert core.synops == expected[part.layer][part.c0, part.y0]
        fired = whole.spikes[part.layer].dense(9, 1000)[:, part.c0, part.y0]
        assert core.spikes == fired.sum()
        assert core.updates == fired.size


# Streaming, read-out, errors.


def test_any_cut_of_the_input_gives_the_same_steps() -> None:
    rng = np.random.default_rng(6)
    program = two_layers(rng)
    spikes = (rng.random((12, 4, 7, 6)) < 0.3).astype(np.uint8)
    whole = emulator.run(program, spikes, record_state=True)
    chip = LoihiEmulator(program)
    for _ in range(2):  # again after reset
        pieces = [chip.feed(piece, record_state=True) for piece in np.split(spikes, [1, 1, 5, 11])]
        for name in ("conv", "dense"):
            assert np.array_equal(np.concatenate([piece.v[name] for piece in pieces]), whole.v[name])
            dense = np.concatenate([piece.spikes[name].dense(piece.steps, 1000) for piece in pieces])
            assert np.array_equal(dense, whole.spikes[name].dense(12, 1000))
        assert sum(core.synops for piece in pieces for core in piece.counts) == sum(c.synops for c in whole.counts)
        chip.reset()


def equal(one: Trace, other: Trace) -> bool:
    """Every spike, u, v, estimate, count and overflow."""
    sparse = [
        np.array_equal(getattr(spikes, part), getattr(other.spikes[name], part))
        for name, spikes in one.spikes.items()
        for part in ("t", "neuron", "count")
    ]
    dense = [np.array_equal(values, getattr(other, q)[name]) for q in "uv" for name, values in getattr(one, q).items()]
    plain = (one.counts, one.notes, one.va.tolist()) == (other.counts, other.notes, other.va.tolist())
    return all(sparse) and all(dense) and plain


@pytest.mark.parametrize("threads", [1, 3])
def test_clips_side_by_side_are_those_one_after_the_other(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator.numba_config, "NUMBA_NUM_THREADS", threads)
    rng = np.random.default_rng(7)
    program = two_layers(rng)
    clips = [(rng.random((steps, 4, 7, 6)) < 0.3).astype(np.uint8) for steps in (9, 0, 3, 12, 5, 9, 9)]
    seen: list[tuple[int, int]] = []
    many = emulator.run_many(program, clips, record_state=True, progress=lambda *done: seen.append(done))
    assert seen == [(k + 1, 7) for k in range(7)]
    alone = [emulator.run(program, clip, record_state=True) for clip in clips]
    assert [equal(one, other) for one, other in zip(many, alone, strict=True)] == [True] * 7
    assert not equal(many[0], many[5])
    assert emulator.run_many(program, []) == []


def test_one_bad_clip_among_many_is_told() -> None:
    program = two_layers(np.random.default_rng(8))
    with pytest.raises(NeuvaError, match=r"\[2, 4, 7, 7\]"):
        emulator.run_many(program, [np.zeros((2, 4, 7, 6), int), np.zeros((2, 4, 7, 7), int)])


def test_another_chip_shares_weights_and_no_state() -> None:
    rng = np.random.default_rng(9)
    spikes = (rng.random((6, 4, 7, 6)) < 0.3).astype(np.uint8)
    chip = LoihiEmulator(two_layers(rng))
    chip.feed(spikes)
    other = chip.another()
    before = chip.feed(spikes[:0], record_state=True)
    fresh = other.feed(spikes, record_state=True)
    assert before.steps == 0
    assert np.array_equal(fresh.v["dense"], emulator.run(chip.program, spikes, record_state=True).v["dense"])
    assert not np.array_equal(fresh.v["dense"], chip.feed(spikes, record_state=True).v["dense"])


def test_reset_every_starts_each_layer_anew_in_its_own_time() -> None:
    """Without biases a stretch after a reset is a clip of its own, however the input is cut."""
    rng = np.random.default_rng(10)
    program = two_layers(rng)
    quiet = [
        dataclasses.replace(k, neuron=dataclasses.replace(k.neuron, bias=0 * k.neuron.bias)) for k in program.layers
    ]
    program = dataclasses.replace(program, layers=tuple(quiet), reset_every=4)
    spikes = (rng.random((10, 4, 7, 6)) < 0.3).astype(np.uint8)
    whole = emulator.run(program, spikes, record_state=True)
    plain = dataclasses.replace(program, reset_every=0)
    pieces = [emulator.run(plain, piece, record_state=True) for piece in np.split(spikes, [4, 8])]
    chip = LoihiEmulator(program)
    fed = [chip.feed(piece, record_state=True) for piece in np.split(spikes, [3, 4, 9])]
    for q in "uv":
        for name in ("conv", "dense"):
            values = getattr(whole, q)[name]
            assert np.array_equal(np.concatenate([getattr(piece, q)[name] for piece in pieces]), values)
            assert np.array_equal(np.concatenate([getattr(piece, q)[name] for piece in fed]), values)
    assert not np.array_equal(emulator.run(plain, spikes, record_state=True).v["dense"], whole.v["dense"])


def test_the_steps_before_the_input_arrives_are_not_reset() -> None:
    layer = Layer("l0", (1, 1, 1), (1, 1, 1), Connection("dense", np.array([[1]])), neuron(vth=100, bias=1000))
    program = program_of((1, 1, 1), layer, dataclasses.replace(layer, name="l1"))
    trace = emulator.run(dataclasses.replace(program, reset_every=1), np.zeros((3, 1, 1, 1), int), record_state=True)
    assert trace.v["l0"].ravel().tolist() == [2000, 1000, 1000]
    assert trace.v["l1"].ravel().tolist() == [3000, 1000, 1000]


def test_trace_has_the_readout_of_what_the_last_layer_sent() -> None:
    trace = drive(one_neuron(64, vth=63), 1, 0, 1)
    assert trace.va[:, 0].tolist() == [1.0, 0.5, 1.0]
    assert trace.times.tolist() == [1000, 2000, 3000]
    assert (trace.latency_steps, trace.duration_us, trace.backend) == (1, 3000, "emulator")
    assert trace.spikes["input"].t.tolist() == [0, 2000]


def test_an_empty_clip_is_valid() -> None:
    trace = emulator.run(one_neuron(1), np.zeros((0, 1, 1, 1), int), record_state=True)
    assert len(trace.times) == 0
    assert trace.v["n"].shape == (0, 1, 1, 1)


@pytest.mark.parametrize(
    ("spikes", "told"),
    [
        (np.zeros((3, 1, 2, 1), int), r"\[3, 1, 2, 1\].*\['T', 1, 1, 1\]"),
        (np.zeros((3, 1, 1, 1)), "float64"),
        (np.full((1, 1, 1, 1), 2), r"2\.\.2, a binary input holds 0\.\.1"),
        (np.full((1, 1, 1, 1), -1), "-1"),
    ],
)
def test_input_that_does_not_suit_is_refused(spikes: np.ndarray, told: str) -> None:
    with pytest.raises(NeuvaError, match=told):
        emulator.run(one_neuron(1, kind="binary"), spikes)


def test_layers_that_loihi_lacks_are_refused() -> None:
    layer = one_neuron(1).layers[0]
    speck = SpeckNeuron(10, -10, "subtract", np.zeros(1, np.int32))
    for change, told in [
        ({"neuron": speck}, "Speck's neurons"),
        ({"neuron": neuron(exp=8)}, "bias_exp 8, allowed 0..7"),
    ]:
        with pytest.raises(NeuvaError, match=told):
            LoihiEmulator(program_of((1, 1, 1), dataclasses.replace(layer, **change)))
    branch = dataclasses.replace(layer, name="m", sources=("n", "input"))
    with pytest.raises(NeuvaError, match="layer m hears n, input, allowed n"):
        LoihiEmulator(program_of((1, 1, 1), layer, branch))
    pooled = Layer("n", (1, 2, 2), (1, 2, 2), Connection("conv", np.ones((1, 1, 1, 1), int)), neuron(), pool=2)
    readout = Readout(np.ones((2, 1), np.float32), np.zeros(2, np.float32), 0.5)
    program = ChipProgram("loihi2", 1000, InputEncoding((1, 2, 2), "binary"), (pooled,), readout)
    with pytest.raises(NeuvaError, match="pools by 2"):
        LoihiEmulator(program)
