"""Metrics of classes and action units: closed form, scikit-learn, and what is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuva import NeuvaError
from snn.class_metrics import class_metrics, unit_metrics

TARGET = np.array([0, 0, 0, 0, 1, 1, 2, 2])
PREDICTION = np.array([0, 0, 0, 1, 2, 2, 2, 2])


def test_by_hand():
    found = class_metrics(PREDICTION, TARGET, 3)
    assert found.war == pytest.approx(5 / 8)
    assert found.recalls == pytest.approx((3 / 4, 0, 1))
    assert found.uar == pytest.approx((3 / 4 + 0 + 1) / 3)
    assert found.uar != pytest.approx(found.war)  # a recall weighted by its class is the accuracy
    assert found.f1s == pytest.approx((6 / 7, 0, 4 / 6))
    assert found.f1 == pytest.approx((6 / 7 + 0 + 4 / 6) / 3)
    assert found.confusion == ((3, 1, 0), (0, 0, 2), (0, 0, 2))  # rows are labels
    assert found.samples == 8


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_as_scikit_learn(data):
    metrics = pytest.importorskip("sklearn.metrics")
    classes = data.draw(st.integers(2, 5))
    pairs = data.draw(
        st.lists(st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=30)
    )
    target, prediction = (np.array(each) for each in zip(*pairs, strict=True))
    found, labels = class_metrics(prediction, target, classes), list(range(classes))
    recalls = metrics.recall_score(target, prediction, labels=labels, average=None, zero_division=0)
    f1s = metrics.f1_score(target, prediction, labels=labels, average=None, zero_division=0)
    assert found.war == pytest.approx(metrics.accuracy_score(target, prediction))
    assert np.array_equal(found.confusion, metrics.confusion_matrix(target, prediction, labels=labels))
    absent = set(labels) - set(target.tolist())
    for k in labels:
        if k in absent:
            assert found.recalls[k] is None
            assert found.f1s[k] is None
        else:
            assert found.recalls[k] == pytest.approx(recalls[k])
            assert found.f1s[k] == pytest.approx(f1s[k])
    if absent:
        assert found.uar is None
        assert found.f1 is None
    else:
        assert found.uar == pytest.approx(metrics.balanced_accuracy_score(target, prediction))
        assert found.f1 == pytest.approx(metrics.f1_score(target, prediction, average="macro", zero_division=0))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_action_units_as_scikit_learn(units, samples, seed):
    metrics = pytest.importorskip("sklearn.metrics")
    prediction, target = np.random.default_rng(seed).integers(0, 2, (2, samples, units))
    found = unit_metrics(prediction, target)
    assert found.samples == samples
    for unit in range(units):
        if not target[:, unit].any():
            assert found.f1s[unit] is None
        else:
            expected = metrics.f1_score(target[:, unit], prediction[:, unit], zero_division=0)
            assert found.f1s[unit] == pytest.approx(expected)
    known = [f1 for f1 in found.f1s if f1 is not None]
    assert found.f1 == (pytest.approx(np.mean(known)) if len(known) == units else None)


def test_what_is_masked_does_not_count():
    target, mask = np.array([*TARGET, -1]), np.array([True] * 8 + [False])
    assert class_metrics(np.array([*PREDICTION, 0]), target, 3, mask) == class_metrics(PREDICTION, TARGET, 3)
    units, valid = np.array([[1, 0], [0, 1], [-1, -1]]), np.array([True, True, False])
    assert unit_metrics(np.abs(units), units, valid).f1 == 1


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ([0, 3], [0, 1], "prediction 3 of a class: allowed are 0 to 2"),
        ([0, 1], [0, -1], "label -1 of a class: allowed are 0 to 2"),
        ([0.9], [1], r"prediction 0\.9 of a class: allowed are 0 to 2"),
        ([float("nan")], [1], "prediction nan of a class"),
        ([], [], "no sample has a valid label"),
        ([0], [0, 1], r"\(1,\) predictions for \(2,\) labels"),
    ],
)
def test_what_cannot_be_scored(prediction, target, message):
    with pytest.raises(NeuvaError, match=message):
        class_metrics(np.array(prediction), np.array(target, int), 3)
