"""The sequence model: padding that changes nothing, causal TCNs, scales, gradients; and the losses with masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from neuva import NeuvaError
from snn.baselines.sequence import OUTPUTS, SequenceNet, SequenceSpec
from snn.losses import class_loss, concordance_loss, unit_loss

SPEC = SequenceSpec((6, 4), 3, 8, 2, 2, 0.1)
MODALITIES = {"face": 5, "sound": 3}


def model(task: str = "expression") -> SequenceNet:
    torch.manual_seed(0)
    return SequenceNet(task, MODALITIES, SPEC)  # type: ignore[arg-type]


def features(windows: int = 2, frames: int = 20) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(windows, frames, width, generator=generator) for name, width in MODALITIES.items()}


def all_there(windows: int = 2, frames: int = 20) -> torch.Tensor:
    return torch.ones(windows, frames, dtype=torch.bool)


@pytest.mark.parametrize("task", OUTPUTS)
def test_every_frame_gets_what_its_task_asks_for(task: str) -> None:
    assert model(task)(features(), all_there()).shape == (2, 20, OUTPUTS[task])  # type: ignore[index]


@pytest.mark.parametrize(("training", "gradient"), [(False, True), (True, True), (False, False)])
def test_padding_changes_nothing(training: bool, gradient: bool) -> None:
    """A short window alone, and the same one padded with anything; without gradient torch takes another way."""
    net, x = model().train(training), features(1, 12)
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout | torch.nn.MultiheadAttention):
            module.p = module.dropout = 0.0  # type: ignore[assignment]
    padded = {name: torch.cat([rows, 100 * torch.ones(1, 8, rows.shape[-1])], 1) for name, rows in x.items()}
    mask = all_there(1)
    mask[:, 12:] = False
    with torch.set_grad_enabled(gradient):
        alone, within = net(x, all_there(1, 12)), net(padded, mask)
        assert torch.allclose(alone[0], within[0, :12], atol=1e-5)
        assert not within[0, 12:].any()
        assert not torch.allclose(net(padded, all_there(1))[0, :12], alone[0], atol=1e-2)  # the mask does it


def test_padding_gets_no_gradient() -> None:
    net, x, mask = model(), features(), all_there()
    mask[1, 7:] = False
    for rows in x.values():
        rows.requires_grad_()
    net(x, mask)[mask].square().sum().backward()
    for rows in x.values():
        assert rows.grad is not None
        assert rows.grad[mask].abs().sum(-1).min() > 0
        assert not rows.grad[1, 7:].any()


def test_the_tcns_look_back_alone_and_the_transformer_both_ways() -> None:
    net, x = model().eval(), features()
    later = {name: rows.clone() for name, rows in x.items()}
    for rows in later.values():
        rows[:, 10:] += 1
    before, after = (net.tcns["face"](each["face"].transpose(1, 2)) for each in (x, later))
    assert torch.allclose(before[..., :10], after[..., :10], atol=1e-6)
    assert not torch.allclose(before[..., 10:], after[..., 10:])
    with torch.no_grad():
        assert not torch.allclose(net(x, all_there())[:, :10], net(later, all_there())[:, :10])


def test_the_tcn_sees_as_far_as_its_dilations() -> None:
    """Two blocks of two convolutions of 3 frames, dilated by 1 and by 2: 1 + 2 (2 + 4) = 13 frames."""
    net = model().eval()
    x = features(1, 30)["face"].transpose(1, 2).requires_grad_()
    net.tcns["face"](x)[0, :, 20].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(0).nonzero().flatten()
    assert (seen.min(), seen.max()) == (20 - 12, 20)


def test_the_scale_is_the_training_frames_and_travels_with_the_weights() -> None:
    net, x = model(), features()
    rows = {name: 3 * each.flatten(0, 1) + 5 for name, each in x.items()}
    net.scale_to(rows)
    scaled = net.scales["face"](rows["face"])
    assert torch.allclose(scaled.mean(0), torch.zeros(5), atol=1e-5)
    assert torch.allclose(scaled.std(0, correction=0), torch.ones(5), atol=1e-5)
    other = model()
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.eval()(x, all_there()), net.eval()(x, all_there()))
    net.scale_to({"sound": torch.ones(9, 3)})  # constant in training: another value must not burst
    assert torch.equal(net.scales["sound"](torch.full((1, 3), 3.0)), torch.full((1, 3), 2.0))


def test_a_batch_of_one_frame_trains() -> None:
    mask = all_there(1)
    mask[:, 1:] = False
    net = model().train()
    net(features(1), mask).square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_the_gradient_reaches_every_weight() -> None:
    net = model("action_units")
    net(features(), all_there()).square().sum().backward()
    still = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    assert still <= {"head.0.bias"}  # the norm behind it takes away what all frames have


def test_it_learns_to_tell_what_came_before() -> None:
    """The class is the sign of a value three frames ago: no frame alone tells."""
    torch.manual_seed(0)
    net = SequenceNet("expression", {"face": 1}, SequenceSpec((8, 8), 3, 16, 2, 1))
    x = torch.randn(16, 24, 1)
    classes = torch.cat([torch.full((16, 3), -1), (x[:, :-3, 0] > 0).long()], 1)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    for _ in range(40):
        loss = class_loss(net({"face": x}, all_there(16, 24)), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3  # chance: 0.69


@pytest.mark.parametrize("wrong", [{"channels": ()}, {"kernel": 0}, {"heads": 3}, {"dropout": 1.0}, {"layers": 0}])
def test_sizes_that_do_not_fit_are_refused(wrong: dict) -> None:
    with pytest.raises(NeuvaError):
        SequenceSpec(**wrong)


def test_classes_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [9.0, 9.0, -9.0]])
    expected = (-np.log(np.exp(2) / (np.exp(2) + 2)) + np.log(3)) / 2
    assert class_loss(logits, torch.tensor([0, 1, -1])).item() == pytest.approx(expected, rel=1e-5)
    windows = class_loss(logits.view(1, 3, 3), torch.tensor([[0, 1, -1]], dtype=torch.int8))
    assert windows.item() == pytest.approx(expected, rel=1e-5)
    assert F.cross_entropy(logits, torch.tensor([0, 1, -1]), ignore_index=-1).item() == pytest.approx(
        expected, rel=1e-5
    )


def test_units_by_hand() -> None:
    logits = torch.tensor([[0.0, 3.0], [1.0, -50.0]])
    units = torch.tensor([[1, 0], [0, -1]], dtype=torch.int8)
    expected = (np.log(2) + np.log(1 + np.exp(3)) + np.log(1 + np.exp(1))) / 3
    assert unit_loss(logits, units).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [class_loss, unit_loss])
def test_where_nothing_is_valid_the_loss_is_zero_and_so_is_its_gradient(loss) -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    value = loss(logits, torch.full((4, 3) if loss is unit_loss else (4,), -1))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_concordance_takes_windows_and_their_mask() -> None:
    """1 - CCC of the valid frames of all windows together, by its formula."""
    rng = np.random.default_rng(0)
    p, t, mask = rng.normal(size=(3, 10, 2)), rng.normal(size=(3, 10, 2)), rng.random((3, 10)) < 0.7
    expected = np.mean(
        [
            1 - 2 * np.cov(p[mask][:, k], t[mask][:, k], ddof=0)[0, 1]
            / (p[mask][:, k].var() + t[mask][:, k].var() + (p[mask][:, k].mean() - t[mask][:, k].mean()) ** 2)
            for k in (0, 1)
        ]
    )  # fmt: skip
    given = concordance_loss(torch.from_numpy(p), torch.from_numpy(t), torch.from_numpy(mask))
    assert given.item() == pytest.approx(expected, rel=1e-9)
