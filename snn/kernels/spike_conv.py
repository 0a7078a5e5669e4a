"""Convolutions of spikes on a CPU: what is zero is skipped, in the forward pass and in the weights' gradient.

A list of the spikes is made once. Each spike adds its row of taps, all features of all columns it reaches side by
side, to the output; the gradient reads the same list, so that the dense input need not be kept. The gradient of the
input is dense, as surrogates are non-zero everywhere, and is left to torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numba import njit, prange
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input

DENSEST, LEAST = 0.1, 64
"""Share of non-zero inputs up to which, and outputs an input reaches from which on, skipping pays (both measured)."""

PARTS = 8
"""Sums that the weights' gradient is made of: their number, not that of the threads, decides how it is rounded."""

Pair = tuple[int, int]


def convolve(synapse: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """synapse(x) for x [N, C, H, W]: by its spikes where they are so few that it pays, else densely.

    Values and gradients are those of the dense convolution but for rounding, of which the number of threads decides
    nothing in the values and the weights' gradient. Where it went by spikes there is no second derivative.
    """
    if _fits(synapse, x):
        last = x.detach().movedim(1, -1).contiguous()
        counts = torch.from_numpy(_count(last.flatten(2).numpy()))
        if counts.sum() <= DENSEST * x.numel():
            spikes = _list(last, counts)
            return _SpikeConvolution.apply(x, synapse.weight, synapse.bias, synapse.stride, synapse.padding, *spikes)
    return synapse(x.contiguous(memory_format=torch.channels_last))


def _fits(synapse: nn.Conv2d, x: torch.Tensor) -> bool:
    """Whether the kernels know such a convolution, and it is large enough; what is wrong is left to torch to refuse."""
    features, channels, *kernel = synapse.weight.shape
    plain = synapse.groups == 1 and synapse.dilation == (1, 1) and synapse.padding_mode == "zeros"
    if not plain or isinstance(synapse.padding, str) or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    known = x.dtype == synapse.weight.dtype and x.dtype in (torch.float32, torch.float64)
    sound = x.shape[1] == channels and min(_outputs(x.shape[2:], kernel, synapse.stride, synapse.padding)) > 0
    return known and sound and features * math.prod(kernel) >= LEAST * math.prod(synapse.stride)


def _outputs(inputs: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> Pair:
    """Height and width of the output."""
    high, wide = ((i + 2 * p - k) // s + 1 for i, k, s, p in zip(inputs, kernel, stride, padding, strict=True))
    return high, wide


def _list(x: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Spikes of x [N, H, W, C]: where each line's begin [N * H + 1], places in the line [S], and values [S]."""
    begins = nn.functional.pad(counts.flatten().cumsum(0), (1, 0))
    places, values = torch.empty(int(begins[-1]), dtype=torch.int32), x.new_empty(int(begins[-1]))
    _fill(*_arrays(x.flatten(2), begins, places, values))
    return begins, places, values


class _SpikeConvolution(torch.autograd.Function):
    """Keeps the list of spikes, not the input: with a twelfth of it non-zero, a sixth of the memory."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: Pair,
        padding: Pair,
        begins: torch.Tensor,
        places: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        features = len(weight)
        high, wide = _outputs(x.shape[2:], weight.shape[2:], stride, padding)
        ctx.save_for_backward(weight, begins, places, values)
        ctx.stride, ctx.padding, ctx.shape = stride, padding, x.shape
        ctx.geometry = _geometry(x.shape[1:], weight.shape, stride, padding)
        start = weight.new_zeros(features) if bias is None else bias.detach()
        out = weight.new_empty(len(x), high, wide, features)
        taps = _pack(weight.detach(), stride[1]).flatten()
        _forward(*_arrays(begins, places, values, taps), *ctx.geometry, *_arrays(start.repeat(wide), out.flatten(2)))
        return out.movedim(-1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[no-untyped-def]
        weight, begins, places, values = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = conv2d_input(ctx.shape, weight, grad, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            taps = _pack(weight, ctx.stride[1])
            parts = taps.new_zeros(PARTS, taps.numel())
            lines = grad.movedim(1, -1).contiguous().flatten(2)
            _gradient(*_arrays(begins, places, values), *ctx.geometry, *_arrays(lines, parts))
            grad_weight = _unpack(parts.sum(0).view(taps.shape), weight.shape[3])
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias, None, None, None, None, None


def _arrays(*parts: torch.Tensor) -> list[np.ndarray]:
    """The tensors' memory."""
    return [part.numpy() for part in parts]


def _pack(weight: torch.Tensor, stride: int) -> torch.Tensor:
    """Weights [F, C, Ky, Kx] as [C, Ky, phase, taps, F]: an input's taps to the outputs it reaches, in their order.

    Taps `stride` apart are those of one input; the rightmost goes to the leftmost output.
    """
    spare = -weight.shape[3] % stride
    phases = nn.functional.pad(weight, (0, spare)).unflatten(3, (-1, stride))
    return phases.flip(3).permute(1, 2, 4, 3, 0).contiguous()


def _unpack(taps: torch.Tensor, width: int) -> torch.Tensor:
    """The inverse of `_pack`."""
    return taps.permute(4, 0, 1, 3, 2).flip(3).flatten(3)[..., :width]


@cache
def _geometry(
    inputs: tuple[int, ...], weights: tuple[int, ...], stride: Pair, padding: Pair
) -> tuple[np.ndarray, np.ndarray, int]:
    """Where an input [C, H, W] goes: by its line, by its place in it, and from one output line's taps to the next's.

    lines [H, 3]: first output line, the one after the last, and how far into the packed weights the first's taps are.
    places [W * C, 3]: first number in an output line, how many, and where their taps are in the packed weights.
    """
    (channels, *sides), (features, _, *kernel) = inputs, weights
    outputs = _outputs(sides, kernel, stride, padding)
    taps = -(-kernel[1] // stride[1])
    line = stride[1] * taps * features
    first, end = _reach(sides[0], outputs[0], kernel[0], stride[0], padding[0])
    lines = np.stack([first, end, (np.arange(sides[0]) + padding[0] - first * stride[0]) * line], 1)
    left, right = _reach(sides[1], outputs[1], kernel[1], stride[1], padding[1])
    reached = np.arange(sides[1]) + padding[1]
    tap = taps - 1 - (reached - left * stride[1]) // stride[1]
    begin = np.arange(channels) * kernel[0] * line + ((reached % stride[1] * taps + tap) * features)[:, None]
    sent = np.stack([left, right - left], 1) * features
    places = np.concatenate([sent[:, None].repeat(channels, 1), begin[..., None]], 2).reshape(-1, 3)
    return lines, places, stride[0] * line


def _reach(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> tuple[np.ndarray, np.ndarray]:
    """First output that each input along a side reaches, and the one after the last."""
    place = np.arange(inputs) + padding
    first = np.maximum(0, (place - kernel + stride) // stride)
    return first, np.maximum(first, np.minimum(outputs, place // stride + 1))


@njit(parallel=True, cache=True, fastmath={"reassoc"})  # else the sum stays scalar; as floats, it is a vector's width
def _count(x) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Spikes in each line of x [N, H, R], int64 [N, H]."""
    frames, height, length = x.shape
    counts = np.empty((frames, height), np.int64)
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for n in prange(frames):
        for y in range(height):
            line, found = x[n, y], zero
            for i in range(length):
                found += one if line[i] != zero else zero
            counts[n, y] = np.int64(found)
    return counts


@njit(parallel=True, cache=True)
def _fill(x, begins, places, values) -> None:  # type: ignore[no-untyped-def]
    """Write where the spikes of x [N, H, R] are and what they are, line after line."""
    frames, height, length = x.shape
    for n in prange(frames):
        found = np.empty(length + 1, np.int32)
        for y in range(height):
            line = x[n, y]
            many = 0
            for i in range(length):  # without a branch, which would be mispredicted at every spike
                found[many] = i
                many += line[i] != 0
            begin = begins[n * height + y]
            for i in range(many):
                places[begin + i] = found[i]
                values[begin + i] = line[found[i]]


@njit(parallel=True, cache=True, fastmath={"contract"}, error_model="numpy")
def _forward(begins, places, values, taps, lines, reach, fall, start, out) -> None:  # type: ignore[no-untyped-def]
    """Write out [N, H', W' * F] from the spikes, the packed weights and what each output line begins with."""
    height = len(lines)
    for n in prange(len(out)):
        for r in range(out.shape[1]):
            out[n, r] = start
        for y in range(height):
            begin, end = begins[n * height + y], begins[n * height + y + 1]
            top, bottom, shift = lines[y]
            for r in range(top, bottom):
                target = out[n, r]
                for i in range(begin, end):
                    value = values[i]
                    first, length, tap = reach[places[i]]
                    o = target[first : first + length]
                    w = taps[tap + shift : tap + shift + length]
                    for f in range(length):
                        o[f] += value * w[f]
                shift -= fall


@njit(parallel=True, cache=True, fastmath={"contract"}, error_model="numpy")
def _gradient(begins, places, values, lines, reach, fall, grad, parts) -> None:  # type: ignore[no-untyped-def]
    """Add to parts [PARTS, ...] of the packed weights' gradient, from the spikes and the output's [N, H', W' * F]."""
    height = len(lines)
    for part in prange(len(parts)):
        taps = parts[part]
        for n in range(part * len(grad) // len(parts), (part + 1) * len(grad) // len(parts)):
            for y in range(height):
                begin, end = begins[n * height + y], begins[n * height + y + 1]
                top, bottom, shift = lines[y]
                for r in range(top, bottom):
                    source = grad[n, r]
                    for i in range(begin, end):
                        value = values[i]
                        first, length, tap = reach[places[i]]
                        g = source[first : first + length]
                        w = taps[tap + shift : tap + shift + length]
                        for f in range(length):
                            w[f] += value * g[f]
                    shift -= fall
