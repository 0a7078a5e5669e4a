"""NIR: what goes out comes back, what cannot be lowered is named."""

from __future__ import annotations

import nir
import numpy as np
import pytest
import torch

from conversion.lowering import network_hash
from conversion.nir_export import save_nir, to_nir
from conversion.nir_import import from_nir, load_nir
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, ValenceArousalNet
from snn.networks import scale_to_rate

CUBA = Neuron(0.5, 0.9)
IF = Neuron(reset="subtract", low=-1.0, multi_spike=True)


def network(neuron: Neuron, **options) -> ValenceArousalNet:
    torch.manual_seed(3)
    spec = NetworkSpec(
        target="any",
        layers=(
            LayerSpec("conv", 4, neuron, (3, 5), (2, 1), (1, 2)),
            LayerSpec("conv", 6, neuron, (3, 3), (1, 1), (1, 1), groups=2, pool=2, **options),
            LayerSpec("dense", 10, neuron),
        ),
        input_shape=(2, 12, 10),
    )
    net = ValenceArousalNet(spec)
    scale_to_rate(net, spikes())
    return net


def spikes(steps: int = 20) -> torch.Tensor:
    return (torch.rand(steps, 2, 2, 12, 10, generator=torch.Generator().manual_seed(1)) < 0.2).float()


@pytest.mark.parametrize("neuron", [CUBA, IF, Neuron(beta=0.8), Neuron()], ids=["cuba", "if", "lif", "plain if"])
def test_round_trip_through_a_file_gives_the_same_network(neuron: Neuron, tmp_path) -> None:
    net = network(neuron, bias=True)
    save_nir(net, tmp_path / "net.nir")
    back = load_nir(tmp_path / "net.nir")
    assert back.spec == net.spec
    assert network_hash(back) == network_hash(net)
    assert torch.allclose(back(spikes()), net(spikes()), atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_the_readout_comes_back_to_the_bit(seed: int) -> None:
    net = network(CUBA)
    with torch.no_grad():
        net.readout.logit.copy_(torch.randn((), generator=torch.Generator().manual_seed(seed)) * 2)
        net.layers[1].synapse.bias = torch.nn.Parameter(torch.zeros(6)) if seed % 2 else None
    assert torch.equal(from_nir(to_nir(net)).readout.logit, net.readout.logit)


def test_constants_are_the_euler_image_of_the_decays() -> None:
    node = to_nir(network(CUBA)).nodes["conv1"]
    assert node.tau_syn[0, 0, 0] == pytest.approx(0.02 / (1 - 0.5))
    assert node.tau_mem[0, 0, 0] == pytest.approx(0.02 / (1 - 0.9))
    assert node.v_threshold.shape == (4, 6, 10)


def test_an_unknown_node_is_named() -> None:
    graph = to_nir(network(CUBA))
    graph.nodes["conv2"] = nir.Threshold(threshold=np.ones((6, 6, 10)))
    with pytest.raises(NeuvaError, match=r"node conv2 is a Threshold.*made of layers of"):
        from_nir(graph)


def test_a_branch_of_another_size_is_refused() -> None:
    graph = to_nir(network(CUBA))
    graph.edges.append(("conv1", "dense3_flatten"))
    with pytest.raises(NeuvaError, match="node dense3_flatten adds up maps"):
        from_nir(graph)


def test_a_loop_is_refused() -> None:
    graph = to_nir(network(CUBA))
    graph.edges = [edge for edge in graph.edges if edge[0] != "conv2"] + [("conv2", "conv1_synapse")]
    with pytest.raises(NeuvaError, match="node conv1_synapse is in a loop"):
        from_nir(graph)


def test_nan_weights_are_refused() -> None:
    net = network(CUBA)
    with torch.no_grad():
        net.layers[0].synapse.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(NeuvaError, match="not a finite number"):
        from_nir(to_nir(net))


@pytest.mark.parametrize("content", [b"", b"no graph at all", b"\x89HDF\r\n\x1a\n" + b"\0" * 64])
def test_a_broken_file_is_one_clear_line(content: bytes, tmp_path) -> None:
    path = tmp_path / "broken.nir"
    path.write_bytes(content)
    with pytest.raises(NeuvaError, match=r"broken\.nir: not a readable NIR graph") as caught:
        load_nir(path)
    assert "\n" not in str(caught.value)
