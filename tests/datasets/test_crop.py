from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.crop import BoxTrack, crop_events, rescale
from datasets.events import Events
from datasets.face_track import track_activity, track_face
from datasets.faces import ClipSpec, render_clip
from datasets.video import VideoFrames
from neuva import NeuvaError

DATA = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def real(name):
    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is absent")
    return DATA / name


def random_events(n, size, span_us, seed=0):
    random = np.random.default_rng(seed)
    columns = (np.sort(random.integers(0, span_us, n)), *(random.integers(0, side, n) for side in size))
    return Events.from_columns(*columns, random.integers(0, 2, n), size)


def track(*rows):
    return BoxTrack(np.array([row[0] for row in rows], np.int64), np.array([row[1:] for row in rows], float))


def test_a_resting_box_of_the_target_size_is_a_slice():
    events = random_events(2000, (40, 30), 10_000)
    crop = crop_events(events, track((0, 20, 15, 8)), 8)
    a = events.array
    inside = a[(a["x"] >= 16) & (a["x"] < 24) & (a["y"] >= 11) & (a["y"] < 19)]
    assert crop.sensor_size == (8, 8)
    assert np.array_equal(crop.array["x"], inside["x"] - 16)
    assert np.array_equal(crop.array["y"], inside["y"] - 11)
    assert np.array_equal(crop.array[["t", "p"]], inside[["t", "p"]])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_a_moving_box_is_interpolated_at_each_event(seed, size):
    random = np.random.default_rng(seed)
    events = random_events(300, (64, 48), 10_000, seed)
    moving = track(*((1000 + 3000 * i, *random.uniform((10, 10, 4), (50, 40, 60))) for i in range(3)))
    box = moving.at(events.array["t"])
    column = np.floor((events.array["x"] + 0.5 - box[:, 0] + box[:, 2] / 2) * size / box[:, 2])
    row = np.floor((events.array["y"] + 0.5 - box[:, 1] + box[:, 2] / 2) * size / box[:, 2])
    keep = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    crop = crop_events(events, moving, size).array
    assert np.array_equal(crop["x"], column[keep].astype(int))
    assert np.array_equal(crop["y"], row[keep].astype(int))
    assert np.array_equal(crop[["t", "p"]], events.array[keep][["t", "p"]])


def test_rescale_keeps_every_event():
    events = random_events(500, (40, 30), 10_000)
    small = rescale(events, (10, 15))
    assert np.array_equal(small.array["x"], events.array["x"] // 4)
    assert np.array_equal(small.array["y"], events.array["y"] // 2)
    fractional = rescale(events, (30, 20))
    assert fractional.array["x"].max() == 29
    assert np.array_equal(fractional.array["x"], np.floor(events.array["x"] * 0.75).astype(int))
    assert rescale(events, (40, 30)).array.tobytes() == events.array.tobytes()


def test_mistakes_are_named():
    events = Events.empty((10, 10))
    assert len(crop_events(events, track((0, 5, 5, 5)), 4)) == 0
    with pytest.raises(NeuvaError, match="at least 1"):
        crop_events(events, track((0, 5, 5, 5)), 0)
    with pytest.raises(NeuvaError, match="10x10 to 11x10"):
        rescale(events, (11, 10))
    with pytest.raises(NeuvaError, match="at least one"):
        BoxTrack(np.empty(0, np.int64), np.empty((0, 3)))
    with pytest.raises(NeuvaError, match="time 1"):
        track((5, 1, 1, 1), (5, 1, 1, 1))
    with pytest.raises(NeuvaError, match="positive side"):
        track((0, 1, 1, 0))


def moving_head(noise_hz, seed=0, span_us=2_000_000):
    """A head (radius 18) that sways, a striped body below it, and background activity, on 160x120."""
    random = np.random.default_rng(seed)
    t = np.sort(random.integers(0, span_us, 24_000))
    angle, radius = random.uniform(0, 2 * np.pi, len(t)), 18 * np.sqrt(random.uniform(0, 1, len(t)))
    sway = 80 + 15 * np.sin(2 * np.pi * t / 2e6)
    head = t % 2 == 0
    x = np.where(head, sway + radius * np.cos(angle), random.uniform(25, 135, len(t)))
    y = np.where(head, 32 + radius * np.sin(angle), random.uniform(72, 120, len(t)))
    n = int(noise_hz * 160 * 120 * span_us * 1e-6)
    t = np.concatenate([t, random.integers(0, span_us, n)])
    x = np.concatenate([x, random.uniform(0, 160, n)])
    y = np.concatenate([y, random.uniform(0, 120, n)])
    order = np.argsort(t, kind="stable")
    return Events.from_columns(t[order], x[order].astype(int), y[order].astype(int), order % 2, (160, 120))


@pytest.mark.parametrize("noise_hz", [0, 1])
def test_activity_follows_the_head_not_the_body(noise_hz):
    found = track_activity(moving_head(noise_hz))
    x, y, side = found.boxes.T
    expected = 80 + 15 * np.sin(2 * np.pi * found.times / 2e6)
    assert np.abs(x - expected).max() < 8
    assert np.abs(y - 32).max() < 8
    assert 30 < side[0] < 54
    assert np.ptp(side) == 0


def test_activity_needs_a_region():
    with pytest.raises(NeuvaError, match="no region stands out in 0 events"):
        track_activity(Events.empty((320, 240)))
    with pytest.raises(NeuvaError, match="no region stands out"):
        track_activity(random_events(50, (320, 240), 100_000))  # scattered noise alone


def test_no_face_in_any_frame():
    noise = np.random.default_rng(0).integers(0, 256, (3, 120, 160)).astype(np.uint8)
    with pytest.raises(NeuvaError, match="no face found in 3 frames"):
        track_face((frame, 1000 * i) for i, frame in enumerate(noise))


def test_real_face_is_found_and_its_track_is_smooth():
    video = VideoFrames(real("face-video.mp4"))
    found = track_face((frame, t) for i, (frame, t) in enumerate(video) if i % 4 == 0)
    assert len(found.times) == 18
    x, y, side = found.boxes.T  # the nose is near (295, 190), the face about 150 wide
    assert np.abs(x - 292).max() < 15
    assert np.abs(y - 180).max() < 20
    assert (side > 180).all()
    assert (side < 260).all()
    assert np.abs(np.diff(found.boxes, axis=0)).max() < 5


def test_the_box_found_on_embedded_faces_is_their_own():
    ratios, right, down = [], [], []
    for identity in range(24):
        clip = render_clip(ClipSpec(identity=identity, seed=identity, seconds=0.4, fps=25))
        own = clip.face_box[-1]
        try:
            found = track_face([(clip.frames[-1], 0)]).boxes[0]
        except NeuvaError:  # a cascade does not find every face
            continue
        ratios.append(found[2] / own[2])
        right.append((found[0] - own[0]) / own[2] - 0.5)
        down.append((found[1] - own[1]) / own[2] - 0.5)
    assert len(ratios) > 18
    assert np.median(ratios) == pytest.approx(1, abs=0.05)
    assert np.median(right) == pytest.approx(0, abs=0.02)
    assert np.median(down) == pytest.approx(0, abs=0.02)


def test_box_rests_where_the_face_has_left(caplog):
    video = VideoFrames(real("face-then-no-face.mov"))
    frames = [pair for i, pair in enumerate(video) if i % 8 == 0]
    found = track_face(frames)
    assert "the rest is interpolated" in caplog.text
    assert found.times[-1] < frames[-1][1]
    assert np.array_equal(found.at(frames[-1][1]), found.boxes[-1])


def test_head_of_a_real_event_recording():
    aedat = pytest.importorskip("aedat")
    packets = aedat.Decoder(str(real("face-dvxplorer.aedat4")))
    raw = np.concatenate([packet["events"] for packet in packets if "events" in packet])
    events = Events.from_columns(raw["t"], raw["x"], raw["y"], raw["on"], (320, 240))
    found = track_activity(events)
    x, y, side = found.boxes.T  # seen in pictures: the head spans x 155..260, y 22..128; sleeve and print lie below
    assert np.abs(x - 203).max() < 12
    assert np.abs(y - 76).max() < 12
    assert 90 < side[0] < 130
    head = crop_events(events, found, 64)
    assert 0.2 < len(head) / len(events) < 0.6
