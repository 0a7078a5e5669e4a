"""The emulator against Lava 0.10.0 itself, bit for bit, and against variants that must fail.

NEUVA_LAVA_NETWORKS: how many random networks (60 unless set, which take half a minute; 300 take three).
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hardware.loihi import emulator, kernels, lava, population
from hardware.loihi.kernels import DECAY_UNITY, STATE_LIMIT
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout
from hardware.trace import Trace

STEPS = 14
NETWORKS = int(os.environ.get("NEUVA_LAVA_NETWORKS", "60"))


def random_program(seed: int, conv_exp: bool = False) -> ChipProgram:
    """One to four layers, every constant drawn, extremes often."""
    rng = np.random.default_rng(seed)

    def one_of(*values: int) -> int:
        return int(rng.choice(values))

    def neuron(channels: int) -> LoihiNeuron:
        exp = one_of(0, 0, 3, 7)
        mantissa = rng.integers(-4096, 4096, channels) if rng.random() < 0.6 else np.zeros(channels, int)
        return LoihiNeuron(
            du=one_of(0, 1, 4095, int(rng.integers(0, 4096))),
            dv=one_of(0, 4095, int(rng.integers(0, 4096))),
            vth=one_of(0, 0, 1, 100, 5000, 131071, int(rng.integers(0, 131072))),
            bias=(mantissa << exp).astype(np.int32),
            bias_exp=exp,
        )

    def weights(*shape: int) -> np.ndarray:
        low, high = [(-256, 255), (-256, 256), (0, 256), (-255, 1), (250, 256), (-256, -250)][rng.integers(6)]
        return rng.integers(low, high, shape)

    shape = (one_of(1, 2, 4), one_of(1, 5, 8), one_of(1, 4, 7))
    first, layers = shape, []
    for index in range(one_of(1, 2, 3, 4)):
        if rng.random() < 0.7:
            groups = one_of(1, 1, 2) if shape[0] % 2 == 0 else 1
            c_out = groups * one_of(1, 3)
            kernel = tuple(one_of(1, 2, 3) for _ in "yx")
            stride, padding, dilation = (tuple(one_of(*c) for _ in "yx") for c in ((1, 2, 3), (0, 1, 2), (1, 1, 2)))
            out = [
                (n + 2 * p - d * (k - 1) - 1) // s + 1
                for n, k, s, p, d in zip(shape[1:], kernel, stride, padding, dilation, strict=True)
            ]
            if min(out) < 1:
                kernel, stride, padding, dilation, out = (1, 1), (1, 1), (0, 0), (1, 1), list(shape[1:])
            w = weights(c_out, shape[0] // groups, *kernel)
            w = w if conv_exp else population.on_grid(w)  # Lava's Conv takes weights as they are
            exp = one_of(0, 3, 7) if conv_exp else 0
            link = Connection("conv", w, stride, padding, dilation, groups, exp)
            out_shape = (c_out, *out)
        else:
            out_shape = (one_of(1, 3, 6), 1, 1) if rng.random() < 0.7 else (2, 3, 2)
            link = Connection(
                "dense", weights(int(np.prod(out_shape)), int(np.prod(shape))), weight_exp=one_of(-2, 0, 0, 3, 7)
            )
        layers.append(Layer(f"layer{index}", shape, out_shape, link, neuron(out_shape[0])))
        shape = out_shape
    n = int(np.prod(shape))
    readout = Readout(rng.normal(size=(2, n)).astype(np.float32), np.zeros(2, np.float32), 0.9, every=2)
    kind = "counts" if rng.random() < 0.2 else "binary"
    return ChipProgram("loihi2", 10_000, InputEncoding(first, kind), tuple(layers), readout)


def random_input(program: ChipProgram, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed + 1_000_000)
    spikes = rng.random((STEPS, *program.input.shape)) < rng.choice([0.05, 0.4, 1.0])
    if program.input.kind == "binary":
        return spikes.astype(np.int32)
    largest = [5, 4000, emulator.PAYLOAD_MAX][rng.integers(3)]
    if program.layers[0].connection.kind == "conv":  # beyond 32 bits Lava's Conv is not defined
        largest = min(largest, 2**31 // (256 * program.layers[0].connection.weight[0].size) - 1)
    return (spikes * rng.integers(1, largest + 1, spikes.shape)).astype(np.int32)


def differences(ours: Trace, theirs: Trace) -> list[str]:
    """Where two traces differ: layer and quantity."""
    pairs = {f"{name} {q}": (getattr(ours, q)[name], getattr(theirs, q)[name]) for name in theirs.u for q in "uv"}
    for name, spikes in theirs.spikes.items():
        for q in ("t", "neuron", "count"):
            pairs[f"{name} spikes {q}"] = (getattr(ours.spikes[name], q), getattr(spikes, q))
    return [where for where, (a, b) in pairs.items() if not np.array_equal(a, b)]


@pytest.fixture(scope="module")
def clips() -> list[tuple[ChipProgram, np.ndarray]]:
    programs = [random_program(seed) for seed in range(NETWORKS)]
    return [(program, random_input(program, seed)) for seed, program in enumerate(programs)]


@pytest.fixture(scope="module")
def reference(clips: list[tuple[ChipProgram, np.ndarray]]) -> list[Trace]:
    return lava.run_many(clips, record_state=True, timeout_s=60 + 4 * NETWORKS)


@pytest.mark.lava
def test_every_u_v_and_spike_equals_lava(clips, reference) -> None:
    seen: dict[str, int] = {"u_wraps": 0, "v_clips": 0, "spikes": 0, "graded": 0, "bias": 0}
    for seed, ((program, spikes), theirs) in enumerate(zip(clips, reference, strict=True)):
        ours = emulator.run(program, spikes, record_state=True, like_lava=True)
        assert differences(ours, theirs) == [], f"seed {seed}"
        assert np.array_equal(ours.va, theirs.va)
        assert np.array_equal(ours.times, theirs.times)
        for overflow in ours.notes.get("overflows", {}).values():
            seen["u_wraps"] += overflow["u_wraps"]
            seen["v_clips"] += overflow["v_clips"]
        seen["spikes"] += sum(ours.spikes[layer.name].total for layer in program.layers)
        seen["graded"] += program.input.kind == "counts"
        seen["bias"] += any(np.any(layer.neuron.bias) for layer in program.layers[1:])
    assert min(seen.values()) > 3, f"the random networks must reach every corner: {seen}"


@pytest.mark.lava
def test_chip_and_lava_agree_where_u_stays_within_three_registers(clips, reference) -> None:
    agree = 0
    for (program, spikes), theirs in zip(clips, reference, strict=True):
        ours = emulator.run(program, spikes, record_state=True)
        if all(np.abs(u).max() <= STATE_LIMIT for u in theirs.u.values()):
            assert differences(ours, theirs) == []
            agree += 1
    assert agree > NETWORKS / 2


@pytest.mark.lava
def test_lava_conv_ignores_weight_exp_and_the_chip_does_not(clips) -> None:
    picked = []
    for seed in range(100, 200):
        program = random_program(seed, conv_exp=True)
        if program.layers[0].connection.kind == "conv" and program.layers[0].connection.weight_exp:
            picked.append((program, random_input(program, seed)))
    traces = lava.run_many(picked[:8], record_state=True)
    for (program, spikes), theirs in zip(picked[:8], traces, strict=True):
        assert differences(emulator.run(program, spikes, record_state=True, like_lava=True), theirs) == []
    assert any(
        differences(emulator.run(program, spikes, record_state=True), theirs)
        for (program, spikes), theirs in zip(picked[:8], traces, strict=True)
    )


def plain_layer(layer: Layer, heard: np.ndarray, wrong: str = "") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A layer step by step in plain numpy on its delayed input [T, C, H, W]: u, v, spikes [T, C, H, W].

    wrong: "du", "threshold", "floor", "flip" or "exchange" (of wrap and clip) breaks one rule.
    """
    link, neuron = layer.connection, layer.neuron
    u, v = np.zeros(layer.out_shape, np.int64), np.zeros(layer.out_shape, np.int64)
    bias = neuron.bias[:, None, None].astype(np.int64)

    def decay(x: np.ndarray, keep: int) -> np.ndarray:
        if wrong == "floor":
            return (x * keep) >> 12
        return np.sign(x) * ((np.abs(x) * keep) >> 12)

    def wrap(x: np.ndarray) -> np.ndarray:
        x = x.astype(np.int32).astype(np.int64)
        return x - 2 * STATE_LIMIT * ((x > STATE_LIMIT).astype(int) - (x <= -STATE_LIMIT))

    def clip(x: np.ndarray) -> np.ndarray:
        return np.clip(x.astype(np.int32).astype(np.int64), 1 - STATE_LIMIT, STATE_LIMIT - 1)

    if wrong == "exchange":
        wrap, clip = clip, wrap
    steps = []
    for spikes in heard:
        drive = plain_synapses(link, spikes, layer.out_shape, flip=wrong == "flip").astype(np.int64) << 6
        current = decay(u, DECAY_UNITY - neuron.du - (wrong != "du")) + drive
        u, v = wrap(current), decay(v, DECAY_UNITY - neuron.dv)
        v = clip(v + u + bias)
        fired = v >= neuron.vth << 6 if wrong == "threshold" else v > neuron.vth << 6
        v = np.where(fired, 0, v)
        steps.append((u, v, fired))
    u_steps, v_steps, fired_steps = zip(*steps, strict=True)
    return np.array(u_steps), np.array(v_steps), np.array(fired_steps)


def plain_synapses(link: Connection, spikes: np.ndarray, out_shape, *, flip: bool = False) -> np.ndarray:
    if link.kind == "dense":
        total = (population.on_grid(link.weight).astype(np.int64) @ spikes.reshape(-1)).astype(np.int32)
        return (total << link.weight_exp if link.weight_exp > 0 else total >> -link.weight_exp).reshape(out_shape)
    weight = link.weight[:, :, ::-1, ::-1] if flip else link.weight
    (py, px), (sy, sx), (dy, dx) = link.padding, link.stride, link.dilation
    padded = np.pad(spikes, ((0, 0), (py, py), (px, px)))
    out = np.zeros(out_shape, np.int64)
    per_in, per_out = weight.shape[1], out_shape[0] // link.groups
    for c in range(out_shape[0]):
        group = c // per_out
        for y in range(out_shape[1]):
            for x in range(out_shape[2]):
                patch = padded[group * per_in : (group + 1) * per_in, y * sy :, x * sx :]
                patch = patch[:, : weight.shape[2] * dy : dy, : weight.shape[3] * dx : dx][
                    :, : weight.shape[2], : weight.shape[3]
                ]
                out[c, y, x] = (patch * weight[c]).sum()
    return (out + STATE_LIMIT) % (2 * STATE_LIMIT) - STATE_LIMIT


@pytest.mark.lava
@pytest.mark.parametrize("wrong", ["", "du", "threshold", "floor", "flip", "exchange"])
def test_the_rules_in_plain_numpy_equal_lava_and_each_wrong_variant_fails(clips, reference, wrong) -> None:
    different = 0
    for (program, spikes), theirs in zip(clips, reference, strict=True):
        layer = program.layers[0]
        heard = np.concatenate([np.zeros_like(spikes[:1]), spikes])  # one step of delay
        u, v, fired = (values[1:] for values in plain_layer(layer, heard, wrong))
        expected = theirs.spikes[layer.name].dense(STEPS, program.dt_us)
        states = np.array_equal(u, theirs.u[layer.name]) and np.array_equal(v, theirs.v[layer.name])
        different += not (states and np.array_equal(fired, expected))
    assert different == 0 if not wrong else different > 0


WRAP = "{0} - 2 * STATE_LIMIT * (int({0} > STATE_LIMIT) - int({0} <= -STATE_LIMIT))"
MUTANTS: dict[str, list[tuple[str, str]]] = {
    "nothing": [],
    "du without its one": [("constants[0] + 1", "constants[0]")],
    "spikes at the threshold": [("clipped > threshold", "clipped >= threshold")],
    "decay rounds down": [("np.int32(np.int32(state >> 31) & 4095)", "np.int32(0)")],
    "kernel not flipped": [
        ("place = out * stride - padding + tap", "place = out * stride - padding + (kernel - 1 - tap)")
    ],
    "wrap and clip exchanged": [
        ("np.int32(current - np.int32(over * (2 * STATE_LIMIT)))", "np.int32(min(max(current, -TOP), TOP))"),
        ("np.int32(np.int32(np.int32(np.int32(current) + TOP) & REGISTER) - TOP)", "min(max(current, -TOP), TOP)"),
        ("min(max(voltage, np.int32(-TOP)), TOP)", f"np.int32({WRAP.format('voltage')})"),
    ],
    "reset to what is above the threshold": [
        ("np.int32(0) if spikes else clipped", "clipped - threshold if spikes else clipped")
    ],
    "deaf places": [("live[out] = True", "pass")],
    "places fall silent too early": [("live[place] = biased or states != 0", "live[place] = biased")],
    "payload forgotten": [("flat_a.dtype.type(flat_w[kernel + c]) * value", "flat_w[kernel + c]")],
    "weight_exp forgotten": [("<< (left & 31)", "<< 6")],
}


def mutated(changes: list[tuple[str, str]]) -> ModuleType:
    """The emulator's kernels as plain Python, with changes."""
    source = Path(kernels.__file__).read_text()
    for old, new in [("from numba import njit", "njit = lambda **_: lambda function: function"), *changes]:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    module = ModuleType("mutant")
    exec(compile(source, "mutant", "exec"), vars(module))
    return module


@pytest.mark.lava
@pytest.mark.parametrize("like_lava", [True, False], ids=["like Lava", "like the chip"])
@pytest.mark.parametrize("name", MUTANTS)
def test_the_emulators_own_code_with_one_rule_broken_is_caught(name, like_lava, clips, reference, monkeypatch) -> None:
    mutant = mutated(MUTANTS[name])
    for function in ("axis_taps", "place_taps", "run"):
        monkeypatch.setattr(population, function, getattr(mutant, function))
    different = compared = 0
    with np.errstate(over="ignore"):
        for (program, spikes), theirs in zip(clips, reference, strict=True):
            in_range = all(np.abs(u).max() <= STATE_LIMIT for u in theirs.u.values())
            if (like_lava or in_range) and sum(layer.neurons for layer in program.layers) < 150:
                compared += 1
                ours = emulator.run(program, spikes, record_state=True, like_lava=like_lava)
                different += bool(differences(ours, theirs))
            if different:
                break
    assert different == (name != "nothing")
    assert compared


@pytest.mark.lava
def test_several_clips_of_one_program_start_from_zero_state(clips) -> None:
    program, spikes = clips[1]
    first, second = lava.run_many([(program, spikes), (program, spikes)], record_state=True)
    assert differences(first, second) == []
