"""Graphs of others with branches: edges that meet are added up; what a chip cannot add is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import nir
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from conversion.nir_import import Reading, from_nir
from neuva import NeuvaError
from snn import Recording, ValenceArousalNet

READ = Reading(1000, "counts", low=-1.0, multi_spike=True)
Nodes = dict[str, nir.NIRNode]
Edges = list[tuple[str, str]]


def conv(seed: int, channels: int = 3, inputs: int = 3, bias: float = 0.0) -> nir.Conv2d:
    weight = np.random.default_rng(seed).normal(0.05, 0.3, (channels, inputs, 3, 3)).astype(np.float32)
    return nir.Conv2d(None, weight, 1, 1, 1, 1, np.full(channels, bias, np.float32))


def spiking(threshold: float = 1.0) -> nir.IF:
    return nir.IF(r=np.ones(()), v_threshold=np.full((), threshold))


def pooling(kind: type, side: int = 2) -> nir.NIRNode:
    return kind(np.array([side, side]), np.array([side, side]), np.array([0, 0]))


def diamond(**change: nir.NIRNode) -> tuple[Nodes, Edges]:
    """input - c1 - s1, then c2 - s2 and c3 - s3 beside each other, added up in c4 - s4."""
    nodes: Nodes = {"input": nir.Input(np.array([2, 8, 8])), "c1": conv(1, 3, 2), "s1": spiking()}
    nodes |= {"c2": conv(2), "s2": spiking(), "c3": conv(3), "s3": spiking(), "c4": conv(4), "s4": spiking()}
    nodes |= {"output": nir.Output(None), **change}
    edges = [("input", "c1"), ("c1", "s1"), ("s1", "c2"), ("c2", "s2"), ("s1", "c3"), ("c3", "s3")]
    return nodes, [*edges, ("s2", "c4"), ("s3", "c4"), ("c4", "s4"), ("s4", "output")]


def between(graph: tuple[Nodes, Edges], edge: tuple[str, str], name: str, node: nir.NIRNode) -> tuple[Nodes, Edges]:
    """The graph with a node put into an edge."""
    nodes, edges = graph
    return nodes | {name: node}, [e for e in edges if e != edge] + [(edge[0], name), (name, edge[1])]


def read(graph: tuple[Nodes, Edges]) -> ValenceArousalNet:
    return from_nir(nir.NIRGraph(*graph), READ)


def spikes() -> torch.Tensor:
    return torch.poisson(torch.full((12, 2, 2, 8, 8), 0.3), torch.Generator().manual_seed(2))


def current(net: ValenceArousalNet, index: int, x: torch.Tensor) -> torch.Tensor:
    """What drives layer `index`, given the network's own spikes before it."""
    recording = Recording()
    with torch.no_grad():
        net(x, recording)
        spikes_of = zip(net.names, net.layers, strict=True)
        sent = {"input": x, **{name: layer.send(recording.spikes[name]) for name, layer in spikes_of}}
        return net.layers[index].current(net.heard(index, sent)), sent


def test_a_diamond_is_four_layers_of_which_the_last_hears_two() -> None:
    net = read(diamond())
    assert [layer.sources for layer in net.spec.layers] == [(), (), ("conv1",), ("conv2", "conv3")]
    drive, sent = current(net, 3, spikes())
    both = (sent["conv2"] + sent["conv3"]).flatten(0, 1)
    weight = torch.as_tensor(diamond()[0]["c4"].weight)
    assert torch.allclose(drive.flatten(0, 1), F.conv2d(both, weight, padding=1), atol=1e-5)
    one = F.conv2d(sent["conv2"].flatten(0, 1), weight, padding=1)
    assert not torch.allclose(drive.flatten(0, 1), one, atol=0.1)


@pytest.mark.parametrize("kind", [nir.AvgPool2d, nir.SumPool2d])
def test_pooling_after_and_before_the_sum_are_the_same(kind: type) -> None:
    """Means go into the weights behind; in both branches, or once behind a node that adds them up."""
    twice = between(between(diamond(), ("s2", "c4"), "p2", pooling(kind)), ("s3", "c4"), "p3", pooling(kind))
    nodes, edges = diamond()
    late = [e for e in edges if e[1] != "c4"] + [("s2", "p"), ("s3", "p"), ("p", "c4")]
    x = spikes()
    nets = [read(twice), read((nodes | {"p": pooling(kind)}, late))]
    for net in nets:
        assert [layer.pool for layer in net.spec.layers] == [1, 2, 2, 1]
        drive, sent = current(net, 3, x)
        both = (sent["conv2"] + sent["conv3"]).flatten(0, 1) / (4 if kind is nir.AvgPool2d else 1)
        wanted = F.conv2d(both, torch.as_tensor(nodes["c4"].weight), padding=1)
        assert torch.allclose(drive.flatten(0, 1), wanted, atol=1e-5)
        assert wanted.abs().max() > 0.1
    assert torch.equal(nets[0](x), nets[1](x))


def test_one_synapse_before_two_neurons_is_two_layers() -> None:
    nodes, edges = diamond(s3=spiking(2.0))
    del nodes["c3"]
    net = read((nodes, [e for e in edges if "c3" not in e] + [("c2", "s3")]))
    assert [layer.sources for layer in net.spec.layers] == [(), (), ("conv1",), ("conv2", "conv3")]
    assert torch.equal(net.layers[1].synapse.weight, net.layers[2].synapse.weight)
    assert [layer.neuron.threshold for layer in net.layers] == [1, 1, 2, 1]


def test_a_branch_in_a_subgraph_is_unfolded() -> None:
    nodes, edges = diamond()
    inside = {"in": nir.Input(np.array([3, 8, 8])), "c3": nodes["c3"], "s3": nodes["s3"], "out": nir.Output(None)}
    block = nir.NIRGraph(inside, [("in", "c3"), ("c3", "s3"), ("s3", "out")])
    outside = {name: node for name, node in nodes.items() if name not in ("c3", "s3")} | {"c3": block}
    rest = [e for e in edges if "s3" not in e and "c3" not in e] + [("s1", "c3"), ("c3", "c4")]
    assert torch.equal(read((outside, rest))(spikes()), read((nodes, edges))(spikes()))


REFUSED: dict[str, Callable[[], tuple[Nodes, Edges]]] = {
    r"node s2 adds up what synapses give": lambda: (diamond()[0], [*diamond()[1], ("c1", "s2")]),
    r"node c4 adds up maps \(3, 8, 8\) and \(3, 4, 4\)": lambda: between(
        diamond(), ("s3", "c4"), "p", pooling(nir.SumPool2d)
    ),
    r"node c4 adds up spikes scaled or averaged differently": lambda: between(
        diamond(), ("s3", "c4"), "half", nir.Scale(np.full(3, 0.5))
    ),
    r"node c4 adds up the same spikes twice": lambda: (
        diamond()[0] | {"again": nir.Scale(np.ones(3))}, [*diamond()[1], ("s2", "again"), ("again", "c4")],
    ),
    r"node c4 hears c2's neurons pooled by 1, another node hears them pooled by 2": lambda: (
        diamond()[0] | {"p": pooling(nir.SumPool2d), "c0": conv(5), "s0": spiking()},
        [e for e in diamond()[1] if e[1] != "output"]
        + [("s2", "p"), ("p", "c0"), ("c0", "s0"), ("s0", "output"), ("s4", "output")],
    ),
    r"the output hears more than the last layer": lambda: (diamond()[0], [*diamond()[1], ("s3", "output")]),
    r"node s3 leads nowhere": lambda: (diamond()[0], [e for e in diamond()[1] if e != ("s3", "c4")]),
    r"node c3 is not reached from the input": lambda: (
        diamond()[0], [e for e in diamond()[1] if e != ("s1", "c3")],
    ),
    r"node (c2|s2|c4|s4) is in a loop": lambda: (diamond()[0], [*diamond()[1], ("s4", "c2")]),
}  # fmt: skip


@pytest.mark.parametrize("said", REFUSED)
def test_what_a_chip_cannot_add_is_named(said: str) -> None:
    with pytest.raises(NeuvaError, match=said) as caught:
        read(REFUSED[said]())
    assert "\n" not in str(caught.value)


def test_unequal_thresholds_have_no_common_lower_bound() -> None:
    nodes, edges = diamond(s2=nir.IF(r=np.ones(3), v_threshold=np.array([1.0, 2, 3])))
    with pytest.raises(NeuvaError, match=r"node s2: thresholds from 1 to 3 cannot share a lower bound of -1"):
        read((nodes, edges))
    assert from_nir(nir.NIRGraph(nodes, edges), Reading(1000, "counts")).layers[1].neuron.low is None


@pytest.mark.parametrize("low", [0.5, float("nan"), -np.inf])
def test_a_lower_bound_above_the_start_or_without_end_is_refused(low: float) -> None:
    with pytest.raises(NeuvaError, match="needed 0 or below"):
        Reading(1000, "counts", low=low)
