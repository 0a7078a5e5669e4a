"""Synapses of a NIR graph in float64, into which gains, scales and pooling are folded exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np

from conversion.nir_neuron import Shape, numbers
from neuva import NeuvaError

Pair = tuple[int, int]
SYNAPSES = (nir.Conv2d, nir.Linear, nir.Affine)


@dataclass(frozen=True)
class Synapse:
    """A convolution [C_out, C_in / groups, K_y, K_x] or a linear map [N_out, N_in], and its bias [C_out].

    name: its node's. out: (C, H, W) of what it gives. Pairs are (y, x).
    """

    name: str
    weight: np.ndarray
    bias: np.ndarray
    out: Shape
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def dense(self) -> bool:
        """Whether it is a linear map."""
        return self.weight.ndim == 2

    def scaled(self, gain: np.ndarray, bias: np.ndarray | float = 0.0) -> Synapse:
        """With each output channel times gain [C_out], then plus bias."""
        rows = gain.reshape(-1, *(1,) * (self.weight.ndim - 1))
        return replace(self, weight=self.weight * rows, bias=self.bias * gain + bias)

    def pooled(self, name: str, side: int, average: bool) -> Synapse:
        """This, then sums or means over squares of `side`: the kernel is added up over its places in the square.

        Raises:
            NeuvaError: behind a linear map or a dilated kernel.
        """
        if self.dense or self.dilation != (1, 1):
            raise NeuvaError(
                f"node {name} pools what {self.name} gives, a {'linear map' if self.dense else 'dilated convolution'}: "
                "pool behind the neurons, or behind a convolution that is not dilated"
            )
        (sy, sx), (ky, kx) = self.stride, self.weight.shape[2:]
        weight = np.zeros((*self.weight.shape[:2], ky + (side - 1) * sy, kx + (side - 1) * sx))
        for y, x in np.ndindex(side, side):
            weight[:, :, y * sy : y * sy + ky, x * sx : x * sx + kx] += self.weight
        area = side**2
        c, h, w = self.out
        if min(h, w) < side:
            raise NeuvaError(f"node {name}: a window of {side} on a map of {h}x{w}: shapes do not chain")
        return replace(
            self,
            weight=weight / area if average else weight,
            bias=self.bias if average else self.bias * area,
            out=(c, h // side, w // side),
            stride=(sy * side, sx * side),
        )


def read_synapse(name: str, node: Any, shape: Shape, scale: np.ndarray) -> Synapse:
    """The synapse of a node that is given (C, H, W), each entry times scale [C, H, W] before it.

    Raises:
        NeuvaError: names the node if shapes do not chain, a number is not finite, or the scale cannot be folded.
    """
    weight = numbers(name, "weight", node.weight)
    given = getattr(node, "bias", None)
    bias = np.zeros(len(weight)) if given is None else numbers(name, "bias", given).ravel()
    if len(bias) != len(weight):
        raise NeuvaError(f"node {name}: {len(bias)} biases for {len(weight)} outputs: shapes do not chain")
    if isinstance(node, nir.Conv2d):
        return _convolution(name, node, weight, bias, shape, scale)
    inputs = int(np.prod(shape))
    if weight.ndim != 2 or weight.shape[1] != inputs:
        raise NeuvaError(
            f"node {name} takes {' x '.join(map(str, weight.shape[1:]))} values but is given {shape}, "
            f"which are {inputs}: shapes do not chain"
        )
    return Synapse(name, weight * scale.ravel(), bias, (len(weight), 1, 1))


def _convolution(
    name: str, node: nir.Conv2d, weight: np.ndarray, bias: np.ndarray, shape: Shape, scale: np.ndarray
) -> Synapse:
    if weight.ndim != 4:
        raise NeuvaError(f"node {name}: its weight has {weight.ndim} axes, needed 4: shapes do not chain")
    stride, dilation, groups = (
        pair(name, "stride", node.stride),
        pair(name, "dilation", node.dilation),
        int(node.groups),
    )
    padding = _padding(name, node.padding, weight.shape[2:], stride, dilation)
    if min(*stride, *dilation, groups) < 1 or min(padding) < 0 or len(weight) % groups:
        raise NeuvaError(
            f"node {name}: stride {stride}, dilation {dilation}, padding {padding}, groups {groups} for {len(weight)} "
            "channels are no convolution: export it again"
        )
    if weight.shape[1] * groups != shape[0]:
        raise NeuvaError(
            f"node {name} takes {weight.shape[1] * groups} channels but is given {shape}: shapes do not chain"
        )
    height, width = (
        (side + 2 * p - d * (k - 1) - 1) // s + 1
        for side, p, d, k, s in zip(shape[1:], padding, dilation, weight.shape[2:], stride, strict=True)
    )
    if min(height, width) < 1:
        raise NeuvaError(f"node {name}: nothing is left of {shape}: shapes do not chain")
    if np.any(np.ptp(scale.reshape(len(scale), -1), axis=1)):
        raise NeuvaError(
            f"node {name} is given values scaled differently within a channel, which no kernel can take in: "
            "scale by channel"
        )
    channels = scale[:, 0, 0].reshape(groups, -1).repeat(len(weight) // groups, axis=0)
    return Synapse(
        name, weight * channels[:, :, None, None], bias, (len(weight), height, width), stride, padding, dilation, groups
    )


def _padding(name: str, padding: Any, kernel: tuple[int, ...], stride: Pair, dilation: Pair) -> Pair:
    if isinstance(padding, bytes):
        padding = padding.decode()
    if not isinstance(padding, str):
        return pair(name, "padding", padding)
    if padding == "valid":
        return 0, 0
    spare = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if stride != (1, 1) or spare[0] % 2 or spare[1] % 2:
        raise NeuvaError(
            f'node {name}: padding "{padding}" is not the same on both sides of kernel {kernel} at stride {stride}: '
            "use an odd kernel, or a number"
        )
    return spare[0] // 2, spare[1] // 2


def pair(name: str, key: str, value: Any) -> Pair:
    """Two whole numbers from one or two.

    Raises:
        NeuvaError: if they are none.
    """
    numbers_ = numbers(name, key, value).ravel()
    if numbers_.size > 2 or np.any(numbers_ != np.rint(numbers_)):
        raise NeuvaError(f"node {name}: {key} is {value}, needed one or two whole numbers: export it again")
    y, x = np.broadcast_to(numbers_, 2)
    return int(y), int(x)


def pool_side(name: str, node: Any) -> int:
    """The side of a pooling's square window.

    Raises:
        NeuvaError: if it is no square, windows overlap, or it is padded.
    """
    sides = {*pair(name, "kernel_size", node.kernel_size), *pair(name, "stride", node.stride)}
    if len(sides) != 1 or min(sides) < 1 or any(pair(name, "padding", node.padding)):
        raise NeuvaError(f"node {name}: pooling window, stride and padding must be k, k and 0")
    return sides.pop()
