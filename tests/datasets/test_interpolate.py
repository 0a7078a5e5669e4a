"""Sub-frames: passing frames through, counts and times; closed forms, and wrong variants that must do worse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.simulator.interpolate import Motion, _inside, interpolated
from neuva import NeuvaError

RANDOM = np.random.default_rng(0)
_NOISE = cv2.GaussianBlur(RANDOM.standard_normal((160, 160)).astype(np.float32), (0, 0), 2.5)
TEXTURE = 120 + 90 * _NOISE / np.abs(_NOISE).max()


def shifted(x: float, y: float = 0.0) -> np.ndarray:
    """A view of 64 x 64 of the texture that has gone (x, y) pixels."""
    to_texture = np.array([[1, 0, 48 - x], [0, 1, 48 - y]], np.float64)
    view = cv2.warpAffine(TEXTURE, to_texture, (64, 64), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    return np.rint(view).astype(np.uint8)


def inner(image: np.ndarray) -> np.ndarray:
    return image[8:-8, 8:-8].astype(float)


def test_none_is_the_frames_themselves():
    frames = [(shifted(k), 10 * k) for k in range(3)]
    out = list(interpolated(frames, "none"))
    assert all(a[0] is b[0] and a[1] == b[1] for a, b in zip(frames, out, strict=True))


@pytest.mark.parametrize("how", ["linear", "flow"])
def test_originals_pass_and_motion_stays_below_a_pixel(how):
    frames = [(shifted(x), t) for x, t in ((0, 7), (3.6, 40_007), (3.6, 70_001), (1.2, 100_000))]
    out = list(interpolated(frames, how))
    times = [t for _, t in out]
    assert all(isinstance(t, int) for t in times)
    assert times == sorted(set(times))
    for frame, t in frames:
        assert np.array_equal(out[times.index(t)][0], frame)
    parts = np.diff([times.index(t) for _, t in frames])
    assert parts.tolist() == [4, 1, 3]  # 3.6, 0 and 2.4 pixels
    assert times[:5] == [7, 10_007, 20_007, 30_007, 40_007]
    assert all(frame.dtype == np.uint8 and frame.shape == (64, 64) for frame, _ in out)


def test_subframes_are_where_the_scene_was():
    out = list(interpolated([(shifted(0), 0), (shifted(4.8, -2), 30_000)], "flow"))
    assert 6 <= len(out) - 1 <= 7  # 5.2 pixels, and the edge of the picture is found less well
    for frame, t in out[1:-1]:
        truth = inner(shifted(4.8 * t / 30_000, -2 * t / 30_000))
        faded = inner(shifted(0)) * (1 - t / 30_000) + inner(shifted(4.8, -2)) * (t / 30_000)
        assert np.abs(inner(frame) - truth).max() < 4
        assert np.abs(faded - truth).max() > 8  # the cross-fade is not


def test_linear_is_the_cross_fade():
    first, second = shifted(0), shifted(3.6)
    out = list(interpolated([(first, 0), (second, 400)], "linear"))
    for k, (frame, t) in enumerate(out):
        share = np.float64(k) / 4
        assert t == 100 * k
        assert np.abs(frame - (first * (1 - share) + second * share)).max() <= 0.501


def test_covered_background_stays():
    """A bright bar goes over a texture: what it has not reached and what it has left keep the background's value."""
    background = shifted(0)
    frames = []
    for k, left in enumerate((18, 24)):
        frame = background.copy()
        frame[:, left : left + 20] = shifted(left + 11)[:, left : left + 20] // 2 + 128
        frames.append((frame, 6000 * k))
    out = list(interpolated(frames, "flow"))
    for frame, t in out[1:-1]:
        left = 18 + t / 1000
        outside = np.r_[8 : int(left) - 1, int(left) + 23 : 56]
        faded = frames[0][0] * (1 - t / 6000) + frames[1][0] * (t / 6000)
        away, naive = (np.abs(inner(image - background.astype(float)))[:, outside - 8] for image in (frame, faded))
        assert away.mean() < 0.6 * naive.mean()


def test_what_enters_and_leaves_the_picture_is_taken_from_the_frame_that_shows_it():
    motion = Motion(shifted(0), shifted(3))
    for k in (1, 2):
        away, naive = (np.abs(image - shifted(k).astype(float)) for image in (motion.at(k / 3), motion.faded(k / 3)))
        edges = np.s_[8:-8, [0, 1, 2, -3, -2, -1]]
        assert away[edges].mean() < 0.25 * naive[edges].mean()  # 0.6 of it if the other frame counted too


def test_what_moves_in_front_hides_what_is_behind(monkeypatch):
    """Around a disc that moves over a texture, frames where a pixel is hidden count less."""
    truth = [disc(28 + k) for k in range(7)]
    errors = []
    for seen in (Motion._visible, lambda self, place, there, flow: _inside(place).astype(float)):
        monkeypatch.setattr(Motion, "_visible", seen)
        motion = Motion(truth[0], truth[6])
        away = np.array([np.abs(motion.at(k / 6) - truth[k].astype(float)) for k in range(1, 6)])
        errors.append(away[np.array([rim(28 + k) for k in range(1, 6)])].mean())
    assert errors[0] < 0.98 * errors[1]
    assert errors[0] < 2


def rim(x: float) -> np.ndarray:
    """Where the edge of the disc at x is, and 4 pixels on both sides."""
    return np.abs(distance(x) - 14) < 4


def distance(x: float) -> np.ndarray:
    rows, columns = np.mgrid[:64, :64] + 0.5
    return np.hypot(columns - x, rows - 32)


def disc(x: float) -> np.ndarray:
    """A disc of texture of its own, its centre at x, before a texture at rest."""
    inside = np.clip(14.5 - distance(x), 0, 1)
    own = np.roll(shifted(0).T, round(x) - 28, axis=1)
    return np.rint(inside * own + (1 - inside) * shifted(0)).astype(np.uint8)


def test_a_cut_is_not_motion():
    other = np.ascontiguousarray(shifted(0).T[::-1])
    motion = Motion(shifted(0), other)
    assert np.abs(motion.at(0.5) - motion.faded(0.5)).mean() < 0.25 * np.abs(shifted(0) - other.astype(float)).mean()


def test_noise_is_not_motion():
    flat = np.full((64, 64), 100.0)
    noisy = [np.rint(flat + RANDOM.standard_normal(flat.shape)).astype(np.uint8) for _ in range(2)]
    assert Motion(*noisy).length < 1
    assert Motion(flat.astype(np.uint8), flat.astype(np.uint8)).length == 0


def test_no_more_subframes_than_microseconds():
    out = list(interpolated([(shifted(0), 0), (shifted(4.8), 3)], "flow"))
    assert [t for _, t in out] == [0, 1, 2, 3]


def test_it_is_lazy_and_keeps_two_frames():
    asked = []

    def frames():
        for k in range(5):
            asked.append(k)
            yield shifted(0), 100 * k

    out = interpolated(frames(), "flow")
    assert asked == []
    next(out)
    next(out)
    assert asked == [0, 1]


def test_any_number_of_threads_gives_the_same_bytes():
    threads = cv2.getNumThreads()
    seen = []
    try:
        for count in (1, 3):
            cv2.setNumThreads(count)
            seen.append([frame.tobytes() for frame, _ in interpolated([(shifted(0), 0), (shifted(3.6), 90)], "flow")])
    finally:
        cv2.setNumThreads(threads)
    assert seen[0] == seen[1]


def test_bad_input():
    with pytest.raises(NeuvaError, match="choose one of none, linear, flow"):
        interpolated([], "cubic")  # at once, not at the first frame
    small = np.zeros((11, 40), np.uint8)
    with pytest.raises(NeuvaError, match="frames of 40x11: motion between them is found from 12 pixels"):
        list(interpolated([(small, 0), (small, 1)], "flow"))
    assert list(interpolated([], "flow")) == []
    assert len(list(interpolated([(small, 0)], "flow"))) == 1


@settings(max_examples=15, deadline=None)
@given(st.integers(12, 40), st.integers(12, 40), st.integers(0, 2**32 - 1), st.integers(1, 50))
def test_any_frames_give_frames(height, width, seed, dt):
    random = np.random.default_rng(seed)
    frames = [(random.integers(0, 256, (height, width)).astype(np.uint8), dt * k) for k in range(2)]
    out = list(interpolated(frames, "flow"))
    assert [out[0][1], out[-1][1]] == [0, dt]
    assert all(frame.shape == (height, width) and frame.dtype == np.uint8 for frame, _ in out)
