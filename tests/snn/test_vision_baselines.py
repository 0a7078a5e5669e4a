from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neuva import NeuvaError, SettingError
from snn.baselines.estimators import (
    FrameEstimator,
    FusionEstimator,
    RecurrentEstimator,
    VideoEstimator,
    _every_frame,
)
from snn.baselines.inflated import InflatedConv, InflatedResNet
from snn.baselines.r3d import R3d, R3dSpec
from snn.baselines.resnet import ResNet, ResNetSpec
from snn.baselines.vit import Vit, VitSpec
from snn.baselines.weights import fill

RESNET = ResNetSpec(stem=4, widths=(4, 6), depths=(1, 2))
VIT = VitSpec(picture=16, patch=8, width=12, layers=1, heads=2, mlp=16)
R3D = R3dSpec(widths=(4, 6, 8), depths=(1, 1, 1))
ESTIMATORS = {
    "vit": lambda: FrameEstimator(Vit(VIT)),
    "resnet": lambda: FrameEstimator(ResNet(RESNET)),
    "fusion": lambda: FusionEstimator(ResNet(RESNET), frames=3, hidden=5),
    "lstm": lambda: RecurrentEstimator(ResNet(RESNET), hidden=5),
    "ic3d": lambda: VideoEstimator(InflatedResNet(ResNet(RESNET))),
    "r3d": lambda: VideoEstimator(R3d(R3D)),
}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def count(net: nn.Module) -> int:
    return sum(each.numel() for each in net.parameters())


@pytest.mark.parametrize(
    ("build", "published"),
    [
        (lambda: ResNet(ResNetSpec()), 11_689_512 - 512 * 1000 - 1000),  # torchvision's resnet18 without its classifier
        (lambda: R3d(R3dSpec()), 33_371_472 - 512 * 400 - 400),  # torchvision's r3d_18 without its classifier
        (lambda: Vit(VitSpec()), 86_567_656 - 768 * 1000 - 1000),  # torchvision's vit_b_16 without its classifier
    ],
    ids=["resnet18", "r3d-18", "vit-b-16"],
)
def test_parameters_are_as_many_as_published(build, published):
    with torch.device("meta"):
        assert count(build()) == published


def test_inflation_makes_resnet18_larger_in_its_convolutions_alone():
    with torch.device("meta"):
        flat, inflated = ResNet(ResNetSpec()), None
        added = sum(
            conv.weight.numel() * (conv.kernel_size[0] - 1) for conv in flat.modules() if isinstance(conv, nn.Conv2d)
        )
        flat_count = count(flat)
        inflated = InflatedResNet(flat)
    assert count(inflated) == flat_count + added


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("frames", [1, 5])
def test_every_frame_has_an_estimate_and_every_weight_a_gradient(name, frames):
    net = ESTIMATORS[name]()
    estimates = net(torch.rand(2, frames, 1, 16, 16))
    assert estimates.shape == (2, frames, 2)
    (estimates * torch.randn_like(estimates)).sum().backward()
    silent = [
        key
        for key, each in net.named_parameters()
        if (each.grad is None or not each.grad.abs().sum() > 0)
        and "key.bias" not in key  # softmax does not see what is added to all scores of a query
        and "k_proj.bias" not in key
        and not (frames == 1 and key == "memory.weight_hh_l0")  # there is no step before
    ]
    assert silent == []


@pytest.mark.parametrize(("name", "reach"), [("vit", 1), ("resnet", 1), ("fusion", 3), ("lstm", 6)])
def test_an_estimate_hears_its_own_frame_and_those_just_before(name, reach):
    net, x = ESTIMATORS[name]().eval(), torch.rand(1, 6, 1, 16, 16)
    before = net(x)
    x[:, 2] = torch.rand(16, 16)
    moved = (net(x) - before)[0].abs().sum(1) > 1e-7
    assert moved.tolist() == [2 <= t < 2 + reach for t in range(6)]


def test_fusion_repeats_the_first_frame():
    net, x = FusionEstimator(ResNet(RESNET), frames=3, hidden=5).eval(), torch.rand(1, 4, 1, 16, 16)
    longer = net(torch.cat([x[:, :1], x[:, :1], x], dim=1))
    assert torch.allclose(net(x), longer[:, 2:], atol=1e-6)


def test_an_inflated_network_gives_of_a_still_clip_what_the_picture_gives():
    resnet = ResNet(RESNET)
    for norm in resnet.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.3, 0.3), norm.running_var.uniform_(0.5, 2), norm.weight.data.uniform_(0.5, 2)
    picture = torch.rand(2, 3, 32, 32)
    wanted = resnet.eval()(picture)
    inflated = InflatedResNet(resnet).eval()
    for frames in (1, 2, 7):
        given = inflated(picture[:, :, None].expand(-1, -1, frames, -1, -1))
        assert given.shape == (2, 6, frames)
        assert torch.allclose(given, wanted[..., None].expand_as(given), atol=1e-5)


def test_inflation_without_the_ends_or_the_share_is_another_function():
    conv = nn.Conv2d(2, 3, 3, 2, 1, bias=True)
    inflated, picture = InflatedConv(conv), torch.rand(1, 2, 9, 9)
    clip, wanted = picture[:, :, None].expand(-1, -1, 4, -1, -1), conv(picture)[:, :, None].expand(-1, -1, 4, -1, -1)
    assert torch.allclose(inflated(clip), wanted, atol=1e-6)
    zero_padded = F.conv3d(clip, inflated.weight, inflated.bias, (1, 2, 2), 1)
    undivided = F.conv3d(
        F.pad(clip, (0, 0, 0, 0, 1, 1), mode="replicate"), 3 * inflated.weight, inflated.bias, (1, 2, 2), (0, 1, 1)
    )
    for wrong in (zero_padded, undivided):
        assert wrong.shape == wanted.shape
        assert not torch.allclose(wrong, wanted, atol=1e-3)


def test_r3d_thins_time_and_its_estimates_are_joined_by_lines():
    net = VideoEstimator(R3d(R3D)).eval()
    x = torch.rand(1, 8, 1, 16, 16)
    features = net.backbone(x.expand(-1, -1, 3, -1, -1).transpose(1, 2))
    assert features.shape == (1, 8, 2)  # 8 frames, halved twice
    at = net.head(features.transpose(1, 2))[0]
    share = torch.tensor([0, 0.25, 0.5, 0.75, 1, 1, 1, 1])[:, None]  # features of frames 0 and 4, held afterwards
    assert torch.allclose(net(x)[0], at[0] * (1 - share) + at[1] * share, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 8, 9, 13, 21])
def test_r3d_estimates_stand_at_their_frames_however_long_the_clip(frames):
    given = torch.randn(1, -(-frames // 4), 2)
    wanted = [np.interp(range(frames), range(0, frames, 4), line) for line in given[0].T.numpy()]
    assert np.allclose(_every_frame(given, frames, 4)[0].T, wanted, atol=1e-6)
    if frames > 4:  # stretched over the clip, the estimates come late
        stretched = F.interpolate(given.transpose(1, 2), frames, mode="linear")[0]
        assert not np.allclose(stretched, wanted, atol=1e-2)


def test_an_r3d_feature_lies_in_the_middle_of_the_frames_it_sees():
    net, x = R3d(R3D).eval(), torch.rand(1, 3, 41, 16, 16, requires_grad=True)
    net(x)[0, :, 5].sum().backward()
    seen = x.grad.abs().sum((0, 1, 3, 4)).nonzero()[:, 0]
    assert net.step == 4
    assert (seen[0] + seen[-1]) / 2 == 5 * net.step
    assert len(seen) > 2 * net.step


def test_weights_are_filled_by_name_with_or_without_their_prefix():
    one, other = ResNet(RESNET), ResNet(RESNET)
    given = {f"resnet.{name}": tensor for name, tensor in one.net.state_dict().items() if "num_batches" not in name}
    fill(other.net, {**given, "classifier.1.weight": torch.zeros(3)}, "resnet.", "w.pt")
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(one.eval()(x), other.eval()(x))
    fill(ResNet(RESNET).net, one.net.state_dict(), "resnet.", "w.pt")


def test_weights_that_do_not_fit_are_refused():
    net = ResNet(RESNET).net
    with pytest.raises(NeuvaError, match=r"w.pt: lacks .* of .*leave them out"):
        fill(net, {"else": torch.zeros(1)}, "resnet.", "w.pt")
    wrong = {**net.state_dict(), "embedder.embedder.convolution.weight": torch.zeros(4, 1, 7, 7)}
    with pytest.raises(NeuvaError, match=r"w.pt: embedder.* is \[4, 1, 7, 7\], the network's is \[4, 3, 7, 7\]"):
        fill(net, wrong, "resnet.", "w.pt")


def test_patches_and_heads_must_fit():
    with pytest.raises(SettingError, match="patches of 5 must tile a picture of 16"):
        VitSpec(picture=16, patch=5)
