"""The fake-quantised network: a program's numbers in dense torch arithmetic, step by step over many clips at once.

Every value is a whole number held in float64 (53 bits; the largest product, 24-bit state times 12-bit decay, has 36),
so nothing is rounded but where the chip rounds. It shares no code with the emulators it is compared with.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from hardware.program import ChipProgram, Layer, LoihiNeuron, SpeckNeuron

WRAP = 2.0**23


@torch.no_grad()
def fake_quantised_spikes(program: ChipProgram, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Spikes [T, B, C, H, W] of each layer (before pooling) for the input x [T, B, C, H, W].

    On Loihi a layer hears of a spike one step after it was sent, so the k-th layer has run k steps, on biases alone,
    when the first input arrives; those steps are run and left out of the result.
    """
    spikes: dict[str, torch.Tensor] = {}
    sent, steps = {"input": x.double()}, len(x)
    for layer, (first, *more) in zip(program.layers, program.sources, strict=True):
        heard = sum((sent[name] for name in more), sent[first])
        if isinstance(layer.neuron, LoihiNeuron):
            heard = torch.cat([torch.zeros_like(heard[:1]), heard])
            fired = _loihi(layer.neuron, _current(layer, heard), _kept(program.reset_every, len(heard), steps))
        else:
            fired = _speck(layer.neuron, _current(layer, heard), _kept(program.reset_every, len(heard), steps))
        spikes[layer.name] = fired[-steps:]
        sent[layer.name] = _pool(layer, fired)
    return spikes


@torch.no_grad()
def fake_quantised_estimates(program: ChipProgram, spikes: dict[str, torch.Tensor]) -> torch.Tensor:
    """Outputs [T // every, B, K] of the program's read-out for the spikes of its last layer; K = 0 without one."""
    last, readout = program.layers[-1], program.readout
    sent = _pool(last, spikes[last.name]).flatten(2)
    if readout is None:
        return sent.new_zeros(0, sent.shape[1], 0)
    drive = sent @ torch.as_tensor(readout.weight, dtype=torch.float64).T
    trace, out = torch.zeros_like(drive[0]), []
    for row in drive.unbind(0):
        trace = readout.decay * trace + row
        out.append(trace)
    offset = torch.as_tensor(readout.offset, dtype=torch.float64)
    return (torch.stack(out[readout.every - 1 :: readout.every]) + offset).clamp(-readout.limit, readout.limit)


def _current(layer: Layer, sent: torch.Tensor) -> torch.Tensor:
    link = layer.connection
    weight = torch.as_tensor(link.weight, dtype=torch.float64)
    folded = sent.flatten(0, 1)
    if link.kind == "dense":
        total = folded.flatten(1) @ weight.T
    else:
        total = F.conv2d(folded, weight, None, link.stride, link.padding, link.dilation, link.groups)
    return torch.floor(total * 2.0**link.weight_exp).reshape(*sent.shape[:2], *layer.out_shape)


def _kept(reset_every: int, run: int, steps: int) -> list[int]:
    """Per step that is run, 0 where the state is reset before it and 1 where it is kept; the last `steps` answer."""
    first = run - steps
    return [0 if reset_every and step > first and (step - first) % reset_every == 0 else 1 for step in range(run)]


def _loihi(neuron: LoihiNeuron, current: torch.Tensor, kept: list[int]) -> torch.Tensor:
    bias = torch.as_tensor(neuron.bias, dtype=torch.float64).view(-1, 1, 1)
    u = v = torch.zeros_like(current[0])
    spikes = []
    for a_in, keep in zip(current.unbind(0), kept, strict=True):
        u, v = u * keep, v * keep
        u = torch.trunc(u * (4095 - neuron.du) / 4096) + a_in * 64
        u = WRAP - torch.remainder(WRAP - u, 2 * WRAP)  # into (-2^23, 2^23], as Lava wraps
        v = torch.trunc(v * (4096 - neuron.dv) / 4096) + u + bias
        v = v.clamp(-(WRAP - 1), WRAP - 1)
        s = (v > neuron.vth * 64).double()
        v = v * (1 - s)
        spikes.append(s)
    return torch.stack(spikes)


def _speck(neuron: SpeckNeuron, current: torch.Tensor, kept: list[int]) -> torch.Tensor:
    bias = torch.as_tensor(neuron.bias, dtype=torch.float64).view(-1, 1, 1)
    v = torch.zeros_like(current[0])
    spikes = []
    for a_in, keep in zip(current.unbind(0), kept, strict=True):
        v = v * keep + a_in + bias
        s = torch.floor(v / neuron.threshold).clamp(min=0)
        v = v - s * neuron.threshold if neuron.reset == "subtract" else v * (s == 0)
        v = v.clamp(min=neuron.low)
        spikes.append(s)
    return torch.stack(spikes)


def _pool(layer: Layer, spikes: torch.Tensor) -> torch.Tensor:
    if layer.pool == 1:
        return spikes
    return (F.avg_pool2d(spikes.flatten(0, 1), layer.pool) * layer.pool**2).unflatten(0, spikes.shape[:2]).round()
