"""Recordings as they are run: where a face was found, what the CSV says of it, and pictures of a store's clips."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.aff_wild2.frames import SIDE, pack
from datasets.crop import BoxTrack
from datasets.events import Events
from datasets.pictures import LIGHT, OFF, ON
from datasets.sample import Sample
from datasets.store import EventStore, StoreWriter
from experiments import sheet
from experiments.recording import NEAR_US, Input, Recording, clip_recording
from experiments.running import save_run
from experiments.sheet import clip_moments, face_moments, store_sheet
from hardware.trace import Trace
from neuva import NeuvaError

SIZE = (32, 24)
TRACK = {"times": [1_000_000, 2_000_000], "boxes": [[16.0, 12.0, 10.0]] * 2}


def events(start: int = 0, stop: int = 4_000_000) -> Events:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(start, stop, 3000))
    x, y, p = (rng.integers(0, most, 3000) for most in (*SIZE, 2))
    return Events.from_columns(t, x, y, p, SIZE)


def store_of(path: Path, *clips: tuple[Sample, dict]) -> EventStore:
    with StoreWriter(path, dataset="any", sensor_size=SIZE, provenance={}) as store:
        for number, (sample, arrays) in enumerate(clips):
            store.add(f"clip{number}", "test", sample, arrays)
    return EventStore(path)


def sample(labels: list[list[float]], valid: list[bool] | None = None, **meta: object) -> Sample:
    times = 100_000 * np.arange(1, len(labels) + 1)
    mask = np.ones(len(labels), bool) if valid is None else np.array(valid)
    return Sample(events(), times, np.array(labels, np.float32).reshape(-1, 2), mask, meta)


def test_a_face_is_near_where_it_was_found_within_the_limit():
    recording = Recording("r", events(), BoxTrack(np.array([0]), np.ones((1, 3))), 0, 1, np.array([1_000_000]))
    times = 1_000_000 + np.array([-NEAR_US - 1, -NEAR_US, 0, NEAR_US, NEAR_US + 1])
    assert recording.face_near(times).tolist() == [False, True, True, True, False]


def test_only_a_track_found_in_frames_says_where_a_face_was(tmp_path):
    filmed = sample([], face_track=TRACK, frames=9, frames_with_face=2)
    store = store_of(tmp_path / "s.h5", (filmed, {}), (sample([], face_track=TRACK), {}))
    assert clip_recording(store, 0).found.tolist() == TRACK["times"]
    assert clip_recording(store, 1).face_near(np.array([0])) is None


@pytest.mark.parametrize(("found", "column"), [(None, ["", "", ""]), (np.array([900_000]), ["1", "0", "0"])])
def test_the_csv_says_whether_a_face_was_found(found, column, tmp_path):
    recording = Recording("r", events(), BoxTrack(np.array([0]), np.ones((1, 3))), 500_000, 1, found)
    times = np.array([400_000, 800_000, 1_200_000])
    va = np.zeros((3, 2), np.float32)
    trace = Trace("loihi2", "emulator", 20_000, 1_200_000, times, va, {}, ())
    table, picture = save_run(trace, Input(events(), np.zeros((60, 2, 24, 32)), 500_000), recording, tmp_path / "t.h5")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["face"] for row in rows] == column
    assert [row["t_us"] for row in rows] == ["900000", "1300000", "1700000"]
    assert picture.is_file()


def test_moments_of_a_store_with_and_without_frames_and_labels(tmp_path):
    frames = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, 4, 4), np.uint8)
    labelled = sample([[0.1, 0], [0.9, 0.9], [0.5, 0.2]], [True, False, True])
    kept = store_of(tmp_path / "kept.h5", (labelled, {"frames": frames}))
    shown, pictures, captions = clip_moments(kept, 8)
    assert shown.tolist() == frames[2:].tolist()  # the furthest label is masked
    assert captions == ["valence +0.5\narousal +0.2"]
    mixed = store_of(tmp_path / "mixed.h5", (labelled, {"frames": frames}), (labelled, {}), (sample([]), {}))
    shown, pictures, captions = clip_moments(mixed, 8)
    assert shown is None
    assert pictures.shape == (3, *SIZE[::-1], 3)
    assert captions[2] == "clip2"
    store_sheet(tmp_path / "mixed.h5", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").is_file()


def test_event_frames_are_shown_where_there_are_no_events(tmp_path):
    grey = np.full((3, *SIZE[::-1]), 128, np.uint8)
    grey[1, 0, :2] = 0, 255  # of the middle
    clip = replace(sample([[0, 0]] * 3, [False] * 3, lighting="low", emotion="fear"), events=Events.empty(SIZE))
    shown, pictures, captions = clip_moments(store_of(tmp_path / "a.h5", (clip, {"event_frames": grey})), 8)
    assert shown is None
    assert pictures[0, 0, :3].tolist() == [list(OFF), list(ON), list(LIGHT)]
    assert captions == ["low\nfear"]
    busy = replace(clip, events=events())
    _, pictures, _ = clip_moments(store_of(tmp_path / "b.h5", (busy, {"event_frames": grey})), 8)
    assert pictures[0, 0, :3].tolist() != [list(OFF), list(ON), list(LIGHT)]


def test_faces_are_shown_where_there_are_no_events(tmp_path, monkeypatch):
    grey = (20 * np.arange(11, dtype=np.uint8))[:, None, None] * np.ones((SIDE, SIDE), np.uint8)
    for row, face in enumerate(grey):
        Image.fromarray(face).convert("RGB").save(tmp_path / f"{row:05d}.jpg")
    jpeg, offsets = pack(sorted(tmp_path.glob("*.jpg")))
    packed = {"jpeg": jpeg, "jpeg_offsets": offsets, "frame_index": np.arange(11, dtype=np.int32)}
    filmed = replace(sample([[0.3, -0.2]] * 11, [True] * 10 + [False]), events=Events.empty(SIZE))
    for name, arrays in (("jpeg.h5", packed), ("frames.h5", {"frames": grey})):
        store = store_of(tmp_path / name, (filmed, arrays))
        faces, captions = face_moments(store, 4)
        assert faces.reshape(6, -1).mean(1) == pytest.approx([0, 40, 80, 120, 160, 200], abs=2)
        assert captions[1] == "clip0, 0.2 s\nvalence +0.3\narousal -0.2"
        assert captions[5].strip() == "clip0, 1.0 s"
    figures = []
    monkeypatch.setattr(sheet, "save_png", lambda figure, _: figures.append(figure))
    store_sheet(tmp_path / "jpeg.h5", tmp_path / "sheet.png")
    assert not figures[0].legends
    assert len(figures[0].axes) == 6


def test_a_store_without_clips_or_pictures_has_nothing_to_show(tmp_path):
    for moments in (clip_moments, face_moments):
        with pytest.raises(NeuvaError, match="holds no clips"):
            moments(store_of(tmp_path / "none.h5"), 8)
    store_of(tmp_path / "labels.h5", (replace(sample([[0, 0]]), events=Events.empty(SIZE)), {}))
    with pytest.raises(NeuvaError, match="clip clip0 has neither events nor faces"):
        store_sheet(tmp_path / "labels.h5", tmp_path / "sheet.png")
