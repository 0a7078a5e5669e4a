"""Augmentations: drawn at random, applied to a stream of events, with what says where and when they are.

An augmentation takes a structured array with t, x, y, p, as Tonic's transforms do (and chains in Tonic's ``Compose``),
or a `Sample`, whose label times and face track then follow. Chance comes from a numpy Generator alone: the
augmentation's own, or the one given with the call. In training give one of the clip and the epoch,
``augmentation(sample, np.random.default_rng([seed, epoch, clip]))``: the same bytes then come out in any order and with
any number of workers (who would each start from the same copy of an augmentation's own).
"""

from __future__ import annotations

from datasets.augment.base import Augmentation, Range
from datasets.augment.dropping import DropByArea, DropByChance, DropByTime, drop_between, drop_box, drop_share
from datasets.augment.geometry import FlipLR, FlipUD, Rotate, Scale, Shift, affine_map, warp
from datasets.augment.noise import BackgroundActivity, add_noise
from datasets.augment.polarity import FlipPolarity, flip_polarity
from datasets.augment.stretch import StretchTime, stretch_time

__all__ = [
    "Augmentation",
    "BackgroundActivity",
    "DropByArea",
    "DropByChance",
    "DropByTime",
    "FlipLR",
    "FlipPolarity",
    "FlipUD",
    "Range",
    "Rotate",
    "Scale",
    "Shift",
    "StretchTime",
    "add_noise",
    "affine_map",
    "drop_between",
    "drop_box",
    "drop_share",
    "flip_polarity",
    "stretch_time",
    "warp",
]
