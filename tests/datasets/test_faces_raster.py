"""Pixel coverage: against the closed form, against OpenCV's at high resolution, and a variant that must fail."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.faces.raster import coverage, disc, fill, fill_inside, stroke


def _polygon(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radius = rng.uniform(3, 11, 9)
    return (12 + np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)).astype(np.float32)


def _area(points: np.ndarray) -> float:
    x, y = points.T.astype(float)
    return 0.5 * abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


@pytest.mark.parametrize("seed", range(8))
def test_coverage_is_the_area_and_agrees_with_a_fine_grid(seed):
    points = _polygon(seed)
    exact = coverage(points, 25, 25, 0, 0)
    assert exact.sum() == pytest.approx(_area(points), rel=1e-4)
    fine = np.zeros((25 * 32, 25 * 32), np.uint8)
    cv2.fillPoly(fine, [np.rint(((points + 0.5) * 32 - 0.5) * 64).astype(np.int32)], 255, cv2.LINE_8, 6)
    blocks = fine.reshape(25, 32, 25, 32).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(exact, blocks, atol=0.06)


@given(st.floats(0, 3), st.floats(0, 3), st.floats(0.05, 9), st.floats(0.05, 9))
def test_a_rectangle_covers_what_it_covers(x, y, w, h):
    points = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], np.float32)

    def share(start, length):
        edge = np.arange(15) - 0.5
        return np.clip(np.minimum(edge + 1, start + length) - np.maximum(edge, start), 0, 1)

    np.testing.assert_allclose(coverage(points, 15, 15, 0, 0), np.outer(share(y, h), share(x, w)), atol=1e-4)


def test_a_shape_half_outside_the_image_is_cut():
    image = np.zeros((20, 20), np.float32)
    fill(image, disc(np.array([0.0, 25.0]), 12.0), 1.0)
    wide = coverage(disc(np.array([0.0, 25.0]), 12.0), 80, 80, -30, -5)
    np.testing.assert_allclose(image, wide[5:25, 30:50], atol=1e-5)
    fill(image, disc(np.array([90.0, 90.0]), 3.0), 1.0)
    assert image[19, 19] == 0


def _largest_step(draw) -> float:
    """Largest change of a pixel while a small box climbs one pixel in a hundred steps."""
    box = np.array([(4.2, 4.3), (9.4, 4.3), (9.4, 6.1), (4.2, 6.1)], np.float32)
    pictures = np.stack([draw(box + np.array([0, s], np.float32)) for s in np.linspace(0, 1, 101)])
    return float(np.abs(np.diff(pictures, axis=0)).max())


def test_motion_is_smooth_where_opencv_polygons_jump():
    def ours(points):
        image = np.zeros((16, 16), np.float32)
        fill(image, points, 1.0)
        return image

    def opencv(points):
        image = np.zeros((16, 16), np.uint8)
        cv2.fillPoly(image, [np.rint(points * 64).astype(np.int32)], 255, cv2.LINE_AA, 6)
        return image / 255

    assert _largest_step(ours) < 0.011
    assert _largest_step(opencv) > 0.2


def test_strokes_have_their_width_and_clips_hold():
    image = np.zeros((30, 30), np.float32)
    stroke(image, np.array([(5, 15.3), (15, 15.3), (25, 15.3)], np.float32), 2.4, 1.0, 0.5)
    assert image.sum() == pytest.approx(20 * 2.4 * 0.5, rel=1e-3)
    inside = np.zeros((30, 30), np.float32)
    clip = disc(np.array([12.0, 12.0]), 4.0)
    fill_inside(inside, disc(np.array([12.0, 12.0]), 9.0), 1.0, clip)
    assert inside.sum() == pytest.approx(_area(clip), rel=1e-3)
