"""The Triton kernels against the definition: on a GPU, or on the CPU in Triton's interpreter; and compiled for GPUs."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from snn.kernels import run_on
from snn.neurons import Neuron, State, define
from snn.surrogates import SURROGATES

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
runs = pytest.mark.skipif(not INTERPRETED and DEVICE == "cpu", reason="runs on a GPU or in Triton's interpreter")

# every reset, clamp, number of spikes and surrogate with every other, the decays in turn
CHOICES = list(itertools.product(["zero", "subtract"], [None, -1.0], [False, True], SURROGATES))
DECAYS = itertools.cycle([(0.0, 1.0), (0.0, 0.9), (0.7, 0.9)])
ALL = [Neuron(*decays, 0.9, *choice, 0.8) for choice, decays in zip(CHOICES, DECAYS, strict=False)]
SHAPE = (9, 2, 3, 50)
"""[T, ...]: two programs' neurons and a few more."""


def draw(seed: int, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def run(
    neuron: Neuron, x: torch.Tensor, state: State | None = None, decays: torch.Tensor | None = None
) -> tuple[torch.Tensor, State]:
    """What `snn.kernels.run` does on a GPU."""
    from snn.kernels import gpu

    return run_on(gpu, neuron, x, state, decays)


def results(run, neuron: Neuron, device: str, learn: bool, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Spikes, u, v, then gradients of the current and, where learnt, of the state before and the decays."""
    inputs = [draw(0)]
    if learn:
        inputs += [draw(1)[0], draw(2)[0], torch.tensor([0.6, 0.85])]
    x, *begin = [part.to(device).requires_grad_() for part in inputs]
    spikes, (u, v) = run(neuron, x.to(dtype), begin[:2] or None, begin[2] if learn else None)
    weights = [draw(seed, shape).to(device) for seed, shape in ((3, SHAPE), (4, SHAPE[1:]), (5, SHAPE[1:]))]
    parts = (spikes, u, v)
    sum((part * weight).sum() for part, weight in zip(parts, weights, strict=True)).backward()
    return [part.detach().cpu() for part in (*parts, x.grad, *(part.grad for part in begin))]


@runs
@pytest.mark.parametrize("learn", [False, True], ids=["fixed", "learnt"])
@pytest.mark.parametrize("neuron", ALL, ids=str)
def test_triton_kernel_equals_the_definition(neuron: Neuron, learn: bool) -> None:
    expected, found = results(define, neuron, "cpu", learn), results(run, neuron, DEVICE, learn)
    for right, left in zip(expected[:3], found[:3], strict=True):
        assert torch.equal(right, left)
    for right, left in zip(expected[3:], found[3:], strict=True):
        assert torch.allclose(right, left, rtol=1e-5, atol=1e-5 * right.abs().max().item())


@runs
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("neuron", ALL[::9], ids=str)
def test_half_precision_keeps_its_state_in_single(neuron: Neuron, dtype: torch.dtype) -> None:
    found = results(run, neuron, DEVICE, True, dtype)
    expected = results(lambda neuron, x, *rest: define(neuron, x.float(), *rest), neuron, "cpu", True, dtype)
    assert found[0].dtype == dtype
    assert found[1].dtype == found[2].dtype == torch.float32
    for right, left in zip(expected[:3], found[:3], strict=True):
        assert torch.equal(right, left.float())
    for right, left in zip(expected[3:], found[3:], strict=True):
        assert torch.allclose(right, left, rtol=1e-2, atol=1e-2 * right.abs().max().item())


@runs
def test_an_error_in_the_reset_would_be_noticed() -> None:
    right = results(define, Neuron(0.7, 0.9), "cpu", True)
    for wrong in (Neuron(0.7, 0.9, reset="subtract"), Neuron(0.7, 0.9, surrogate="triangular")):
        found = results(run, wrong, DEVICE, True)
        assert not all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(right, found, strict=True))


@runs
@pytest.mark.parametrize("part", [0, 1, 2])
def test_gradient_of_one_result_alone_equals_the_definition(part: int) -> None:
    grads = []
    for function, device in ((define, "cpu"), (run, DEVICE)):
        x = draw(0).to(device).requires_grad_()
        spikes, state = function(Neuron(0.7, 0.9), x)
        (spikes, *state)[part].sum().backward()
        grads.append(x.grad.cpu())
    assert torch.allclose(*grads, rtol=1e-5, atol=1e-6)


@runs
def test_two_calls_with_carried_state_equal_one_long_call() -> None:
    neuron, x = Neuron(0.5, 0.9), draw(0).to(DEVICE)
    whole, end = run(neuron, x)
    first, state = run(neuron, x[:4])
    second, state = run(neuron, x[4:], state)
    assert torch.equal(whole, torch.cat([first, second]))
    assert torch.equal(end[0], state[0])
    assert torch.equal(end[1], state[1])


@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("name", ["_forward", "_backward"])
def test_kernels_compile_without_fused_multiply_adds(name: str, dtype: str) -> None:
    """Compiling needs no GPU; a fused product and sum rounds once, and a spike could differ from the definition's."""
    import triton
    from triton.backends.compiler import GPUTarget

    from snn.kernels import gpu

    kernel = getattr(gpu, name)
    constants = gpu._launch(Neuron(0.7, 0.9)) | {"SURROGATE": 0}
    types = dict.fromkeys(("u0", "v0", "u", "v", "gu", "gv", "gu0", "gv0", "membrane", "decays", "sums"), "*fp32")
    types |= dict.fromkeys(("x", "spikes", "grad_spikes", "grad_x"), f"*{dtype}") | {"steps": "i32"}
    types |= {"neurons": "i64"} | dict.fromkeys(("alpha", "beta", "threshold", "low", "width"), "fp32")
    signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    source = triton.compiler.ASTSource(
        kernel, signature=signature, constexprs={name: constants[name] for name in signature if name in constants}
    )
    fused = {
        fuse: triton.compile(
            source, target=GPUTarget("cuda", 80, 32), options={"num_warps": 1, "enable_fp_fusion": fuse}
        )
        .asm["ptx"]
        .count("fma.rn.f32")
        for fuse in (constants["enable_fp_fusion"], True)
    }
    assert fused[False] == 0
    assert fused[True] > 0


@pytest.mark.skipif(INTERPRETED or DEVICE == "cuda", reason="the tests above run here")
def test_in_the_interpreter() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
