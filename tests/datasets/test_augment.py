from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.augment import (
    BackgroundActivity,
    DropByArea,
    DropByChance,
    DropByTime,
    FlipLR,
    FlipPolarity,
    FlipUD,
    Rotate,
    Scale,
    Shift,
    StretchTime,
    add_noise,
    affine_map,
    drop_between,
    drop_box,
    drop_share,
    flip_polarity,
    stretch_time,
    warp,
)
from datasets.augment.geometry import Move
from datasets.crop import crop_events
from datasets.events import EVENT_DTYPE, Events
from datasets.face_track import track_of
from datasets.representations import to_steps
from datasets.sample import Sample
from datasets.simulator import preset, simulate
from neuva import NeuvaError

SIZE = (9, 6)
CLOCK = 1_605_537_493_718_345
TONIC_DTYPE = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])


def rng(seed=0):
    return np.random.default_rng(seed)


ALL = [
    FlipLR(SIZE, 0.5, random=rng()),
    FlipUD(SIZE, 0.5, random=rng()),
    Shift(SIZE, (-4, 4), (-3, 3), random=rng()),
    Scale(SIZE, (0.5, 2.0), random=rng()),
    Rotate(SIZE, (-180.0, 180.0), random=rng()),
    DropByChance((0.0, 1.0), random=rng()),
    DropByTime((0.0, 1.0), random=rng()),
    DropByArea(SIZE, (0.0, 1.0), random=rng()),
    StretchTime((0.2, 5.0), random=rng()),
    FlipPolarity(0.5, random=rng()),
    BackgroundActivity(SIZE, (0.0, 1000.0), random=rng()),
]
NAMES = [type(each).__name__ for each in ALL]
TIMELESS = [each for each in ALL if not isinstance(each, StretchTime)]
MOVING = (FlipLR, FlipUD, Shift, Scale, Rotate)


def random_events(n=300, seed=0, span_us=20_000, start=0, size=SIZE):
    random = rng(seed)
    t, (x, y, p) = np.sort(random.integers(0, span_us, n)) + start, (random.integers(0, s, n) for s in (*size, 2))
    return Events.from_columns(t, x, y, p, size)


@st.composite
def arrays(draw):
    n = draw(st.integers(0, 25))
    start = draw(st.sampled_from([0, 5, CLOCK]))
    array = np.empty(n, draw(st.sampled_from([EVENT_DTYPE, TONIC_DTYPE])))
    array["t"] = np.sort(np.array(draw(st.lists(st.integers(0, 400), min_size=n, max_size=n)), np.int64)) + start
    for name, side in zip("xyp", (*SIZE, 2), strict=True):
        array[name] = draw(st.lists(st.integers(0, side - 1), min_size=n, max_size=n))
    return array


@pytest.mark.parametrize("augmentation", ALL, ids=NAMES)
@settings(max_examples=40, deadline=None)
@given(arrays(), st.integers(0, 2**32))
def test_every_augmentation_gives_events_again(augmentation, array, seed):
    before = array.copy()
    array.flags.writeable = False
    found = augmentation(array, rng(seed))
    assert np.array_equal(array, before)
    assert found.dtype == array.dtype
    assert found.flags.writeable
    assert not np.shares_memory(found, array)
    Events.from_columns(*(found[name].astype(np.int64) for name in "txyp"), SIZE)  # sorted and inside the sensor
    assert found.tobytes() == augmentation(array, rng(seed)).tobytes()


@pytest.mark.parametrize("augmentation", ALL, ids=NAMES)
def test_chance_is_its_own_or_the_calls_and_never_numpys(augmentation):
    array = random_events().array
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    twins = [pickle.loads(pickle.dumps(augmentation)) for _ in range(2)]
    series = [[twin(array).tobytes() for _ in range(8)] for twin in twins]
    assert series[0] == series[1]
    assert len(set(series[0])) > 1  # drawn anew at each call
    assert augmentation(array, rng(7)).tobytes() == twins[0](array, rng(7)).tobytes()
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("augmentation", ALL, ids=NAMES)
def test_no_events_stay_none(augmentation):
    for seed in range(5):
        assert len(augmentation(Events.empty(SIZE).array, rng(seed))) == 0


@pytest.mark.parametrize("augmentation", TIMELESS, ids=lambda each: type(each).__name__)
def test_labels_of_a_sample_stay(augmentation):
    sample = sample_of(random_events(start=CLOCK))
    found = augmentation(sample, rng(3))
    assert np.array_equal(found.events.array, augmentation(sample.events.array, rng(3)))
    assert found.label_times is sample.label_times
    assert (found.labels is sample.labels, found.mask is sample.mask) == (True, True)
    assert found.meta == {"clip": "a"}
    tracked = augmentation(tracked_sample(SIZE), rng(3)).meta
    moves = isinstance(augmentation, MOVING) and augmentation._move(rng(3)) != Move()
    assert (tracked == tracked_sample(SIZE).meta) != moves
    assert tracked["face_track"]["times"] == tracked_sample(SIZE).meta["face_track"]["times"]


def sample_of(events, **meta):
    times = events.t0 + np.array([-1000, 0, 10_000, 30_000])
    return Sample(events, times, np.zeros((4, 2), np.float32), np.ones(4, bool), {"clip": "a", **meta})


def tracked_sample(size, n=300):
    """Random events, and the box of a face that goes from right of the centre to below it: on the grid of pixels."""
    events = random_events(n, start=CLOCK, size=size)
    x, y = size[0] / 2, size[1] / 2
    times = [events.t0 - 500, events.t0 + 10_000, events.t0 + 19_000]
    boxes = [[x + 2, y, 8.0], [x + 2, y + 2, 8.0], [x, y + 2, 8.0]]
    track = {"times": times, "boxes": boxes}
    return sample_of(events, face_track=track, start_us=events.t0 - 700, end_us=events.t1 + 900)


@pytest.mark.parametrize(
    ("on_the_sensor", "of_the_crop", "box_to"),
    [
        (FlipLR((32, 24), 1.0, random=rng()), FlipLR((8, 8), 1.0, random=rng()), (-2, 2, 8)),
        (FlipUD((32, 24), 1.0, random=rng()), FlipUD((8, 8), 1.0, random=rng()), (2, -2, 8)),
        (Shift((32, 24), 5, -3, random=rng()), Shift((8, 8), random=rng()), (7, -1, 8)),
        (Rotate((32, 24), 90.0, random=rng()), Rotate((8, 8), 90.0, random=rng()), (-2, 2, 8)),
        (Scale((32, 24), 0.5, random=rng()), None, (1, 1, 4)),
        (Scale((32, 24), 1.5, random=rng()), None, (3, 3, 12)),
    ],
    ids=["FlipLR", "FlipUD", "Shift", "Rotate", "Scale down", "Scale up"],
)
def test_the_face_moves_with_the_picture(on_the_sensor, of_the_crop, box_to):
    """What is cut out along the moved track is the change of what was cut out before."""
    sample = still_sample((32, 24))
    before = dict(sample.meta)
    found = on_the_sensor(sample)
    assert sample.meta == before
    track = track_of(found.meta)
    assert np.allclose(track.boxes, [[16 + box_to[0], 12 + box_to[1], box_to[2]]])
    crop, theirs = (crop_events(each.events, track_of(each.meta), 8).array for each in (sample, found))
    assert len(crop) > 100
    left_behind = crop_events(found.events, track_of(sample.meta), 8).array  # what must not come out
    if of_the_crop is None:  # scaling repeats events or leaves some out: each still lies at its place
        assert np.isin(theirs, crop).all()
        assert not np.isin(left_behind, crop).all()
        return
    assert np.array_equal(theirs, of_the_crop(crop))
    assert not np.array_equal(left_behind, of_the_crop(crop))


def still_sample(size):
    sample = tracked_sample(size, 2000)
    track = sample.meta["face_track"]
    return sample_of(sample.events, face_track={key: each[1:2] for key, each in track.items()})


@settings(max_examples=60, deadline=None)
@given(st.floats(-9, 9), st.floats(-9, 9), st.floats(0.1, 10), st.floats(-180, 180), st.sampled_from([1, -1]))
def test_boxes_go_where_the_map_takes_the_pixels(dx, dy, factor, degrees, mirror):
    """The centre of each pixel's own box comes to lie in the pixel that shows it."""
    size, move = (31, 22), Move(dx, dy, factor, degrees, (mirror, 1))
    source = move.source(size).ravel()
    shown = np.flatnonzero(source >= 0)
    q = np.column_stack([source[shown] % 31 + 0.5, source[shown] // 31 + 0.5, np.ones(len(shown))])
    boxes = move.boxes(q, size)
    away = np.column_stack([shown % 31 + 0.5, shown // 31 + 0.5]) - boxes[:, :2]
    assert np.all(np.abs(away) <= factor * np.sqrt(0.5) + 1e-9)
    assert np.allclose(boxes[:, 2], factor)


def test_augmentations_chain_in_tonics_compose():
    tonic = pytest.importorskip("tonic.transforms")
    array = random_events().array
    assert tonic.Compose(ALL)(array).dtype == EVENT_DTYPE


# flips, shift, scale, rotate


def test_flips_are_exact_and_equal_tonics():
    tonic = pytest.importorskip("tonic.transforms")
    array = random_events().array
    for ours, theirs in [(FlipLR, tonic.RandomFlipLR), (FlipUD, tonic.RandomFlipUD)]:
        flipped = ours(SIZE, 1.0, random=rng())(array)
        assert np.array_equal(flipped, theirs((*SIZE, 2), p=1.0)(array))
        assert np.array_equal(ours(SIZE, 1.0, random=rng())(flipped), array)
        assert np.array_equal(ours(SIZE, 0.0, random=rng())(array), array)
    share = np.mean([(FlipLR(SIZE, 0.3, random=rng(k))(array)["x"] != array["x"]).any() for k in range(400)])
    assert share == pytest.approx(0.3, abs=0.07)


@pytest.mark.parametrize(("dx", "dy"), [(2, -1), (-3, 4), (0, 0), (9, 0)])
def test_shift_moves_and_drops_what_leaves(dx, dy):
    array = random_events().array
    found = Shift(SIZE, dx, dy, random=rng())(array)
    moved = array.copy()
    moved["x"] += dx
    moved["y"] += dy
    inside = (moved["x"] >= 0) & (moved["x"] < 9) & (moved["y"] >= 0) & (moved["y"] < 6)
    assert np.array_equal(found, moved[inside])


def test_shift_draws_all_its_pixels():
    one = random_events(1).array
    one = one.copy()
    one["x"], one["y"] = 4, 3
    drawn = {int(Shift(SIZE, (-2, 2), random=rng(k))(one)["x"][0]) - 4 for k in range(100)}
    assert drawn == {-2, -1, 0, 1, 2}


def test_a_quarter_turn_is_exact():
    square = random_events(200, size=(6, 6))
    turned = Rotate((6, 6), 90.0, random=rng())(square.array)
    expected = np.rot90(to_steps(square, 1000, 20, 0, "counts"), -1, axes=(2, 3))  # clockwise
    assert np.array_equal(to_steps(Events(turned, (6, 6)), 1000, 20, 0, "counts"), expected)
    back = Rotate((6, 6), -90.0, random=rng())(turned)
    assert np.array_equal(to_steps(Events(back, (6, 6)), 1000, 20, 0), to_steps(square, 1000, 20, 0))


def test_scaling_by_two_repeats_each_event_in_four_pixels_and_by_half_keeps_a_quarter():
    size = (8, 8)
    array = random_events(500, size=size).array
    doubled = Scale(size, 2.0, random=rng())(array)
    middle = array[(array["x"] >= 2) & (array["x"] < 6) & (array["y"] >= 2) & (array["y"] < 6)]
    assert len(doubled) == 4 * len(middle)
    assert np.array_equal((doubled["x"] // 2 + 2)[::4], middle["x"])
    halved = Scale(size, 0.5, random=rng())(array)
    kept = array[(array["x"] % 2 == 1) & (array["y"] % 2 == 1)]
    assert np.array_equal(halved["t"], kept["t"])
    assert np.array_equal(halved["x"], kept["x"] // 2 + 2)


@pytest.mark.parametrize(("dx", "dy", "factor", "degrees"), [(0, 0, 1.3, 0), (0, 0, 0.7, 25), (2.2, -1.4, 1.1, -160)])
def test_warped_events_are_the_events_of_the_warped_picture(dx, dy, factor, degrees):
    """OpenCV's nearest-neighbour warp of each frame of counts is the frame of the warped events."""
    size = (31, 22)
    events = random_events(4000, size=size)
    turn = cv2.getRotationMatrix2D((0.0, 0.0), -degrees, factor)
    centre = np.array(size) / 2 - 0.5  # OpenCV puts a pixel's centre at whole numbers
    turn[:, 2] = centre + np.array([dx, dy]) - turn[:, :2] @ centre
    found = to_steps(Events(warp(events.array, affine_map(size, dx, dy, factor, degrees)), size), 5000, 4, 0, "counts")
    for ours, frame in zip(
        found.reshape(8, 22, 31), to_steps(events, 5000, 4, 0, "counts").reshape(8, 22, 31), strict=True
    ):
        theirs = cv2.warpAffine(frame.astype(np.float32), turn, size, flags=cv2.INTER_NEAREST)
        assert np.mean(ours != theirs) < 0.03  # OpenCV's fixed point rounds some pixels to the other neighbour
        assert np.mean(ours != frame) > 0.3


def test_warped_events_are_the_events_of_the_warped_video():
    size, source = (16, 12), affine_map((16, 12), 1, 0, 1.4, 20)
    video = rng().integers(20, 230, (6, 12, 16)).astype(np.uint8)
    warped = np.where(source >= 0, video.reshape(6, -1)[:, source], 90)  # nothing moves outside
    times = range(0, 60_000, 10_000)
    events, expected = (simulate(frames.astype(np.uint8), times, preset("ideal"), 0) for frames in (video, warped))
    assert len(expected) > 500
    assert np.array_equal(np.sort(warp(events.array, source)), np.sort(expected.array))
    scattered = np.floor((events.array["x"] - 7.5) * 1.4 + 8)  # moving each event instead leaves columns silent
    assert set(scattered[(scattered >= 0) & (scattered < 16)]) < set(range(16))
    assert set(warp(events.array, affine_map(size, factor=1.4))["x"]) == set(range(16))


# leaving out


def test_drop_by_chance_leaves_out_as_many_as_tonics():
    tonic = pytest.importorskip("tonic.transforms")
    array = random_events().array
    for share in (0.0, 0.123, 0.5, 1.0):
        found = drop_share(array, share, rng())
        assert len(found) == len(tonic.DropEvent(share)(array)) == len(array) - int(share * len(array) + 0.5)
        assert np.isin(found, array).all()
    kept = sum(np.bincount(drop_share(np.arange(20), 0.25, rng(k)), minlength=20) for k in range(2000))
    assert kept / 2000 == pytest.approx(np.full(20, 0.75), abs=0.04)  # each as likely as the others


def test_drop_by_time_is_tonics_for_recordings_from_zero(monkeypatch):
    functional = pytest.importorskip("tonic.functional.drop_event")
    array = random_events().array
    monkeypatch.setattr(functional.np.random, "uniform", lambda low, high: 5000.0)
    theirs = functional.drop_by_time_numpy(array, 0.25)
    length = int(array["t"].max() * 0.25)
    assert np.array_equal(drop_between(array, 5000, 5000 + length + 1), theirs)


def test_drop_by_time_drops_inside_the_recording_whatever_its_clock():
    tonic = pytest.importorskip("tonic.transforms")
    t = np.arange(10_000) + CLOCK
    array = Events.from_columns(t, *(np.zeros(10_000, int),) * 3, (1, 1)).array
    starts = []
    for seed in range(200):
        found = DropByTime(0.2, random=rng(seed))(array)
        assert len(found) == 8000
        gap = np.setdiff1d(t, found["t"])
        assert gap[-1] - gap[0] == 1999  # one while, without a break
        starts.append(gap[0] - CLOCK)
    assert np.mean(starts) == pytest.approx(4000, abs=500)  # anywhere in 0 .. 8000
    assert len(tonic.DropEventByTime(0.2)(array)) in (0, 10_000)  # Tonic's misses it, or drops all


def test_drop_by_area_is_a_box_as_tonics(monkeypatch):
    functional = pytest.importorskip("tonic.functional.drop_event")
    array = random_events().array
    corners = iter((3, 1))
    monkeypatch.setattr(functional.np.random, "randint", lambda low, high: next(corners))
    theirs = functional.drop_by_area_numpy(array, (*SIZE, 2), 0.5)
    assert np.array_equal(drop_box(array, 3, 1, 4, 3), theirs)


def test_drop_by_area_reaches_every_corner():
    every = np.argwhere(np.ones(SIZE))
    zeros = np.zeros(len(every), int)
    array = Events.from_columns(zeros, every[:, 0], every[:, 1], zeros, SIZE).array
    boxes = set()
    for seed in range(400):
        found = DropByArea(SIZE, 0.5, random=rng(seed))(array)
        gone = np.ones(SIZE, bool)
        gone[found["x"], found["y"]] = False
        assert gone.sum() == 4 * 3
        boxes.add(tuple(np.argwhere(gone)[0]))
    assert boxes == {(x, y) for x in range(6) for y in range(4)}


# time, polarity, noise


@settings(max_examples=60, deadline=None)
@given(st.floats(0.1, 10), st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.sampled_from([0, CLOCK]))
def test_stretched_time_is_its_equation(factor, times, origin):
    t = origin + np.sort(np.array(times))
    found = stretch_time(t, origin, factor)
    assert found.dtype == np.int64
    assert np.all(np.diff(found) >= 0)
    assert np.all(np.abs((found - origin) - (t - origin) * factor) <= 1)


def test_stretch_equals_tonics_for_recordings_from_zero_only():
    tonic = pytest.importorskip("tonic.transforms")
    for start in (0, 5000):
        array = random_events().array.copy()
        array["t"] += start - array["t"][0]
        ours, theirs = StretchTime(1.7, random=rng())(array), tonic.TimeSkew(1.7)(array)
        assert np.array_equal(ours, theirs) == (start == 0)


def test_labels_follow_stretched_time():
    sample = sample_of(random_events(start=CLOCK))
    found = StretchTime((0.5, 2.0), random=rng(5))(sample)
    factor = (found.events.t1 - found.events.t0) / (sample.events.t1 - sample.events.t0)
    assert factor != pytest.approx(1, abs=0.01)
    assert found.events.t0 == sample.events.t0
    origin = sample.events.t0
    assert found.label_times - origin == pytest.approx((sample.label_times - origin) * factor, abs=3)
    silent = sample_of(Events.empty(SIZE))
    stretched = StretchTime(2.0, random=rng())(silent).label_times
    assert np.array_equal(stretched, [-1000, 1000, 21_000, 61_000])  # from the first label on


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_face_track_and_ends_follow_stretched_time(factor):
    sample = tracked_sample((32, 24), 2000)
    found = StretchTime(factor, random=rng())(sample)
    origin, meta = sample.events.t0, found.meta
    for key in ("start_us", "end_us"):
        assert meta[key] == origin + np.floor((sample.meta[key] - origin) * factor)
        assert type(meta[key]) is int  # a store writes meta as JSON
    assert meta["face_track"]["times"] == [origin + int(factor * t) for t in (-500, 10_000, 19_000)]
    crop, theirs, late = (
        crop_events(events, track_of(each), 8).array
        for events, each in ((sample.events, sample.meta), (found.events, meta), (found.events, sample.meta))
    )
    if factor == 2.0:  # without rounding
        assert theirs["t"].tolist() == stretch_time(crop["t"], origin, 2.0).tolist()
        assert np.array_equal(theirs[["x", "y", "p"]], crop[["x", "y", "p"]])
    assert late.tobytes() != theirs.tobytes()


def test_times_of_a_track_that_meet_when_squeezed_become_one():
    events = random_events(start=CLOCK)
    track = {"times": [CLOCK, CLOCK + 3, CLOCK + 40_000], "boxes": [[4.0, 3.0, 2.0 + k] for k in range(3)]}
    found = track_of(StretchTime(0.1, random=rng())(sample_of(events, face_track=track)).meta)
    assert len(found.times) == 2
    assert found.boxes[:, 2].tolist() == [2.0, 4.0]


def test_polarity_flips_together():
    tonic = pytest.importorskip("tonic.transforms")
    array = random_events().array
    flipped = flip_polarity(array)
    assert np.array_equal(flipped, tonic.RandomFlipPolarity(1.0)(array))
    assert np.array_equal(flipped["p"], 1 - array["p"])
    assert all(
        np.array_equal(found, array) or np.array_equal(found, flipped)
        for found in (FlipPolarity(0.5, random=rng(k))(array) for k in range(20))
    )


def test_noise_is_added_among_the_events():
    array = random_events(50, start=CLOCK).array
    found = add_noise(array, SIZE, 20_000, rng())
    assert len(found) == 20_050
    assert np.isin(array, found).all()
    noise = np.histogram(found["t"], 10, (array["t"][0], array["t"][-1] + 1))[0]
    assert noise == pytest.approx(np.full(10, 2005), rel=0.1)
    pixels = np.bincount(found["y"].astype(int) * 9 + found["x"] + 54 * found["p"], minlength=108)
    assert pixels == pytest.approx(np.full(108, 20_050 / 108), rel=0.35)


def test_noise_is_tonics_in_distribution_at_the_rate_asked_for():
    tonic = pytest.importorskip("tonic.transforms")
    array = random_events(50, span_us=1_000_000).array
    span_s = (array["t"][-1] - array["t"][0]) / 1e6
    counts = [len(BackgroundActivity(SIZE, 10.0, random=rng(k))(array)) - 50 for k in range(300)]
    mean = 10 * 54 * span_s
    assert np.mean(counts) == pytest.approx(mean, rel=0.02)
    assert np.var(counts) == pytest.approx(mean, rel=0.3)  # Poisson
    np.random.seed(0)  # noqa: NPY002  Tonic draws from numpy's global state
    ours, theirs = add_noise(array, SIZE, 20_000, rng()), tonic.UniformNoise((*SIZE, 2), 20_000)(array)
    for name in "txyp":
        assert np.mean(ours[name]) == pytest.approx(np.mean(theirs[name]), rel=0.05)
        assert np.std(ours[name]) == pytest.approx(np.std(theirs[name]), rel=0.05)


def test_of_events_at_one_time_the_given_come_first_in_their_order():
    given = random_events(3000, span_us=40).array
    found = add_noise(given, SIZE, 3000, rng())
    assert np.all(np.diff(found["t"]) >= 0)
    for t in range(40):
        own = given[given["t"] == t]
        assert np.array_equal(found[found["t"] == t][: len(own)], own)


def test_mistakes_are_named():
    random, array = rng(), random_events().array
    sample = sample_of(random_events(size=(5, 5)))
    outside = Events.from_columns(*(np.array([each]) for each in (5, 50, 5, 1)), (60, 60)).array
    for wrong, message in [
        (lambda: FlipLR(SIZE, 1.5, random=random), "chance of 1.5: needed"),
        (lambda: FlipUD(SIZE, -0.1, random=random), "within 0 to 1"),
        (lambda: FlipPolarity(2, random=random), "within 0 to 1"),
        (lambda: Shift(SIZE, 10, random=random), "shift to the right of 10.*-9 to 9"),
        (lambda: Shift(SIZE, 0, (3, -3), random=random), "shift down"),
        (lambda: Scale(SIZE, 0.0, random=random), "within 0.1 to 10"),
        (lambda: Rotate(SIZE, (0.0, 200.0), random=random), "within -180 to 180"),
        (lambda: DropByChance(float("nan"), random=random), "share to drop of nan"),
        (lambda: DropByTime((0.5, 0.2), random=random), "lowest, highest"),
        (lambda: DropByArea(SIZE, 1.1, random=random), "share to drop of 1.1"),
        (lambda: StretchTime((0.5, 1.0, 2.0), random=random), "time stretch of"),
        (lambda: BackgroundActivity(SIZE, -1.0, random=random), "noise rate in Hz of -1"),
        (lambda: FlipLR(SIZE, random=random)(sample), "9x6 pixels on a sample of 5x5"),
        (lambda: Rotate(SIZE, random=random)(outside), r"x = 50 is outside 0\.\.8"),
        (lambda: FlipLR(SIZE, random=random)(array["t"]), "fields t, x, y, p"),
    ]:
        with pytest.raises(NeuvaError, match=message):
            wrong()
