"""Windows cut from events: plain ones are the clip's own, changed ones are what `datasets.augment` makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from datasets.augment import FlipPolarity, StretchTime
from datasets.events import Events
from datasets.representations import to_steps
from datasets.sample import Sample
from experiments.augmentation import Change, draw, seen, window
from experiments.clips import Cut, EventClip, make_clip
from experiments.config import Augment
from experiments.data import Numbers, Windows

CUT = Cut((2, 16, 16), "counts", 20_000, 2)
BINARY = replace(CUT, encoding="binary")
ALL = Augment(shift=0.1, drift=0.1, scale=0.2, rotate=20, drop=0.3, noise_hz=1, stretch=0.2, polarity=0.5)


def sample(seed: int, size: tuple[int, int] = (40, 40), track: bool = True) -> Sample:
    """Two seconds of random events around a face's box that wanders."""
    random = np.random.default_rng(seed)
    t = np.sort(random.integers(7_000, 2_100_000, 4000))
    x, y, p = (random.integers(high, size=len(t)) for high in (*size, 2))
    times = np.arange(0, 2_200_000, 90_000)
    boxes = np.column_stack([random.uniform(15, 25, (len(times), 2)), random.uniform(20, 30, len(times))])
    labels = random.uniform(-1, 1, (60, 2)).astype(np.float32)
    meta = {"start_us": 7_000, "face_track": {"times": times.tolist(), "boxes": boxes.tolist()}}
    events = Events.from_columns(t, x, y, p, size)
    return Sample(events, 7_000 + np.arange(1, 61) * 33_333, labels, np.ones(60, bool), meta if track else {})


def clip_of(made: Sample, cut: Cut = CUT) -> EventClip:
    return EventClip.of("c", made, cut)


def still(clip: EventClip, change: Change, steps: int = 20, cut: Cut = CUT) -> np.ndarray:
    return seen(clip, cut, clip.start_us, steps, change, np.random.default_rng(0))


@pytest.mark.parametrize("cut", [CUT, BINARY], ids=["counts", "binary"])
@pytest.mark.parametrize(("size", "track"), [((40, 40), True), ((40, 40), False), ((50, 35), False), ((16, 16), False)])
def test_without_a_change_a_window_is_a_stretch_of_the_clip(cut: Cut, size: tuple[int, int], track: bool) -> None:
    made = sample(0, size, track)
    whole, clip = make_clip("c", made, cut), clip_of(made, cut)
    for seed in range(5):
        x, labels, mask = window(clip, cut, 10, Change(), np.random.default_rng(seed))
        start = int(np.random.default_rng(seed).integers(clip.estimates - 10 + 1))
        assert x.dtype == whole.x.dtype
        assert np.array_equal(x, whole.x[2 * start : 2 * start + 20])
        assert np.array_equal(labels, whole.labels[start : start + 10])
        assert np.array_equal(mask, whole.mask[start : start + 10])


def test_mirror_and_polarity_exchange_columns_and_channels() -> None:
    clip = clip_of(sample(1))
    assert np.array_equal(still(clip, Change(mirror=True)), still(clip, Change())[..., ::-1])
    negative = FlipPolarity(1.0, random=np.random.default_rng())(clip.events.array)
    assert np.array_equal(
        still(clip, Change(polarity=True)), still(replace(clip, events=Events(negative, (40, 40))), Change())
    )


def test_a_quarter_turn_is_clockwise() -> None:
    clip = clip_of(sample(2, (16, 16), track=False))
    plain, turned = still(clip, Change()), still(clip, Change(degrees=90))
    # the whole picture's box lies half a pixel off its middle, so one column shows what is outside
    assert np.array_equal(turned[..., 1:], np.rot90(plain, -1, (2, 3))[..., 1:])
    assert not np.array_equal(turned[..., 1:], np.rot90(plain, 1, (2, 3))[..., 1:])


def test_shift_and_drift_move_the_picture_and_scale_shrinks_it() -> None:
    clip = clip_of(sample(3, (32, 32), track=False))
    plain = still(clip, Change())
    shifted = still(clip, Change(shift=(2 / 16, 0)))
    assert np.array_equal(shifted[..., 2:], plain[..., :-2])
    assert shifted[..., :2].sum() == 0
    drifted = still(clip, Change(drift=(8 / 16, 0)), steps=100)
    assert drifted[:5, ..., 13:].sum() == 0  # 4 pixels to the left at first
    assert drifted[-5:, ..., :3].sum() == 0  # and to the right at the end
    small = still(clip, Change(scale=2.0))
    assert small[..., 5:11, 5:11].sum() > 0.5 * plain.sum()
    assert small.sum() == small[..., 4:12, 4:12].sum() == plain.sum()


def test_stretched_time_takes_the_labels_along() -> None:
    clip = clip_of(sample(4, (16, 16), track=False))
    slow = StretchTime(2.0, random=np.random.default_rng())(clip.events.array)
    slow["t"] += clip.start_us + 2 * (clip.events.t0 - clip.start_us) - slow["t"][0]  # from the clip's start on
    ours = still(clip, Change(stretch=2.0), steps=50)
    assert np.array_equal(ours, to_steps(Events(slow, (16, 16)), 20_000, 50, clip.start_us, "counts"))
    x, labels, _ = window(clip, CUT, 10_000, Change(stretch=2.0), np.random.default_rng(0))
    assert len(x) == 2 * len(labels) == 2 * 2 * clip.estimates
    assert np.array_equal(labels[1::2], make_clip("c", sample(4, (16, 16), track=False), CUT).labels)


def test_loss_and_noise_are_as_many_as_asked() -> None:
    clip = clip_of(sample(5))
    kept = still(clip, Change(drop=0.3), 90).sum() / still(clip, Change(), 90).sum()
    assert kept == pytest.approx(0.7, abs=0.06)
    noise = still(clip, Change(noise_hz=20.0), 90).sum() - still(clip, Change(), 90).sum()
    assert noise == pytest.approx(20 * 16 * 16 * 1.8, rel=0.1)
    assert still(clip_of(sample(5), BINARY), Change(noise_hz=500.0), 90, BINARY).max() == 1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), track=st.booleans(), steps=st.integers(2, 400))
def test_whatever_is_drawn_gives_a_whole_window(seed: int, track: bool, steps: int) -> None:
    clip, random = clip_of(sample(seed % 7, track=track)), np.random.default_rng(seed)
    change = draw(ALL, random)
    x, labels, mask = window(clip, CUT, steps // 2, change, random)
    assert x.shape[1:] == (2, 16, 16)
    assert x.min() >= 0
    assert len(x) // 2 == len(labels) == len(mask)
    assert 1 <= len(labels) <= max(1, steps // 2)
    assert abs(np.log(change.scale)) <= np.log(1.2) + 1e-9
    assert abs(change.degrees) <= 20


def test_a_window_is_the_same_whoever_cuts_it() -> None:
    windows = Windows([clip_of(sample(seed)) for seed in range(3)], CUT, 20, ALL, seed=1)
    alone = [windows[number] for number in range(8)]
    loader = DataLoader(windows, batch_size=None, sampler=range(8), num_workers=2, persistent_workers=True)
    for _ in range(2):
        for mine, theirs in zip(alone, loader, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    other = Windows(windows.clips, CUT, 20, ALL, seed=2)
    assert not all(torch.equal(alone[k][0], other[k][0]) for k in range(8))


def test_processes_share_each_batch_and_a_resumed_run_goes_on() -> None:
    alone = list(Numbers(3, 4, lambda: 0))
    assert alone == list(range(12))
    assert list(Numbers(2, 4, lambda: 1)) == alone[4:]
    left, right = (list(Numbers(3, 4, lambda: 0, rank, 2)) for rank in (0, 1))
    assert left == [0, 1, 4, 5, 8, 9]
    assert right == [2, 3, 6, 7, 10, 11]
