"""Networks with branches that are added up: plain torch, sinabs, the emulators, a file, and what must be refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from conversion import fidelity, loihi, speck
from conversion.fake_quant import fake_quantised_estimates, fake_quantised_spikes
from conversion.lowering import network_hash
from conversion.nir_export import save_nir, to_nir
from conversion.nir_import import load_nir
from hardware import devices
from hardware.check import check
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, Recording, ValenceArousalNet
from snn.networks import scale_to_rate
from snn.regularisers import synaptic_operations

IF = Neuron(reset="subtract", low=-1.0, multi_spike=True)
STEPS = 16
SAME = {"kernel": (3, 3), "padding": (1, 1)}
LAYERS = (
    LayerSpec("conv", 4, IF, **SAME, pool=2),
    LayerSpec("conv", 4, IF, **SAME),
    LayerSpec("conv", 4, IF, sources=("conv1",)),
    LayerSpec("conv", 4, IF, **SAME, bias=True, sources=("conv3", "conv2")),
    LayerSpec("dense", 6, IF, sources=("conv2", "conv4")),
)
HEARD = {"conv1": ["input"], "conv2": ["conv1"], "conv3": ["conv1"], "conv4": ["conv3", "conv2"]} | {
    "dense5": ["conv2", "conv4"]
}


def spikes(clips: int = 2) -> torch.Tensor:
    return torch.poisson(torch.full((STEPS, clips, 2, 12, 12), 0.2), torch.Generator().manual_seed(5))


def network(layers: tuple[LayerSpec, ...] = LAYERS, **options: object) -> ValenceArousalNet:
    torch.manual_seed(7)
    spec = {"target": "speck", "layers": layers, "input_shape": (2, 12, 12), "encoding": "counts", **options}
    net = ValenceArousalNet(NetworkSpec(**spec))  # type: ignore[arg-type]
    scale_to_rate(net, spikes(), 0.15)
    return net.eval()


def by_hand(net: ValenceArousalNet, x: torch.Tensor, heard: dict[str, list[str]]) -> dict[str, torch.Tensor]:
    """The layers' spikes by plain torch: integrate, floor(v / threshold) spikes, subtract, not below -1."""
    sent, fired = {"input": x}, {}
    for name, layer, spec in zip(net.names, net.layers, net.spec.layers, strict=True):
        given = torch.stack([sent[source] for source in heard[name]]).sum(0).flatten(0, 1)
        weight, bias = layer.synapse.weight, layer.synapse.bias
        if spec.kind == "dense":
            current = (given.flatten(1) @ weight.T)[..., None, None]
        else:
            current = F.conv2d(given, weight, bias, padding=spec.padding)
        current = current.unflatten(0, x.shape[:2])
        v, steps = torch.zeros_like(current[0]), []
        for drive in current:
            v = v + drive
            s = torch.floor(v).clamp(min=0)
            v = (v - s).clamp(min=-1)
            steps.append(s)
        fired[name] = torch.stack(steps)
        pooled = F.avg_pool2d(fired[name].flatten(0, 1), spec.pool) * spec.pool**2
        sent[name] = pooled.unflatten(0, x.shape[:2])
    return fired


def recorded(net: ValenceArousalNet, x: torch.Tensor) -> dict[str, torch.Tensor]:
    recording = Recording()
    with torch.no_grad():
        net(x, recording)
    return recording.spikes


@torch.no_grad()
def test_branches_are_added_up_as_by_hand_and_a_lost_branch_is_noticed() -> None:
    net, x = network(), spikes()
    ours, wanted = recorded(net, x), by_hand(net, x, HEARD)
    for name in net.names:
        assert wanted[name].sum() > 20
        assert (ours[name] != wanted[name]).float().mean() < 0.002  # sums of floats in another order
    for name, lost in (("conv4", ["conv3"]), ("dense5", ["conv4"]), ("conv3", ["conv2"])):
        wrong = by_hand(net, x, HEARD | {name: lost})
        assert (ours[name] != wrong[name]).float().mean() > 0.01


def test_a_stream_of_two_halves_is_the_whole() -> None:
    net, x = network(), spikes()
    first, state = net.stream(x[:8], None)
    second, _ = net.stream(x[8:], state)
    assert torch.allclose(torch.cat([first, second]), net(x), atol=1e-5)


def test_fake_quantised_emulator_and_sinabs_send_the_same_spikes() -> None:
    net, x = network(), spikes(1)
    program = speck.lower(net, "speck2f", x)
    assert [layer.sources for layer in program.layers] == [(), (), ("conv1",), ("conv3", "conv2"), ("conv2", "conv4")]
    quantised = fake_quantised_spikes(program, x)
    traces = {on: devices.run(program, x[:, 0].numpy().astype(np.int64), on) for on in ("emulator", "sinabs")}
    assert traces["sinabs"].notes["sinabs"] == "DynapcnnNetwork"
    for trace in traces.values():
        for layer in program.layers:
            ours = trace.spikes[layer.name].dense(STEPS, program.dt_us)
            assert ours.sum() > 0
            assert np.array_equal(ours, quantised[layer.name][:, 0].numpy())
        estimates = fake_quantised_estimates(program, quantised)[:, 0].numpy()
        assert np.allclose(trace.va, estimates, atol=1e-5)
    layers = [*program.layers[:3], replace(program.layers[3], sources=("conv3",)), program.layers[4]]
    lost = fake_quantised_spikes(replace(program, layers=tuple(layers)), x)
    assert not torch.equal(lost["conv4"], quantised["conv4"])


def test_the_certificate_passes() -> None:
    net, x = network(), spikes(1)
    program = check(speck.lower(net, "speck2f", x)).program
    counts = x[:, 0].numpy().astype(np.int64)
    step, p, y, column = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0).T
    events = np.zeros(len(step), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "<i1")])
    events["t"], events["x"], events["y"], events["p"] = step * program.dt_us, column, y, p
    clip = fidelity.Clip("clip", counts, events, np.zeros((0, 2)), np.zeros(0, bool))
    figures = fidelity.verify(program, net, [clip], vendor_clips=1).figures
    assert figures["verdict"]["pass"], figures["verdict"]["reasons"]
    pairs = {(pair["from"], pair["to"]): pair for pair in figures["fidelity"]}
    for pair in ((fidelity.FAKE, fidelity.EMULATOR), (fidelity.EMULATOR, "sinabs")):
        assert [layer["mismatches"] for layer in pairs[pair]["layers"]] == [0] * 5
    events_layers = pairs[fidelity.EMULATOR, fidelity.EVENTS]["layers"]
    assert all(layer["rate_correlation"] > 0.7 for layer in events_layers)


@pytest.mark.parametrize("outputs", [None, ("a", "b")])
def test_a_file_brings_the_same_network_back(outputs: tuple[str, ...] | None, tmp_path: Path) -> None:
    net = network(outputs=outputs)
    save_nir(net, tmp_path / "net.nir")
    back = load_nir(tmp_path / "net.nir")
    assert back.spec == net.spec
    assert network_hash(back) == network_hash(net)
    assert torch.equal(back(spikes()), net(spikes()))


def test_layers_keep_their_numbers_in_a_file_whatever_their_names(tmp_path: Path) -> None:
    """By the letters of their names alone conv3 would come before dense2, and conv10 before conv9."""
    kinds = (LayerSpec("dense", 4, IF, sources=("conv1",)), LayerSpec("conv", 4, IF, (6, 6), sources=("conv1",)))
    fans = kinds * 5
    names = [f"{layer.kind}{index + 2}" for index, layer in enumerate(fans)]
    net = network((LAYERS[0], *fans, LayerSpec("dense", 3, IF, sources=tuple(names))))
    save_nir(net, tmp_path / "net.nir")
    assert load_nir(tmp_path / "net.nir").spec == net.spec


def test_an_edge_of_each_source_leads_to_the_first_node() -> None:
    edges = to_nir(network()).edges
    assert [a for a, b in edges if b == "conv4_synapse"] == ["conv3", "conv2"]
    assert [a for a, b in edges if b == "dense5_flatten"] == ["conv2", "conv4"]
    assert [b for a, b in edges if a == "conv1_pool"] == ["conv2_synapse", "conv3_synapse"]


def test_a_specification_survives_plain_values_and_sources_are_hashed() -> None:
    net = network()
    assert NetworkSpec.from_dict(net.spec.to_dict()) == net.spec
    other = ValenceArousalNet(
        replace(net.spec, layers=(*LAYERS[:3], replace(LAYERS[3], sources=("conv2", "conv3")), LAYERS[4]))
    )
    other.load_state_dict(net.state_dict())
    assert network_hash(other) != network_hash(net)


def test_synaptic_operations_count_every_branch() -> None:
    net, x = network(), spikes(1)
    fired = recorded(net, x)
    rates = {name: each.mean((0, 1)) for name, each in fired.items()}
    ours = float(synaptic_operations(net, x, rates)) / net.spec.every * STEPS
    program = speck.lower(net, "speck2f", x)
    sent = {"input": x, **{n: layer.send(fired[n]) for n, layer in zip(net.names, net.layers, strict=True)}}
    total = 0.0
    for layer in program.layers:
        heard = sum(sent[name] for name in HEARD[layer.name])
        weights = torch.ones(layer.connection.weight.shape)
        given = heard[:, 0]
        pads = layer.connection.padding
        drive = given.flatten(1) @ weights.T if weights.ndim == 2 else F.conv2d(given, weights, padding=pads)
        total += float(drive.sum())
    assert ours == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (("conv3", "conv9"), "conv4 hears conv9, which is no layer before it"),
        (("conv4",), "conv4 hears conv4, which is no layer before it"),
        (("conv3", "conv3"), "name each layer once"),
        (("conv3", "input"), r"conv4 adds up \(4, 6, 6\) of conv3 and \(2, 12, 12\) of input"),
    ],
)
def test_sources_that_cannot_be_are_named(sources: tuple[str, ...], said: str) -> None:
    with pytest.raises(NeuvaError, match=said):
        network((*LAYERS[:3], replace(LAYERS[3], sources=sources)))


def test_loihi_refuses_branches_and_takes_a_chain_by_name() -> None:
    cuba = Neuron(0.5, 0.9)
    layers = tuple(replace(layer, neuron=cuba) for layer in LAYERS)
    x = spikes().clamp(max=1)
    with pytest.raises(NeuvaError, match=r"conv3 hears conv1: on Loihi .*convert for a Speck"):
        loihi.lower(network(layers, target="any", encoding="binary"), "loihi2", x)
    chain = (layers[0], replace(layers[1], sources=("conv1",)))
    named = loihi.lower(network(chain, target="any", encoding="binary"), "loihi2", x)
    plain = loihi.lower(network(layers[:2], target="any", encoding="binary"), "loihi2", x)
    assert named.layers[1].connection.weight.tolist() == plain.layers[1].connection.weight.tolist()


def test_a_third_destination_is_an_error_of_the_check() -> None:
    layers = (*LAYERS[:4], LayerSpec("dense", 6, IF, sources=("conv1", "conv4")))
    findings = check(speck.lower(network(layers), "speck2f", spikes())).findings
    found = [finding for finding in findings if finding.rule == "two_destinations"]
    assert [(f.severity, f.where, f.measured) for f in found] == [
        ("error", "layer conv1", "3 destinations (conv2, conv3, dense5)")
    ]
