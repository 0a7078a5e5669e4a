"""Pictures for SEEN: normalised, square, three equal channels; against the closed form and Pillow's resize."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neuva import NeuvaError
from snn.networks.seen import EVENT_MOMENTS, FRAME_MOMENTS, Moments, normalised


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_grey_becomes_three_equal_channels_with_the_published_moments() -> None:
    x = noise(2, 4, 90, 90)
    y = normalised(x, FRAME_MOMENTS)
    assert y.shape == (2, 4, 3, 90, 90)
    expected = (x.double() / 255 - 0.22616537) / 0.118931554
    for channel in range(3):
        torch.testing.assert_close(y[:, :, channel].double(), expected, rtol=1e-5, atol=1e-5)
    grey = normalised(torch.full((8, 8), 128, dtype=torch.uint8), EVENT_MOMENTS, 8)
    assert grey.unique().item() == pytest.approx((128 / 255 - 0.504413) / 0.06928615, rel=1e-4)


def test_bytes_and_shares_of_one_are_the_same_picture() -> None:
    x = noise(3, 20, 20)
    torch.testing.assert_close(normalised(x, FRAME_MOMENTS, 12), normalised(x.float() / 255, FRAME_MOMENTS, 12))


@pytest.mark.parametrize("size", [260, 64, 91])
def test_the_resize_is_pillows(size: int) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    x = noise(size, size)
    theirs = np.asarray(image.fromarray(x.numpy()).resize((90, 90), image.Resampling.BILINEAR), dtype=np.float32)
    ours = normalised(x, Moments(0, 1 / 255), 90)[0].numpy()
    assert np.abs(ours - theirs).max() <= 1.01  # Pillow rounds twice
    plain = torch.nn.functional.interpolate(x[None, None].float(), (90, 90), mode="bilinear")[0, 0].numpy()
    assert (np.abs(plain - theirs).max() > 3) == (size > 90)  # without smoothing it would be noticed


def test_of_a_wide_or_high_picture_the_middle_is_kept() -> None:
    x = noise(20, 30)
    assert torch.equal(normalised(x, FRAME_MOMENTS, 20), normalised(x[:, 5:25], FRAME_MOMENTS, 20))
    assert torch.equal(normalised(x.T, FRAME_MOMENTS, 20), normalised(x.T[5:25], FRAME_MOMENTS, 20))


def test_the_input_stays_as_it_is() -> None:
    x = noise(8, 8).float() / 255
    before = x.clone()
    normalised(x, EVENT_MOMENTS, 8)
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("grey", "message"),
    [
        (torch.zeros(8, 8, dtype=torch.int64), "must be uint8, or floats"),
        (torch.zeros(8), "with pixels"),
        (torch.zeros(0, 8, 8), "with pixels"),
    ],
)
def test_what_is_no_picture_is_refused(grey: torch.Tensor, message: str) -> None:
    with pytest.raises(NeuvaError, match=message):
        normalised(grey, EVENT_MOMENTS)
