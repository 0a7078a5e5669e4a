"""lava-dl's `.net` files: the file's own integers in the program, spikes as Lava and plain arithmetic give them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from conversion.fake_quant import fake_quantised_spikes
from conversion.lava_dl import load_net
from hardware import devices
from hardware.loihi import emulator
from hardware.program import ChipProgram
from neuva import NeuvaError

REAL_DATA = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
needs_data = pytest.mark.skipif(not (REAL_DATA / "lava").is_dir(), reason=f"no recordings in {REAL_DATA}")


# What slayer's blocks write, field for field: export_hdf5 of AbstractInput, AbstractFlatten, AbstractDense,
# AbstractConv and AbstractPool in lava/lib/dl/slayer/block/base.py, device_params in lava/lib/dl/slayer/neuron/cuba.py.

CUBA = {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1, "gradedSpike": False}


def write(path: Path, *layers: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for number, fields in enumerate(layers):
            group = file.create_group(f"layer/{number}")
            group.create_dataset("type", (1,), "S10", [fields["type"].encode("ascii", "ignore")])
            for key, value in fields.get("neuron", {}).items():
                group.create_dataset(f"neuron/{key}", data=value)
            for key, value in fields.items():
                if key not in ("type", "neuron"):
                    group.create_dataset(key, data=value)
        file["simulation/Ts"], file["simulation/tSample"] = 1, 100
    return path


def neuron(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in (CUBA | changes).items() if value is not None}


def dense(weight: np.ndarray, **more: Any) -> dict[str, Any]:
    rows, columns = weight.shape
    fields = {"shape": np.array([rows]), "inFeatures": columns, "outFeatures": rows}
    return {"type": "dense", **fields, "weight": weight.astype(np.float32), "neuron": neuron()} | more


def conv(weight: np.ndarray, shape: Any, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, **more: Any) -> dict:
    fields = {"inChannels": weight.shape[1] * groups, "outChannels": len(weight), "kernelSize": weight.shape[2:]}
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    weight = weight.astype(np.float32)
    return {"type": "conv", "shape": np.array(shape), **fields, **geometry, "weight": weight, "neuron": neuron()} | more


def pool(shape: Any, kernel: tuple[int, int], value: int = 64, **more: Any) -> dict[str, Any]:
    geometry = {"kernelSize": kernel, "stride": kernel, "padding": (0, 0), "dilation": (1, 1)}
    weight = np.full((1, 1, *kernel), value, np.float32)
    return {"type": "pool", "shape": np.array(shape), **geometry, "weight": weight, "neuron": neuron()} | more


def given_as(shape: Any, **more: Any) -> dict[str, Any]:
    return {"type": "input", "shape": np.array(shape), **more}


def flatten(neurons: int) -> dict[str, Any]:
    return {"type": "flatten", "shape": np.array([neurons, 1, 1])}


def even(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights as slayer's quantize_8bit gives them: even, -256..254."""
    return 2 * rng.integers(-128, 128, shape)


def small_net(path: Path, seed: int = 0) -> Path:
    """An input that spikes, a strided and a grouped convolution, pooling, flatten and two dense layers."""
    rng = np.random.default_rng(seed)
    return write(
        path,
        given_as((2, 9, 12), weight=[90], neuron=neuron(iDecay=4096, vDecay=0, vThMant=100)),
        conv(even(rng, 4, 2, 3, 2), (4, 4, 12), (2, 1), (0, 1), (1, 2), bias=np.arange(-2.0, 2) * 8),
        conv(even(rng, 6, 2, 1, 2), (6, 4, 12), padding=(0, 1), dilation=(1, 2), groups=2, neuron=neuron(type="LOIHI")),
        pool((6, 2, 4), (2, 3), neuron=neuron(vThMant=60)),
        flatten(48),
        dense(even(rng, 10, 48), neuron=neuron(vThMant=200)),
        dense(rng.integers(-128, 128, (5, 10)), bias=rng.integers(-20, 20, 5).astype(np.float32)),
    )


def defined(
    path: Path, x: np.ndarray, *, flip=False, swap=False, order=(0, 1, 2, 3), every=0, late=0
) -> list[np.ndarray]:
    """Spikes [T, ...] of each layer with neurons by slayer's own definition, read straight from the file.

    conv3d over N, C, H, W, T with kernels as they are in the file, reshape to flatten, then
    u = trunc(u (4096 - iDecay) / 4096) + 64 x, v = trunc(v (4096 - vDecay) / 4096) + u + 64 bias, spike if v > 64 vTh.
    A bias integrates in the steps before a layer hears of the input: a layer's first steps hear nothing. Every `every`
    steps, counted from the one that answers the input's first (`late`: wrongly, so much later), u and v start anew.
    """
    heard, spikes = x.astype(np.float64), []
    with h5py.File(path) as file:
        for number in range(len(file["layer"])):
            part = file[f"layer/{number}"]
            kind = part["type"][0].decode()
            if kind == "input" and "neuron" not in part:
                continue
            if kind == "flatten":
                heard = heard.transpose(order).reshape(len(heard), -1)
                continue
            heard = np.concatenate([np.zeros_like(heard[:1]), heard])  # a step on its way
            weight = torch.tensor(np.atleast_1d(part["weight"][()]), dtype=torch.float64)
            movie = torch.tensor(heard)
            if kind == "input":
                driven = movie * weight
            elif kind == "dense":
                driven = movie.flatten(1) @ weight.T
            else:
                weight = weight.flip(2, 3) if flip else weight
                groups = part["groups"][()] if kind == "conv" else movie.shape[1]
                weight = weight.repeat(movie.shape[1], 1, 1, 1) if kind == "pool" else weight
                stride, padding, dilation = (
                    (*part[key][()][:: -1 if swap else 1].tolist(), last)
                    for key, last in (("stride", 1), ("padding", 0), ("dilation", 1))
                )
                volume = movie.permute(1, 2, 3, 0)[None]
                driven = F.conv3d(volume, weight[..., None], None, stride, padding, dilation, int(groups))
                driven = driven[0].permute(3, 0, 1, 2)
            bias = np.atleast_1d(part["bias"][()]) if "bias" in part else np.zeros(1)
            anew = {len(heard) - len(x) + step + late for step in range(every, len(x), every)} if every else set()
            heard = _cuba(part["neuron"], driven.numpy(), bias.reshape(-1, *[1] * (driven.ndim - 2)), anew)
            spikes.append(heard[-len(x) :])
    return spikes


def _cuba(constants: h5py.Group, driven: np.ndarray, bias: np.ndarray, anew: set[int]) -> np.ndarray:
    i, w, vth = (float(constants[key][()]) for key in ("iDecay", "vDecay", "vThMant"))
    u, v, spikes = np.zeros_like(driven[0]), np.zeros_like(driven[0]), []
    for step, a_in in enumerate(driven):
        if step in anew:
            u, v = np.zeros_like(u), np.zeros_like(v)
        u = np.trunc(u * (4096 - i) / 4096) + 64 * a_in
        v = np.trunc(v * (4096 - w) / 4096) + u + 64 * bias
        spikes.append(v > 64 * vth)
        v = v * (v <= 64 * vth)
    return np.array(spikes, np.float64)


def input_of(program: ChipProgram, steps: int, seed: int = 1, density: float = 0.3) -> np.ndarray:
    most = 3 if program.input.kind == "counts" else 2
    rng = np.random.default_rng(seed)
    return rng.integers(1, most, (steps, *program.input.shape)) * (rng.random((steps, *program.input.shape)) < density)


def all_spikes(program: ChipProgram, x: np.ndarray) -> list[np.ndarray]:
    trace = emulator.run(program, x)
    return [trace.spikes[layer.name].dense(len(x), program.dt_us) for layer in program.layers]


# The file's own integers.


def test_the_program_holds_the_files_integers(tmp_path: Path) -> None:
    program = load_net(small_net(tmp_path / "n.net"), "loihi2", 1000)
    assert [layer.name for layer in program.layers] == ["input0", "conv1", "conv2", "pool3", "dense5", "dense6"]
    assert (program.input.shape, program.input.kind, program.readout) == ((2, 9, 12), "counts", None)
    with h5py.File(tmp_path / "n.net") as file:
        for layer in program.layers:
            part = file[f"layer/{layer.name[-1]}"]
            weight = layer.connection.weight * 2.0**layer.connection.weight_exp
            stored = part["weight"][()] if layer.name != "pool3" else np.repeat(part["weight"][()], 6, 0)
            assert np.array_equal(weight.ravel(), np.resize(stored, weight.size)), layer.name
            assert (layer.neuron.du + 1, layer.neuron.dv, layer.neuron.vth) == tuple(
                part["neuron"][key][()] for key in ("iDecay", "vDecay", "vThMant")
            )
            bias = part["bias"][()] if "bias" in part else np.zeros(layer.out_shape[0])
            assert np.array_equal(layer.neuron.bias, 64 * bias), layer.name
    assert program.layers[1].connection.stride == (2, 1)
    assert program.layers[1].connection.padding == (0, 1)
    assert program.layers[1].connection.dilation == (1, 2)
    assert program.layers[-1].connection.weight_exp == -1  # odd weights of both signs
    assert ChipProgram.load(_saved(program, tmp_path)).sha256() == program.sha256()


def _saved(program: ChipProgram, folder: Path) -> Path:
    program.save(folder / "program.h5")
    return folder / "program.h5"


@pytest.mark.parametrize("seed", range(6))
def test_the_emulator_runs_it_as_slayer_defines_it(tmp_path: Path, seed: int) -> None:
    path = small_net(tmp_path / "n.net", seed)
    program = load_net(path, "loihi2", 1000)
    x = input_of(program, 40, seed)
    ran = all_spikes(program, x)
    for layer, got, wanted in zip(program.layers, ran, defined(path, x), strict=True):
        assert np.array_equal(got.reshape(wanted.shape), wanted), layer.name
        assert wanted.any(), layer.name


@pytest.mark.parametrize("wrong", [{"flip": True}, {"swap": True}, {"order": (0, 2, 3, 1)}, {"order": (0, 1, 3, 2)}])
def test_any_other_orientation_fails(tmp_path: Path, wrong: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    kernels, weight = even(rng, 3, 2, 3, 3), even(rng, 8, 72)
    layers = given_as((2, 6, 6)), conv(kernels, (3, 6, 4), padding=(1, 0)), flatten(72), dense(weight)
    path = write(tmp_path / "n.net", *layers)
    program = load_net(path, "loihi2", 1000)
    x = input_of(program, 30)
    ran = all_spikes(program, x)[-1][:, :, 0, 0]
    assert np.array_equal(ran, defined(path, x)[-1])
    assert not np.array_equal(ran, defined(path, x, **wrong)[-1])


@pytest.mark.parametrize(
    "wrong", [{"du": 1024}, {"dv": 127}, {"vth": 81}, {"bias_exp": 0}], ids=lambda change: next(iter(change))
)
def test_constants_one_off_give_other_spikes(tmp_path: Path, wrong: dict[str, int]) -> None:
    weight = even(np.random.default_rng(3), 30, 20)
    path = write(tmp_path / "n.net", dense(weight, bias=np.full(30, 9.0)))
    program = load_net(path, "loihi2", 1000)
    x = input_of(program, 400, density=0.1)
    layer = program.layers[0]
    changed = dataclasses.replace(layer.neuron, **wrong)
    if "bias_exp" in wrong:
        changed = dataclasses.replace(changed, bias=layer.neuron.bias >> 6)
    other = dataclasses.replace(program, layers=(dataclasses.replace(layer, neuron=changed),))
    assert np.array_equal(all_spikes(program, x)[0][:, :, 0, 0], defined(path, x)[0])
    assert not np.array_equal(all_spikes(other, x)[0], all_spikes(program, x)[0])


@pytest.mark.parametrize("every", [1, 3, 7, 40])
def test_states_start_anew_every_so_often(tmp_path: Path, every: int) -> None:
    path = small_net(tmp_path / "n.net")
    program = load_net(path, "loihi2", 1000, reset_every=every)
    x = input_of(program, 40)
    ran, wanted = all_spikes(program, x), defined(path, x, every=every)
    for layer, got, want in zip(program.layers, ran, wanted, strict=True):
        assert np.array_equal(got.reshape(want.shape), want), layer.name
    fake = fake_quantised_spikes(program, torch.tensor(x)[:, None])
    assert all(np.array_equal(fake[layer.name][:, 0], got) for layer, got in zip(program.layers, ran, strict=True))
    chip = emulator.LoihiEmulator(program)
    pieces = [chip.feed(x[start:stop]) for start, stop in ((0, 5), (5, 6), (6, 26), (26, 40))]
    last = program.layers[-1].name
    assert np.array_equal(np.concatenate([part.spikes[last].dense(part.steps, 1000) for part in pieces]), ran[-1])


@pytest.mark.parametrize("wrong", [{"every": 0}, {"every": 8}, {"every": 7, "late": 1}, {"every": 7, "late": -1}])
def test_states_that_start_anew_at_other_steps_fail(tmp_path: Path, wrong: dict[str, int]) -> None:
    path = small_net(tmp_path / "n.net")
    program = load_net(path, "loihi2", 1000, reset_every=7)
    x = input_of(program, 40)
    pairs = zip(all_spikes(program, x), defined(path, x, **wrong), strict=True)
    assert not all(np.array_equal(got.reshape(want.shape), want) for got, want in pairs)


@pytest.mark.lava
@pytest.mark.parametrize("every", [0, 6])
def test_emulator_and_lava_agree_in_u_v_and_spikes(tmp_path: Path, every: int) -> None:
    program = load_net(small_net(tmp_path / "n.net"), "loihi2", 1000, reset_every=every)
    x = input_of(program, 25)
    ours, theirs = (devices.run(program, x, on, record_state=True) for on in ("emulator", "lava"))
    for layer in program.layers:
        assert np.array_equal(ours.u[layer.name], theirs.u[layer.name]), layer.name
        assert np.array_equal(ours.v[layer.name], theirs.v[layer.name]), layer.name
        assert np.array_equal(ours.spikes[layer.name].neuron, theirs.spikes[layer.name].neuron), layer.name


@needs_data
def test_a_trained_dense_layer_gives_its_recorded_spikes(tmp_path: Path) -> None:
    with np.load(REAL_DATA / "lava" / "dense_oxford.npz", allow_pickle=False) as data:
        truth = {key: data[key] for key in data}
    constants = neuron(iDecay=4096, vDecay=415, vThMant=6)
    path = write(tmp_path / "oxford.net", dense(truth["weight"], neuron=constants))
    program = load_net(path, "loihi2", 1000)
    x = truth["spikes_in"].T.reshape(-1, 200, 1, 1).astype(int)
    (spikes,) = all_spikes(program, x)
    # the recording has the delay of one step that the trace takes out
    assert np.array_equal(spikes[:-1, :, 0, 0], truth["spikes_out"].T[1:])
    assert spikes.sum() == 1826
    assert np.array_equal(defined(path, x)[0], spikes[:, :, 0, 0])


# Layers that are special.


def test_an_average_is_a_readout(tmp_path: Path) -> None:
    weight = even(np.random.default_rng(0), 6, 4)
    path = write(tmp_path / "n.net", dense(weight), {"type": "average", "shape": np.array([2, 1, 1])})
    program = load_net(path, "loihi2", 1000)
    x = input_of(program, 20)
    spikes = all_spikes(program, x)[0].reshape(20, 2, 3)
    trace = emulator.run(program, x)
    assert np.allclose(trace.va, spikes.mean(axis=2))
    assert trace.va.max() > 0
    assert program.readout is not None
    assert program.readout.names == ("0", "1")


def test_an_input_without_neurons_only_says_its_shape(tmp_path: Path) -> None:
    weight = even(np.random.default_rng(0), 3, 2, 3, 3)
    strided = conv(weight, (3, 4, 5), stride=(2, 2))
    for sides in ((9, 11), (10, 12)):
        program = load_net(write(tmp_path / "n.net", given_as((2, *sides)), strided), "loihi2", 1000)
        assert (program.input.shape, program.input.kind, len(program.layers)) == ((2, *sides), "binary", 1)
    path = write(tmp_path / "n.net", strided)
    assert load_net(path, "loihi2", 1000, input_shape=(2, 10, 11)).input.shape == (2, 10, 11)
    with pytest.raises(NeuvaError, match=r"n\.net: layer conv0: is strided and first.*give the input's shape"):
        load_net(path, "loihi2", 1000)
    whole = write(tmp_path / "n.net", conv(weight, (3, 7, 8), padding=(1, 0)))
    assert load_net(whole, "loihi2", 1000).input.shape == (2, 7, 10)


def test_an_input_with_neurons_weighs_64_unless_written(tmp_path: Path) -> None:
    for more, weight in (({}, 64), ({"weight": [36]}, 36)):
        path = write(tmp_path / "n.net", given_as((2, 3, 3), neuron=neuron(), **more))
        (layer,) = load_net(path, "loihi2", 1000).layers
        assert layer.connection.weight.ravel().tolist() == [weight, weight]


def test_older_files_layouts_are_read(tmp_path: Path) -> None:
    weight, kernel = even(np.random.default_rng(0), 6, 8), even(np.random.default_rng(1), 2, 2, 3, 3)
    flat = load_net(write(tmp_path / "n.net", dense(weight) | {"weight": weight.ravel()}), "loihi1", 1000)
    assert np.array_equal(flat.layers[0].connection.weight, weight)
    timed = conv(kernel, (2, 4, 4)) | {"weight": kernel[..., None], "stride": 1, "padding": 0, "dilation": 1}
    assert np.array_equal(
        load_net(write(tmp_path / "n.net", timed), "loihi1", 1000).layers[0].connection.weight, kernel
    )


# Bad input.

W = np.array([[2, -4], [6, 8]])
K = np.ones((2, 2, 3, 3))
BAD: list[tuple[list[dict[str, Any]], str]] = [
    ([], "has no layers"),
    ([{"type": "concat", "shape": [2], "layers": [0]}], 'layer concat0: type "concat" is not converted'),
    ([{"type": "convT", "shape": [2, 2, 2]}], '"convT"'),
    ([dense(W, neuron=neuron(type="ALIF"))], 'neurons of type "ALIF"'),
    ([dense(W, neuron=neuron(type="SDNN"))], 'neurons of type "SDNN"'),
    ([{key: value for key, value in dense(W).items() if key != "neuron"}], "has no neurons"),
    ([dense(W, neuron=neuron(iDecay=0))], "neuron/iDecay holds 0, allowed whole numbers 1..4096"),
    ([dense(W, neuron=neuron(iDecay=[7, 8]))], "neuron/iDecay differs between neurons"),
    ([dense(W, neuron=neuron(vDecay=4096))], "neuron/vDecay holds 4096"),
    ([dense(W, neuron=neuron(vThMant=1 << 17))], "neuron/vThMant holds 131072"),
    ([dense(W, neuron=neuron(vThMant=None))], "has no neuron/vThMant"),
    ([dense(W, neuron=neuron(refDelay=2))], "neuron/refDelay is 2, allowed 1"),
    ([dense(W, neuron=neuron(gradedSpike=True))], "neuron/gradedSpike is 1, allowed 0"),
    ([dense(W, neuron=neuron(weight_exp=[1.0]))], "neuron/weight_exp is 1, allowed 0"),
    ([dense(W, delay=np.array([0.0, 3.0]))], "delay is 3, allowed 0"),
    ([dense(W, bias=np.array([1.0, 2.0, 3.0]))], "bias has 3 numbers, allowed 2"),
    ([dense(W, bias=np.array([5000.0, 0]))], "bias holds 5000"),
    ([dense(W * np.nan)], "layer dense0: weight holds nan, allowed whole numbers"),
    ([dense(W * 0.3)], "weight holds 0.6"),
    ([dense(W * 100)], "weight holds -400"),
    ([dense(np.array([[200, -3]]))], "weight holds -3..200, allowed"),
    ([conv(K - 2 * (np.arange(3) == 1), (2, 4, 4))], "weight holds -1..1, allowed"),
    ([dense(W) | {"weight": np.array([b"x"])}], "needed numbers"),
    ([dense(W) | {"weight": np.zeros((0, 2))}], "needed numbers"),
    ([dense(W) | {"shape": [3]}], r"weight is \[2, 2\], allowed \[3, inputs\]"),
    ([dense(W), dense(np.ones((2, 3)))], r"layer dense1: weight \[2, 3\], allowed \[2, 2\]"),
    ([conv(K, (2, 4, 4)), conv(K, (2, 3, 2))], "layer conv1: .*allowed"),
    ([conv(K, (2, 4, 4)), conv(np.ones((2, 3, 3, 3)), (2, 2, 2))], "layer conv1: .*allowed"),
    ([conv(K, (2, 4, 4), stride=(0, 1))], "stride holds 0"),
    ([conv(K, (2, 4, 4)) | {"weight": K[0]}], r"weight is \[2, 3, 3\]"),
    ([conv(K, (2, 4, 4), groups=[1, 2])], "groups differs"),
    ([conv(K, (2, 4, 4)), dense(np.ones((2, 32)))], "hears a map .* without a flatten"),
    ([conv(K, (2, 4, 4)), flatten(32), conv(K, (2, 2, 2))], "behind a flatten"),
    ([conv(K, (2, 4, 4)), flatten(32)], "ends before a layer with neurons"),
    ([given_as((2, 4, 4))], "needs layers"),
    ([dense(W), given_as((2,))], "layer input1: stands behind"),
    ([given_as((2, 4))], "shape has 2 numbers"),
    (
        [given_as((2_000_000_000, 2000, 2000), neuron=neuron())],
        r"layer input0: shape \(2000000000, 2000, 2000\), allowed .* 16,777,216 multiplied",
    ),
    ([given_as((2,), bias=[3], neuron=neuron()), dense(W)], "an input bias with iDecay 1024"),
    ([given_as((2, 5, 4)), pool((2, 2, 2), (2, 2))], "does not divide the map 5x4"),
    ([given_as((2, 4, 4)), pool((2, 2, 2), (2, 2)) | {"stride": (1, 1)}], "with stride"),
    ([given_as((2, 4, 4)), pool((2, 2, 2), (2, 2)) | {"padding": (1, 1)}], "padding and dilation of a pool"),
    ([dense(W), {"type": "average", "shape": [3]}], "averages 2 neurons into 3"),
    ([dense(W), {"type": "average", "shape": [2]}, dense(W)], "stands behind an average"),
    ([flatten(2), dense(W)], "nothing says what it flattens"),
]


@pytest.mark.parametrize(("layers", "said"), BAD, ids=[said for _, said in BAD])
def test_what_cannot_be_said_exactly_is_refused_by_name(layers: list, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "bad.net", *layers)
    with pytest.raises(NeuvaError, match=said) as caught:
        load_net(path, "loihi2", 1000)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_other_files_targets_and_shapes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "n.net", dense(W))
    with pytest.raises(NeuvaError, match="speck2f does not have"):
        load_net(path, "speck2f", 1000)
    with pytest.raises(NeuvaError, match="no such file"):
        load_net(tmp_path / "none.net", "loihi2", 1000)
    with pytest.raises(NeuvaError, match=r"allowed \[2, 5\]"):
        load_net(path, "loihi2", 1000, input_shape=(5, 1, 1))
    with pytest.raises(NeuvaError, match="dt 0 us"):
        load_net(path, "loihi2", 0)
    (tmp_path / "text.net").write_text("layer")
    with pytest.raises(NeuvaError, match="not a readable lava-dl network"):
        load_net(tmp_path / "text.net", "loihi2", 1000)
    with h5py.File(path, "a") as file:
        file.create_group("layer/1")  # all that slayer writes of a recurrent block
    with pytest.raises(NeuvaError, match="layer 1: has no type"):
        load_net(path, "loihi2", 1000)
    with h5py.File(path, "a") as file:
        del file["layer/1"]
        file.move("layer/0", "layer/1")
    with pytest.raises(NeuvaError, match="holds layers 1, but no layer 0"):
        load_net(path, "loihi2", 1000)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_net(tmp_path_factory.mktemp("net") / "whole.net")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_truncated_file_is_refused_in_one_line(whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = whole.read_bytes()
    cut = tmp_path / "cut.net"
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(NeuvaError, match=r"cut\.net: ") as caught:
        load_net(cut, "loihi2", 1000)
    assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_never_fails_otherwise(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """Whatever is dropped or overwritten: a program that runs, or one line."""
    damaged = tmp_path / "damaged.net"
    damaged.write_bytes(whole.read_bytes())
    with h5py.File(damaged, "a") as file:
        names: list[str] = []
        file["layer"].visit(names.append)
        name = data.draw(st.sampled_from(sorted(names)))
        del file["layer"][name]
        junk = st.sampled_from([None, -1, 0, 3, 1e30, np.nan, b"", b"conv", [[1.0]], np.zeros((2, 0)), 2**62, True])
        value = data.draw(junk)
        if value is not None:
            file["layer"][name] = value
    said = f"{damaged}: "
    try:
        program = load_net(damaged, "loihi2", 1000)
        emulator.run(program, input_of(program, 2))
    except NeuvaError as error:
        said = str(error)
    assert said.startswith(f"{damaged}: ")
    assert "\n" not in said
