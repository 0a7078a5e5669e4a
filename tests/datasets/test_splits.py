from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.splits import folds_by_group, shared_groups, split_by_group
from neuva import NeuvaError

CLIPS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 50)), min_size=8, max_size=60)
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def totals(folds, sizes, n):
    return [sum(size for fold, size in zip(folds, sizes, strict=True) if fold == k) for k in range(n)]


def test_folds_of_a_case_by_hand():
    # totals c 7, a 6, b 5, d 4: largest first into the emptier of two folds
    assert folds_by_group(["a", "b", "c", "d", "a"], [4, 5, 7, 4, 2], 2) == [1, 1, 0, 0, 1]


@given(CLIPS, st.integers(1, 5))
def test_folds_keep_groups_whole_and_sizes_near(clips, n):
    groups, sizes = zip(*clips, strict=True)
    if len(set(groups)) < n:
        with pytest.raises(NeuvaError, match="folds of"):
            folds_by_group(groups, sizes, n)
        return
    folds = folds_by_group(groups, sizes, n)
    assert not shared_groups(groups, [str(fold) for fold in folds])
    assert set(folds) == set(range(n))
    group_totals = {group: sum(s for g, s in clips if g == group) for group in set(groups)}
    bound = sum(sizes) / n + max(group_totals.values())  # a list schedule's fullest fold
    assert max(totals(folds, sizes, n)) <= bound


@given(CLIPS, st.integers(0, 3), st.randoms())
def test_the_order_of_the_clips_changes_nothing(clips, seed, random):
    shuffled = random.sample(clips, len(clips))
    if len({group for group, _ in clips}) < 3:
        return
    for make in (lambda g, s: folds_by_group(g, s, 3), lambda g, _: split_by_group(g, SHARES, seed)):
        places = [dict(zip(g, make(g, s), strict=True)) for g, s in (zip(*c, strict=True) for c in (clips, shuffled))]
        assert places[0] == places[1]


def test_folds_are_balanced_where_dealing_in_turn_is_not():
    rng = np.random.default_rng(0)
    sizes = rng.zipf(1.6, 240).clip(1, 500).tolist()
    groups = [f"actor {i:03d}" for i in range(240)]
    spread = np.ptp(totals(folds_by_group(groups, sizes, 5), sizes, 5))
    assert spread <= 1
    assert np.ptp(totals([i % 5 for i in range(240)], sizes, 5)) > 50


@given(CLIPS, st.integers(0, 5))
def test_splits_keep_groups_whole_and_none_empty(clips, seed):
    groups = [group for group, _ in clips]
    if len(set(groups)) < len(SHARES):
        with pytest.raises(NeuvaError, match="groups for 3 splits"):
            split_by_group(groups, SHARES, seed)
        return
    splits = split_by_group(groups, SHARES, seed)
    assert set(splits) == set(SHARES)
    assert not shared_groups(groups, splits)


def test_splits_have_their_shares_and_follow_the_seed():
    groups = [f"{i // 3}" for i in range(600)]
    splits = split_by_group(groups, SHARES, seed=1)
    for split, share in SHARES.items():
        assert abs(splits.count(split) - 600 * share) <= 3
    assert splits == split_by_group(groups, {k: 10 * v for k, v in SHARES.items()}, seed=1)
    assert splits != split_by_group(groups, SHARES, seed=2)


def test_a_shared_subject_is_found_and_named():
    groups, splits = ["anna", "ben", "anna", "carl"], ["train", "train", "test", "test"]
    assert shared_groups(groups, splits) == {"anna": ["test", "train"]}
    assert shared_groups(groups, ["train", "train", "train", "test"]) == {}


@pytest.mark.parametrize("shares", [{}, {"train": 0.0}, {"train": float("nan")}, {"train": -1.0, "test": 2.0}])
def test_shares_must_be_positive(shares):
    with pytest.raises(NeuvaError, match="finite and more than 0"):
        split_by_group(["a", "b"], shares, 0)


def test_a_size_for_each_clip():
    with pytest.raises(NeuvaError, match="2 groups for 1 sizes"):
        folds_by_group(["a", "b"], [1], 1)
