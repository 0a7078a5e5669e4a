from __future__ import annotations

import json
import logging
import pickle
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.face_track import track_of
from datasets.inputs import fingerprint
from datasets.nefer import SENSOR, SPLIT_OF, recipe
from neuva import NeuvaError

FRAMES = 51
CLIPS = {  # user -> event clip, RGB clip, expected, reported
    "user_01": [
        ("user01_2022-06-08_12-20-03_cd", "GOPR0762", "Happiness", "Happiness"),
        ("user01_2022-06-08_12-20-47_cd", "GOPR0763", "Fear", "Surprise"),
    ],
    "user_03": [
        ("user03_2022-06-08_15-12-06_cd", "GOPR0804", "Happiness", "None"),
        ("user03_2022-06-08_15-13-10_cd", "GOPR0805", "Fear", "Fear"),
    ],
}
SPLITS = {"train": "user_01", "validation": "user_03"}
HEADER = b"% Date 2022-06-08 12:20:03\n% evt 3.0\n% geometry 1280x720\n% plugin_name hal_plugin_imx636_evk4\n% end\n"


def head_events(seed: int, t0: int) -> np.ndarray:
    """(t, x, y, p) of a head's outline at (700, 300) that sways over 1.7 s."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 1_700_000, 12_000))
    angle, edge = rng.uniform(0, 2 * np.pi, len(t)), rng.normal(120, 6, len(t))
    x = 700 + 15 * np.sin(2e-6 * np.pi * t) + edge * np.cos(angle)
    return np.column_stack(
        [t0 + t, x.astype(int), (300 + edge * np.sin(angle)).astype(int), rng.integers(0, 2, len(t))]
    )


def evt3(events: np.ndarray) -> bytes:
    """Four words an event: TIME_HIGH, TIME_LOW, ADDR_Y, ADDR_X."""
    t, x, y, p = events.T
    words = np.column_stack([0x8000 | t >> 12 & 0xFFF, 0x6000 | t & 0xFFF, y, 0x2000 | p << 11 | x])
    return HEADER + words.astype("<u2").tobytes()


def rows(user: str, clip: str, prefix: str, emotion: str) -> str:
    return "".join(f"{user},{clip},{prefix}/{user}/{clip}/frame_{i:02d}.png,{emotion}\n" for i in range(FRAMES))


def write_lists(root: Path) -> None:
    for folder, column, ending in (("expected_emotions", 2, ""), ("reported_emotions", 3, "_subjective")):
        (root / "annotations" / folder).mkdir(parents=True)
        for split, user in SPLITS.items():
            event = [rows(user, clip[0], "../event_frame_NEW", clip[column]) for clip in CLIPS[user]]
            stale = "rgb_frames" if split == "train" else "../gopro_frame"
            gopro = [rows(user, clip[1], stale, clip[column]) for clip in CLIPS[user]]
            for name, text in (("event", event), ("gopro", gopro)):
                (root / "annotations" / folder / f"{split}_{name}{ending}.csv").write_text("".join(text))
    (root / "annotations" / ".~lock.validation_event.csv#").write_text(",someone,host,01.01.2023 10:00;")
    (root / "annotations" / "expected_emotions" / "._train_event.csv").write_bytes(b"\0\5\x16\7")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The lists, and recordings that cannot be read."""
    write_lists(tmp_path)
    for user, clips in CLIPS.items():
        (tmp_path / "event_raw" / user).mkdir(parents=True)
        for clip, *_ in clips:
            (tmp_path / "event_raw" / user / f"{clip}.raw").write_bytes(b"?")
    return tmp_path


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("nefer")
    write_lists(root)
    number = 0
    for user, clips in CLIPS.items():
        folder = root / "event_raw" / user
        folder.mkdir(parents=True)
        for clip, *_ in clips:
            stem = clip.removesuffix("_cd") if number % 2 else clip
            (folder / f"{stem}.raw").write_bytes(evt3(head_events(number, t0=5_000 * number)))
            (folder / f"{stem}.bias").write_text("299 % bias_fo\n")
            number += 1
    (root / "event_raw" / "user_18").mkdir()
    (root / "event_raw" / "user_18" / "user18_2022-06-20_10-00-00.raw").write_bytes(b"not used by any list")
    frames = root / "rgb_frames" / "user_03" / "GOPR0804"
    frames.mkdir(parents=True)
    for i in range(FRAMES):
        cv2.imwrite(str(frames / f"frame_{i:02d}.png"), np.full((360, 640, 3), i, np.uint8))
    return root


def test_clips_split_and_provenance(root: Path):
    found = recipe(root)
    assert [(job.name, job.split) for job in found.jobs] == [
        (f"{user}/{clip[0]}", split) for split, user in SPLITS.items() for clip in CLIPS[user]
    ]
    assert found.sensor_size == SENSOR
    assert found.provenance["left_out"] == []
    assert any("masked" in note for note in found.provenance["notes"])
    json.dumps(found.provenance)


def test_the_published_split_shares_no_user():
    assert len(SPLIT_OF) == 26
    assert sum(split == "validation" for split in SPLIT_OF.values()) == 6


def test_a_clip_is_the_recording_with_its_emotions(root: Path):
    sample, arrays = recipe(root).jobs[1].make()
    wrote = head_events(1, t0=5_000)
    for column, name in enumerate("txyp"):
        np.testing.assert_array_equal(sample.events.array[name], wrote[:, column])
    assert len(sample.label_times) == FRAMES
    assert sample.label_times[0] == wrote[0, 0] + 33_333
    assert sample.label_times[-1] == wrote[0, 0] + 1_700_000
    assert not sample.mask.any()
    assert not sample.labels.any()
    assert arrays == {}
    told = {"subject": "user_01", "emotion": "Fear", "emotion_expected": "Fear", "emotion_reported": "Surprise"}
    assert told.items() <= sample.meta.items()
    json.dumps(sample.meta)


def test_the_face_is_where_the_events_are(root: Path):
    track = track_of(recipe(root).jobs[0].make()[0].meta)
    assert track is not None
    x, y, side = np.median(track.boxes, axis=0)
    assert np.hypot(x - 700, y - 300) < 40
    assert 200 < side < 400


def test_reported_emotions_by_name(root: Path):
    jobs = recipe(root, labels="reported").jobs
    meta = jobs[2].make()[0].meta
    assert (meta["emotion"], meta["emotion_expected"]) == ("None", "Happiness")


def test_rgb_frames_come_where_they_are(root: Path):
    _, arrays = recipe(root).jobs[2].make()
    assert arrays["frames"].shape == (FRAMES, 180, 320)
    assert arrays["frames"][:, 90, 160].tolist() == list(range(FRAMES))
    assert recipe(root).jobs[3].make()[1] == {}


def test_rgb_clips_of_other_emotions_are_not_paired(bare: Path, caplog):
    (bare / "rgb_frames").mkdir()
    path = bare / "annotations" / "expected_emotions" / "train_gopro.csv"
    path.write_text(path.read_text().replace("Fear", "Anger"))
    with caplog.at_level(logging.WARNING):
        recipe(bare)
    assert "RGB clips of user_01" in caplog.text
    assert "user_03" not in caplog.text


def test_jobs_can_be_pickled_and_give_the_same_bytes(root: Path):
    job = recipe(root).jobs[0]
    (one, _), (two, _) = job.make(), pickle.loads(pickle.dumps(job.make))()
    assert one.events == two.events
    assert one.meta == two.meta


def test_clips_without_recording_are_left_out_and_told(bare: Path, caplog):
    (bare / "event_raw" / "user_01" / f"{CLIPS['user_01'][0][0]}.raw").unlink()
    with caplog.at_level(logging.WARNING):
        found = recipe(bare)
    assert len(found.jobs) == 3
    assert found.provenance["left_out"] == [CLIPS["user_01"][0][0]]
    assert "1 of 4 recordings are missing" in caplog.text


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: shutil.rmtree(root / "event_raw"), r"none of the 4 recordings \(\*\.raw\)"),
        (lambda root: (root / "annotations").rename(root / "x"), r"train_event\.csv: is missing"),
        (lambda root: next(root.glob("*/reported*/train_event*")).unlink(), r"train_event_subjective\.csv: is missing"),
    ],
)
def test_what_is_missing_is_told_with_where_to_get_it(bare: Path, damage, said):
    damage(bare)
    with pytest.raises(NeuvaError, match=rf"{said}: download NEFER .*github\.com/miccunifi/NEFER.*event_raw/user_01"):
        recipe(bare)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("user_01,", "user_18,", "line 1 has user_18, no user of train"),
        ("user_01,", "user_03,", "line 1 has user_03, no user of train"),
        ("Happiness\n", "Joy\n", "line 1 has emotion 'Joy'"),
        ("Fear\n", "Fear,x\n", r"line 52 is \["),
        ("20-47_cd/frame_07.png,Fear", "20-47_cd/frame_07.png,Anger", "line 59 has clip .* Anger, a line above"),
        ("user01_2022-06-08_12-20-47_cd,", "other,", "in one of the expected"),
    ],
)
def test_a_list_not_as_published_is_told(bare: Path, old, new, said):
    path = bare / "annotations" / "expected_emotions" / "train_event.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(NeuvaError, match=said):
        recipe(bare)


def test_line_ends_and_blank_lines_do_not_matter(bare: Path):
    path = bare / "annotations" / "expected_emotions" / "train_event.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b" \r\n") + b"\r\n")
    assert len(recipe(bare).jobs) == 4


@given(st.binary(max_size=80))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_list_crashes(bare: Path, junk):
    (bare / "annotations" / "expected_emotions" / "train_event.csv").write_bytes(junk)
    with pytest.raises(NeuvaError, match="annotations"):
        recipe(bare)


def test_a_damaged_recording_is_named_and_repaired(bare: Path):
    (broken := bare / "event_raw" / "user_01" / f"{CLIPS['user_01'][0][0]}.raw").write_bytes(
        evt3(head_events(0, 0)) + b"\1"
    )
    with pytest.raises(NeuvaError, match=rf"{re.escape(broken.name)}.*repair=True"):
        recipe(bare).jobs[0].make()
    assert len(recipe(bare, repair=True).jobs[0].make()[0].events) == 12_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"?", "no event file"),
        (evt3(np.empty((0, 4), np.int64)), "no region stands out.*remove it"),
        (evt3(head_events(0, 0)).replace(b"1280x720", b"640x480"), "640x480, asked for 1280x720"),
    ],
)
def test_a_recording_of_something_else_is_named(bare: Path, content, said):
    (broken := bare / "event_raw" / "user_01" / f"{CLIPS['user_01'][0][0]}.raw").write_bytes(content)
    with pytest.raises(NeuvaError, match=rf"{re.escape(broken.name)}.*{said}"):
        recipe(bare).jobs[0].make()


def test_a_damaged_picture_is_named(root: Path, tmp_path: Path):
    make = recipe(root).jobs[2].make
    (bad := tmp_path / "frame_00.png").write_bytes(b"?")
    recording, frames, meta, _, repair = make.args
    with pytest.raises(NeuvaError, match=rf"{re.escape(str(bad))}.*remove rgb_frames"):
        make.func(recording, frames, meta, [bad], repair)


def test_pictures_of_two_sizes_are_told(root: Path, tmp_path: Path):
    make = recipe(root).jobs[2].make
    for name, width in (("frame_00.png", 64), ("frame_01.png", 48)):
        cv2.imwrite(str(tmp_path / name), np.zeros((36, width), np.uint8))
    recording, frames, meta, _, repair = make.args
    with pytest.raises(NeuvaError, match=r"frame_01\.png: is 240x180 when scaled, frame_00\.png 320x180: unpack"):
        make.func(recording, frames, meta, sorted(tmp_path.iterdir()), repair)


@pytest.mark.parametrize(
    "second", ["event_raw/user_01/user01_2022-06-08_12-20-03.raw", "old/user01_2022-06-08_12-20-03_cd.raw"]
)
def test_a_recording_found_twice_is_refused(bare: Path, second):
    (bare / "old").mkdir()
    for name in ("other.raw", "other_cd.raw"):  # in no list
        (bare / "old" / name).write_bytes(b"?")
    assert len(recipe(bare).jobs) == 4
    (bare / second).write_bytes(b"?")
    with pytest.raises(NeuvaError, match=r"is clip user01_2022-06-08_12-20-03_cd again, which is also at .*: remove"):
        recipe(bare)


@pytest.mark.parametrize(
    "changed",
    [
        "event_raw/user_01/user01_2022-06-08_12-20-03_cd.raw",
        "annotations/reported_emotions/train_event_subjective.csv",
        "rgb_frames/user_03/GOPR0804/frame_07.png",
    ],
)
def test_a_file_that_changed_changes_the_inputs(root: Path, tmp_path: Path, changed):
    shutil.copytree(root, tmp_path / "copy")
    before = fingerprint(recipe(tmp_path / "copy").inputs)
    (tmp_path / "copy" / changed).touch()
    assert fingerprint(recipe(tmp_path / "copy").inputs) != before


def test_labels_of_another_name_are_told(bare: Path):
    with pytest.raises(NeuvaError, match="'felt' are not known: choose one of expected, reported"):
        recipe(bare, labels="felt")
