"""Splits and folds that keep a person in one place: nobody who is tested has been trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neuva import NeuvaError


def folds_by_group(groups: Sequence[str], sizes: Sequence[int], folds: int) -> list[int]:
    """The fold 0..folds-1 of each clip: clips of one group share one, and the folds' sizes are about equal.

    Largest group first into the emptiest fold (Graham's LPT rule: the fullest fold is at most 4/3 of the best one
    possible). Ties go by the group's name and the fold's number, so the order of the clips does not matter.

    Args:
        groups: of each clip, who or what must not be in two folds (an actor, a subject).
        sizes: of each clip, what to balance (its frames).
        folds: how many.

    Raises:
        NeuvaError: if groups and sizes differ in number, folds is below 1 or there are fewer groups than folds.
    """
    if len(groups) != len(sizes):
        raise NeuvaError(f"folds: {len(groups)} groups for {len(sizes)} sizes: give one of each a clip")
    total: dict[str, int] = {}
    for group, size in zip(groups, sizes, strict=True):
        total[group] = total.get(group, 0) + size
    if not 1 <= folds <= len(total):
        raise NeuvaError(f"{folds} folds of {len(total)} groups: allowed are 1 to {len(total)}")
    filled = [0] * folds
    fold_of = {}
    for group in sorted(total, key=lambda group: (-total[group], group)):
        fold_of[group] = filled.index(min(filled))
        filled[fold_of[group]] += total[group]
    return [fold_of[group] for group in groups]


def split_by_group(groups: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """The split of each clip: groups in an order drawn from `seed`, each to the split that lacks most clips.

    A split lacks ``share n - (clips it has)``, with n clips in all and shares scaled to sum to 1; every split with a
    share gets at least one group. The order of the clips does not matter.

    Args:
        groups: of each clip, who or what must not be in two splits.
        shares: part of the clips by split, such as {"train": 0.8, "validation": 0.1, "test": 0.1}.
        seed: of the order.

    Raises:
        NeuvaError: if a share is not positive, or there are fewer groups than splits.
    """
    if not shares or not all(0 < share < float("inf") for share in shares.values()):
        raise NeuvaError(f"splits {dict(shares)}: every share must be finite and more than 0")
    names = sorted(set(groups))
    if len(names) < len(shares):
        raise NeuvaError(
            f"{len(names)} groups for {len(shares)} splits ({', '.join(shares)}): "
            "a group stays whole, so give at least one for each split"
        )
    count = dict.fromkeys(names, 0)
    for group in groups:
        count[group] += 1
    scale = len(groups) / sum(shares.values())
    lack = {split: share * scale for split, share in shares.items()}
    split_of: dict[str, str] = {}
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        empty = [split for split in shares if split not in split_of.values()]
        open_to = empty if len(empty) == left else list(shares)  # the last groups are for those still without one
        split_of[group] = max(open_to, key=lambda split: lack[split])
        lack[split_of[group]] -= count[group]
    return [split_of[group] for group in groups]


def shared_groups(groups: Sequence[str], splits: Sequence[str]) -> dict[str, list[str]]:
    """The groups that are in more than one split, and which ones, both sorted; empty where the splits are disjoint."""
    places: dict[str, set[str]] = {}
    for group, split in zip(groups, splits, strict=True):
        places.setdefault(group, set()).add(split)
    return {group: sorted(found) for group, found in sorted(places.items()) if len(found) > 1}
