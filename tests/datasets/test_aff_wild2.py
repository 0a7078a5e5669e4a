from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets import aff_wild2
from datasets.aff_wild2 import annotations, frames, sound
from datasets.inputs import fingerprint
from datasets.store import EventStore, StoreWriter
from neuva import NeuvaError

REAL = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
VA, EXPR, AU = "VA_Estimation_Challenge", "EXPR_Recognition_Challenge", "AU_Detection_Challenge"
HEADERS = {
    VA: "valence,arousal",
    EXPR: "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other",
    AU: "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26",
}
UNITS = "0,1,0,0,1,0,0,0,1,0,0,1"


def annotate(root: Path, challenge: str, part: str, video: str, lines: list[str], release: str = "6th") -> Path:
    path = root / f"{release} ABAW Annotations" / challenge / part / f"{video}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    header = HEADERS[challenge if challenge in HEADERS else EXPR]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def face(number: int, side: int = 112) -> np.ndarray:
    """A coloured picture whose red tells its number."""
    picture = np.zeros((side, side, 3), np.uint8)
    picture[..., 0], picture[..., 1], picture[..., 2] = 20 * number, 90, 40
    return picture


def draw(root: Path, video: str, numbers) -> None:
    folder = root / "cropped_aligned" / video
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), cv2.cvtColor(face(number), cv2.COLOR_RGB2BGR))


def film(path: Path, fps: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "mp4v" if path.suffix == ".mp4" else "MJPG"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    for number in range(4):
        writer.write(np.full((48, 64, 3), 30 * number, np.uint8))
    writer.release()


@pytest.fixture(scope="module")
def replica(tmp_path_factory) -> Path:
    """Seven videos, with everything that is odd about the published data set."""
    root = tmp_path_factory.mktemp("Aff-Wild2")
    two = "10-60-1280x720"
    annotate(root, VA, "Train_Set", f"{two}_left", [f"0.{k},-0.{k}" for k in range(8)])  # two lines too many
    draw(root, f"{two}_left", [2, 3, 6])  # frames 1, 4 and 5 have no face
    annotate(root, EXPR, "Train_Set", f"{two}_left", ["4", "-1", "0"])  # shorter than the rest
    annotate(root, VA, "Validation_Set", f"{two}_right", ["-5,-5", "0.5,-5", "1,-1"])
    draw(root, f"{two}_right", [1, 2, 3, 4])  # one picture too many
    annotate(root, AU, "Train_Set", f"{two}_right", [UNITS, "0,-1,0,0,1,0,0,0,1,0,0,1", "-1" + ",-1" * 11])
    film(root / "batch1" / f"{two}.mp4", 25)
    soundfile.write(_folder(root / "audio") / f"{two}.wav", np.full((800, 2), (0.25, 0.75)), 16_000, "PCM_16")
    annotate(root, EXPR, "Validation_Set", "video2", ["7", "1"])
    draw(root, "video2", [1, 2])
    film(root / "batch2" / "batch2" / "video2.avi", 10)
    for number in range(3, 8):
        annotate(root, VA, "Train_Set", f"video{number}", ["0.1,0.2"] * number)
        draw(root, f"video{number}", range(1, number + 1))
    annotate(root, VA, "Validation_Set", "video9", ["0,0"])  # its faces were not delivered
    annotate(root, "EXPR_Classification_Challenge", "Train_Set", "video1", ["1"], release="5th")  # an older release
    for rubbish in (f".~lock.{two}_left.txt#", "._video3.txt", "notes.md"):
        (root / "6th ABAW Annotations" / VA / "Train_Set" / rubbish).write_text("rubbish")
    (root / "cropped_aligned" / "video3" / ".DS_Store").write_bytes(b"\0")
    (root / "cropped_aligned" / "not_annotated").mkdir()
    return root


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(autouse=True)
def _no_ffmpeg(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(_folder(tmp_path / "empty")))


def made(recipe):
    return {job.name: (job, *pickle.loads(pickle.dumps(job.make))()) for job in recipe.jobs}


def test_the_tasks_are_joined_by_frame(replica):
    recipe = aff_wild2.recipe(replica)
    assert recipe.sensor_size == (112, 112)
    job, sample, arrays = made(recipe)["10-60-1280x720_left"]
    assert job.split == "train"
    assert len(sample.events) == 0
    np.testing.assert_allclose(sample.labels, [[k / 10, -k / 10] for k in range(6)])  # up to the last picture
    assert sample.mask.all()
    np.testing.assert_array_equal(sample.label_times, np.arange(6) * 40_000)  # the video's 25 frames/s
    np.testing.assert_array_equal(arrays["expression"], [4, -1, 0, -1, -1, -1])
    np.testing.assert_array_equal(arrays["action_units"], np.full((6, 12), -1))
    assert arrays["expression"].dtype == arrays["action_units"].dtype == np.int8
    np.testing.assert_array_equal(arrays["frame_numbers"], [2, 3, 6])
    np.testing.assert_array_equal(arrays["frame_index"], [0, 0, 1, 1, 2, 2])
    assert sample.meta == {
        "video": "10-60-1280x720",
        "person": "left",
        "fold": sample.meta["fold"],
        "official": {"valence_arousal": "train", "expression": "train"},
        "fps": 25.0,
        "fps_assumed": False,
        "frames_without_picture": 3,
        "annotations_cut": 2,
        "audio_rate": 16_000,
    }


def test_invalid_labels_are_masked(replica):
    job, sample, arrays = made(aff_wild2.recipe(replica))["10-60-1280x720_right"]
    assert job.split == "validation"
    np.testing.assert_array_equal(sample.mask, [False, False, True])
    np.testing.assert_array_equal(sample.labels, [[0, 0], [0, 0], [1, -1]])
    np.testing.assert_array_equal(arrays["action_units"][0], [int(each) for each in UNITS.split(",")])
    np.testing.assert_array_equal(arrays["action_units"][1:], -1)
    assert len(arrays["frame_numbers"]) == 3
    assert sample.meta["annotations_cut"] == 0


def test_pictures_are_kept_as_their_own_bytes(replica):
    _, _, arrays = made(aff_wild2.recipe(replica))["10-60-1280x720_left"]
    folder = replica / "cropped_aligned" / "10-60-1280x720_left"
    for row, number in enumerate((2, 3, 6)):
        begin, end = arrays["jpeg_offsets"][row : row + 2]
        assert arrays["jpeg"][begin:end].tobytes() == (folder / f"{number:05d}.jpg").read_bytes()


def test_frames_come_back_from_a_store(replica, tmp_path):
    recipe = aff_wild2.recipe(replica)
    clips = made(recipe)
    name = "10-60-1280x720_left"
    path = tmp_path / "aff.h5"
    with StoreWriter(
        path, dataset=recipe.dataset, sensor_size=recipe.sensor_size, provenance=recipe.provenance
    ) as store:
        for each in (name, "video2"):
            store.add(each, clips[each][0].split, *clips[each][1:])
    store = EventStore(path)
    everything = aff_wild2.frames_of(store, 0)
    assert everything.shape == (6, 112, 112, 3)
    assert everything.dtype == np.uint8
    np.testing.assert_allclose(everything[:, 50, 50], [face(n)[50, 50] for n in (2, 2, 3, 3, 6, 6)], atol=3)
    np.testing.assert_array_equal(aff_wild2.frames_of(store, 0, [5, 0]), everything[[5, 0]])
    np.testing.assert_array_equal(aff_wild2.frames_of(store, 0, slice(1, 3)), everything[1:3])
    assert aff_wild2.frames_of(store, 0, []).shape == (0, 112, 112, 3)
    with pytest.raises(NeuvaError, match=r"frames are 0\.\.5"):
        aff_wild2.frames_of(store, 0, [6])
    np.testing.assert_array_equal(store.arrays(0, "audio"), clips[name][2]["audio"])


def test_times_without_a_video_are_assumed_and_told(replica):
    recipe = aff_wild2.recipe(replica)
    clips = made(recipe)
    sample = clips["video3"][1]
    np.testing.assert_array_equal(sample.label_times, [0, 33333, 66667])
    assert sample.meta["fps_assumed"]
    assert "5 of 8 clips have no video beside them: 30 frames/s are assumed" in recipe.provenance["notes"]
    assert clips["video2"][1].meta["fps"] == 10  # an .avi, two folders down
    assert not clips["video2"][1].mask.any()  # in the expression task alone


def test_folds_keep_two_people_of_a_video_together(replica):
    recipe = aff_wild2.recipe(replica)
    folds = {name: sample.meta["fold"] for name, (_, sample, _) in made(recipe).items()}
    assert folds["10-60-1280x720_left"] == folds["10-60-1280x720_right"]
    assert set(folds.values()) == set(range(5))
    assert recipe.provenance["folds"] == 5
    notes = " ".join(recipe.provenance["notes"])
    assert "1 clips are in training for one task and in validation for another" in notes
    assert "1 videos have people in more than one split" in notes


def test_what_was_not_delivered_is_left_out_and_told(replica, caplog):
    recipe = aff_wild2.recipe(replica)
    assert recipe.provenance["left_out"] == ["video9"]
    assert recipe.provenance["source"] == "Aff-Wild2, 6th ABAW Annotations"
    assert "1 videos left out" in caplog.text
    assert "6 of 8 clips have no sound: it needs audio/VIDEO.wav" in caplog.text
    assert [job.name for job in recipe.jobs] == sorted(job.name for job in recipe.jobs)
    assert "video1" not in [job.name for job in recipe.jobs]


def test_the_same_job_gives_the_same_bytes(replica):
    one, two = aff_wild2.recipe(replica), aff_wild2.recipe(replica)
    assert one.provenance == two.provenance
    (a, x), (b, y) = one.jobs[0].make(), two.jobs[0].make()
    assert a.meta == b.meta
    assert a.labels.tobytes() == b.labels.tobytes()
    assert all(x[key].tobytes() == y[key].tobytes() for key in x)


def test_a_file_that_changed_changes_the_inputs(replica, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(replica, root)
    inputs = aff_wild2.recipe(root).inputs
    assert len(inputs) == len(set(inputs))  # two people share a video
    before = fingerprint(inputs)
    two = "10-60-1280x720"
    va = f"6th ABAW Annotations/{VA}/Train_Set"
    for changed in (
        f"{va}/{two}_left.txt", f"cropped_aligned/{two}_left/00003.jpg", f"batch1/{two}.mp4", f"audio/{two}.wav"
    ):  # fmt: skip
        (root / changed).touch()
        after = fingerprint(aff_wild2.recipe(root).inputs)
        assert after != before
        before = after
    (root / va / f".~lock.{two}_left.txt#").touch()
    assert fingerprint(aff_wild2.recipe(root).inputs) == before


@given(st.sets(st.integers(1, 40), min_size=1), st.integers(1, 50))
def test_nearest_picture_by_brute_force(numbers, n):
    numbers = np.array(sorted(numbers))
    expected = [np.argmin(np.abs(numbers - frame)) for frame in range(1, n + 1)]  # argmin: of two the earlier
    np.testing.assert_array_equal(frames.nearest(numbers, n), expected)


def test_sound_is_mono_at_16_khz(tmp_path):
    rate, seconds = 44_100, 0.5
    t = np.arange(int(rate * seconds)) / rate
    stereo = np.column_stack([0.8 * np.sin(2 * np.pi * 440 * t), np.zeros_like(t)])
    soundfile.write(tmp_path / "a.wav", stereo, rate, "PCM_24")
    heard = sound.read_sound(tmp_path / "a.wav")
    assert heard is not None
    assert heard.dtype == np.int16
    assert len(heard) == 8000
    expected = 0.4 * 2**15 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16_000)
    middle = slice(200, -200)  # the resampler's ends ring
    np.testing.assert_allclose(heard[middle], expected[middle], atol=40)
    left_alone = 2 * expected  # the variant that must not pass: the left channel instead of the mean
    assert np.abs(heard[middle] - left_alone[middle]).max() > 10_000


def test_sound_at_its_own_rate_is_kept_exactly(tmp_path):
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, 500).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, "PCM_16")
    np.testing.assert_array_equal(sound.read_sound(tmp_path / "a.wav"), samples)
    (tmp_path / "b.wav").write_bytes(b"RIFF no sound")
    with pytest.raises(NeuvaError, match=r"b\.wav: cannot be read as sound"):
        sound.read_sound(tmp_path / "b.wav")


def stub_ffmpeg(folder: Path, script: str, monkeypatch) -> None:
    program = _folder(folder / "bin") / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_sound_of_a_video_goes_through_ffmpeg(tmp_path, monkeypatch):
    video = tmp_path / "a.mp4"
    with pytest.raises(NeuvaError, match=r"install it, or put audio/a\.wav"):
        sound.read_sound(video)
    stub_ffmpeg(tmp_path, r"printf '\001\002\377\377'", monkeypatch)
    np.testing.assert_array_equal(sound.read_sound(video), [513, -1])
    stub_ffmpeg(tmp_path, "echo \"Stream map '0:a:0' matches no streams.\" >&2; exit 234", monkeypatch)
    assert sound.read_sound(video) is None
    stub_ffmpeg(tmp_path, "echo 'moov atom not found' >&2; exit 183", monkeypatch)
    with pytest.raises(NeuvaError, match=r"cannot read its sound \(moov atom not found\)"):
        sound.read_sound(video)


def test_a_real_video_is_heard_on_the_clock_of_its_pictures(monkeypatch):
    monkeypatch.undo()
    if not (REAL / "face-video.mp4").is_file():
        pytest.skip("no real recordings at NEUVA_REAL_DATA")
    if sound.ffmpeg() is None:
        pytest.skip("ffmpeg is not installed")
    heard = sound.read_sound(REAL / "face-video.mp4")
    late = sound.read_sound(REAL / "face-then-no-face.mov")  # its sound begins 2.43 s after its pictures
    assert heard is not None
    assert late is not None
    assert len(heard) / 16_000 == pytest.approx(72 / 30, abs=0.05)
    assert not late[: 2 * 16_000].any()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda root: shutil.rmtree(root / "cropped_aligned"),
            "no folder cropped_aligned: Aff-Wild2 is given out by iBUG",
        ),
        (lambda root: [shutil.rmtree(each) for each in root.glob("* ABAW Annotations")], "has no folder '... ABAW"),
        (lambda root: [shutil.rmtree(each) for each in root.glob("6th*/*")], "holds no annotation"),
        (lambda root: [shutil.rmtree(each) for each in root.glob("cropped_aligned/*")], "pictures of none of the 9"),
        (
            lambda root: annotate(root, VA, "Validation_Set", "video3", ["0,0"]),
            r"video3\.txt: valence_arousal has this video at",
        ),
    ],
)
def test_missing_files_are_told_with_the_cure(replica, tmp_path, harm, message):
    root = tmp_path / "Aff-Wild2"
    shutil.copytree(replica, root)
    harm(root)
    with pytest.raises(NeuvaError, match=message):
        aff_wild2.recipe(root)


def test_a_missing_root_is_told():
    with pytest.raises(NeuvaError, match="signed request"):
        aff_wild2.recipe(Path("/no/such/folder"))


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (annotations.read_valence_arousal, "arousal,valence\n0,0\n", "line 1 must be valence,arousal"),
        (annotations.read_valence_arousal, "0.1,0.2\n", "line 1 must be"),
        (annotations.read_valence_arousal, "", "line 1 must be"),
        (annotations.read_valence_arousal, "valence,arousal\n0,0\n0.3\n", "line 3 is '0.3', needed 2 numbers"),
        (annotations.read_valence_arousal, "valence,arousal\n0,0\n\n0,0\n", "line 3 is ''"),
        (annotations.read_valence_arousal, "valence,arousal\n0,1.5\n", "line 2 is out of range"),
        (annotations.read_valence_arousal, "valence,arousal\n0,nan\n", "line 2 is out of range"),
        (annotations.read_expression, HEADERS[EXPR] + "\n8\n", r"line 2 is out of range, needed a number in -1\.\.7"),
        (annotations.read_expression, HEADERS[EXPR] + "\n1.5\n", "line 2 is out of range"),
        (annotations.read_action_units, HEADERS[AU] + "\n" + UNITS.replace("1", "2") + "\n", "needed 0, 1 or -1"),
    ],
)
def test_damaged_annotations_name_the_line(tmp_path, read, text, message):
    path = tmp_path / "video.txt"
    path.write_text(text)
    with pytest.raises(NeuvaError, match=message):
        read(path)


@given(st.binary(max_size=60))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_annotation_file_is_read_or_refused_in_one_line(tmp_path, content):
    path = tmp_path / "video.txt"
    path.write_bytes(b"valence,arousal\n" + content)
    refused, labels = "", np.zeros((0, 2))
    try:
        labels, _ = annotations.read_valence_arousal(path)
    except NeuvaError as error:
        refused = str(error)
    assert "\n" not in refused
    assert np.all(np.abs(labels) <= 1)


def test_bad_pictures_are_named(tmp_path):
    draw(tmp_path, "v", [1, 2])
    files = list(frames.pictures(tmp_path / "cropped_aligned" / "v").values())
    files[1].write_bytes(b"")
    with pytest.raises(NeuvaError, match=r"00002\.jpg: is no JPEG \(0 bytes\)"):
        frames.pack(files)
    cv2.imwrite(str(files[0]), face(1, 96))
    with pytest.raises(NeuvaError, match=r"00001\.jpg: is 96x96, needed 112x112"):
        frames.pack(files[:1])
