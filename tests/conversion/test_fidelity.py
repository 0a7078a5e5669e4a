"""The certificate: equal levels are found equal, a planted difference is found and placed, the verdict follows."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from conversion import fidelity, loihi, speck
from conversion.comparison import ClipRun, Comparison
from hardware.loihi import lava
from hardware.rules import Finding
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, ValenceArousalNet
from snn.networks import scale_to_rate

CUBA = Neuron(0.5, 0.9)
IF = Neuron(reset="subtract", low=-1.0, multi_spike=True)
STEPS = 30


def lava_is_there() -> bool:
    try:
        lava.interpreter()
    except NeuvaError:
        return False
    return True


def clip(seed: int) -> fidelity.Clip:
    rng = np.random.default_rng(seed)
    events = np.zeros(900, [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
    events["t"] = np.sort(rng.integers(0, STEPS * 20_000, len(events)))
    for name, size in (("x", 16), ("y", 16), ("p", 2)):
        events[name] = rng.integers(0, size, len(events))
    x = np.zeros((STEPS, 2, 16, 16), np.int16)
    np.add.at(x, (events["t"] // 20_000, events["p"], events["y"], events["x"]), 1)
    labels = rng.uniform(-1, 1, (STEPS // 2, 2)).astype(np.float32)
    return fidelity.Clip(f"clip{seed}", x, events, labels, np.ones(STEPS // 2, bool))


def made(neuron: Neuron, target: str):
    torch.manual_seed(1)
    layers = (LayerSpec("conv", 4, neuron, (3, 3), (2, 2), (1, 1)), LayerSpec("dense", 8, neuron))
    encoding = "counts" if target == "speck2f" else "binary"
    net = ValenceArousalNet(NetworkSpec("any", layers, (2, 16, 16), encoding))  # type: ignore[arg-type]
    clips = [clip(seed) for seed in range(3)]
    if encoding == "binary":
        clips = [replace(one, x=np.minimum(one.x, 1)) for one in clips]
    x = torch.stack([torch.as_tensor(one.x) for one in clips], 1).float()
    scale_to_rate(net, x, 0.15)
    lower = loihi.lower if target == "loihi2" else speck.lower
    return net.eval(), lower(net, target, x), clips


@pytest.mark.skipif(not lava_is_there(), reason="no .venv-lava: make .venv-lava/ready")
def test_loihi_levels_agree_down_to_lava(tmp_path) -> None:
    net, program, clips = made(CUBA, "loihi2")
    certificate = fidelity.verify(program, net, clips, vendor_clips=2, tolerances=fidelity.Tolerances(ccc_drop=1))
    pairs = {(pair["from"], pair["to"]): pair for pair in certificate.figures["fidelity"]}
    assert pairs["fake-quantised", "integer emulator"]["clips"] == 3
    assert pairs["integer emulator", "lava"]["clips"] == 2
    for pair in pairs.values():
        assert all(layer["spikes_from"] > 0 for layer in pair["layers"])
        if pair["must_be_equal"]:
            assert all(layer["mismatches"] == 0 for layer in pair["layers"])
    assert certificate.figures["versions"]["lava-nc"] == "0.10.0"
    assert certificate.figures["verdict"] == {"pass": True, "reasons": [], "cost_judged": True}
    certificate.save(tmp_path / "certificate.json")
    assert json.loads((tmp_path / "certificate.json").read_text()) == certificate.figures


def test_speck_levels_agree_down_to_sinabs_and_event_driven_is_reported() -> None:
    net, program, clips = made(IF, "speck2f")
    figures = fidelity.verify(program, net, clips, vendor_clips=2).figures
    assert figures["versions"]["sinabs"]
    assert figures["not_run"] == []
    pairs = {(pair["from"], pair["to"]): pair for pair in figures["fidelity"]}
    assert pairs["integer emulator", "sinabs"]["ok"]
    assert pairs["fake-quantised", "integer emulator"]["ok"]
    events = pairs["integer emulator", "event-driven emulator"]
    assert not events["must_be_equal"]
    assert events["layers"][0]["rate_correlation"] > 0.8


def test_another_network_does_not_pass_for_the_program() -> None:
    net, program, clips = made(CUBA, "loihi2")
    layer = program.layers[0]
    tampered = replace(layer, neuron=replace(layer.neuron, vth=layer.neuron.vth * 2))  # type: ignore[arg-type]
    program = replace(program, layers=(tampered, *program.layers[1:]))
    figures = fidelity.verify(program, net, clips, vendor_clips=0).figures
    assert figures["fidelity"][0]["layers"][0]["mismatches"] > 100


def test_an_error_of_a_design_rule_fails_the_verdict() -> None:
    net, program, clips = made(CUBA, "loihi2")
    finding = Finding("cores", "error", "chip", "200", "120", "use fewer neurons")
    verdict = fidelity.verify(program, net, clips, vendor_clips=0, findings=[finding]).figures["verdict"]
    assert not verdict["pass"]
    assert "use fewer neurons" in verdict["reasons"][-1]


def test_a_single_wrong_spike_is_found_and_placed() -> None:
    spikes = np.zeros((5, 2, 3, 3), np.int32)
    spikes[1, 0, 0, 0] = 1
    wrong = spikes.copy()
    wrong[3, 1, 2, 2] = 1
    va = np.zeros((2, 2), np.float32)
    comparison = Comparison("a", "b", must_be_equal=True)
    comparison.add(ClipRun({"conv1": spikes}, va), ClipRun({"conv1": spikes}, va))
    assert comparison.ok
    comparison.add(ClipRun({"conv1": spikes}, va), ClipRun({"conv1": wrong}, va + 0.25))
    layer = comparison.to_dict()["layers"][0]
    assert (layer["mismatches"], layer["first_difference"], layer["first_difference_clip"]) == (1, 3, 1)
    assert (layer["spikes_from"], layer["spikes_to"]) == (2, 3)
    assert comparison.to_dict()["output"] == {"largest_difference": 0.25, "mean_difference": 0.125}
    assert not comparison.ok
    other = Comparison("a", "b", must_be_equal=True)  # equal spikes, another read-out
    other.add(ClipRun({"conv1": spikes}, va), ClipRun({"conv1": spikes}, va + 0.01))
    assert not other.ok
