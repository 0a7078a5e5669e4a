"""A video into a store: events streamed in and out, a picture, and how close to the truth its sub-frames bring it."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from datasets.crop import BoxTrack
from datasets.events import Events
from datasets.face_track import track_of
from datasets.simulator import PRESETS, preset, simulate
from datasets.simulator.interpolate import interpolated
from datasets.store import EventStore
from experiments import simulation
from experiments.benchmarks.interpolation import TRUE, closeness, compare, train_cost
from experiments.benchmarks.scenes import textures
from experiments.commands import simulate as command
from neuva import NeuvaError

DATA = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
SCENES = {scene.name: scene for scene in textures()}
SIZE = (64, 48)


def real(name):
    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is absent")
    return DATA / name


# --- how close to the truth


@pytest.mark.parametrize("name", ["translation", "occlusion"])
def test_flow_is_closest_to_the_truth(name):
    found = {result.how: result for result in compare(SCENES[name])}
    none, linear, flow, true = (found[how].closeness for how in ("none", "linear", "flow", TRUE))
    assert abs(flow.events - 1) < 0.2 * abs(linear.events - 1)
    assert abs(linear.events - 1) <= abs(none.events - 1)
    assert 1 - flow.counts < 0.25 * (1 - linear.counts)
    assert linear.counts > none.counts - 0.001  # a cross-fade of ideal pixels gives the events of a straight line
    assert flow.time_us < 0.25 * linear.time_us
    assert linear.time_us <= none.time_us
    assert true.time_us < flow.time_us
    assert found["flow"].subframes == found["linear"].subframes > 4


def trains(*times):
    """Events of three pixels at these times each."""
    rows = sorted((t, x) for x, train in enumerate(times) for t in train)
    t, x = (np.array(column) for column in zip(*rows, strict=True))
    return Events.from_columns(t, x, np.zeros_like(x), np.ones_like(x), (3, 1))


def test_closeness_in_closed_form():
    truth = trains([100, 200, 300], [150], [])
    same = closeness(truth, truth, 1000)
    assert (same.events, same.time_us) == (1, 0)
    assert same.counts == pytest.approx(1)
    late = closeness(truth, trains([107, 207, 307], [157], []), 1000)
    assert (late.events, late.time_us) == (1, 7)
    missing = closeness(truth, trains([100, 300], [150], []), 1000)
    assert (missing.events, missing.time_us) == (0.75, 250)
    elsewhere = closeness(truth, trains([100, 200, 300], [], [150]), 1000)
    assert (elsewhere.events, elsewhere.time_us) == (1, 500)
    assert elsewhere.counts < 0.9


def cost_by_definition(first, second, alone):
    if not first or not second:
        return alone * (len(first) + len(second))
    return min(
        cost_by_definition(first[1:], second[1:], alone) + abs(first[0] - second[0]),
        cost_by_definition(first[1:], second, alone) + alone,
        cost_by_definition(first, second[1:], alone) + alone,
    )


TRAIN = st.lists(st.integers(0, 50), max_size=5).map(sorted)


@settings(max_examples=50, deadline=None)
@given(TRAIN, TRAIN, st.integers(1, 30))
def test_cost_of_a_train_is_the_least(first, second, alone):
    found = train_cost(np.array(first, np.float64), np.array(second, np.float64), float(alone))
    assert found == cost_by_definition(first, second, alone)


# --- from video to store


def square_video(path, frames=12, fps=25.0):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, SIZE)
    for k in range(frames):
        picture = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
        picture[10:30, 8 + 3 * k : 24 + 3 * k] = 190
        writer.write(picture)
    writer.release()
    return path


@pytest.fixture
def face_everywhere(monkeypatch):
    """A face as wide as 24 pixels in every frame but the last four."""

    def track(frames):
        times = [t_us for _, t_us in frames][:-4]
        return BoxTrack(np.array(times, np.int64), np.tile([32.0, 24.0, 24.0], (len(times), 1)))

    monkeypatch.setattr(simulation, "track_face", track)


def run(video, out, **changes):
    settings = {"preset": "v2e", "interpolate": "flow", "height": 48, "fps": None, "seed": 3}
    return simulation.simulate_video(video, out, **{**settings, "picture": out.with_suffix(".png"), **changes})


@pytest.mark.parametrize("how", ["none", "linear", "flow"])
def test_the_store_holds_what_the_simulator_gives(how, tmp_path, face_everywhere, monkeypatch):
    monkeypatch.setattr(simulation, "PIECE", 500)  # several pieces
    video = square_video(tmp_path / "square.mp4")
    seen = []
    made = run(video, tmp_path / "a.h5", interpolate=how, progress=lambda *update: seen.append(update))
    frames = list(interpolated(simulation.open_frames(video), how))
    expected = simulate([frame for frame, _ in frames], [t for _, t in frames], preset("v2e"), seed=3)
    store = EventStore(tmp_path / "a.h5")
    sample = store.sample(0)
    assert sample.events == expected
    assert (made.events, made.sensor_size) == (len(expected), SIZE)
    assert (made.frames, made.frames + made.subframes, made.faces) == (12, len(frames), 8)
    assert (made.subframes > 0) == (how != "none")
    assert (sample.meta["start_us"], sample.meta["end_us"]) == (0, 440_000)
    assert (sample.meta["frames"], sample.meta["frames_with_face"]) == (12, 8)
    assert track_of(sample.meta).boxes[0].tolist() == [32, 24, 24]
    assert store.provenance["interpolate"] == how
    assert [seen[0], seen[11], seen[12], seen[-1]] == [
        ("finding the face", 1, 12), ("finding the face", 12, 12), ("simulating", 1, 12), ("simulating", 12, 12)
    ]  # fmt: skip
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture.shape[1] > 1000


def test_same_seed_same_bytes(tmp_path, face_everywhere):
    video = square_video(tmp_path / "square.mp4")
    for name in ("a", "b"):
        run(video, tmp_path / name / "s.h5", preset="noisy")
    run(video, tmp_path / "c" / "s.h5", preset="noisy", seed=4)
    first, again, other = (EventStore(tmp_path / name / "s.h5").sample(0).events for name in "abc")
    assert first == again
    assert first != other
    assert (tmp_path / "a" / "s.png").read_bytes() == (tmp_path / "b" / "s.png").read_bytes()


def test_memory_does_not_grow_with_the_video(tmp_path, face_everywhere, monkeypatch):
    alive, most = weakref.WeakSet(), []

    class Long:
        size, count = SIZE, 300

        def __iter__(self):
            for k in range(self.count):
                frame = Array((SIZE[1], SIZE[0]), np.uint8)
                frame[:] = 60
                frame[10:30, k % 40 : k % 40 + 16] = 190
                alive.add(frame)
                most.append(len(alive))
                yield frame, 10_000 * k

    class Array(np.ndarray):
        __hash__ = object.__hash__  # arrays have none, and weak sets ask for one

    monkeypatch.setattr(simulation, "open_frames", lambda *_: Long())
    monkeypatch.setattr(simulation, "resized", lambda frames, _: frames)
    monkeypatch.setattr(simulation, "PIECE", 500)
    (tmp_path / "long.mp4").touch()
    made = run(tmp_path / "long.mp4", tmp_path / "long.h5", interpolate="linear")
    assert made.frames == 300
    assert max(most) < 12  # six moments of the picture, and a few on their way


def test_a_run_stopped_before_the_store_was_joined_goes_on(tmp_path, face_everywhere, monkeypatch):
    video = square_video(tmp_path / "square.mp4")
    whole = run(video, tmp_path / "a.h5")
    with monkeypatch.context() as patch:
        patch.setattr(simulation.StoreWriter, "_join", stop)
        with pytest.raises(KeyboardInterrupt):
            run(video, tmp_path / "b.h5")
    assert not (tmp_path / "b.h5").exists()
    assert run(video, tmp_path / "b.h5") == whole
    assert EventStore(tmp_path / "b.h5").sample(0).events == EventStore(tmp_path / "a.h5").sample(0).events


def stop(*_):
    raise KeyboardInterrupt


def image_folder(path, shift=3):
    path.mkdir(exist_ok=True)
    for k in range(12):
        picture = np.full((SIZE[1], SIZE[0]), 60, np.uint8)
        picture[10:30, 8 + shift * k : 24 + shift * k] = 190
        cv2.imwrite(str(path / f"{k:02d}.png"), picture)
    return path


def test_a_stopped_run_of_another_rate_or_of_images_that_changed_is_not_kept(tmp_path, face_everywhere, monkeypatch):
    folder, out = image_folder(tmp_path / "images"), tmp_path / "a.h5"

    def stopped(fps):
        with monkeypatch.context() as patch:
            patch.setattr(simulation.StoreWriter, "_join", stop)
            with pytest.raises(KeyboardInterrupt):
                run(folder, out, fps=fps)

    stopped(10)
    assert run(folder, out, fps=40).seconds == EventStore(out).meta(0)["end_us"] / 1e6 == 0.275
    assert EventStore(out).provenance["fps"] == 40
    stopped(40)
    image_folder(folder, shift=1)
    run(folder, out, fps=40)
    run(folder, tmp_path / "fresh.h5", fps=40)
    assert EventStore(out).sample(0).events == EventStore(tmp_path / "fresh.h5").sample(0).events


def test_bad_videos(tmp_path):
    one = square_video(tmp_path / "one.mp4", frames=1)
    with pytest.raises(NeuvaError, match=r"one\.mp4: 1 frame: events need at least 2"):
        run(one, tmp_path / "a.h5")
    with pytest.raises(NeuvaError, match="no face found in 12 frames"):
        run(square_video(tmp_path / "square.mp4"), tmp_path / "a.h5")
    with pytest.raises(NeuvaError, match="choose one of ideal"):
        run(one, tmp_path / "a.h5", preset="best")
    (tmp_path / "cut.mp4").write_bytes(one.read_bytes()[:200])
    with pytest.raises(NeuvaError, match=r"cut\.mp4: cannot be decoded"):
        run(tmp_path / "cut.mp4", tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


# --- the command


def app():
    made = typer.Typer(add_completion=False)
    made.command(cls=command.ListsPresets)(command.simulate)
    return made


def test_help_names_every_preset():
    shown = CliRunner().invoke(app(), ["--help"], terminal_width=200).output
    assert all(name in shown for name in PRESETS)


def test_command_keeps_its_input(tmp_path):
    video = square_video(tmp_path / "v.mp4")
    images = image_folder(tmp_path / "images")
    for arguments, said in (
        ([video, video], "is one of the command's own inputs"),
        ([video, tmp_path / "a.h5", "--picture", video], "is one of the command's own inputs"),
        ([images, images / "a.h5", "--fps", 25], r"images.a\.h5: lies in .*images, whose files are the command's own"),
        ([images, tmp_path / "a.h5", "--fps", 25, "--picture", images / "a.png"], r"a\.png: lies in .*images"),
    ):
        with pytest.raises(NeuvaError, match=said):
            CliRunner().invoke(app(), [str(each) for each in arguments], catch_exceptions=False)
    assert len(list(images.iterdir())) == 12
    assert not (tmp_path / "a.h5").exists()
    with pytest.raises(NeuvaError, match=r"is written as \.png"):
        CliRunner().invoke(
            app(), [str(video), str(tmp_path / "a.h5"), "--picture", str(tmp_path / "a.jpg")], catch_exceptions=False
        )


def test_a_face_that_leaves_is_said(tmp_path):
    arguments = [str(real("face-then-no-face.mov")), str(tmp_path / "a.h5"), "--height", "64"]
    shown = CliRunner().invoke(app(), arguments, catch_exceptions=False).output
    assert "6.36 s; 169 frames; " in shown
    assert "a face in 72 of 169 frames (43%), the last at 2.37 s" in " ".join(shown.split())
    store = EventStore(tmp_path / "a.h5")
    track = track_of(store.meta(0))
    assert np.array_equal(track.at(6_000_000), track.boxes[-1])
    assert (tmp_path / "a.png").is_file()
