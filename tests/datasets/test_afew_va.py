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

from datasets.afew_va import SIDE, make_clip, read_annotation, recipe
from datasets.crop import crop_events
from datasets.face_track import track_of
from datasets.faces.geometry import brow, head_outline
from datasets.faces.identity import Identity
from datasets.inputs import fingerprint
from datasets.landmarks import FACE, head_boxes, smoothed, still_window
from datasets.simulator import PRESETS
from neuva import NeuvaError

PICTURE = (200, 160)
NAMES = ["Ada", "Bo", "Cy", "Di", "Eve", "Ada ", "Flo"]


def face_points(x: float, y: float, size: float) -> np.ndarray:
    """68 points with the eyes' middle at (x, y), 1.2 sizes wide and 1 size from brow to chin."""
    points = np.zeros((68, 2))
    angle = np.linspace(np.pi, 0, 17)
    points[:17] = np.column_stack([0.6 * np.cos(angle), 0.8 * np.sin(angle)])
    points[17:27] = np.column_stack([np.linspace(-0.5, 0.5, 10), np.full(10, -0.2)])
    points[27:36, 1] = np.linspace(0, 0.3, 9)
    points[36:48] = np.column_stack([np.repeat([-0.25, 0.25], 6), np.zeros(12)])
    points[48:, 1] = 0.5
    return points * size + [x, y]


def picture(points: np.ndarray, number: int) -> np.ndarray:
    """A face with a bright nose, and someone else waving in the corner."""
    image = np.full((PICTURE[1], PICTURE[0], 3), 90, np.uint8)
    cv2.fillConvexPoly(image, cv2.convexHull(points.astype(np.int32)), (140, 140, 140))
    cv2.circle(image, tuple(np.rint(points[30]).astype(int).tolist()), 2, (255, 255, 255), -1)
    cv2.circle(image, (185, 15 + 4 * (number % 3)), 8, (250, 250, 250), -1)
    return image


def write_clip(folder: Path, actor: str, frames: int = 8, size: float = 40.0, drift: float = 1.5) -> None:
    folder.mkdir(parents=True)
    told = {}
    for number in range(frames):
        points = face_points(90 + drift * number, 70 + 0.5 * number, size)
        cv2.imwrite(str(folder / f"{number:05d}.png"), picture(points, number))
        told[f"{number:05d}"] = {"arousal": number - 4, "valence": -10 + number, "landmarks": points.tolist()}
    (folder / f"{folder.name}.json").write_text(json.dumps({"actor": actor, "frames": told, "video_id": folder.name}))


def rewrite(folder: Path, change) -> None:
    path = folder / f"{folder.name}.json"
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("afew-va")
    for number, actor in enumerate(NAMES, 1):
        write_clip(root / f"{number:03d}", actor, frames=6 + number)
    (root / "007").rename(root / "moved")
    (root / "02").mkdir()
    (root / "moved").rename(root / "02" / "007")  # an archive unpacked into its own folder
    write_clip(root / "001_cropped", "Ada")
    (root / "001" / "._00000.png").write_bytes(b"not a picture")
    (root / ".DS_Store").write_bytes(b"\0")

    def constant(told):
        for frame in told["frames"].values():
            frame.update(valence=0, arousal=3)

    rewrite(root / "002", constant)
    rewrite(root / "003", lambda told: [told["frames"].pop(f"{number:05d}") for number in (3, 7, 8)])
    (root / "004" / "00002.png").unlink()
    (root / "004" / "00009.png").unlink()
    return root


def made(root: Path, name: str, **options):
    return {job.name: job for job in recipe(root, **options).jobs}[name].make()


def test_clips_folds_and_provenance(root: Path, caplog):
    with caplog.at_level(logging.WARNING):
        found = recipe(root)
    assert [job.name for job in found.jobs] == ["001", "002", "003", "004", "005", "006", "007"]
    assert "7 of AFEW-VA's 600 clips" in caplog.text
    folds = {job.name: job.split for job in found.jobs}
    assert folds["001"] == folds["006"]  # one actor, written in two ways
    assert set(folds.values()) == {f"fold{i}" for i in range(5)}
    assert found.sensor_size == (SIDE, SIDE)
    assert found.provenance["fps"] == 25
    assert any("assumed" in note for note in found.provenance["notes"])
    json.dumps(found.provenance)


def test_a_clip_is_labelled_at_its_frames_times(root: Path):
    sample, arrays = made(root, "001")
    assert sample.label_times.tolist() == [40_000 * i for i in range(7)]
    np.testing.assert_allclose(sample.labels[:, 0], (np.arange(7) - 10) / 10, atol=1e-7)
    np.testing.assert_allclose(sample.labels[:, 1], (np.arange(7) - 4) / 10, atol=1e-7)
    assert sample.labels.dtype == np.float32
    assert sample.mask.all()
    assert len(sample.events) > 500
    assert 0 < sample.events.t0 <= sample.events.t1 <= 240_000
    assert {"actor": "Ada", "subject": "Ada", "video_id": "001"}.items() <= sample.meta.items()
    assert arrays["frames"].shape == (7, SIDE, SIDE)
    assert arrays["frames"].dtype == np.uint8
    assert arrays["landmarks"].dtype == np.float32
    json.dumps(sample.meta)


def test_landmarks_lie_on_the_face_that_the_sensor_sees(root: Path):
    sample, arrays = made(root, "001")
    track = track_of(sample.meta)
    assert track is not None
    assert abs(np.median(track.boxes[:, 2]) - FACE) < 0.05 * FACE
    for frame, points in zip(arrays["frames"], arrays["landmarks"], strict=True):
        row, column = np.unravel_index(np.argmax(cv2.GaussianBlur(frame, (9, 9), 2)), frame.shape)
        np.testing.assert_allclose(points[30], [column + 0.5, row + 0.5], atol=4)
    low, high = track.boxes[:, :2] - track.boxes[:, 2:] / 2, track.boxes[:, :2] + track.boxes[:, 2:] / 2
    assert low.min() > -1  # the window holds the face's whole path
    assert high.max() < SIDE + 1
    face = crop_events(sample.events, track, 64)
    assert len(face) > 0.9 * len(sample.events)  # who waves in the corner is not seen


def test_constant_labels_stay(root: Path):
    sample, _ = made(root, "002")
    assert np.unique(sample.labels, axis=0).tolist() == [[0, np.float32(0.3)]]


def test_frames_without_label_are_masked(root: Path, caplog):
    with caplog.at_level(logging.WARNING):
        sample, arrays = made(root, "003")
    assert "3 frames have no label, 0 labels have no frame" in caplog.text
    assert np.flatnonzero(~sample.mask).tolist() == [3, 7, 8]
    assert not sample.labels[~sample.mask].any()
    between = (arrays["landmarks"][2] + arrays["landmarks"][4]) / 2
    np.testing.assert_allclose(arrays["landmarks"][3], between, atol=1e-3)
    np.testing.assert_allclose(arrays["landmarks"][8], arrays["landmarks"][6], atol=1e-3)


def test_labels_without_frame_are_left_out_and_time_goes_on(root: Path, caplog):
    with caplog.at_level(logging.WARNING):
        sample, arrays = made(root, "004")
    assert "0 frames have no label, 2 labels have no frame" in caplog.text
    assert sample.label_times.tolist() == [40_000 * i for i in (0, 1, 3, 4, 5, 6, 7, 8)]
    assert sample.labels[2, 0] == np.float32(-0.7)
    assert len(arrays["frames"]) == 8


def test_a_clip_whose_first_frames_are_missing_begins_late(root: Path, tmp_path: Path):
    shutil.copytree(root / "005", tmp_path / "005")
    for number in range(3):
        (tmp_path / "005" / f"{number:05d}.png").unlink()
    sample, _ = make_clip(tmp_path / "005", 0, PRESETS["ideal"], "none", 25.0, 0)
    assert sample.label_times.tolist() == [40_000 * number for number in range(3, 11)]
    assert sample.meta["start_us"] == 120_000
    assert sample.events.t0 > 120_000


def test_every_clip_has_noise_of_its_own(root: Path, tmp_path: Path):
    clips = []
    for name in ("005", "006"):
        shutil.copytree(root / "005", tmp_path / name)
        (tmp_path / name / "005.json").rename(tmp_path / name / f"{name}.json")
        clips.append(make_clip(tmp_path / name, 0, PRESETS["v2e"], "none", 25.0, 0)[0])
    assert np.array_equal(clips[0].labels, clips[1].labels)
    assert not np.array_equal(clips[0].events.array, clips[1].events.array)


def test_a_file_that_changed_changes_the_inputs(root: Path):
    before = fingerprint(recipe(root).inputs)
    for changed in ("001/001.json", "02/007/00003.png"):
        (root / changed).touch()
        after = fingerprint(recipe(root).inputs)
        assert after != before
        before = after
    (root / "001_cropped" / "00000.png").touch()
    assert fingerprint(recipe(root).inputs) == before


def test_jobs_can_be_pickled_and_give_the_same_bytes(root: Path):
    job = recipe(root, seed=3).jobs[4]
    (one, _), (two, _) = job.make(), pickle.loads(pickle.dumps(job.make))()
    assert one.events == two.events
    assert one.meta == two.meta
    other = recipe(root, seed=4).jobs[4].make()[0]
    assert not np.array_equal(one.events.array, other.events.array)


@pytest.mark.parametrize("how", ["linear", "flow"])
def test_interpolation_and_rate_reach_the_events(root: Path, how):
    plain, _ = made(root, "005", preset="ideal")
    finer, _ = made(root, "005", preset="ideal", interpolate=how, fps=50.0)
    assert finer.label_times.tolist() == (plain.label_times // 2).tolist()
    assert finer.events.t1 <= 200_000
    assert not np.array_equal(plain.events.array, finer.events.array)


def test_a_fast_face_gets_a_wider_window(tmp_path: Path):
    boxes = np.column_stack([np.linspace(100, 300, 9), np.full(9, 100.0), np.full(9, 60.0)])
    window = still_window(boxes, SIDE)
    assert window.side >= 260
    assert window.boxes(boxes, SIDE)[:, 2].max() < FACE
    still = still_window(boxes[:1], SIDE)
    np.testing.assert_allclose(still.boxes(boxes[:1], SIDE), [[SIDE / 2, SIDE / 2, FACE]], atol=1)


def test_the_window_may_reach_over_the_edge():
    boxes = np.array([[5.0, 5.0, 40.0]])
    cut = still_window(boxes, SIDE).cut(np.full((60, 60), 200, np.uint8), SIDE)
    assert cut.shape == (SIDE, SIDE)
    assert cut[0, 0] == 128
    assert cut[-1, -1] == 200


def test_a_head_box_is_that_of_the_embedded_faces():
    rest = dict.fromkeys([f"AU{n}" for n in range(1, 46)] + ["gaze_x", "gaze_y"], np.zeros(1))
    for seed in range(20):
        person = Identity.from_seed(seed)
        outline = head_outline(person, rest)[0]
        jaw = outline[outline[:, 1] > -0.1]
        points = np.zeros((68, 2))
        points[:17] = jaw[np.linspace(0, len(jaw) - 1, 17).astype(int)]
        points[0], points[16] = jaw[jaw[:, 0].argmin()], jaw[jaw[:, 0].argmax()]
        points[8] = jaw[jaw[:, 1].argmax()]
        points[17:27] = np.concatenate([brow(person, rest, side)[0][:5] for side in (-1, 1)])
        points[17] = min(*brow(person, rest, 1)[0].tolist(), key=lambda point: point[1])
        x, y, side = head_boxes(points[None])[0]
        assert abs(side / 2.9 - 1) < 0.1
        assert np.hypot(x, y) < 0.1


def test_smoothing_removes_jitter_and_keeps_a_walk():
    rng = np.random.default_rng(0)
    walk = np.column_stack([np.linspace(0, 100, 100), np.full(100, 50.0), np.full(100, 80.0)])
    calm = smoothed(walk + rng.normal(0, 1, walk.shape), 40_000)
    middle = slice(20, 80)
    assert np.abs(np.diff(calm[middle, 1])).max() < 0.2
    np.testing.assert_allclose(calm[middle], walk[middle], atol=1.2)
    np.testing.assert_allclose(smoothed(walk[:2], 40_000).mean(axis=0), walk[:2].mean(axis=0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told.pop("actor"), "no annotation of AFEW-VA"),
        (lambda told: told.update(actor=" "), "no actor"),
        (lambda told: told.update(frames={}), "no frames"),
        (lambda told: told["frames"]["00001"].update(valence=-11), "frame 1 has valence and arousal"),
        (lambda told: told["frames"]["00001"].update(arousal=None), "frame 1"),
        (lambda told: told["frames"]["00001"].pop("landmarks"), "frame 1 is not annotated"),
        (lambda told: told["frames"]["00001"]["landmarks"].pop(), r"landmarks \[67, 2\]"),
        (lambda told: told["frames"]["00001"]["landmarks"][5].append(1), "frame 1"),
        (lambda told: told["frames"].update(x={}), "no annotation of AFEW-VA"),
    ],
)
def test_a_broken_annotation_is_named(tmp_path: Path, change, said):
    write_clip(tmp_path / "001", "Ada", frames=2)
    rewrite(tmp_path / "001", change)
    with pytest.raises(NeuvaError, match=rf"001\.json.*{said}.*: unpack"):
        read_annotation(tmp_path / "001")


@given(st.binary(max_size=60) | st.sampled_from([b"[]", b'{"actor": "A", "frames": [1]}', b'{"actor": 3}', b"1e999"]))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_annotation_crashes(tmp_path: Path, junk):
    (tmp_path / "001").mkdir(exist_ok=True)
    (tmp_path / "001" / "001.json").write_bytes(junk)
    with pytest.raises(NeuvaError, match=r"001\.json"):
        read_annotation(tmp_path / "001")


def five(root: Path) -> Path:
    for number in range(1, 6):
        write_clip(root / f"{number:03d}", f"actor {number}", frames=3)
    return root


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: (root / "001" / "00001.png").write_bytes(b"?"), r"00001\.png: cannot be read"),
        (lambda root: cv2.imwrite(str(root / "001" / "00001.png"), np.zeros((9, 9, 3))), "is 9x9, the first"),
        (lambda root: [file.unlink() for file in (root / "001").glob("*.png")], "0 frames, 0 of them labelled"),
        (
            lambda root: rewrite(
                root / "001", lambda t: t["frames"]["00001"].update(landmarks=[[9e5, 1], [1, 2]] * 34)
            ),
            "has its face at",
        ),
    ],
)
def test_a_broken_clip_is_named(tmp_path: Path, damage, said):
    damage(five(tmp_path))
    with pytest.raises(NeuvaError, match=rf"001.*{said}.*unpack"):
        made(tmp_path, "001")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: (root / "003" / "003.json").unlink(), r"003\.json: is missing"),
        (lambda root: write_clip(root / "x" / "003", "Z"), "clip 003 is also at"),
        (lambda root: rewrite(root / "003", lambda t: t.update(actor="actor 1")), "5 folds of 4 groups"),
    ],
)
def test_a_broken_set_is_told_before_any_clip_is_made(tmp_path: Path, damage, said):
    damage(five(tmp_path))
    with pytest.raises(NeuvaError, match=said):
        recipe(tmp_path)


def test_what_is_missing_is_told_with_where_to_get_it(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(NeuvaError, match=r"no clip of AFEW-VA: ask for .*https://ibug.*001/001\.json"):
            recipe(folder)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"preset": "v3e"}, "v3e"), ({"interpolate": "magic"}, "magic"), ({"fps": 0.0}, "0.0 frames a second")],
)
def test_wrong_options_are_told(root: Path, options, said):
    with pytest.raises(NeuvaError, match=re.escape(said)):
        recipe(root, **options)
