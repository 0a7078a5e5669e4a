"""Clocked emulator, memory figures and core assignment against sinabs' own; wrong variants must not match."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from hardware.program import ChipProgram, Connection, InputEncoding, Layer, Readout, SpeckNeuron
from hardware.rules import findings
from hardware.speck import clocked, cores, sinabs_run
from hardware.speck.rules import RULES
from neuva import NeuvaError

pytest.importorskip("sinabs")
DT = 10_000


def random_program(seed: int, *, side: int | None = None) -> ChipProgram:
    """A random valid chain: convolutions of all strides, pads, pools and resets, and often dense layers at the end."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 3)), *(2 * [side or int(rng.choice([8, 12, 16, 21]))]))
    first, layers = shape, []
    for index in range(rng.integers(1, 4)):
        kernel = int(rng.choice([k for k in (1, 2, 3, 4, 5) if k <= min(shape[1:])]))
        padding = tuple(int(p) for p in rng.integers(0, 3, 2)) if kernel > 2 else (0, 0)
        stride = tuple(int(s) for s in rng.choice([1, 2, 4], 2, p=[0.6, 0.3, 0.1]))
        features = int(rng.choice([1, 3, 8, 17]))
        high, wide = ((shape[i + 1] + 2 * padding[i] - kernel) // stride[i] + 1 for i in (0, 1))
        pool = int(rng.choice([p for p in (1, 2, 4) if p <= min(high, wide)]))
        weight = rng.integers(-80, 127, (features, shape[0], kernel, kernel), endpoint=True).astype(np.int8)
        connection = Connection("conv", weight, stride, padding)
        layers.append(Layer(f"conv{index}", shape, (features, high, wide), connection, neuron(rng, features), pool))
        shape = layers[-1].sent_shape
    if shape[1] == shape[2] or rng.random() < 0.5:
        inputs, outputs = math.prod(shape), int(rng.integers(1, 20))
        dense = Connection("dense", rng.integers(-80, 127, (outputs, inputs), endpoint=True).astype(np.int8))
        layers.append(Layer("dense", (inputs, 1, 1), (outputs, 1, 1), dense, neuron(rng, outputs)))
        shape = (outputs, 1, 1)
    readout = Readout(rng.normal(0, 0.1, (2, math.prod(shape))).astype(np.float32), np.zeros(2, np.float32), 0.9)
    return ChipProgram("speck2f", DT, InputEncoding(first, "counts"), tuple(layers), readout)


def neuron(rng: np.random.Generator, features: int) -> SpeckNeuron:
    bias = rng.integers(-30, 60, features) * int(rng.random() < 0.5)
    reset = "subtract" if rng.random() < 0.5 else "zero"
    return SpeckNeuron(int(rng.integers(40, 900)), -int(rng.integers(0, 900)), reset, bias)


def clip(program: ChipProgram, steps: int = 12) -> np.ndarray:
    return np.random.default_rng(1).poisson(0.15, (steps, *program.input.shape))


@pytest.mark.parametrize("seed", range(48))
def test_clocked_equals_sinabs_spike_for_spike(seed: int) -> None:
    program = random_program(seed)
    spikes = clip(program)
    ours, theirs = clocked.run(program, spikes), sinabs_run.run(program, spikes)
    for name, sent in theirs.spikes.items():
        np.testing.assert_array_equal(ours.spikes[name].dense(12, DT), sent.dense(12, DT), err_msg=f"{name} {seed}")
    np.testing.assert_array_equal(ours.va, theirs.va)
    assert ours.counts == theirs.counts


def test_recorded_states_are_sinabs_membranes() -> None:
    torch = pytest.importorskip("torch")
    program = one_layer("subtract")
    v = clocked.run(program, clip(program), record_state=True).v["a"]
    network = sinabs_run.plain_network(program)
    for step, spikes in enumerate(clip(program)):
        network(torch.from_numpy(spikes[None].astype(np.float32)))
        np.testing.assert_array_equal(network[1].v_mem[0].numpy(), v[step])


def test_the_random_networks_cover_what_they_should() -> None:
    layers = [layer for seed in range(48) for layer in random_program(seed).layers]
    assert {layer.neuron.reset for layer in layers} == {"subtract", "zero"}
    assert {layer.pool for layer in layers} == {1, 2, 4}
    assert {layer.connection.kind for layer in layers} == {"conv", "dense"}
    assert {side for layer in layers for side in layer.connection.stride} == {1, 2, 4}
    oracles = {sinabs_run.run(random_program(seed), clip(random_program(seed), 1)).notes["sinabs"] for seed in range(9)}
    assert oracles == {"DynapcnnNetwork", "layers"}
    fired = [clocked.run(random_program(seed), clip(random_program(seed))) for seed in range(48)]
    assert sum(trace.spikes[name].total > 0 for trace in fired for name in trace.spikes) > 100
    assert any(
        trace.spikes[name].count.max(initial=0) > 1 for trace in fired for name in trace.spikes if name != "input"
    )


def dense_reference(program: ChipProgram, spikes: np.ndarray, variant: str) -> np.ndarray:
    """First layer only, in plain numpy; `variant` names the one rule that is broken."""
    layer = program.layers[0]
    n, v = layer.neuron, np.zeros(layer.out_shape, np.int64)
    padded = np.pad(spikes, ((0, 0), (0, 0), *((p, p) for p in layer.connection.padding)))
    (k, _), (sy, sx) = layer.connection.weight.shape[2:], layer.connection.stride
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), (2, 3))[:, :, ::sy, ::sx]
    current = np.einsum("tchwyx,fcyx->tfhw", windows, layer.connection.weight.astype(np.int64))
    out = []
    for now in current:
        v = v + now + (0 if variant == "bias left out" else n.bias[:, None, None])
        if variant == "bound before spikes":
            v = np.maximum(v, n.low + 30)
        count = v // n.threshold
        if variant != "floor instead of truncation":
            count = np.maximum(count, 0)
        if variant == "single spike":
            count = np.minimum(count, 1)
        if variant == "strict threshold":
            count = np.maximum(-(-v // n.threshold) - 1, 0)
        v = v - count * n.threshold if n.reset == "subtract" or variant == "always subtract" else np.where(count, 0, v)
        v = v if variant == "no lower bound" else np.maximum(v, n.low)
        out.append(count)
    return np.array(out)


def one_layer(reset: str) -> ChipProgram:
    rng = np.random.default_rng(5)
    weight = rng.integers(-40, 41, (4, 2, 3, 3)).astype(np.int8)
    own = SpeckNeuron(20, -50, reset, np.array([3, -3, 5, 0]))  # type: ignore[arg-type]
    layer = Layer("a", (2, 8, 8), (4, 4, 4), Connection("conv", weight, (2, 2), (1, 1)), own)
    return ChipProgram(
        "speck2f", DT, InputEncoding((2, 8, 8), "counts"), (layer,), Readout(np.ones((2, 64)), np.zeros(2), 0.5)
    )


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_numpy_reference_equals_both(reset: str) -> None:
    program = one_layer(reset)
    expected = dense_reference(program, clip(program), "right")
    assert expected.max() > 1
    for run in (clocked.run, sinabs_run.run):
        np.testing.assert_array_equal(run(program, clip(program)).spikes["a"].dense(12, DT), expected)


@pytest.mark.parametrize(
    "variant",
    [
        "floor instead of truncation",
        "no lower bound",
        "single spike",
        "strict threshold",
        "always subtract",
        "bias left out",
        "bound before spikes",
    ],
)
def test_wrong_variants_do_not_match(variant: str) -> None:
    program = one_layer("zero" if variant == "always subtract" else "subtract")
    wrong = dense_reference(program, clip(program), variant)
    assert (wrong != sinabs_run.run(program, clip(program)).spikes["a"].dense(12, DT)).any()


def test_discretising_integers_with_a_full_scale_weight_changes_nothing() -> None:
    program = one_layer("subtract")
    program.layers[0].connection.weight[0, 0, 0, 0] = 127
    plain, again = (sinabs_run.dynapcnn_network(program, discretize=flag).dynapcnn_layers[0] for flag in (False, True))
    assert (plain.conv.weight == again.conv.weight).all()
    assert (plain.conv.bias == again.conv.bias).all()
    assert (plain.spk.spike_threshold, plain.spk.min_v_mem) == (again.spk.spike_threshold, again.spk.min_v_mem)


def test_sinabs_configuration_has_the_programs_integers() -> None:
    program = one_layer("zero")
    (config,) = sinabs_run.layer_configs(program, [3])
    neuron, weight = program.layers[0].neuron, program.layers[0].connection.weight
    assert (config["threshold_high"], config["threshold_low"]) == (neuron.threshold, neuron.low)
    assert config["return_to_zero"] is True
    np.testing.assert_array_equal(np.array(config["weights"]).swapaxes(2, 3), weight)
    np.testing.assert_array_equal(config["biases"], neuron.bias)
    assert not np.any(config["neurons_initial_value"])


def test_sums_that_float32_cannot_hold_are_refused() -> None:
    program = one_layer("subtract")
    program.layers[0].connection.weight[...] = 100
    with pytest.raises(NeuvaError, match="exact in sinabs' float32"):
        sinabs_run.run(program, np.full((1, 2, 8, 8), 30_000))
    wide = Connection("dense", np.full((1, 20 * 128), 127, np.int8))
    layer = Layer("a", (20, 8, 16), (1, 1, 1), wide, SpeckNeuron(1, 0, "zero", np.zeros(1, int)))
    readout = Readout(np.ones((2, 1)), np.zeros(2), 0.5)
    program = ChipProgram("speck2f", DT, InputEncoding((20, 8, 16), "counts"), (layer,), readout)
    with pytest.raises(NeuvaError, match="emulated below"):
        clocked.run(program, np.full((1, 20, 8, 16), 30_000))


def test_runs_leave_torch_and_the_program_alone() -> None:
    torch = pytest.importorskip("torch")
    program = one_layer("subtract")
    before = torch.random.get_rng_state()
    first, second = (sinabs_run.run(program, clip(program)) for _ in range(2))
    assert (torch.random.get_rng_state() == before).all()
    np.testing.assert_array_equal(first.va, second.va)
    assert len(sinabs_run.run(program, np.zeros((0, 2, 8, 8), int)).spikes["a"].t) == 0


def sized_program(rng: np.random.Generator, layers: int) -> ChipProgram:
    """Layers of sizes that strain single cores; weights are zero, only their shapes matter."""
    shape, chain = (2, 64, 64), []
    for index in range(layers):
        kernel, features = int(rng.choice([1, 3, 5])), int(rng.choice([4, 12, 16, 32, 64, 100]))
        stride = 2 if shape[1] > 2 and rng.random() < 0.4 else 1
        weight = np.zeros((features, shape[0], kernel, kernel), np.int8)
        side = (shape[1] + 2 * (kernel // 2) - kernel) // stride + 1
        own = SpeckNeuron(100, -100, "subtract", np.full(features, int(rng.random() < 0.3)))
        connection = Connection("conv", weight, (stride, stride), (kernel // 2, kernel // 2))
        chain.append(Layer(f"l{index}", shape, (features, side, side), connection, own))
        shape = chain[-1].sent_shape
    readout = Readout(np.zeros((2, math.prod(shape))), np.zeros(2), 0.5)
    return ChipProgram("speck2f", DT, InputEncoding((2, 64, 64), "counts"), tuple(chain), readout)


@pytest.mark.parametrize("seed", range(12))
def test_memory_figures_equal_sinabs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for program in (sized_program(rng, 5), random_program(seed, side=16)):
        sizes = cores.sizes(program)
        if any(size.kernel[0] != size.kernel[1] for size in sizes):
            continue
        ours = [size.memory()._asdict() for size in sizes]
        assert {key: [words[key] for words in ours] for key in ours[0]} == sinabs_run.memory_summary(program)


def test_cores_are_assigned_exactly_when_sinabs_assigns_them() -> None:
    rng, outcomes = np.random.default_rng(0), []
    for number in range(40):
        program = sized_program(rng, 3 + number % 8)
        found = sinabs_run.core_mapping(program)
        memory_rules = {"kernel_memory", "neuron_memory", "bias_memory", "fits_a_core", "cores_suffice"}
        broken = {finding.rule for finding in findings(program, RULES)} & memory_rules
        assert bool(broken) == (found is None)
        placement, uses = cores.place(program)
        placed = len({part.core for part in placement})
        assert placed == len(placement)
        assert (placed == len(program.layers)) == (found is not None)
        assert all(use.load <= 1 for use in uses)
        outcomes.append(found is not None)
    assert 8 <= sum(outcomes) <= 32


def test_importing_sinabs_chip_code_starts_nothing_and_leaves_no_samna() -> None:
    code = """
import sys
import torch, sinabs.layers
watched = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect",
           "socket.getaddrinfo", "urllib.Request")
seen = []
sys.addaudithook(lambda name, arguments: seen.append(name) if name in watched else None)
from hardware.speck.samna_guard import dynapcnn, real_samna
from neuva import NeuvaError
assert not real_samna()
backend = dynapcnn()
assert backend is dynapcnn() and backend.DynapcnnNetwork
assert not seen, seen
assert not [name for name in sys.modules if name.startswith("samna")]
from sinabs.backend.dynapcnn.chips import Speck2FConfigBuilder
try:
    Speck2FConfigBuilder.get_default_config()
except NeuvaError as error:
    assert "vendor's samna" in str(error)
else:
    raise AssertionError("a stand-in pretended to be a board")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_emulators_needs_neither_torch_nor_sinabs() -> None:
    code = """
import sys
import hardware.speck.clocked, hardware.speck.event_driven, hardware.speck.rules, hardware.speck.sinabs_run
assert not {"torch", "sinabs", "samna"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_real_samna_is_told_from_the_stub_by_its_native_code(tmp_path, monkeypatch) -> None:
    from hardware.speck.samna_guard import real_samna

    package = tmp_path / "samna"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('executed')")
    monkeypatch.syspath_prepend(tmp_path)
    assert not real_samna()
    (package / "native.abi3.so").write_bytes(b"")
    assert real_samna()
