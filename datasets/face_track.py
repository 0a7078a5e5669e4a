"""Where the face is, as a square box over time: from the frames of a video, or from events alone."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datasets.crop import BoxTrack
from datasets.events import Events
from datasets.video import Frame
from neuva import NeuvaError

log = logging.getLogger(__name__)

DETECTION_SIDE = 240
"""Frames are shrunk to this short side before a face is looked for; more finds no more faces, only later."""

SMALLEST_FACE = 1 / 8
"""A face is looked for from this share of the picture's short side."""

CASCADE_MARGIN, CASCADE_RISE = 1.29, 0.064
"""Side of the box, and how far its centre lies above that of the cascade's square, both over that square's side.

So a found face's box is the embedded faces' own (`datasets.faces.BOX_SIDE`), on which networks are trained: the median
over rendered faces.
"""

HEAD_MARGIN = 1.15
"""Side of the box over that of the busiest square: the outline of the head moves too, and belongs inside."""

SMOOTHING_US = 200_000
"""Standard deviation of the Gaussian that smooths a track in time: slower than detection noise, faster than a nod."""

WINDOW_US = 100_000
"""Events of this time make one map of activity: long enough that a moving head shows as one region."""

QUIET_SHARE = 0.2
"""Windows with less activity than this share of the median say nothing about where the face is."""

PEAK_SHARE = 0.25
"""A side scoring less than this share of the best one is no region of its own."""

CELLS = 60
"""Cells along a sensor's short side in a map of activity."""


def track_of(meta: Mapping[str, Any]) -> BoxTrack | None:
    """The track kept with a clip (meta["face_track"]: times, boxes), or None where there is none."""
    track = meta.get("face_track")
    if track is None:
        return None
    return BoxTrack(np.array(track["times"], np.int64), np.array(track["boxes"], np.float64))


def track_face(frames: Iterable[Frame]) -> BoxTrack:
    """The largest face of each frame, found by the Haar cascade that ships with OpenCV (Viola and Jones, CVPR 2001).

    Between frames with a face the box goes in a straight line, before and after them it rests; the track is smoothed.

    Args:
        frames: uint8 [H, W] and time in microseconds.

    Raises:
        NeuvaError: if no frame shows a face.
    """
    cascade = _cascade()
    times, found, number = [], [], 0
    for frame, t_us in frames:
        box = _largest_face(cascade, frame)
        number += 1
        if box is not None:
            times.append(t_us)
            found.append(box)
    if not found:
        raise NeuvaError(f"no face found in {number} frames: it must look at the camera and be upright")
    if len(found) < number:
        log.warning(
            "a face in %d of %d frames (%.0f %%); the rest is interpolated; the box rests before %d and after %d us",
            len(found),
            number,
            100 * len(found) / number,
            times[0],
            times[-1],
        )
    return _smooth(np.array(times, np.int64), np.array(found))


def track_activity(events: Events) -> BoxTrack:
    """The region of a head by its activity alone: the busiest square window, tracked.

    The stream is cut into windows of `WINDOW_US`. In each, active pixels (more events than background activity
    explains, with active neighbours) are counted in cells. A square with n of the N active pixels, where its area
    would have e of them, scores ``n ln(n / e) + (N - n) ln((N - n) / (N - e))``, the log likelihood ratio of
    Kulldorff's spatial scan statistic (Communications in Statistics 26, 1997). The side is the smallest at which the
    best score, summed over windows, has a clear maximum: a head scores by itself before the body below it joins.
    The track starts in the window with the highest score and goes both ways, each window's square being the one that
    holds most within half a side of the last. The side is constant, positions are smoothed.

    Raises:
        NeuvaError: if there are too few events for one region to stand out.
    """
    maps, times = _activity_maps(events)
    if not maps:
        raise NeuvaError(
            f"no region stands out in {len(events)} events of {events.t1 - events.t0} us: "
            "the face must move, or the recording be longer"
        )
    cell = _cell(events.sensor_size)
    sides = np.arange(max(2, round(CELLS * SMALLEST_FACE)), min(maps[0].shape) + 1)
    most = np.array([[_square_sums(activity, side).max() for side in sides] for activity in maps])
    total = np.array([activity.sum() for activity in maps])[:, None]
    scores = _scan_score(most, total, sides**2 / maps[0].size)
    best = _innermost_peak(sides, scores.sum(axis=0))
    centres = _follow(maps, int(sides[best]), start=int(np.argmax(scores[:, best])))
    boxes = np.column_stack([centres, np.full(len(centres), HEAD_MARGIN * sides[best])]) * cell
    return _smooth(np.array(times, np.int64), boxes)


def _cascade() -> cv2.CascadeClassifier:
    path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    if not path.is_file() or not hasattr(cv2, "CascadeClassifier"):
        raise NeuvaError(f"OpenCV {cv2.__version__} has no face cascade: install opencv-python-headless below 5")
    return cv2.CascadeClassifier(str(path))


def _largest_face(cascade: cv2.CascadeClassifier, frame: np.ndarray) -> tuple[float, float, float] | None:
    """(centre x, centre y, side of the head's box) in the frame's pixels, or None."""
    factor = min(1.0, DETECTION_SIDE / min(frame.shape))
    small = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    least = max(24, round(min(small.shape) * SMALLEST_FACE))
    faces = cascade.detectMultiScale(small, scaleFactor=1.1, minNeighbors=5, minSize=(least, least))
    if len(faces) == 0:
        return None
    left, top, width, height = max(faces, key=lambda face: face[2])
    middle = top + height / 2 - CASCADE_RISE * width
    return (left + width / 2) / factor, middle / factor, CASCADE_MARGIN * width / factor


def _cell(sensor_size: tuple[int, int]) -> int:
    return max(1, round(min(sensor_size) / CELLS))


def _activity_maps(events: Events) -> tuple[list[np.ndarray], list[int]]:
    """Active pixels per cell, [cells down, cells across], and the middle of each window that is not too quiet."""
    width, height = events.sensor_size
    cell = _cell(events.sensor_size)
    across, down = width // cell, height // cell
    maps, times = [], []
    for start in range(events.t0, events.t1 + 1, WINDOW_US):
        window = events.between(start, start + WINDOW_US)
        counts = np.bincount(
            window.array["y"].astype(np.int64) * width + window.array["x"], minlength=width * height
        ).reshape(height, width)
        active = _active_pixels(counts)[: down * cell, : across * cell]
        maps.append(active.reshape(down, cell, across, cell).sum(axis=(1, 3)))
        times.append(start + min(WINDOW_US, events.t1 + 1 - start) // 2)
    totals = np.array([activity.sum() for activity in maps])
    loud = np.flatnonzero((totals > 0) & (totals >= QUIET_SHARE * np.median(totals)))
    return [maps[i] for i in loud], [times[i] for i in loud]


def _active_pixels(counts: np.ndarray) -> np.ndarray:
    """Pixels with more events than the background (the calmest fifth) explains, and two such neighbours of eight."""
    background = float(np.quantile(counts, 0.2))
    busy = (counts > background + 3 * np.sqrt(background)).astype(np.uint8)
    around = cv2.boxFilter(busy, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return busy & (around >= 3)


def _square_sums(activity: np.ndarray, side: int) -> np.ndarray:
    """Sum of each side x side square, by the square's top left cell."""
    table = np.pad(activity.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    return table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]


def _scan_score(inside: np.ndarray, total: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Kulldorff's log likelihood ratio of `inside` of `total` points in a share `area` of the picture."""
    expected = total * area
    outside, expected_outside = total - inside, total - expected
    gain = inside * np.log(np.maximum(inside, 1) / expected)
    loss = outside * np.log(np.maximum(outside, 1) / np.maximum(expected_outside, 1e-9))
    return np.where(inside > expected, gain + loss, 0)


def _innermost_peak(sides: np.ndarray, scores: np.ndarray) -> int:
    """The smallest side that scores at least as much as all within a fifth of it, and PEAK_SHARE of the best."""
    for i, side in enumerate(sides):
        near = np.abs(sides - side) <= np.maximum(1, side / 5)
        if scores[i] >= PEAK_SHARE * scores.max() and scores[i] == scores[near].max():
            return i
    return int(np.argmax(scores))


def _follow(maps: list[np.ndarray], side: int, start: int) -> np.ndarray:
    """Centres (x, y) of the fullest squares in cells, [windows, 2], tracked from `start` to both ends."""
    centres = np.zeros((len(maps), 2))
    centres[start] = _busiest_centre(maps[start], side, near=None)
    for i in range(start + 1, len(maps)):
        centres[i] = _busiest_centre(maps[i], side, near=centres[i - 1])
    for i in range(start - 1, -1, -1):
        centres[i] = _busiest_centre(maps[i], side, near=centres[i + 1])
    return centres


def _busiest_centre(activity: np.ndarray, side: int, near: np.ndarray | None) -> np.ndarray:
    """Centre (x, y) of the square that holds most, within half a side of `near`; the mean of all nearly as full."""
    sums = _square_sums(activity, side).astype(np.float64)
    if near is not None:
        left, top = near - side / 2
        rows, columns = np.indices(sums.shape)
        sums[(np.abs(rows - top) > side / 2) | (np.abs(columns - left) > side / 2)] = -1
    fullest = np.argwhere(sums >= 0.98 * sums.max())
    return fullest.mean(axis=0)[::-1] + side / 2


def _smooth(times: np.ndarray, boxes: np.ndarray) -> BoxTrack:
    """Median of five against outliers, then a Gaussian in time."""
    padded = np.pad(boxes, ((2, 2), (0, 0)), mode="edge")
    boxes = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5, axis=0), axis=-1)
    if len(times) > 1:
        sigma = SMOOTHING_US / float(np.median(np.diff(times)))
        reach = int(np.ceil(3 * sigma))
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-9)) ** 2)
        padded = np.pad(boxes, ((reach, reach), (0, 0)), mode="edge")
        boxes = np.stack([np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T], axis=1)
    return BoxTrack(times, boxes)
