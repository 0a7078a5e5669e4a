"""SEEN against a plain reference written from the published description, step by step, that shares no code with it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from neuva import NeuvaError
from snn import kernels
from snn.macs import count_macs
from snn.networks.seen import NEURON, SeenNet, SeenSpec, lif

SMALL = SeenSpec(side=24, channels=(8, 16, 32), hidden=16, duration=4)


class Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(v)
        return (v >= 0.3).to(v.dtype)

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> torch.Tensor:
        (v,) = ctx.saved_tensors
        return grad * ((v - 0.3).abs() < 0.5)


def update(v: torch.Tensor, s: torch.Tensor, x: torch.Tensor, wrong: str) -> tuple[torch.Tensor, torch.Tensor]:
    s = s.detach() if wrong == "no gradient through the reset" else s
    v = (v - 0.3 * s) * 0.2 + x if wrong == "reset by subtraction" else v * 0.2 * (1 - s) + x
    return v, Fire.apply(v)


def reference(p: dict[str, torch.Tensor], frames: torch.Tensor, events: torch.Tensor, wrong: str = "") -> torch.Tensor:
    """Logits by the published description; `wrong` names a mistake to be made."""
    pyramid = "spatial.pyramid."
    copied = {
        name: p[f"{pyramid}{name}.weight"]
        if wrong == "gradient through the copy"
        else p[f"{pyramid}{name}.weight"].detach().clone()
        for name in ("scales.0", "scales.1", "scales.2", "fuse", "second", "third")
    }

    def conv(name: str, x: torch.Tensor, **how: int) -> torch.Tensor:
        return F.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"], **how)

    def copy(name: str, x: torch.Tensor, **how: int) -> torch.Tensor:
        bias = p[f"{pyramid}{name}.bias"].detach() if wrong == "biases copied" else None
        return F.conv2d(x, copied[name], bias, **how)

    x = conv("spatial.merge", torch.cat([frames[:, 0], frames[:, -1]], 1))
    scales = [conv(f"{pyramid}scales.{i}", x, stride=2, padding=i + 1) for i in range(3)]
    logits = []
    for i, scale in enumerate(scales):
        a = conv(f"spatial.attention.{i}.1", scale.mean((2, 3), keepdim=True))
        a = F.batch_norm(
            a, None, None, p[f"spatial.attention.{i}.2.weight"], p[f"spatial.attention.{i}.2.bias"], training=True
        )
        logits.append(conv(f"spatial.attention.{i}.4", F.relu(a)))
    w = torch.cat(logits, 1).softmax(1)
    x = conv(pyramid + "fuse", torch.cat([w[:, i : i + 1] * scale for i, scale in enumerate(scales)], 1))
    x = conv(pyramid + "third", conv(pyramid + "second", x, stride=2, padding=1), stride=4, padding=1)
    js = Fire.apply(x.flatten(1))

    w = torch.full_like(w, 1 / 3) if wrong == "attention not copied" else w.detach()
    zero = torch.zeros(())
    v1 = s1 = v2 = s2 = v3 = s3 = vh = sh = vo = so = zero
    total = torch.zeros(len(frames), 7)
    for step in range(events.shape[1]):
        e = events[:, step]
        parts = [w[:, i : i + 1] * copy(f"scales.{i}", e, stride=2, padding=i + 1) for i in range(3)]
        v1, s1 = update(v1, s1, copy("fuse", torch.cat(parts, 1)), wrong)
        v2, s2 = update(v2, s2, copy("second", s1, stride=2, padding=1), wrong)
        v3, s3 = update(v3, s3, copy("third", s2, stride=4, padding=1), wrong)
        x = s3.flatten(1) + js if wrong != "no spiking addition" else s3.flatten(1)
        vh, sh = update(vh, sh, F.linear(x, p["head.fc1.weight"], p["head.fc1.bias"]), wrong)
        vo, so = update(vo, so, F.linear(sh, p["head.fc2.weight"], p["head.fc2.bias"]), wrong)
        total = total + (vo * (1 - so) if wrong == "membrane after the reset" else vo)
    return total / events.shape[1]


def active(spec: SeenSpec) -> SeenNet:
    """A network whose populations all fire, but not always: at torch's own start they are silent."""
    torch.manual_seed(0)
    net = SeenNet(spec)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.weight *= 2.5
    return net


def clips(spec: SeenSpec, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    shape = (3, spec.side, spec.side)
    return (torch.randn(batch, n, *shape, generator=g) for n in (2, spec.duration))  # type: ignore[return-value]


def outcome(run, parameters: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits and the gradients of a loss by all parameters."""
    logits = run()
    loss = F.cross_entropy(logits, torch.tensor([0, 3, 6]))
    grads = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return logits, {
        name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(parameters.items(), grads, strict=True)
    }


@pytest.fixture(scope="module")
def ours() -> tuple[SeenNet, torch.Tensor, torch.Tensor]:
    return active(SMALL), *clips(SMALL)


def test_logits_and_gradients_are_the_plain_references(ours) -> None:
    net, frames, events = ours
    parameters = dict(net.named_parameters())
    logits, grads = outcome(lambda: net(frames, events), parameters)
    expected, expected_grads = outcome(lambda: reference(parameters, frames, events), parameters)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(grads, expected_grads, rtol=1e-4, atol=1e-6)
    # a bias right before normalisation has no gradient but by rounding
    moved = [name for name, grad in grads.items() if grad.abs().max() > 1e-6]
    assert set(parameters) - set(moved) <= {f"spatial.attention.{i}.1.bias" for i in range(3)} | {
        f"spatial.attention.{i}.4.bias" for i in range(3)
    }
    assert logits.std(0).min() > 0.01


@pytest.mark.parametrize(
    "wrong",
    [
        "gradient through the copy",
        "no gradient through the reset",
        "reset by subtraction",
        "biases copied",
        "attention not copied",
        "no spiking addition",
        "membrane after the reset",
    ],
)
def test_a_wrong_variant_would_be_noticed(ours, wrong: str) -> None:
    net, frames, events = ours
    parameters = dict(net.named_parameters())
    logits, grads = outcome(lambda: net(frames, events), parameters)
    others, other_grads = outcome(lambda: reference(parameters, frames, events, wrong), parameters)
    if wrong in ("gradient through the copy", "no gradient through the reset"):
        torch.testing.assert_close(logits, others, rtol=1e-5, atol=1e-6)
    else:
        assert (logits - others).abs().max() > 1e-3
    assert max((grads[name] - other_grads[name]).abs().max() for name in grads) > 1e-3


def test_convolutions_learn_through_the_frames_alone(ours) -> None:
    net, frames, events = ours
    with torch.no_grad():
        cut = net.path(events.movedim(1, 0), net.spatial.pyramid, net.spatial(frames)[1])
    assert 0.05 < cut.mean() < 0.95
    convolutions = dict(net.spatial.named_parameters())
    whole = outcome(lambda: net(frames, events), convolutions)[1]

    def without_path() -> torch.Tensor:
        return net.head(cut + lif(net.spatial(frames)[0].flatten(1)[None])[0])

    torch.testing.assert_close(whole, outcome(without_path, convolutions)[1], rtol=1e-5, atol=1e-7)
    assert whole["pyramid.second.weight"].abs().max() > 1e-4


def test_own_weights_learn_through_the_spikes_and_the_attention_still_does_not() -> None:
    spec = replace(SMALL, weight_copy=False)
    net, (_, events) = active(spec), clips(spec)
    weights = torch.full((3, 3), 1 / 3, requires_grad=True)
    net.path(events.movedim(1, 0), net.spatial.pyramid, weights).sum().backward()
    assert weights.grad is None
    assert all(p.grad is not None and p.grad.any() for p in net.path.parameters())
    assert all(p.grad is None for p in net.spatial.parameters())


def test_the_copy_follows_the_weights(ours) -> None:
    net, events = active(SMALL), ours[2]
    with torch.no_grad():
        before = net.path(events.movedim(1, 0), net.spatial.pyramid, torch.full((3, 3), 1 / 3))
        net.spatial.pyramid.third.weight.neg_()
        after = net.path(events.movedim(1, 0), net.spatial.pyramid, torch.full((3, 3), 1 / 3))
    assert not torch.equal(before, after)


@pytest.mark.parametrize(("duration", "giga"), [(4, 0.907), (7, 1.454), (13, 2.548)])
def test_it_has_the_published_size(duration: int, giga: float) -> None:
    net = SeenNet(SeenSpec(duration=duration)).eval()
    assert sum(p.numel() for p in net.parameters()) == 6_078_655
    macs = count_macs(net, torch.empty(1, 2, 3, 90, 90), torch.empty(1, duration, 3, 90, 90))
    assert round(macs / 1e9, 3) == giga
    pictures = 3 * 64 * (9 + 25 + 49) * 45**2 + 192 * 64 * 45**2 + 64 * 256 * 9 * 23**2 + 256 * 512 * 9 * 6**2
    attention, merge, dense = 3 * (64 * 8 + 8), 18 * 90**2, 18_432 * 256 + 256 * 7
    assert macs == (duration + 1) * pictures + attention + merge + duration * dense


def test_a_clip_starts_from_zero_and_knows_nothing_of_its_neighbours(ours) -> None:
    net, (frames, events) = active(SMALL).eval(), ours[1:]
    with torch.no_grad():
        together = net(frames, events)
        torch.testing.assert_close(net(frames, events), together)
        torch.testing.assert_close(net(frames[:1], events[:1]), together[:1])


def test_the_neuron_does_what_is_counted_by_hand() -> None:
    spikes, membranes = lif(torch.tensor([0.2, 0.3, 0.1, 0.25, 0.0, -1.0])[:, None])
    assert membranes.flatten().tolist() == pytest.approx([0.2, 0.34, 0.1, 0.27, 0.054, -0.9892])
    assert spikes.flatten().tolist() == [0, 1, 0, 0, 0, 0]
    assert lif(torch.full((1, 1), 0.3))[0].item() == 1  # fires at the threshold


def test_the_neuron_sends_what_the_kernel_and_sinabs_send() -> None:
    from sinabs.activation import MembraneReset, SingleSpike
    from sinabs.layers import LIF

    x = torch.randn(30, 4, 50, generator=torch.Generator().manual_seed(2)) * 0.4
    spikes, membranes = lif(x)
    assert 0.1 < spikes.mean() < 0.5
    sent, (_, v) = kernels.run(NEURON, x)
    assert torch.equal(spikes, sent)
    assert torch.equal(v, membranes[-1] * (1 - spikes[-1]))
    theirs = LIF(
        -1 / math.log(0.2),
        spike_threshold=torch.tensor(0.3),
        spike_fn=SingleSpike,
        reset_fn=MembraneReset(),
        norm_input=False,
    )
    assert torch.equal(spikes, theirs(x.transpose(0, 1)).transpose(0, 1))


@pytest.mark.parametrize(
    ("frames", "events", "message"),
    [
        ((2, 2, 3, 24, 24), (2, 5, 3, 24, 24), r"events .* must be \[B, 4, 3, 24, 24\]"),
        ((2, 2, 3, 24, 24), (2, 4, 1, 24, 24), "events"),
        ((2, 1, 3, 24, 24), (2, 4, 3, 24, 24), r"frames .* must be \[B, 2 or more"),
        ((2, 2, 3, 24, 20), (2, 4, 3, 24, 24), "frames"),
        ((3, 24, 24), (2, 4, 3, 24, 24), "frames"),
        ((3, 2, 3, 24, 24), (2, 4, 3, 24, 24), "3 clips of frames and 2 of events"),
        ((1, 2, 3, 24, 24), (1, 4, 3, 24, 24), "batch of 1 clip"),
    ],
)
def test_input_of_another_shape_is_refused(ours, frames, events, message: str) -> None:
    with pytest.raises(NeuvaError, match=message):
        ours[0](torch.zeros(frames), torch.zeros(events))


def test_it_learns_what_frames_and_events_show() -> None:
    torch.manual_seed(0)
    net = SeenNet(SeenSpec(side=16, channels=(8, 16, 32), hidden=32))
    optimiser = torch.optim.SGD(net.parameters(), 0.1, 0.9, weight_decay=1e-3)
    labels, g, losses = torch.arange(14) % 7, torch.Generator().manual_seed(1), []
    for _ in range(120):
        frames, events = (0.3 * torch.randn(14, n, 1, 16, 16, generator=g) for n in (2, 4))
        for i, label in enumerate(labels.tolist()):
            frames[i, ..., 2 * label : 2 * label + 3] += 2
            events[i, ..., 2 * label : 2 * label + 3, :] += 2
        loss = F.cross_entropy(net(frames.expand(-1, -1, 3, -1, -1), events.expand(-1, -1, 3, -1, -1)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(7), rel=0.02)
    assert sum(losses[-10:]) / 10 < 0.3 * losses[0]
