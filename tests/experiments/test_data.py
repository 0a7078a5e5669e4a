"""What training is fed: clips cut in step with their labels, windows that repeat, batches padded with silence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datasets.events import Events
from datasets.sample import Sample
from experiments.clips import Cut, make_clip
from experiments.data import collate
from neuva import NeuvaError

CUT = Cut((2, 16, 16), "binary", 20_000, 2)


def sample(t: list[int], label_times: list[int], start: int = 0) -> Sample:
    events = Events.from_columns(
        np.array(t), np.zeros(len(t), int), np.zeros(len(t), int), np.ones(len(t), int), (16, 16)
    )
    labels = np.column_stack([np.arange(len(label_times)), np.zeros(len(label_times))]).astype(np.float32) / 10
    mask = np.ones(len(label_times), bool)
    return Sample(events, np.array(label_times), labels, mask, {"start_us": start})


def test_an_estimate_meets_the_label_of_its_last_step() -> None:
    clip = make_clip("c", sample([5_000, 39_999, 40_000, 79_999], [40_000, 80_000, 120_000]), CUT)
    assert clip.x.shape == (6, 2, 16, 16)
    assert clip.x[:, 1, 0, 0].tolist() == [1, 1, 1, 1, 0, 0]
    assert clip.labels[:, 0].tolist() == pytest.approx([0.0, 0.1, 0.2])  # labels of 40, 80 and 120 ms


def test_labels_on_another_clock_are_taken_by_nearest_time() -> None:
    clip = make_clip("c", sample([100_000], [133_000, 166_000, 200_000], start=100_000), CUT)
    assert len(clip.labels) == 2  # estimates at 140 and 180 ms
    assert clip.labels[:, 0].tolist() == pytest.approx([0.0, 0.1])


def test_a_clip_without_labels_or_too_short_is_refused() -> None:
    with pytest.raises(NeuvaError, match="no labels"):
        make_clip("c", sample([1], []), CUT)
    with pytest.raises(NeuvaError, match="shorter than one estimate"):
        make_clip("c", sample([1], [30_000]), CUT)


def test_shorter_windows_are_padded_with_silence_and_masked() -> None:
    items = [
        (
            torch.ones(steps, 2, 4, 4, dtype=torch.uint8),
            torch.ones(steps // 2, 2),
            torch.ones(steps // 2, dtype=torch.bool),
        )
        for steps in (8, 4)
    ]
    x, labels, mask = collate(items)
    assert (x.shape, labels.shape, mask.shape) == ((8, 2, 2, 4, 4), (4, 2, 2), (4, 2))
    assert x.dtype == torch.uint8
    assert x[4:, 1].sum() == 0
    assert mask[:, 1].tolist() == [True, True, False, False]
