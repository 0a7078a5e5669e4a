"""sinabs' networks on a Speck: what its NIR loses, its own integers, its own merges and its own read-out layer."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from torch import nn

from conversion import speck
from conversion.classes import spread_classes
from conversion.fake_quant import fake_quantised_spikes
from conversion.fitting import fit_neurons
from conversion.nir_import import Reading, from_nir, load_nir
from hardware.check import check
from hardware.program import ChipProgram
from hardware.speck.samna_guard import dynapcnn
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, Recording, ValenceArousalNet

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own use of torch
    sl, sinabs_nir = pytest.importorskip("sinabs.layers"), pytest.importorskip("sinabs.nir")

STEPS, SHAPE = 20, (2, 12, 12)
READ = Reading(1000, "counts", low=-1.0, multi_spike=True)


def iaf() -> nn.Module:
    return sl.IAFSqueeze(batch_size=1, min_v_mem=torch.tensor(-1.0))


def drawn(module: nn.Module) -> nn.Module:
    """With weights that make its neurons fire."""
    generator = torch.Generator().manual_seed(9)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            size = 1.2 / np.sqrt(layer.weight[0].numel())
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator) * size + 0.02
            if layer.bias is not None:
                layer.bias.data = torch.randn(layer.bias.shape, generator=generator) * 0.05
    return module.eval()


def chain(pool: nn.Module | None = None) -> nn.Sequential:
    first, second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 6, 3, 2, 1, bias=False)
    layers = [first, iaf(), pool or sl.SumPool2d(2), second, iaf()]
    return drawn(nn.Sequential(*layers, nn.Flatten(), nn.Linear(54, 5), iaf()))  # type: ignore[return-value]


class Merging(nn.Module):
    """Two branches behind the first layer that sinabs' Merge adds up; `nodes` is the same as a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2, self.c3 = nn.Conv2d(2, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.fc = nn.Linear(144, 5)
        self.s1, self.s2, self.s3, self.s4, self.merge, self.flat = iaf(), iaf(), iaf(), iaf(), sl.Merge(), nn.Flatten()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.s1(self.c1(x))
        return self.s4(self.fc(self.flat(self.merge(self.s2(self.c2(x)), self.s3(self.c3(x))))))

    def graph(self) -> nir.NIRGraph:
        nodes: dict = {"input": nir.Input(np.array(SHAPE)), "flat": nir.Flatten(None, 0, -1)}
        nodes["output"] = nir.Output(None)
        for k in (1, 2, 3, 4):
            nodes[f"s{k}"] = nir.IF(r=np.ones(()), v_threshold=np.ones(()))
        for name, part in (("c1", self.c1), ("c2", self.c2), ("c3", self.c3)):
            weight, bias = part.weight.detach().numpy(), part.bias.detach().numpy()
            nodes[name] = nir.Conv2d(None, weight, part.stride, part.padding, 1, 1, bias)
        nodes["fc"] = nir.Affine(self.fc.weight.detach().numpy(), self.fc.bias.detach().numpy())
        path = ("input", "c1", "s1", "c2", "s2", "flat", "fc", "s4", "output")
        branch = ("s1", "c3", "s3", "flat")
        return nir.NIRGraph(nodes, [*pairwise(path), *pairwise(branch)])


def spikes() -> torch.Tensor:
    return torch.poisson(torch.full((STEPS, *SHAPE), 0.25), torch.Generator().manual_seed(3))


def fired(net: nn.Module, kind: type = sl.IAFSqueeze) -> list[torch.Tensor]:
    """What sinabs' neurons send for the clip, from zero state, in the order they run."""
    found: list[torch.Tensor] = []
    layers = [layer for layer in net.modules() if isinstance(layer, kind)]
    hooks = [layer.register_forward_hook(lambda _m, _i, out: found.append(out.detach())) for layer in layers]
    for layer in layers:
        layer.v_mem = layer.v_mem.detach().clone()  # the trace of a DynapcnnNetwork leaves views, which cannot be reset
        layer.reset_states()
    with torch.no_grad():
        net(spikes())
    for hook in hooks:
        hook.remove()
    return [each.flatten(1) for each in found]


def ours(net: ValenceArousalNet) -> list[torch.Tensor]:
    recording = Recording()
    with torch.no_grad():
        net(spikes()[:, None], recording)
    return [each[:, 0].flatten(1) for each in recording.spikes.values()]


def apart(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    """Share of neurons and steps whose counts differ, in the worst layer."""
    assert all(each.sum() > 10 for each in b)
    return max(float((one != other).float().mean()) for one, other in zip(a, b, strict=True))


@pytest.fixture
def exported(tmp_path: Path) -> tuple[nn.Sequential, Path]:
    net, path = chain(), tmp_path / "net.nir"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own
        graph = sinabs_nir.to_nir(net, torch.zeros(1, *SHAPE))
    graph.infer_types()
    nir.write(path, graph)
    return net, path


def discretised(net: nn.Module) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return dynapcnn().DynapcnnNetwork(net, input_shape=SHAPE, batch_size=1, discretize=True)


def require_equal_integers(program: ChipProgram, theirs: nn.Module) -> None:
    by_size = {each.conv.weight.numel(): each for each in theirs.dynapcnn_layers.values()}  # its order is its own
    assert len(by_size) == len(program.layers)
    for layer in program.layers:
        each = by_size[layer.connection.weight.size]
        weight = each.conv.weight.detach().numpy()
        np.testing.assert_array_equal(layer.connection.weight.ravel(), weight.ravel())
        bias = np.zeros(len(weight)) if each.conv.bias is None else each.conv.bias.detach().numpy()
        np.testing.assert_array_equal(layer.neuron.bias, bias)
        assert layer.neuron.threshold == int(each.spk.spike_threshold)
        assert layer.neuron.low == int(each.spk.min_v_mem)


def by_sinabs_rule(net: ValenceArousalNet) -> ChipProgram:
    return speck.lower(net, "speck2f", spikes()[:, None], "sinabs")


def test_with_bound_and_several_spikes_the_float_network_is_sinabs(exported: tuple[nn.Sequential, Path]) -> None:
    net, path = exported
    assert apart(ours(load_nir(path, READ)), fired(net)) < 0.002  # sums of floats in another order
    for lost in ({"low": None}, {"multi_spike": False}, {"reset": "zero"}):
        assert apart(ours(load_nir(path, replace(READ, **lost))), fired(net)) > 0.01


def test_what_is_not_said_is_filled_in_with_a_warning_of_each(exported: tuple[nn.Sequential, Path]) -> None:
    fitted, found = fit_neurons(load_nir(exported[1], Reading(1000, "counts")), "speck")
    assert [(f.severity, f.measured, f.limit) for f in found[:2]] == [
        ("warning", "lower bound none", "-1.0"), ("warning", "several spikes a step no", "yes"),
    ]  # fmt: skip
    assert ours(fitted)[0].equal(ours(load_nir(exported[1], READ))[0])
    assert fit_neurons(load_nir(exported[1], READ), "speck")[1] == []


def test_by_sinabs_rule_integers_and_spikes_are_sinabs(exported: tuple[nn.Sequential, Path]) -> None:
    net, path = exported
    theirs, read = discretised(net), load_nir(path, READ)
    program = by_sinabs_rule(read)
    require_equal_integers(program, theirs)
    x = spikes()
    run = [each[:, 0].flatten(1) for each in fake_quantised_spikes(program, x[:, None]).values()]
    assert apart(run, fired(theirs)) == 0
    with pytest.raises(AssertionError):
        require_equal_integers(speck.lower(read, "speck2f", x[:, None]), theirs)


def test_average_pooling_rescales_the_weights_behind_it_as_in_sinabs() -> None:
    net = chain(nn.AvgPool2d(2))
    first, _, _, second, _, _, last, _ = net
    ones, zero = np.ones(()), np.array([0, 0])
    nodes = [
        nir.Conv2d(None, first.weight.detach().numpy(), 1, 1, 1, 1, first.bias.detach().numpy()),
        nir.IF(r=ones, v_threshold=ones),
        nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), zero),
        nir.Conv2d(None, second.weight.detach().numpy(), 2, 1, 1, 1, np.zeros(6)),
        nir.IF(r=ones, v_threshold=ones),
        nir.Flatten(None, 0, -1),
        nir.Affine(last.weight.detach().numpy(), last.bias.detach().numpy()),
        nir.IF(r=ones, v_threshold=ones),
    ]
    named = {"input": nir.Input(np.array(SHAPE)), **{f"n{k}": n for k, n in enumerate(nodes)}}
    named["output"] = nir.Output(None)
    program = by_sinabs_rule(from_nir(nir.NIRGraph(named, list(pairwise(named))), READ))
    assert program.layers[0].pool == 2
    require_equal_integers(program, discretised(net))


def test_merges_are_not_exported_by_sinabs_but_a_graph_of_them_gives_its_integers_and_spikes() -> None:
    net = drawn(Merging())
    with pytest.warns(DeprecationWarning, match="extract_nir_graph"), pytest.raises(NotImplementedError, match="Merge"):
        sinabs_nir.to_nir(net, torch.zeros(1, *SHAPE))
    read, theirs = from_nir(net.graph(), READ), discretised(net)
    assert [layer.sources for layer in read.spec.layers] == [(), (), ("conv1",), ("conv2", "conv3")]
    assert apart(ours(read), fired(net)) < 0.002
    program = by_sinabs_rule(read)
    require_equal_integers(program, theirs)
    run = fake_quantised_spikes(program, spikes()[:, None])["dense4"][:, 0].flatten(1)
    wanted = next(each for each in fired(theirs) if each.shape[1] == 5)
    assert wanted.sum() > 10
    assert torch.equal(run, wanted.double())
    one = [*program.layers[:3], replace(program.layers[3], sources=("conv2",))]
    lost = fake_quantised_spikes(replace(program, layers=tuple(one)), spikes()[:, None])["dense4"][:, 0].flatten(1)
    assert not torch.equal(lost, run)


def test_spread_classes_are_sinabs_extended_readout_layer(exported: tuple[nn.Sequential, Path]) -> None:
    from sinabs.backend.dynapcnn.utils import extend_readout_layer

    net, path = exported
    read = load_nir(path, READ)
    wide = spread_classes(read, "speck2f")
    program = check(by_sinabs_rule(wide)).program
    require_equal_integers(program, extend_readout_layer(discretised(net)))
    assert program.layers[-1].out_shape == (17, 1, 1)
    assert torch.equal(ours(wide)[-1][:, ::4], ours(read)[-1])
    assert ours(wide)[-1].sum() == ours(read)[-1].sum() > 0
    rules = [{finding.rule for finding in check(by_sinabs_rule(each)).findings} for each in (wide, read)]
    assert ["readout_spacing" in found for found in rules] == [False, True]
    assert "readout_classes" not in rules[0]  # 17 features, 5 classes


def test_only_networks_with_few_classes_on_chips_with_the_erratum_are_spread() -> None:
    neuron = Neuron(reset="subtract", low=-1.0, multi_spike=True)
    made = {
        n: ValenceArousalNet(NetworkSpec("speck", (LayerSpec("dense", n, neuron),), (2, 4, 4), outputs=None))
        for n in (15, 16)
    }
    assert spread_classes(made[15], "speck2e").layers[-1].synapse.weight.shape == (57, 32)
    assert spread_classes(made[15], "dynapcnn") is made[15]
    with pytest.raises(NeuvaError, match=r"dense1 has 16 outputs .* allowed 15"):
        spread_classes(made[16], "speck2f")
    read_out = ValenceArousalNet(NetworkSpec("speck", (LayerSpec("dense", 5, neuron),), (2, 4, 4)))
    with pytest.raises(NeuvaError, match="the host reads valence and arousal"):
        spread_classes(read_out, "speck2f")


@pytest.mark.parametrize("constants", [{"low": -1e5}, {"threshold": 1e5}, {"bias": 1e4}])
@pytest.mark.parametrize("scaling", ["calibrated", "sinabs"])
def test_weights_that_would_round_to_nothing_are_refused_with_the_cure(constants: dict, scaling: speck.Scaling) -> None:
    values = {"low": -1.0, "threshold": 1.0, "bias": 0.0, **constants}
    neuron = Neuron(threshold=values["threshold"], reset="subtract", low=values["low"], multi_spike=True)
    layers = (LayerSpec("dense", 3, neuron, bias=True),)
    net = ValenceArousalNet(NetworkSpec("speck", layers, (2, 4, 4), "counts", outputs=None))
    with torch.no_grad():
        net.layers[0].synapse.bias.fill_(values["bias"])
    x = torch.ones(4, 1, 2, 4, 4)
    with pytest.raises(NeuvaError, match=r"dense1: .* to 0 at the scale .*: train with a smaller threshold, a bound"):
        speck.lower(net, "speck2f", x, scaling)
