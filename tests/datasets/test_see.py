from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets import see
from datasets.inputs import fingerprint
from datasets.splits import shared_groups
from neuva import NeuvaError

LABELS = ["angry", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]


def picture(seed: int, side: int = 24) -> np.ndarray:
    """Grey and smooth, so that JPEG keeps it almost exactly."""
    y, x = np.mgrid[:side, :side]
    return (128 + 60 * np.sin((x + seed) / 7) * np.cos((y - seed) / 9)).astype(np.uint8)


def write_sequence(
    root: Path, emotion: str, name: str, frames: int, *, trees=("event", "frame"), side: int = 24
) -> None:
    folders = {"neutral": "neutraL"}
    for tree in trees:
        folder = root / tree / folders.get(emotion, emotion) / name
        folder.mkdir(parents=True)
        for number in range(frames):
            cv2.imwrite(str(folder / f"{number:05d}.jpg"), picture(number + 50 * (tree == "frame")))
    database[name] = {"subset": "testing" if len(database) % 3 == 2 else "training"} | {
        "annotations": {"label": emotion, "segment": [0, frames]}
    }


database: dict[str, dict] = {}


@pytest.fixture(scope="module")
def replica(tmp_path_factory) -> Path:
    """Ten volunteers, with everything that is odd about the published data set."""
    root = tmp_path_factory.mktemp("SEE")
    database.clear()
    lightings = ["normal", "Overexposed", "Low", "HDR"]
    number = 0
    for volunteer in range(1, 11):
        for take, emotion in enumerate(("angry", "neutral", "surprise")):
            number += 1
            sex, degree = ("man", "Master") if volunteer % 2 else ("woman", "undergraduate")
            light = lightings[volunteer % 4]
            name = f"{number}_{volunteer:03d}_{sex}_{20 + volunteer}_{degree}_{light}_{emotion}_5_take{take:03d}"
            write_sequence(root, emotion, name, 5)
    write_sequence(root, "fear", "90_004_woman_24_undergraduate_HDR_fear_63_take003", 6)  # the name claims 63
    write_sequence(root, "fear", "91_004_woman_24_undergraduate_HDR_fear_5_take004", 5, trees=("event",))
    write_sequence(root, "fear", "92_004_woman_24_undergraduate_HDR_fear_5_take005", 5, trees=("frame",))
    write_sequence(root, "fear", "fear_without_a_name", 2)
    write_sequence(root, "sadness", "93_004_woman_24_undergraduate_HDR_fear_5_take006", 2)  # under another emotion
    del database["fear_without_a_name"]
    database["99_011_man_30_Doctor_Low_sadness_40_take000"] = {  # never delivered
        "subset": "testing",
        "annotations": {"label": "sadness", "segment": [0, 40]},
    }
    angry = root / "event" / "angry"
    first = next(iter(sorted(angry.iterdir())))
    shutil.copytree(first, first.with_name(first.name + "_cropped"))
    (angry / ".~lock.list.txt#").write_text("someone")
    (first / ".~lock.00000.jpg#").write_text("someone")
    (first / "Thumbs.db").write_bytes(b"\0")
    (root / ".~lock.emotion.json#").write_text("someone")
    (root / "event" / "README.txt").write_text("no emotion")
    (root / "emotion.json").write_text(json.dumps({"labels": LABELS, "database": database}, indent=1))
    return root


def made(recipe):
    return {job.name: (job, *pickle.loads(pickle.dumps(job.make))()) for job in recipe.jobs}


def test_every_sequence_is_read_as_published(replica):
    recipe = see.recipe(replica)
    clips = made(recipe)
    assert recipe.sensor_size == (24, 24)
    assert len(clips) == 31
    _, sample, arrays = clips["2_001_man_21_Master_Overexposed_neutral_5_take001"]
    assert sample.meta == {
        "subject": "001",
        "volunteer": "001",
        "sex": "man",
        "age": 21,
        "degree": "Master",
        "lighting": "overexposed",
        "emotion": "neutral",
        "take": 1,
        "length_in_name": 5,
    }
    assert len(sample.events) == 0
    assert not sample.mask.any()
    np.testing.assert_array_equal(sample.label_times, [0, 33333, 66667, 100000, 133333])
    for key, offset in (("event_frames", 0), ("frames", 50)):
        assert arrays[key].shape == (5, 24, 24)
        assert arrays[key].dtype == np.uint8
        for number in range(5):
            error = np.abs(arrays[key][number].astype(int) - picture(number + offset))
            assert error.mean() < 2
            wrong = np.abs(arrays[key][number].astype(int) - picture(number + 50 - offset))  # the other tree's
            assert wrong.mean() > 10


def test_what_cannot_be_used_is_left_out_and_told(replica, caplog):
    recipe = see.recipe(replica)
    assert recipe.provenance["left_out"] == {
        "91_004_woman_24_undergraduate_HDR_fear_5_take004": "has no intensity frames",
        "92_004_woman_24_undergraduate_HDR_fear_5_take005": "has no event frames",
        "93_004_woman_24_undergraduate_HDR_fear_5_take006": "lies under sadness",
        "fear_without_a_name": "its name is not number_volunteer_sex_age_degree_lighting_emotion_length_take",
    }
    assert "4 sequences left out" in caplog.text
    _, sample, arrays = made(recipe)["90_004_woman_24_undergraduate_HDR_fear_63_take003"]
    assert len(arrays["frames"]) == len(sample.labels) == 6
    assert sample.meta["length_in_name"] == 63


def test_disjoint_split_shares_nobody_and_is_repeatable(replica):
    recipe = see.recipe(replica)
    people = [job.name.split("_")[1] for job in recipe.jobs]
    splits = [job.split for job in recipe.jobs]
    assert shared_groups(people, splits) == {}
    assert set(splits) == {"train", "validation", "test"}
    assert splits.count("train") > splits.count("test") > 0
    assert recipe.provenance["shared_subjects"] == 0
    assert "no volunteer is in two splits" in recipe.provenance["notes"][0]
    again = see.recipe(replica)
    assert [(job.name, job.split) for job in again.jobs] == [(job.name, job.split) for job in recipe.jobs]
    assert again.provenance == recipe.provenance
    assert [job.split for job in see.recipe(replica, seed=1).jobs] != splits


def test_official_split_says_that_it_shares_volunteers(replica):
    recipe = see.recipe(replica, split="official")
    for job in recipe.jobs:
        assert job.split == {"training": "train", "testing": "test"}[database[job.name]["subset"]]
    people = [job.name.split("_")[1] for job in recipe.jobs]
    shared = shared_groups(people, [job.split for job in recipe.jobs])  # the variant that must not pass as disjoint
    assert recipe.provenance["shared_subjects"] == len(shared) > 0
    assert f"{len(shared)} of 10 volunteers are in more than one split" in recipe.provenance["notes"][0]
    left_out = recipe.provenance["left_out"]
    assert left_out["99_011_man_30_Doctor_Low_sadness_40_take000"] == "is in the split file alone"


def test_official_split_keeps_to_the_segments(replica, tmp_path):
    root = tmp_path / "SEE"
    shutil.copytree(replica, root)
    name = "1_001_man_21_Master_Overexposed_angry_5_take000"
    rows = {name: {"subset": "training", "annotations": {"label": "angry", "segment": [1, 4]}}}
    (root / "emotion.json").unlink()
    (root / "emotion_new_adjust2.json").write_text(json.dumps({"database": rows}))
    (root / "event").rename(root / "event_30")
    recipe = see.recipe(root, split="official")
    ((_, sample, arrays),) = made(recipe).values()
    np.testing.assert_array_equal(sample.label_times, [33333, 66667, 100000])
    assert len(arrays["event_frames"]) == 3
    assert recipe.provenance["left_out"]["2_001_man_21_Master_Overexposed_neutral_5_take001"].startswith(
        "has no frames"
    )
    rows["2_001_man_21_Master_Overexposed_neutral_5_take001"] = rows[name] | {"annotations": {"segment": [0, 0]}}
    (root / "emotion_new_adjust2.json").write_text(json.dumps({"database": rows}))
    assert see.recipe(root, split="official").provenance == recipe.provenance


def test_frames_missing_from_one_tree_leave_a_gap_in_time(replica, tmp_path):
    root = tmp_path / "SEE"
    shutil.copytree(replica, root)
    name = "1_001_man_21_Master_Overexposed_angry_5_take000"
    (root / "event/angry" / name / "00001.jpg").unlink()
    _, sample, arrays = made(see.recipe(root))[name]
    np.testing.assert_array_equal(sample.label_times, [0, 66667, 100000, 133333])
    assert np.abs(arrays["frames"][1].astype(int) - picture(52)).mean() < 2


def test_the_same_job_gives_the_same_bytes(replica):
    job = see.recipe(replica).jobs[0]
    (a, x), (b, y) = job.make(), job.make()
    assert a.meta == b.meta
    assert all(x[key].tobytes() == y[key].tobytes() for key in x)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda root: shutil.rmtree(root / "event"),
            "no folder event or event_30: SEE is given out on application",
        ),
        (lambda root: shutil.rmtree(root / "frame"), "has no folder frame: SEE is given out on application"),
        (lambda root: (root / "emotion.json").unlink(), "has no split file"),
        (lambda root: (root / "emotion.json").write_text("{"), "is no split file"),
        (
            lambda root: (root / "emotion.json").write_text('{"database": {"a": {"subset": "dev"}}}'),
            "a: needed subset",
        ),
        (lambda root: (root / "emotion.json").write_text('{"database": {}}'), "no sequence of the split file is there"),
    ],
)
def test_missing_or_damaged_files_are_told_with_the_cure(replica, tmp_path, harm, message):
    root = tmp_path / "SEE"
    shutil.copytree(replica, root)
    harm(root)
    with pytest.raises(NeuvaError, match=message):
        see.recipe(root, split="official")


def test_bad_pictures_are_named(replica, tmp_path):
    root = tmp_path / "SEE"
    shutil.copytree(replica, root)
    folder = root / "event/angry/1_001_man_21_Master_Overexposed_angry_5_take000"
    cv2.imwrite(str(folder / "00002.jpg"), picture(0, 30))
    job = next(job for job in see.recipe(root).jobs if job.name == folder.name)
    with pytest.raises(NeuvaError, match=r"00002\.jpg: is 30x30, the first 24x24"):
        job.make()
    (folder / "00002.jpg").write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(NeuvaError, match=r"00002\.jpg: cannot be read as a picture"):
        job.make()
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(NeuvaError, match=r"no picture that .* has too"):
        job.make()


@pytest.mark.parametrize("split", ["disjoint", "official"])
def test_a_file_that_changed_changes_the_inputs(replica, tmp_path, split):
    root = tmp_path / "SEE"
    shutil.copytree(replica, root)
    before = fingerprint(see.recipe(root, split=split).inputs)
    name = "1_001_man_21_Master_Overexposed_angry_5_take000"
    for changed in (f"event/angry/{name}/00001.jpg", f"frame/angry/{name}/00002.jpg", "emotion.json"):
        (root / changed).touch()
        after = fingerprint(see.recipe(root, split=split).inputs)
        assert (after != before) == (split == "official" or changed != "emotion.json")
        before = after


def test_an_unknown_split_is_refused(replica):
    with pytest.raises(NeuvaError, match="choose disjoint or official"):
        see.recipe(replica, split="random")


KEYS = st.sampled_from(["database", "subset", "annotations", "segment", "x"])
LEAVES = st.none() | st.floats() | st.text(max_size=5)
BRANCHES = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(KEYS, LEAVES, max_size=3)
CONTENTS = BRANCHES | st.lists(BRANCHES, max_size=2) | st.dictionaries(KEYS, BRANCHES, max_size=3)


@given(CONTENTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_split_file_is_read_or_refused_in_one_line(replica, tmp_path, content):
    root = tmp_path / "SEE"
    if not root.exists():
        root.mkdir()
        (root / "event").symlink_to(replica / "event")
        (root / "frame").symlink_to(replica / "frame")
    (root / "emotion.json").write_text(json.dumps(content))
    with pytest.raises(NeuvaError) as error:
        see.recipe(root, split="official")
    assert "\n" not in str(error.value)
