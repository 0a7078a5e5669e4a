"""Convolutions by their spikes against torch's: values, gradients, the same numbers with any number of threads."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snn.kernels import spike_conv
from snn.kernels.spike_conv import convolve


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spike_conv, "LEAST", 0)


def spikes(*shape: int, share: float = 0.08, counts: int = 1, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    many = torch.randint(1, counts + 1, shape, generator=generator)
    return ((torch.rand(shape, generator=generator) < share) * many).to(dtype)


def synapse(*args: int | tuple[int, int], dtype: torch.dtype = torch.float64, **kwargs) -> nn.Conv2d:
    torch.manual_seed(1)
    return nn.Conv2d(*args, dtype=dtype, **kwargs).to(memory_format=torch.channels_last)


def all_of(run, conv: nn.Conv2d, x: torch.Tensor) -> list[torch.Tensor]:
    """What leaves the convolution, and the gradients of the input, the weights and the bias."""
    x = x.clone().requires_grad_()
    conv.zero_grad()
    out = run(conv, x)
    (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
    return [out.detach(), x.grad, *(p.grad.clone() for p in conv.parameters())]  # type: ignore[list-item, union-attr]


def went_by_spikes(out: torch.Tensor) -> bool:
    return "SpikeConvolution" in type(out.grad_fn).__name__


def dense(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    return conv(x)


def assert_same(conv: nn.Conv2d, x: torch.Tensor, rtol: float = 1e-10) -> None:
    assert went_by_spikes(convolve(conv, x))
    for ours, theirs in zip(all_of(convolve, conv, x), all_of(dense, conv, x), strict=True):
        assert ours.shape == theirs.shape
        scale = theirs.abs().max().item() if theirs.numel() else 0
        assert torch.allclose(ours, theirs, rtol=rtol, atol=rtol * scale)


SIDE = st.tuples(st.integers(1, 7), st.integers(1, 3), st.integers(0, 4), st.integers(7, 13))


@settings(deadline=None, max_examples=60)
@given(SIDE, SIDE, st.integers(1, 5), st.integers(1, 9), st.booleans(), st.sampled_from([1, 3]), st.integers(0, 3))
def test_equals_torch_whatever_the_geometry(y, x, channels, features, bias, counts, frames) -> None:
    kernel, stride, padding, sides = zip(y, x, strict=True)
    conv = synapse(channels, features, kernel, stride, padding, bias=bias)
    assert_same(conv, spikes(frames, channels, *sides, share=0.05, counts=counts))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("channels", "side", "kernel", "features"), [(2, 64, 5, 32), (32, 32, 3, 48), (48, 16, 3, 96)])
def test_equals_torch_on_the_layers_of_a_network(channels, side, kernel, features, dtype) -> None:
    conv = synapse(channels, features, kernel, 2, kernel // 2, dtype=dtype)
    x = spikes(20, channels, side, side, counts=2, dtype=dtype)
    assert_same(conv, x, rtol=1e-4 if dtype == torch.float32 else 1e-10)


def test_gradients_are_finite_differences() -> None:
    x = spikes(2, 3, 6, 5)
    conv = synapse(3, 2, (3, 2), (2, 1), (1, 0))

    def weights_and_bias(weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        conv.weight, conv.bias = weight, bias
        return convolve(conv, x)

    given = [p.detach().clone().requires_grad_() for p in conv.parameters()]
    del conv.weight, conv.bias
    assert torch.autograd.gradcheck(weights_and_bias, given)


def test_a_spike_gives_the_kernel_turned_about() -> None:
    conv = synapse(1, 1, 3, 1, 1, bias=False)
    x = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    x[0, 0, 1, 2] = 2
    expected = torch.zeros(5, 5, dtype=torch.float64)
    expected[0:3, 1:4] = 2 * conv.weight[0, 0].flip(0, 1).detach()
    assert torch.equal(convolve(conv, x)[0, 0], expected)
    assert not torch.allclose(2 * conv.weight[0, 0], expected[0:3, 1:4])


@pytest.mark.parametrize("share", [0.0, 0.08])
def test_input_in_any_order_of_memory(share: float) -> None:
    conv = synapse(4, 8, 3, 2, 1)
    x = spikes(6, 4, 9, 10, share=share)
    for laid in (x, x.contiguous(memory_format=torch.channels_last), x.transpose(2, 3).contiguous().transpose(2, 3)):
        assert_same(conv, laid)
    assert_same(conv, spikes(12, 4, 9, 20, share=share)[::2, :, :, ::2])


def test_many_spikes_and_what_it_does_not_know_go_the_dense_way(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = spikes(4, 4, 8, 8, share=0.05), spikes(4, 4, 8, 8, share=0.5)
    plain = synapse(4, 4, 3)
    assert went_by_spikes(convolve(plain, few))
    others = (
        (plain, many),
        (synapse(4, 4, 3, groups=2), few),
        (synapse(4, 4, 3, dilation=2), few),
        (synapse(4, 4, 3, padding="same"), few),
        (synapse(4, 4, 3, padding=1, padding_mode="circular"), few),
    )
    for conv, x in others:
        out = convolve(conv, x)
        assert not went_by_spikes(out)
        assert torch.equal(out, conv(x.contiguous(memory_format=torch.channels_last)))
    with torch.autocast("cpu", torch.bfloat16):
        assert convolve(synapse(4, 4, 3, dtype=torch.float32), few.float()).dtype == torch.bfloat16
    monkeypatch.setattr(spike_conv, "LEAST", 64)
    assert not went_by_spikes(convolve(plain, few))


@pytest.mark.parametrize("shape", [(2, 5, 8, 8), (2, 4, 2, 8)])
def test_what_is_wrong_torch_refuses(shape: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError):
        convolve(synapse(4, 4, 3), spikes(*shape))


def test_no_input_is_kept_for_the_gradient() -> None:
    kept: list[torch.Tensor] = []
    x = spikes(8, 8, 16, 16)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):  # type: ignore[func-returns-value]
        convolve(synapse(8, 8, 3, 1, 1), x.requires_grad_())
    assert sum(t.numel() * t.element_size() for t in kept) < 0.3 * x.numel() * x.element_size()


def test_there_is_no_second_derivative() -> None:
    conv = synapse(4, 4, 3)
    (grad,) = torch.autograd.grad(convolve(conv, spikes(2, 4, 8, 8)).square().sum(), conv.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_without_gradients_the_values_are_the_same() -> None:
    conv, x = synapse(4, 4, 3), spikes(2, 4, 8, 8)
    expected = convolve(conv, x)
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            assert torch.equal(convolve(conv, x), expected)


def test_the_number_of_threads_changes_no_bit() -> None:
    code = (
        "import hashlib, numba, torch\n"
        "from torch import nn\n"
        "from snn.kernels.spike_conv import convolve\n"
        "torch.manual_seed(0)\n"
        "conv, x = nn.Conv2d(16, 32, 3, 1, 1), (torch.rand(21, 16, 16, 16) < 0.08).float()\n"
        "for threads in (1, 3):\n"
        "    numba.set_num_threads(threads)\n"
        "    conv.zero_grad()\n"
        "    out = convolve(conv, x)\n"
        "    out.square().sum().backward()\n"
        "    both = out.detach().numpy().tobytes() + conv.weight.grad.numpy().tobytes()\n"
        "    print(out.grad_fn.name(), hashlib.sha256(both).hexdigest())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"NUMBA_NUM_THREADS": "3", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, three = done.stdout.splitlines()
    assert "SpikeConvolution" in one
    assert one == three
