"""The circumplex: mapping to action units, expression classes, and paths over the whole disc."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.faces.action_units import (
    AU_INDEX,
    AU_NAMES,
    EXPRESSIONS,
    PROTOTYPES,
    affect_to_units,
    expression_class,
    prototype_weights,
)
from datasets.faces.affect import AffectPath
from datasets.faces.behaviour import Behaviour
from datasets.faces.signals import Wander, glide, pulses

_WITH_GATE = 1 / (1 + np.exp(-8))


def _at(p, radius=1.0, dominance=None):
    d = p.dominance if dominance is None else dominance
    return tuple(np.array([v]) for v in (radius * p.valence, radius * p.arousal, d))


@pytest.mark.parametrize("p", PROTOTYPES, ids=lambda p: p.term)
def test_each_prototype_shows_itself_at_its_place(p):
    weight = prototype_weights(*_at(p))[0, PROTOTYPES.index(p)]
    assert weight == pytest.approx(_WITH_GATE if p.dominance else 1.0, abs=1e-9)
    assert EXPRESSIONS[expression_class(*_at(p))[0]] == p.expression
    shown = affect_to_units(*_at(p))[0]
    strength = min(np.hypot(p.valence, p.arousal) / 0.8, 1)
    for name, intensity in p.units.items():
        assert shown[AU_INDEX[name]] == pytest.approx(strength * intensity, abs=0.02)


def test_dominance_alone_tells_anger_from_fear():
    angry = next(p for p in PROTOTYPES if p.term == "angry")
    strong, weak = (affect_to_units(*_at(angry, dominance=d))[0] for d in (1.0, -1.0))
    assert strong[AU_INDEX["AU23"]] > 0.7 > 0.2 > weak[AU_INDEX["AU23"]]
    assert weak[AU_INDEX["AU1"]] > 0.5 > 0.1 > strong[AU_INDEX["AU1"]]
    assert expression_class(*_at(angry, dominance=1.0)) != expression_class(*_at(angry, dominance=-1.0))


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_weights_sum_to_one_and_units_stay_in_range(valence, arousal, dominance):
    state = tuple(np.array([v]) for v in (valence, arousal, dominance))
    weights = prototype_weights(*state)
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    units = affect_to_units(*state)
    assert units.shape == (1, len(AU_NAMES))
    assert 0 <= units.min() <= units.max() <= 1


def test_the_blend_is_smooth_round_the_circle_and_nothing_shows_at_the_centre():
    angle = np.linspace(-np.pi, np.pi, 20_001)
    units = affect_to_units(0.8 * np.cos(angle), 0.8 * np.sin(angle), np.zeros_like(angle))
    assert np.abs(np.diff(units, axis=0)).max() < 0.01
    np.testing.assert_allclose(units[0], units[-1], atol=1e-9)
    zero = np.zeros(1)
    assert not affect_to_units(zero, zero, zero).any()
    assert expression_class(zero, zero, zero) == 0


def test_paths_cover_the_disc_evenly_low_arousal_included():
    points = []
    for seed in range(250):
        v, a, d = AffectPath(np.random.default_rng(seed), 4.0)(np.arange(0, 4, 0.04))
        assert np.hypot(v, a).max() <= 1 + 1e-9
        assert np.abs(d).max() <= 1
        points.append(np.stack([v, a]))
    v, a = np.concatenate(points, axis=1)
    sector = ((np.arctan2(a, v) + np.pi) / (np.pi / 4)).astype(int) % 8
    ring = (np.hypot(v, a) > np.sqrt(0.5)).astype(int)  # two rings of equal area
    share = np.bincount(2 * sector + ring, minlength=16) / len(v) * 16
    assert share.min() > 0.6
    assert share.max() < 1.5
    assert abs(v.mean()) < 0.08
    assert abs(a.mean()) < 0.08


def test_paths_are_smooth_and_change_within_seconds():
    step = 0.01
    for seed in range(20):
        v, a, _ = AffectPath(np.random.default_rng(seed), 10.0)(np.arange(0, 10, step))
        speed = np.hypot(np.diff(v), np.diff(a)) / step
        assert speed.max() < 6
        assert np.hypot(np.ptp(v), np.ptp(a)) > 0.5


def test_signals_are_functions_of_time():
    wander = Wander(np.random.default_rng(1), 1.0)
    t = np.linspace(0, 5, 101)
    np.testing.assert_allclose(wander(t)[::10], wander(t[::10]), atol=1e-12)
    long = Wander(np.random.default_rng(2), 1.0)(np.linspace(0, 1000, 50_000))
    assert long.std() == pytest.approx(1, abs=0.05)
    moved = glide(np.array([0.0, 1.0, 1.5, 2.0, 9.0]), np.array([1.0]), np.array([3.0, 5.0]), np.array([1.0]))
    np.testing.assert_allclose(moved, [3, 3, 4, 5, 5])
    np.testing.assert_allclose(pulses(np.array([0.0, 0.1, 0.5]), np.array([0.0]), 0.1, 0.2), [0, 1, 0], atol=1e-12)
    assert not pulses(t, np.array([]), 0.1, 0.2).any()


def test_no_single_unit_or_motion_gives_the_answer_away():
    t = np.arange(1, 101) * 0.04
    courses = []
    for seed in range(150):
        v, a, d = AffectPath(np.random.default_rng([seed, 1]), 4.0)(t)
        behaviour = Behaviour(np.random.default_rng([seed, 2]), 4.0, float(0.5 + 0.5 * a.mean()))
        units = behaviour.add_to(affect_to_units(v, a, d), t)
        assert 0 <= units[:, :-2].min() <= units.max() <= 1
        speed = np.abs(np.gradient(behaviour.pose(t).yaw))
        assert speed.max() > 0  # the head is never still
        courses.append((np.stack([v, a], axis=1), np.column_stack([units, speed])))
    affect, cues = (np.concatenate(c) for c in zip(*courses, strict=True))
    for label in affect.T:
        shared = [np.corrcoef(cue, label)[0, 1] ** 2 for cue in cues.T]
        assert max(shared) < 0.75
    everything = np.column_stack([cues, np.ones(len(cues))])
    for label in affect.T:  # and yet all of them together do
        fit = everything @ np.linalg.lstsq(everything, label, rcond=None)[0]
        assert np.corrcoef(fit, label)[0, 1] > 0.85
