"""E-S sampling: cases made by hand, the published procedure once more in plain lists, and properties."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuva import NeuvaError
from snn.networks.seen import SAMPLINGS, sample


class Drawn:
    """A generator whose draws are given; it keeps the number of choices of each."""

    def __init__(self, *draws: int) -> None:
        self.draws, self.choices = list(draws), list[int]()

    def integers(self, high: int) -> int:
        self.choices.append(high)
        assert self.draws[0] < high
        return self.draws.pop(0)


@pytest.mark.parametrize(
    ("length", "name", "draws", "choices", "expected"),
    [
        (18, "E4-S0", [0], [14], [0, 1, 2, 3]),  # no phase without stride
        (18, "E4-S0", [13], [14], [13, 14, 15, 16]),  # the last frame is never reached
        (18, "E4-S1", [0, 0], [5, 5], [0, 2, 4, 6]),
        (18, "E4-S1", [3, 3], [5, 4], [9, 11, 13, 15]),  # a phase above the stride; 8 are kept
        (18, "E4-S3", [1, 0], [5, 1], [1, 5, 9, 13]),  # 5 are kept: one start
        (18, "E4-S3", [2, 0], [5, 1], [2, 6, 10, 14]),  # exactly 4 are kept
        (11, "E4-S3", [0, 0], [5, 1], [0, 4, 8, 0]),  # 3 are kept: begins again
        (11, "E4-S3", [4, 0], [5, 1], [4, 8, 4, 8]),
        (5, "E4-S3", [4, 0], [5, 1], [4, 4, 4, 4]),
        (2, "E4-S3", [1, 0], [2, 1], [1, 1, 1, 1]),  # the phase stays within
        (13, "E13-S0", [0], [1], list(range(13))),
        (15, "E13-S0", [1], [2], list(range(1, 14))),
        (10, "E13-S0", [0], [1], [*range(10), 0, 1, 2]),
    ],
)
def test_cases_made_by_hand(length, name, draws, choices, expected) -> None:
    rng = Drawn(*draws)
    assert sample(length, *SAMPLINGS[name], rng).tolist() == expected  # type: ignore[arg-type]
    assert rng.choices == choices


def published(length: int, duration: int, stride: int, phase: int, draw: random.Random) -> list[int]:
    indices = list(range(length))
    if stride > 1:
        indices = indices[phase::stride]
    begin = draw.randint(0, max(0, len(indices) - duration - 1))
    clip = indices[begin : begin + duration]
    while len(clip) < duration:
        clip = clip + clip
    return clip[:duration]


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("length", [5, 18, 53, 131])
def test_it_draws_the_clips_the_published_procedure_draws_as_often(name: str, length: int) -> None:
    sampling, draws = SAMPLINGS[name], 3000
    draw, rng = random.Random(0), np.random.default_rng(0)
    theirs = [tuple(published(length, *sampling, draw.randint(0, 4), draw)) for _ in range(draws)]
    ours = [tuple(sample(length, *sampling, rng).tolist()) for _ in range(draws)]
    assert set(ours) == set(theirs)
    for clip in set(theirs):
        assert abs(ours.count(clip) - theirs.count(clip)) < 6 * (2 * theirs.count(clip) + 4) ** 0.5


def test_the_settings_span_what_is_published() -> None:
    spans = {name: s.duration + (s.duration - 1) * (s.stride - 1) for name, s in SAMPLINGS.items()}
    assert spans == {"E4-S0": 4, "E4-S1": 7, "E7-S0": 7, "E4-S3": 13, "E7-S1": 13, "E13-S0": 13}


@given(st.integers(1, 140), st.integers(1, 20), st.integers(1, 6), st.integers(0, 2**32))
def test_indices_lie_within_and_step_by_the_stride_until_they_begin_again(length, duration, stride, seed) -> None:
    indices = sample(length, duration, stride, np.random.default_rng(seed))
    assert indices.shape == (duration,)
    assert indices.dtype == np.int64
    assert indices.min() >= 0
    assert indices.max() < length
    assert all(step == stride or after == indices[0] for step, after in zip(np.diff(indices), indices[1:], strict=True))
    assert indices.tolist() == sample(length, duration, stride, np.random.default_rng(seed)).tolist()


@pytest.mark.parametrize(("length", "duration", "stride"), [(0, 4, 1), (5, 0, 1), (5, 4, 0)])
def test_nothing_to_take_is_refused(length, duration, stride) -> None:
    with pytest.raises(NeuvaError, match="must be at least 1"):
        sample(length, duration, stride, np.random.default_rng(0))
