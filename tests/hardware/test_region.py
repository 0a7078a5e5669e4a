"""Conformal regions: what they hold of new people's labels, the Gaussian's closed form, and ways that fall short."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hardware.region import Region, calibrate, distance, fewest
from neuva import NeuvaError

COVARIANCE = np.array([[0.04, 0.015], [0.015, 0.02]])
LEVEL, REPEATS = 0.9, 1000
FALSE_ALARM = 4 * math.sqrt(LEVEL * (1 - LEVEL) / REPEATS)
"""Four standard deviations of a share of `REPEATS` people: chance alone goes beyond in 1 of 30,000 tests."""


def people(count: int, labels: int, seed: int) -> np.ndarray:
    """Residuals [count, labels, 2]: those of one person lie around an offset of that person."""
    random = np.random.default_rng(seed)
    draw = np.linalg.cholesky(COVARIANCE)
    return (random.normal(size=(count, 1, 2)) + 0.3 * random.normal(size=(count, labels, 2))) @ draw.T


def flat(residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimates, labels and whose they are."""
    count, labels = residuals.shape[:2]
    rows = residuals.reshape(-1, 2)
    return np.zeros_like(rows), rows, np.repeat(np.arange(count), labels)


def pooled(residuals: np.ndarray) -> Region:
    """The wrong way: shape and quantile from the same residuals, each label taken for a draw of its own."""
    _, rows, _ = flat(residuals)
    precision = np.linalg.inv(np.cov(rows, rowvar=False))
    ranked = np.sort(distance(rows, precision))
    return Region(precision, ranked[min(math.ceil((len(rows) + 1) * LEVEL), len(rows)) - 1], LEVEL, 1)


def coverage(make, count: int, labels: int) -> float:
    """Share of `REPEATS` new people of whom a region, made anew each time, holds a label."""
    held = 0
    for seed in range(REPEATS):
        residuals = people(count + 1, labels, seed)
        held += make(residuals[:-1]).holds(np.zeros((1, 2)), residuals[-1, :1])[0]
    return held / REPEATS


@pytest.mark.parametrize(("count", "labels"), [(fewest(LEVEL), 8), (12, 1), (20, 1), (40, 8)])
def test_it_holds_at_least_its_level_of_new_peoples_labels(count: int, labels: int) -> None:
    found = coverage(lambda residuals: calibrate(*flat(residuals), LEVEL), count, labels)
    kept = count - min(count // 2, count - fewest(LEVEL) + 1)
    assert LEVEL - FALSE_ALARM <= found <= LEVEL + 2 / (kept + 1) + FALSE_ALARM


@pytest.mark.parametrize(("count", "labels"), [(9, 1), (12, 8)])
def test_pooled_labels_fall_short(count: int, labels: int) -> None:
    assert coverage(pooled, count, labels) < LEVEL - FALSE_ALARM


def test_people_count_alike_however_many_labels_they_have() -> None:
    """One of 30 people has most labels, all far off: each of the 15 that make the radius weighs 1 / 16."""
    residuals = people(30, 4, 0)
    estimates, labels, group = flat(residuals)
    many = np.full((5000, 2), 9.0)
    found = calibrate(
        np.concatenate([estimates, np.zeros_like(many)]),
        np.concatenate([labels, many]),
        np.concatenate([group, np.full(len(many), 29)]),
        0.8,
    )
    assert found.radius < distance(many[:1], found.precision)[0]
    assert found.groups == 30


def test_a_gaussian_gives_the_chi_square_ellipse() -> None:
    residuals = np.random.default_rng(0).multivariate_normal([0, 0], COVARIANCE, 40_000)
    region = calibrate(np.zeros_like(residuals), residuals, np.arange(40_000), LEVEL)
    assert region.radius == pytest.approx(math.sqrt(-2 * math.log(0.1)), rel=0.02)
    assert region.area == pytest.approx(math.pi * -2 * math.log(0.1) * math.sqrt(np.linalg.det(COVARIANCE)), rel=0.03)


@pytest.mark.parametrize(("level", "groups"), [(0.9, 10), (0.8, 5), (0.5, 2), (0.95, 20)])
def test_fewer_people_have_no_finite_region(level: float, groups: int) -> None:
    assert fewest(level) == groups
    enough = flat(people(groups, 5, 0))
    assert math.isfinite(calibrate(*enough, level).radius)
    with pytest.raises(NeuvaError, match=f"at least {groups} people .* here are {groups - 1}: calibrate on more"):
        calibrate(*flat(people(groups, 5, 0)[1:]), level)


def test_estimates_shift_the_region_and_the_order_of_people_does_not() -> None:
    estimates, labels, group = flat(people(20, 5, 0))
    region = calibrate(estimates, labels, group, 0.8)
    assert calibrate(estimates + 3, labels + 3, group, 0.8).radius == pytest.approx(region.radius)
    assert calibrate(estimates, labels[::-1], group[::-1], 0.8).radius == pytest.approx(region.radius)
    far = np.full((1, 2), 5.0)
    assert region.holds(far, far).all()
    assert not region.holds(np.zeros((1, 2)), far).any()


@pytest.mark.parametrize("points", [np.zeros((50, 2)), np.column_stack([np.arange(50.0)] * 2)])
def test_residuals_on_a_line_are_refused(points: np.ndarray) -> None:
    with pytest.raises(NeuvaError, match=r"on a line"):
        calibrate(np.zeros_like(points), points, np.arange(50), LEVEL)


@pytest.mark.parametrize("precision", [np.eye(3), -np.eye(2), np.array([[1.0, 0.5], [0.0, 1.0]])])
def test_an_impossible_region_is_refused(precision: np.ndarray) -> None:
    with pytest.raises(NeuvaError, match="precision"):
        Region(precision, 1.0, 0.9, 1)


def test_plain_values_come_back_and_others_are_refused() -> None:
    region = calibrate(*flat(people(20, 5, 0)), 0.8)
    assert Region.from_dict(region.to_dict()) == region
    with pytest.raises(NeuvaError, match="not a region of this version"):
        Region.from_dict({**region.to_dict(), "clips": 3})
