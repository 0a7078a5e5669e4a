"""Clocked emulator, memory figures and core assignment against sinabs' own; wrong variants must not match."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from hardware.program import ChipProgram, Connection, InputEncoding, Layer, Readout, SpeckNeuron
from hardware.speck import clocked, sinabs_run
from neuva import NeuvaError

pytest.importorskip("sinabs")
DT = 10_000


def clip(program: ChipProgram, steps: int = 12) -> np.ndarray:
    return np.random.default_rng(1).poisson(0.15, (steps, *program.input.shape))


def test_recorded_states_are_sinabs_membranes() -> None:
    torch = pytest.importorskip("torch")
    program = one_layer("subtract")
    v = clocked.run(program, clip(program), record_state=True).v["a"]
    network = sinabs_run.plain_network(program)
    for step, spikes in enumerate(clip(program)):
        network(torch.from_numpy(spikes[None].astype(np.float32)))
        np.testing.assert_array_equal(network.spiking["a"].v_mem[0].numpy(), v[step])


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
