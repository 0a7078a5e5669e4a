"""SEEN's published ablations: each is what it says, runs forward and backward, and survives plain values."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch

from neuva import NeuvaError, SettingError
from snn.macs import count_macs
from snn.networks.seen import ABLATIONS, SeenNet, SeenSpec
from snn.networks.seen.temporal import SpikingHead


def small(letter: str) -> SeenSpec:
    return replace(ABLATIONS[letter], side=20, channels=(8, 16, 32), hidden=16, duration=3)


def built(spec: SeenSpec, gain: float = 4.0) -> SeenNet:
    torch.manual_seed(0)
    net = SeenNet(spec)
    with torch.no_grad():  # at torch's own start the spiking populations are silent
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d | torch.nn.Linear):
                module.weight *= gain
    return net


def clips(frames: int = 3, batch: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(batch, frames, 3, 20, 20, generator=g), torch.randn(batch, 3, 3, 20, 20, generator=g)


def test_the_letters_are_the_published_ones() -> None:
    assert list(ABLATIONS) == list("ABCDEFGHIJKLM")
    assert ABLATIONS["M"] == SeenSpec()
    assert len(set(ABLATIONS.values())) == 13
    changed = {
        letter: {k: v for k, v in asdict(spec).items() if v != getattr(SeenSpec(), k)}
        for letter, spec in ABLATIONS.items()
    }
    assert changed["B"] == {"frames": "first+second"}
    assert changed["G"] == {"temporal": "lstm"}
    assert changed["I"] == {"temporal": "conv3d", "weight_copy": False, "attention_copy": False}
    assert changed["K"] == {"output": "last_spike"}


@pytest.mark.parametrize("letter", ABLATIONS)
def test_each_runs_forward_and_backward(letter: str) -> None:
    net, (frames, events) = built(small(letter)), clips()
    logits = net(frames, events)
    assert logits.shape == (4, 7)
    torch.nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    grads = {name: p.grad for name, p in net.named_parameters()}
    assert all(grad is not None and torch.isfinite(grad).all() for grad in grads.values())
    for part in ("spatial.merge", "spatial.pyramid.third", "head.fc1", "head.fc2"):
        assert grads[f"{part}.weight"].any(), part
    assert count_macs(net.eval(), frames[:1], events[:1]) > 0


@pytest.mark.parametrize("letter", ABLATIONS)
def test_events_change_the_logits_of_each(letter: str) -> None:
    net, (frames, events) = built(small(letter)).eval(), clips()
    with torch.no_grad():
        assert not torch.allclose(net(frames, events), net(frames, events.flip(0)))


@pytest.mark.parametrize(("letter", "heard"), [("A", {0}), ("B", {0, 1}), ("C", {0, 1, 2}), ("M", {0, 2})])
def test_only_the_frames_it_names_are_seen(letter: str, heard: set[int]) -> None:
    net, (frames, _) = SeenNet(small(letter)).eval(), clips()
    with torch.no_grad():
        before = net.spatial(frames)[0]
        for index in range(3):
            other = frames.clone()
            other[:, index] += 1
            assert (not torch.equal(net.spatial(other)[0], before)) == (index in heard)


@pytest.mark.parametrize(("letter", "parameters"), [("A", 6_078_646), ("C", 6_078_673), ("E", 6_078_655)])
def test_their_sizes_differ_by_what_is_changed(letter: str, parameters: int) -> None:
    assert sum(p.numel() for p in SeenNet(ABLATIONS[letter]).parameters()) == parameters


def test_without_weight_copy_the_convolutions_come_twice_without_biases() -> None:
    d, m = (SeenNet(ABLATIONS[letter]) for letter in "DM")
    more = sum(p.numel() for p in d.parameters()) - sum(p.numel() for p in m.parameters())
    assert more == sum(p.numel() for name, p in m.spatial.pyramid.named_parameters() if name.endswith("weight"))


def test_without_a_copy_of_the_attention_the_scales_weigh_the_same() -> None:
    nets = {letter: built(small(letter)).eval() for letter in "EM"}
    _, events = clips()
    uneven = torch.tensor([0.8, 0.1, 0.1]).expand(4, 3)
    with torch.no_grad():
        at = {
            (letter, weights): net.path(events.movedim(1, 0), net.spatial.pyramid, given)
            for letter, net in nets.items()
            for weights, given in (("uneven", uneven), ("even", torch.full((4, 3), 1 / 3)))
        }
    assert torch.equal(at["E", "uneven"], at["E", "even"])
    assert torch.equal(at["E", "even"], at["M", "even"])
    assert not torch.equal(at["M", "uneven"], at["M", "even"])


def test_the_outputs_are_means_and_lasts_of_membranes_and_spikes() -> None:
    """Counted by hand: currents of 0.2, 0.3, 0.1 in each step reach the last layer."""
    currents = torch.tensor([0.2, 0.3, 0.1])
    expected = {
        "mean_potential": (0.2 + 0.34 + 0.1) / 3,
        "last_potential": 0.1,
        "last_spike": 0.0,
        "mean_spike": 1 / 3,
    }
    for output, value in expected.items():
        head = SpikingHead(SeenSpec(side=20, channels=(8, 16, 32), hidden=3, duration=3, output=output))  # type: ignore[arg-type]
        with torch.no_grad():
            head.fc1.weight.zero_()
            head.fc1.weight[:, :3] = torch.eye(3)
            head.fc1.bias.fill_(-1)
            head.fc2.weight.copy_(currents.expand(7, 3))
            head.fc2.bias.zero_()
        x = torch.zeros(3, 1, head.fc1.in_features)
        for step in range(3):
            x[step, 0, step] = 2  # hidden neuron `step` alone fires
        assert head(x)[0].tolist() == pytest.approx([value] * 7)


@pytest.mark.parametrize(("letter", "alike"), [("F", True), ("G", False), ("H", False), ("I", False)])
def test_order_of_the_event_frames_matters_to_all_but_the_frame_wise_one(letter: str, alike: bool) -> None:
    net, (frames, events) = built(small(letter)).eval(), clips()
    with torch.no_grad():
        assert torch.allclose(net(frames, events), net(frames, events.flip(1)), rtol=1e-4, atol=1e-4) == alike


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frames": "last"}, 'frames "last" must be one of first'),
        ({"temporal": "gru"}, 'temporal "gru" must be'),
        ({"output": "median"}, 'output "median" must be'),
        ({"side": 0}, "must be at least 1"),
        ({"channels": (8, 16)}, "three channels"),
        ({"duration": 1, "frames": "first+second"}, "duration of at least 2"),
        ({"temporal": "cnn", "output": "mean_spike"}, "temporal cnn has none"),
        ({"temporal": "conv3d"}, "set both copies to false"),
        ({"temporal": "transformer", "hidden": 30}, "multiple of the transformer's 4 heads"),
    ],
)
def test_specifications_that_make_no_sense_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        SeenSpec(**values)


def test_all_frames_are_as_many_as_event_frames() -> None:
    with pytest.raises(NeuvaError, match=r"must be \[B, 3, 3, 20, 20\]"):
        SeenNet(small("C"))(*clips(frames=4))


def test_the_volume_is_three_convolutions_and_a_mean_over_time() -> None:
    net, (_, events) = built(small("I")), clips()
    x = events.transpose(1, 2)
    weights = dict(net.path.named_parameters())
    for index, stride in ((0, 2), (2, 2), (4, 4)):
        name = f"convolutions.{index}"
        x = torch.nn.functional.conv3d(
            x, weights[f"{name}.weight"], weights[f"{name}.bias"], (1, stride, stride), padding=1
        ).clamp(min=0)
    mean = sum(x[:, :, step] for step in range(3)) / 3
    torch.testing.assert_close(net.path(events.transpose(0, 1))[0], mean.flatten(1))
