"""Graphs of others: what can be folded is, exactly; what cannot stand is named; a broken file is one clear line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from conversion.nir_export import save_nir, to_nir
from conversion.nir_graph import read_graph
from conversion.nir_import import Reading, from_nir, load_nir
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, Recording, ValenceArousalNet

STEP = Reading(1000, "binary", 1e-3, "zero")
RNG = np.random.default_rng(0)


def graph(*nodes: nir.NIRNode, shape: tuple[int, ...] = (2, 8, 8)) -> nir.NIRGraph:
    named = {"input": nir.Input(np.array(shape)), **{f"n{k}": node for k, node in enumerate(nodes)}}
    named["output"] = nir.Output(None)
    return nir.NIRGraph(named, list(pairwise(named)))


def conv(channels: int = 3, inputs: int = 2, kernel: int = 3, stride: int = 1, bias: float = 0.0) -> nir.Conv2d:
    weight = RNG.normal(size=(channels, inputs, kernel, kernel)).astype(np.float32)
    return nir.Conv2d(None, weight, stride, 1, 1, 1, np.full(channels, bias, np.float32))


def lif(shape: tuple[int, ...] = (), **constants: object) -> nir.LIF:
    values = {"tau": 0.01, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0, **constants}
    return nir.LIF(**{key: np.broadcast_to(np.float64(value), shape).copy() for key, value in values.items()})


def linear(outputs: int, inputs: int) -> nir.Linear:
    return nir.Linear((RNG.normal(size=(outputs, inputs)) / np.sqrt(inputs)).astype(np.float32))


def spikes(*shape: int, steps: int = 40) -> torch.Tensor:
    return (torch.rand(steps, 2, *shape, generator=torch.Generator().manual_seed(1)) < 0.2).float()


def fired(net: ValenceArousalNet, x: torch.Tensor) -> list[torch.Tensor]:
    recording = Recording()
    with torch.no_grad():
        net(x, recording)
    return list(recording.spikes.values())


def plain_lif(current: torch.Tensor, gain: torch.Tensor, rest: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """NIR's equation in Euler steps of 1 ms, tau 10 ms, each constant [C, 1, 1] as the node has it; float64."""
    v, out = torch.zeros_like(current[0]), []
    for step in current:
        v = v + 0.1 * (rest - v + gain * step)
        s = (v >= threshold).double()
        out.append(s)
        v = v * (1 - s)
    return torch.stack(out)


def one_line(error: NeuvaError) -> None:
    assert "\n" not in str(error)


def test_gains_rests_and_thresholds_of_channels_are_folded_exactly() -> None:
    gain, rest, threshold = np.array([10.0, 20, 5]), np.array([0.0, 0.3, -0.5]), np.array([1.0, 2, 0.5])
    wide = lambda values: np.broadcast_to(values[:, None, None], (3, 8, 8)).copy()  # noqa: E731 (a name for a long call)
    synapse = conv(bias=0.05)
    node = lif((3, 8, 8), r=wide(gain), v_leak=wide(rest), v_threshold=wide(threshold))
    net, x = from_nir(graph(synapse, node), STEP).double(), spikes(2, 8, 8).double()
    current = F.conv2d(
        x.flatten(0, 1), torch.as_tensor(synapse.weight).double(), torch.full((3,), 0.05).double(), padding=1
    )
    constants = [torch.as_tensor(each)[:, None, None] for each in (gain, rest, threshold)]
    wanted = plain_lif(current.unflatten(0, x.shape[:2]), *constants)
    assert 0.02 < wanted.mean() < 0.6
    agree = (fired(net, x)[0] == wanted).float().mean()
    assert agree > 0.9995  # weights are kept in float32
    for wrong in range(3):
        others = [torch.ones_like(each) * 7 if k == wrong else each for k, each in enumerate(constants)]
        assert (plain_lif(current.unflatten(0, x.shape[:2]), *others) == wanted).float().mean() < 0.99


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_pooling_before_the_neurons_goes_into_the_kernel(average: bool, stride: int) -> None:
    synapse, kind = conv(stride=stride, bias=0.1), nir.AvgPool2d if average else nir.SumPool2d
    pool = kind(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    net, x = from_nir(graph(synapse, pool, lif(), shape=(2, 9, 7)), STEP), spikes(2, 9, 7)
    whole = F.conv2d(x.flatten(0, 1), torch.as_tensor(synapse.weight), torch.as_tensor(synapse.bias), stride, 1)
    wanted = F.avg_pool2d(whole, 2) * (1 if average else 4)
    with torch.no_grad():
        assert torch.allclose(net.layers[0].current(x).flatten(0, 1), wanted, atol=1e-5)


def test_averages_and_scales_behind_the_neurons_go_into_the_next_weights() -> None:
    first, last = conv(), linear(4, 3 * 4 * 4)
    factors = np.array([1.0, 2, 0.5])[:, None, None] * np.ones((3, 4, 4))
    nodes = [
        first,
        lif(),
        nir.AvgPool2d(2, 2, np.array([0, 0])),
        nir.Scale(factors),
        nir.Flatten(None, 0, -1),
        last,
        lif(),
    ]
    net, x = from_nir(graph(*nodes), STEP), spikes(2, 8, 8)
    sent = F.avg_pool2d(fired(net, x)[0].flatten(0, 1), 2) * torch.as_tensor(factors).float()
    wanted = sent.flatten(1) @ torch.as_tensor(last.weight).T
    with torch.no_grad():
        summed = net.layers[0](x)[0]
        assert torch.allclose(net.layers[1].current(summed).flatten(0, 1)[..., 0, 0], wanted, atol=1e-5)
    assert wanted.std() > 0.01


def test_a_leaky_integrator_at_the_end_is_the_readout() -> None:
    synapse = nir.Affine(np.eye(3, dtype=np.float32), np.array([0.0, 1, 2], np.float32))
    ends = nir.LI(tau=np.float64(0.02), r=np.float64(1), v_leak=np.float64(0))
    net, x = from_nir(graph(linear(3, 5), lif(), synapse, ends, shape=(5,)), STEP), spikes(5, 1, 1, steps=400)
    assert net.spec.outputs == ("0", "1", "2")
    sent = fired(net, x)[0].flatten(2).double()
    v, wanted = torch.zeros(2, 3, dtype=torch.float64), []
    for step in sent:
        v = v + 0.05 * (step + torch.tensor([0.0, 1, 2]) - v)
        wanted.append(v)
    with torch.no_grad():
        ours = net(x).double()
    assert torch.allclose(ours[200:], torch.stack(wanted)[200:], atol=1e-4)  # the bias has settled by then
    assert sent.any()


def test_a_linear_map_at_the_end_is_a_readout_without_memory() -> None:
    last = linear(2, 3)
    net, x = from_nir(graph(linear(3, 5), lif(), last, shape=(5,)), STEP), spikes(5, 1, 1)
    assert net.spec.outputs == ("0", "1")  # two outputs of a foreign network are not valence and arousal
    with torch.no_grad():
        assert torch.allclose(net(x), fired(net, x)[0].flatten(2) @ torch.as_tensor(last.weight).T, atol=1e-6)


def test_a_network_without_readout_round_trips(tmp_path: Path) -> None:
    layers = (LayerSpec("conv", 4, Neuron(0.5, 0.9), (3, 3)), LayerSpec("dense", 5, Neuron(0.0, 0.8), bias=True))
    for outputs in (None, ("a", "b", "c")):
        net = ValenceArousalNet(NetworkSpec("any", layers, (2, 8, 8), outputs=outputs))
        save_nir(net, tmp_path / "net.nir")
        back = load_nir(tmp_path / "net.nir")
        assert back.spec == net.spec
        assert torch.equal(back(spikes(2, 8, 8)), net(spikes(2, 8, 8)))
    assert NetworkSpec.from_dict(net.spec.to_dict()) == net.spec


def test_subgraphs_are_unfolded() -> None:
    parts = [conv(), lif(), linear(4, 3 * 8 * 8), lif()]
    inner = nir.NIRGraph(
        {"in": nir.Input(np.array([3, 8, 8])), "fc": parts[2], "lif": parts[3], "out": nir.Output(np.array([4]))},
        [("in", "fc"), ("fc", "lif"), ("lif", "out")],
    )
    x = spikes(2, 8, 8)
    nested, plain = (from_nir(graph(*nodes), STEP) for nodes in ([*parts[:2], inner], parts))
    assert all(torch.equal(a, b) for a, b in zip(fired(nested, x), fired(plain, x), strict=True))


@pytest.mark.parametrize("padding", ["valid", "same", 1])
def test_padding_by_name(padding: str | int) -> None:
    synapse = conv()
    synapse.padding = padding
    net, x = from_nir(graph(synapse, lif()), STEP), spikes(2, 8, 8)
    wanted = nn.functional.conv2d(x.flatten(0, 1), torch.as_tensor(synapse.weight), padding=padding)
    with torch.no_grad():
        assert torch.allclose(net.layers[0].current(x).flatten(0, 1), wanted, atol=1e-5)


def nan_weight() -> nir.Conv2d:
    node = conv()
    node.weight[0, 0, 0, 0] = np.nan
    return node


REFUSED = {
    "n0 is a Threshold": [nir.Threshold(np.ones((2, 8, 8)))],
    "n1 is a Delay": [conv(), nir.Delay(np.ones((3, 8, 8))), lif()],
    "n1 is a Linear": [linear(4, 128), linear(3, 4), lif()],
    "n0 is a LIF": [lif()],
    "n0 is a SumPool2d": [nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])), conv(), lif()],
    "n0 is a Conv1d": [nir.Conv1d(None, np.ones((3, 2, 3)), 1, 0, 1, 1, np.zeros(3)), lif()],
    "n0: weight holds what is not a finite number": [nan_weight(), lif()],
    "n0 takes 3 channels but is given": [conv(inputs=3), lif()],
    "n2 takes 9 values but is given": [conv(), lif(), linear(4, 9), lif()],
    "n1: v_threshold has shape": [conv(), lif((5,))],
    "n1: v_threshold differs between neurons of a channel": [
        conv(), lif((3, 8, 8), v_threshold=1 + np.arange(192.0).reshape(3, 8, 8)),
    ],
    "n1: tau differs between neurons": [conv(), lif((3,), tau=np.array([0.01, 0.02, 0.03]))],
    "n1: tau = -0.01, allowed above 0": [conv(), lif(tau=-0.01)],
    "n1: tau = 1e-05 is shorter than a step": [conv(), lif(tau=1e-5)],
    "n1: v_threshold is 0, needed above 0": [conv(), lif(v_threshold=0.0)],
    "n2 flattens axes": [conv(), lif(), nir.Flatten(None, 1, 2), linear(4, 3 * 8 * 8), lif()],
    "pooling window, stride and padding must be": [
        conv(), lif(), nir.SumPool2d(np.array([3, 3]), np.array([2, 2]), np.array([0, 0])), linear(4, 3 * 9), lif(),
    ],
    "no spiking neurons": [conv()],
    "nothing follows to take it in": [conv(), lif(), nir.AvgPool2d(2, 2, np.array([0, 0]))],
    "nothing is left of": [conv(kernel=11), lif()],
}  # fmt: skip


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_lowered_is_named(said: str) -> None:
    with pytest.raises(NeuvaError, match=said) as caught:
        from_nir(graph(*REFUSED[said]), STEP)
    assert "\n" not in str(caught.value)


def test_without_step_and_encoding_the_exporters_are_named() -> None:
    with pytest.raises(NeuvaError, match=r"--dt-us and --encoding.*snnTorch writes for 1e-4"):
        from_nir(graph(conv(), lif()))
    with pytest.raises(NeuvaError, match=r"node n1 has a time constant.*--graph-step.*sinabs for 1"):
        from_nir(graph(conv(), lif()), Reading(1000, "binary"))
    with pytest.raises(NeuvaError, match="neuva's own"):
        from_nir(to_nir(ValenceArousalNet(NetworkSpec("any", (LayerSpec("dense", 3, Neuron()),), (2, 4, 4)))), STEP)


def test_edges_that_lead_astray_are_named() -> None:
    for extra, said in (
        (("n3", "n0"), "node n[0-3] is in a loop"),
        (("n1", "n3"), "node n3 adds up what synapses give"),
        (("n1", "nowhere"), "an edge names node nowhere"),
    ):
        made = graph(conv(), lif(), linear(4, 192), lif())
        made.edges.append(extra)
        with pytest.raises(NeuvaError, match=said):
            from_nir(made, STEP)
    made = graph(conv(), lif(), linear(4, 192), lif())
    made.edges = [edge for edge in made.edges if edge[0] != "n3"] + [("n3", "n0")]
    with pytest.raises(NeuvaError, match="node n0 is in a loop"):
        from_nir(made, STEP)


NODES = st.sampled_from(
    [
        lambda: conv(), lambda: conv(3, 3), lambda: conv(4, 3, 5, 2), lambda: lif(), lambda: lif((3,)), nan_weight,
        lambda: linear(4, 192), lambda: linear(3, 4), lambda: nir.Flatten(None, 0, -1),
        lambda: nir.Flatten(None, 1, -1), lambda: nir.Affine(np.ones((4, 4)), np.ones(3)),
        lambda: nir.AvgPool2d(2, 2, np.array([0, 0])), lambda: nir.SumPool2d(2, 3, np.array([0, 0])), lambda: None,
        lambda: nir.Scale(np.ones(3)), lambda: nir.Threshold(np.ones(3)), lambda: nir.IF(np.ones(4), np.ones(4)),
        lambda: nir.LI(np.float64(0.02), np.float64(1), np.float64(0)), lambda: lif(tau=np.nan), lambda: lif(r=np.inf),
        lambda: conv(0), lambda: linear(0, 4), lambda: nir.Scale(np.full((3, 8, 8), 1e300)), lambda: lif(v_leak=1e39),
        lambda: nir.CubaLIF(*(np.float64(v) for v in (0.005, 0.01, 1, 0, 1))),
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    nodes=st.lists(NODES, max_size=7),
    shape=st.lists(st.integers(0, 8), max_size=5),
    edges=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=2),
)
def test_any_graph_is_read_or_refused_in_one_line(nodes: list, shape: list[int], edges: list[tuple[int, int]]) -> None:
    made = graph(*(make() for make in nodes), shape=tuple(shape) if len(shape) % 2 else (2, 8, 8))
    names = list(made.nodes)
    made.edges += [(names[a % len(names)], names[b % len(names)]) for a, b in edges]
    try:
        net = from_nir(made, STEP)
    except NeuvaError as error:
        one_line(error)
    else:
        assert torch.isfinite(net(torch.ones(3, 1, *net.spec.input_shape))).all()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "net.nir"
    layers = (LayerSpec("conv", 2, Neuron(0.5, 0.9), (3, 3)), LayerSpec("dense", 3, Neuron()))
    save_nir(ValenceArousalNet(NetworkSpec("any", layers, (2, 6, 6))), path)
    return path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_file_cut_off_anywhere_is_one_clear_line(
    share: float, whole: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.nir"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(NeuvaError, match=r"cut\.nir: ") as caught:
        load_nir(path)
    assert "\n" not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(place=st.floats(0, 0.999), value=st.integers(0, 255))
def test_a_file_with_a_wrong_byte_is_read_or_refused_in_one_line(
    place: float, value: int, whole: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, content = tmp_path_factory.getbasetemp() / "wrong.nir", bytearray(whole)
    content[int(place * len(content))] = value
    path.write_bytes(content)
    try:
        load_nir(path)
    except NeuvaError as error:
        one_line(error)


def test_a_reset_to_another_value_is_refused(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "net.nir"
    made = graph(linear(3, 5), lif(), shape=(5,))
    made.nodes["output"] = nir.Output(np.array([3]))
    nir.write(path, made)
    with h5py.File(path, "a") as file:
        file["node/nodes/n1/v_reset"] = np.float64(0.0)
    assert load_nir(path, Reading(1000, "binary", 1e-3)).layers[0].neuron.reset == "zero"
    with h5py.File(path, "a") as file:
        file["node/nodes/n1/v_reset"][()] = 0.5
    with pytest.raises(NeuvaError, match="node n1: resets to another value than 0"):
        read_graph(path)


def test_a_folder_and_a_node_without_its_type_are_told(tmp_path) -> None:
    (tmp_path / "d.nir").mkdir()
    with pytest.raises(NeuvaError, match="is a folder, needed a file"):
        load_nir(tmp_path / "d.nir")
    with h5py.File(tmp_path / "t.nir", "w") as file:
        file.create_group("node/nodes/a")
    with pytest.raises(NeuvaError, match=r"t\.nir: not a readable NIR graph \(it has no 'type'\)"):
        load_nir(tmp_path / "t.nir")
