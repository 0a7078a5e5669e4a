"""The part of SEEN a chip can take: the spiking layers behind the first, as a network that converts.

    spikes of the fused scales -> second -> third -> fc1 (+ fc1 Js)

Event frames are grey levels weighted for each clip anew, so their three scales and fusion stay on the host, and so
do the frames' branch and the seven last membranes. Js, the spikes of the frames' branch, is the same in all steps of
a clip, so that adding it to the third layer's spikes is a bias of fc1 that the host writes for each clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from datasets.see import EMOTIONS, FPS
from neuva import NeuvaError
from snn.layers import TraceReadout
from snn.networks import NetworkSpec, ValenceArousalNet
from snn.networks.seen import NEURON, SeenNet, SeenSpec, lif
from snn.networks.seen.temporal import EventPath, SpikingHead
from snn.networks.valence_arousal import LayerSpec


def trunk_spec(spec: SeenSpec) -> NetworkSpec:
    """Two strided convolutions and the fully connected layer; one answer a clip, by the last layer's weights."""
    second, third = (
        LayerSpec("conv", channels, NEURON, (3, 3), (stride, stride), (1, 1))
        for channels, stride in zip(spec.channels[1:], (2, 4), strict=True)
    )
    side = (spec.side - 1) // 2 + 1
    return NetworkSpec(
        target="any",
        layers=(second, third, LayerSpec("dense", spec.hidden, NEURON, bias=True)),
        input_shape=(spec.channels[0], side, side),
        dt_us=round(1e6 / FPS),
        every=spec.duration,
        outputs=EMOTIONS,
    )


@torch.no_grad()
def trunk(net: SeenNet) -> ValenceArousalNet:
    """The trained layers as a network of the converter's kind.

    Raises:
        NeuvaError: if the temporal part does not spike or has weights of its own.
    """
    if net.spec.temporal != "snn" or not net.spec.weight_copy:
        raise NeuvaError("an ablation of SEEN cannot be put on a chip: take the network as published (M)")
    out, head = ValenceArousalNet(trunk_spec(net.spec)), cast("SpikingHead", net.head)
    second, third, dense = (layer.synapse for layer in out.layers)
    last = cast("TraceReadout", out.readout).map
    for to, source in (
        (second.weight, net.spatial.pyramid.second.weight),
        (third.weight, net.spatial.pyramid.third.weight),
        (dense.weight, head.fc1.weight),
        (fc1_bias(out), head.fc1.bias),
        (last.weight, head.fc2.weight),
        (last.bias, head.fc2.bias),
    ):
        to.copy_(source)
    return out.eval()


def fc1_bias(net: ValenceArousalNet) -> nn.Parameter:
    """Of a trunk: what Js is added to."""
    return cast("nn.Parameter", net.layers[-1].synapse.bias)


@dataclass(frozen=True)
class Recorded:
    """What a forward pass of B clips sent inside.

    first: spikes of the fused scales [T, B, C, H, W]; second, third: of the layers behind; hidden: of fc1 [T, B, N].
    bias: of fc1 for each clip, its own and what Js adds, [B, N]. logits: [B, 7].
    """

    first: torch.Tensor
    second: torch.Tensor
    third: torch.Tensor
    hidden: torch.Tensor
    bias: torch.Tensor
    logits: torch.Tensor

    @property
    def rates(self) -> list[float]:
        """Spikes a neuron and step of what the trunk's three layers hear."""
        return [float(each.mean()) for each in (self.first, self.second, self.third)]


@torch.no_grad()
def record(net: SeenNet, frames: torch.Tensor, events: torch.Tensor) -> Recorded:
    """Run the network on clips, as `SeenNet.forward`, and keep what its layers sent."""
    sent: list[torch.Tensor] = []
    kept: dict[str, torch.Tensor] = {}
    path, head = cast("EventPath", net.path), cast("SpikingHead", net.head)
    act = path.act

    def listening(current: torch.Tensor) -> torch.Tensor:
        sent.append(act(current))
        return sent[-1]

    hooks = [
        net.spatial.register_forward_hook(lambda _, __, out: kept.update(features=out[0])),
        head.fc2.register_forward_pre_hook(lambda _, given: kept.update(hidden=given[0])),
    ]
    path.act = listening
    try:
        logits = net(frames, events)
    finally:
        path.act = act
        for hook in hooks:
            hook.remove()
    seen, _ = lif(kept["features"].flatten(1)[None])
    first, second, third = sent
    return Recorded(first, second, third, kept["hidden"], head.fc1(seen[0]), logits)


@torch.no_grad()
def host_answer(net: SeenNet, hidden: torch.Tensor) -> torch.Tensor:
    """Logits [B, 7] from the spikes of fc1 [T, B, N]: mean membrane of the seven last neurons."""
    return lif(cast("SpikingHead", net.head).fc2(hidden))[1].mean(0)
