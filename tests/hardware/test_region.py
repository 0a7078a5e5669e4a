"""Conformal regions: coverage by count, the Gaussian's closed form, and regions that would be wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.region import Region, calibrate
from neuva import NeuvaError

COVARIANCE = np.array([[0.04, 0.015], [0.015, 0.02]])


def residuals(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).multivariate_normal([0, 0], COVARIANCE, n)


def test_a_gaussian_gives_the_chi_square_ellipse() -> None:
    region = calibrate(np.zeros((40_000, 2)), residuals(40_000, 0), 0.9, clips=10)
    assert region.radius == pytest.approx(math.sqrt(-2 * math.log(0.1)), rel=0.02)
    assert region.area == pytest.approx(math.pi * -2 * math.log(0.1) * math.sqrt(np.linalg.det(COVARIANCE)), rel=0.03)
    held = region.holds(np.zeros((20_000, 2)), residuals(20_000, 1)).mean()
    assert held == pytest.approx(0.9, abs=0.01)


def test_coverage_is_exact_on_average_and_a_plain_quantile_falls_short() -> None:
    """With 9 labels the 9th smallest distance covers 90 % of new ones; the 8th, a plain quantile's, 80 %."""
    covered, short = [], []
    for seed in range(1500):
        points = residuals(10, seed)
        region = Region(np.linalg.inv(COVARIANCE), 1.0, 0.9, 1)
        far = np.sort(np.sqrt(np.einsum("ni,ij,nj->n", points[:9], region.precision, points[:9])))
        new = np.sqrt(points[9] @ region.precision @ points[9])
        covered.append(new <= far[math.ceil(10 * 0.9) - 1])
        short.append(new <= far[7])
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)
    assert np.mean(short) < 0.85


@settings(max_examples=50, deadline=None)
@given(st.integers(20, 300), st.floats(0.5, 0.94), st.integers(0, 10_000))
def test_it_holds_at_least_its_level_of_what_it_was_calibrated_on(n: int, level: float, seed: int) -> None:
    labels = residuals(n, seed)
    region = calibrate(np.zeros((n, 2)), labels, level, clips=3)
    share = region.holds(np.zeros((n, 2)), labels).mean()
    assert level <= share <= level + 2 / n + 1e-9


def test_estimates_shift_the_region() -> None:
    region = calibrate(np.zeros((100, 2)), residuals(100, 0), 0.8, clips=3)
    far = np.full((1, 2), 5.0)
    assert region.holds(far, far).all()
    assert not region.holds(np.zeros((1, 2)), far).any()


@pytest.mark.parametrize("points", [np.zeros((2, 2)), np.zeros((50, 2)), np.column_stack([np.arange(50.0)] * 2)])
def test_what_cannot_be_calibrated_is_refused(points: np.ndarray) -> None:
    with pytest.raises(NeuvaError, match=r"too few|on a line"):
        calibrate(np.zeros_like(points), points, 0.9, clips=1)


@pytest.mark.parametrize("precision", [np.eye(3), -np.eye(2), np.array([[1.0, 0.5], [0.0, 1.0]])])
def test_an_impossible_region_is_refused(precision: np.ndarray) -> None:
    with pytest.raises(NeuvaError, match="precision"):
        Region(precision, 1.0, 0.9, 1)
