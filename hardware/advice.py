"""The smallest change of a program's size that would make it fit its chip.

Each candidate is the program changed and cut to shape, so that its rules judge it as they would the real one. Nothing
is trained: what the change costs in accuracy is another question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np

from hardware.program import ChipProgram, Layer, Readout, Shape
from neuva import NeuvaError

Fits = Callable[[ChipProgram], bool]
Candidate = tuple[str, ChipProgram]
MOST_STRIDE = 4
BINARY = "input: binary instead of counts"
MOST_LOST = 0.95
"""With less than a twentieth of its connections it is another network."""


@dataclass(frozen=True)
class Advice:
    """A change in words, and the share of the network's connections it takes away."""

    change: str
    lost: float

    def __str__(self) -> str:
        return f"{self.change} ({self.lost:.0%} fewer synapses) would fit" if self.lost else f"{self.change} would fit"


def advise(program: ChipProgram, fits: Fits, most: int = 2) -> tuple[Advice, ...]:
    """Changes that make a program fit, the ones that take least first.

    Of the input or one layer; where none of those does, the same share of the channels of all layers but the last,
    by itself or with a larger stride. Where the input is counted and none of these is enough, all of them with a binary
    one. Empty if nothing leaves more than a twentieth of the connections.

    Args:
        program: one that does not fit.
        fits: whether a changed program does, as far as its size goes.
        most: how many to give.
    """
    whole, bases = connections(program), [("", program)]
    if program.input.kind == "counts":
        bases.append((f" and {BINARY}", _binary(program)))
    for (also, base), candidates in product(bases, (_single, _all_layers)):
        found = [Advice(change + also, 1 - connections(changed) / whole) for change, changed in candidates(base, fits)]
        useful = sorted((advice for advice in found if advice.lost < MOST_LOST), key=lambda advice: advice.lost)
        if useful:
            return tuple(useful[:most])
    return ()


def connections(program: ChipProgram) -> int:
    """Pairs of a neuron and one of its inputs, a convolution's borders counted in full."""
    return sum(
        layer.neurons * int(np.prod(layer.connection.weight.shape[1:])) * len(sources)
        for layer, sources in zip(program.layers, program.sources, strict=True)
    )


def _single(program: ChipProgram, fits: Fits) -> Iterator[Candidate]:
    if program.input.kind == "counts":
        changed = _binary(program)
        if fits(changed):
            yield BINARY, changed
    yield from _smaller_input(program, fits)
    for index, layer in enumerate(program.layers):
        unit = "neurons" if layer.connection.kind == "dense" else "channels"
        count = layer.out_shape[0]
        n, narrower = _largest(count, partial(_with_channels, program, index), fits)
        if narrower:
            yield f"{layer.name}: {n} {unit} instead of {count}", narrower
        for change, strided in _strided(program, index):
            if fits(strided):
                yield change, strided
                break


def _binary(program: ChipProgram) -> ChipProgram:
    return replace(program, input=replace(program.input, kind="binary"))


def _smaller_input(program: ChipProgram, fits: Fits) -> Iterator[Candidate]:
    c, h, w = program.input.shape
    flat = h * w == 1
    whole = c if flat else max(h, w)

    def shape(n: int) -> Shape:
        return (n, 1, 1) if flat else (c, max(1, h * n // whole), max(1, w * n // whole))

    n, smaller = _largest(whole, lambda n: _resized(program, {}, input_shape=shape(n)), fits)
    if smaller:
        _, y, x = shape(n)
        yield (f"input: {n} values instead of {c}" if flat else f"input: {x}x{y} instead of {w}x{h}"), smaller


def _all_layers(program: ChipProgram, fits: Fits) -> Iterator[Candidate]:
    bases = [("", program)]
    for index in range(len(program.layers)):
        bases += [(f" and {change}", strided) for change, strided in _strided(program, index)]
    for change, base in bases:
        n, changed = _largest(100, partial(_with_share, base), fits)
        if changed:
            yield f"all layers but the last: {n} % of their channels{change}", changed


def _with_channels(program: ChipProgram, index: int, count: int) -> ChipProgram | None:
    return _resized(program, {index: count})


def _with_share(program: ChipProgram, percent: int) -> ChipProgram | None:
    hidden = enumerate(program.layers[:-1])
    return _resized(program, {k: max(1, layer.out_shape[0] * percent // 100) for k, layer in hidden})


def _strided(program: ChipProgram, index: int) -> Iterator[Candidate]:
    """A convolution with larger strides, the smallest first."""
    layer = program.layers[index]
    was = layer.connection.stride
    for stride in range(max(was) + 1, MOST_STRIDE + 1) if layer.connection.kind == "conv" else ():
        changed = _resized(program, {}, {index: stride})
        if changed:
            yield f"{layer.name}: stride {stride} instead of {was[0] if was[0] == was[1] else was}", changed


def _largest(whole: int, changed: Callable[[int], ChipProgram | None], fits: Fits) -> tuple[int, ChipProgram | None]:
    """The largest number below `whole` whose program fits, by bisection: less of a layer seldom needs more."""
    low, high, number = 1, whole - 1, 1
    best: ChipProgram | None = None
    while low <= high:
        candidate = changed(number)
        if candidate and fits(candidate):
            best, low = candidate, number + 1
        elif best is None:
            break  # not even 1 does
        else:
            high = number - 1
        number = (low + high + 1) // 2
    return high, best


def _resized(
    program: ChipProgram,
    channels: dict[int, int],
    strides: dict[int, int] | None = None,
    input_shape: Shape | None = None,
) -> ChipProgram | None:
    """The program with other channels, strides or input, the layers after cut to what they then receive.

    None where it cannot be cut: groups, layers added up, or nothing left of a map.
    """
    original: dict[str, Shape] = {"input": program.input.shape}
    sent, layers = {"input": input_shape or program.input.shape}, []
    for index, (layer, (source, *_)) in enumerate(zip(program.layers, program.sources, strict=True)):
        changed = _cut(layer, original[source], sent[source], channels.get(index), (strides or {}).get(index))
        if changed is None or min(changed.sent_shape) < 1:
            return None
        layers.append(changed)
        sent[layer.name], original[layer.name] = changed.sent_shape, layer.sent_shape
    last = program.layers[-1].name
    readout = program.readout and _cut_readout(program.readout, original[last], sent[last])
    try:
        encoding = replace(program.input, shape=sent["input"])
        return replace(program, input=encoding, layers=tuple(layers), readout=readout, placement=())
    except NeuvaError:  # layers added up that now differ
        return None


def _cut(layer: Layer, was: Shape, now: Shape, channels: int | None, stride: int | None) -> Layer | None:
    """A layer that received `was` and now receives `now`, with as many channels and the stride given."""
    link, (c, h, w) = layer.connection, layer.out_shape
    count = channels or c
    if link.kind == "dense":
        cube = link.weight.reshape(c, h * w, *was)[:count, :, : now[0], : now[1], : now[2]]
        shape: Shape = (count, h, w)
        link = replace(link, weight=cube.reshape(count * h * w, -1))
    else:
        if link.groups != 1 and (count != c or now[0] != was[0]):
            return None
        link = replace(link, weight=link.weight[:count, : now[0]] if link.groups == 1 else link.weight)
        link = replace(link, stride=(stride, stride)) if stride else link
        sides = zip(now[1:], link.weight.shape[2:], link.stride, link.padding, link.dilation, strict=True)
        out = [(n + 2 * padding - dilation * (k - 1) - 1) // step + 1 for n, k, step, padding, dilation in sides]
        shape = (count, out[0], out[1])
    neuron = replace(layer.neuron, bias=layer.neuron.bias[:count])
    return replace(layer, in_shape=now, out_shape=shape, connection=link, neuron=neuron)


def _cut_readout(readout: Readout, was: Shape, now: Shape) -> Readout:
    weight = readout.weight.reshape(len(readout.weight), *was)[:, : now[0], : now[1], : now[2]]
    return replace(readout, weight=weight.reshape(len(weight), -1))
