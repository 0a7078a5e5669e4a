"""The embedded eyes: laid out as SEE, lit four ways, their event frames as defined."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets import see
from datasets.catalogue import recipe_of
from datasets.events import EVENT_DTYPE, Events
from datasets.making import make_store
from datasets.see import EMOTIONS, LIGHTINGS
from datasets.splits import shared_groups
from datasets.store import EventStore
from datasets.synthetic_eyes import SIDE, EyeClip, EyesSpec, eyes, last_polarities, make_clip, recipe
from neuva import NeuvaError

SPEC = EyesSpec(volunteers=3, takes=1, frames=(4, 6))
CLIP = EyeClip(volunteer=1, take=0, emotion="surprise", lighting="normal", frames=12, seed=5)


def test_a_store_is_laid_out_as_sees(tmp_path):
    made = eyes(SPEC)
    few = [next(job for job in made.jobs if job.split == split) for split in ("train", "validation", "test")]
    make_store(tmp_path / "eyes.h5", replace(made, jobs=few), workers=1)
    store = EventStore(tmp_path / "eyes.h5")
    assert store.dataset == "synthetic-eyes"
    assert store.sensor_size == (SIDE, SIDE)
    said = {"volunteer": "1", "sex": "man", "age": "1", "degree": "", "lighting": "Low", "emotion": "fear"}
    published = see.Sequence("", {**said, "length": "3", "take": "0"}, Path(), Path()).meta()
    for index in range(3):
        sample, meta = store.sample(index), store.meta(index)
        assert meta.keys() - {"synthetic"} == published.keys()
        assert meta["synthetic"] is True
        assert len(sample.events) == 0
        assert not sample.mask.any()
        n = meta["length_in_name"]
        np.testing.assert_array_equal(sample.label_times, np.round(np.arange(n) * 1e6 / 30))
        for key in ("event_frames", "frames"):
            assert store.arrays(index, key).shape == (n, SIDE, SIDE)
            assert store.arrays(index, key).dtype == np.uint8
        assert set(np.unique(store.arrays(index, "event_frames"))) <= {0, 128, 255}
    assert store.provenance.keys() >= {"split", "subjects", "shared_subjects", "notes", "emotions", "left_out", "seed"}


def test_people_are_in_one_split_and_emotions_meet_all_lightings():
    jobs = recipe().jobs
    clips = [job.make.args[0] for job in jobs]
    splits = [job.split for job in jobs]
    assert shared_groups([str(clip.volunteer) for clip in clips], splits) == {}
    assert Counter(splits) == {"train": 196, "validation": 28, "test": 56}
    pairs = Counter((clip.emotion, clip.lighting) for clip in clips)
    assert len(pairs) == len(EMOTIONS) * len(LIGHTINGS)
    assert set(pairs.values()) == {10}
    for split in ("train", "test"):
        there = {clip.emotion for clip, each in zip(clips, splits, strict=True) if each == split}
        assert there == set(EMOTIONS)


def test_a_clip_is_the_same_in_any_process_and_another_with_another_seed():
    job = eyes(SPEC).jobs[0]
    (_, first), (_, again) = job.make(), pickle.loads(pickle.dumps(job.make))()
    assert all(first[key].tobytes() == again[key].tobytes() for key in first)
    other = eyes(replace(SPEC, seed=1)).jobs[0].make()[1]
    assert first["frames"].tobytes() != other["frames"].tobytes()


def events_of(*rows: tuple[int, int, int, int]) -> Events:
    return Events(np.array(list(rows), EVENT_DTYPE), (4, 3))


def test_an_event_frame_keeps_the_last_polarity_of_each_pixel():
    events = events_of((5, 1, 1, 1), (10, 2, 0, 1), (12, 3, 2, 0), (20, 3, 2, 1), (20, 1, 1, 0), (21, 0, 0, 0))
    frames = last_polarities(events, np.array([5, 10, 20, 30]))
    expected = np.full((3, 3, 4), 128, np.uint8)  # [y, x]
    expected[0, 0, 2] = 255  # t = 10 belongs to the frame that ends there, t = 5 to none
    expected[1, 2, 3], expected[1, 1, 1] = 255, 0  # ON after OFF; the first polarity would be 0
    expected[2, 0, 0] = 0
    np.testing.assert_array_equal(frames, expected)


def lit(lighting: str, emotion: str = "surprise") -> dict[str, np.ndarray]:
    return dict(make_clip(replace(CLIP, lighting=lighting, emotion=emotion), SPEC.model)[1])


def test_lightings_fool_the_frames_more_than_the_events():
    made = {lighting: lit(lighting) for lighting in LIGHTINGS}
    frames = {lighting: arrays["frames"].astype(float) for lighting, arrays in made.items()}
    clipped = {lighting: (each == 255).mean() for lighting, each in frames.items()}
    assert clipped["overexposed"] > 0.3 > 0.05 > clipped["normal"]
    assert frames["low"].mean() < 0.3 * frames["normal"].mean()
    edges = {lighting: (each[..., :20].mean(), each[..., -20:].mean()) for lighting, each in frames.items()}
    assert max(edges["hdr"]) > 3 * min(edges["hdr"])
    assert max(edges["normal"]) < 2 * min(edges["normal"])
    moved = {lighting: (arrays["event_frames"] == 0).mean() for lighting, arrays in made.items()}
    assert all(moved[lighting] > 0.3 * moved["normal"] > 0 for lighting in LIGHTINGS)


def test_the_eye_is_in_the_middle_and_emotions_move_the_brow():
    def brow(emotion: str) -> float:
        """Height of the darkest place above the eye, from the top."""
        still = np.median(lit("normal", emotion)["frames"][6:], axis=0)[: int(0.45 * SIDE), SIDE // 4 : 3 * SIDE // 4]
        return float(np.argmin(still.mean(1)))

    assert brow("surprise") + 3 < brow("neutral") < brow("angry")
    iris = lit("normal")["frames"][-1][int(0.55 * SIDE) : int(0.8 * SIDE), SIDE // 4 : 3 * SIDE // 4]
    assert iris.min() < 60


def test_an_unknown_size_is_refused_and_the_catalogue_knows_the_eyes():
    assert recipe_of("synthetic-eyes", None, {"size": "smallest", "seed": 3}).dataset == "synthetic-eyes"
    with pytest.raises(NeuvaError, match="choose one of default, smallest"):
        recipe(size="huge")
