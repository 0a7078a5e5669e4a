"""Frames between the frames of a video, so that what moves is seen at every pixel that it passes.

A simulator that sees an edge jump by five pixels lets the pixels between go straight from before to after: it loses
the events of what passed there, and those it has come at the wrong time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, get_args

import cv2
import numpy as np
from numba import njit

from datasets.video import Frame
from neuva import NeuvaError

How = Literal["none", "linear", "flow"]

PERCENTILE = 99.9
"""Motion is at or below one pixel for this share of the pixels: flow has outliers, and a blink is a hundredth."""

AGREEMENT = 1.0
"""Flow there and back that misses its start by less than this many pixels is believed."""

SUPPORT, FULL_SUPPORT, SUPPORT_SIDE = 0.3, 0.6, 15
"""Below this share of believed flow in a square of that side, frames are cross-faded; from the second share on, warped.

What is covered or uncovered is a band within such a square, a scene that is cut fills it."""

NOISE = 2.0
"""Variance of the difference of two frames that sensor and compression explain, in digital numbers squared."""

WINDOW = 5
"""Side of the square in which differences of frames are compared."""

_LEAST_SIDE = 12
"""Pixels from which OpenCV finds flow."""

_BLEND_FLOOR = 0.05
"""Weight of a frame in which the pixel seems hidden: keeps the blend defined where both seem to."""


def interpolated(frames: Iterable[Frame], how: How) -> Iterator[Frame]:
    """The frames, and between each two as many more as keep motion at or below one pixel.

    - none: the frames as they are; the simulator lets log intensity go straight from one to the next.
    - linear: cross-faded sub-frames, at the times that flow would choose.
    - flow: sub-frames along the dense optical flow of both directions (see `Motion`).

    Lazy, two frames at a time. The frames given pass through unchanged at their own times; the k-th of n parts of an
    interval of d microseconds ends at its start plus ``floor(k d / n)``. Sub-frames are rounded to whole digital
    numbers, as a video's frames are: by at most half of one, 0.075 in log intensity in the dark (below 20 the log is
    linear) and below 0.025 elsewhere. Rounding moves crossings in time; it cannot make a pair of events, as going up
    and back down one number (0.15) is less than both thresholds together.

    Raises:
        NeuvaError: if `how` is unknown; while iterating, if frames are below 12 pixels on a side and not `none`.
    """
    if how not in get_args(How):
        raise NeuvaError(f"interpolation {how!r} is not known: choose one of {', '.join(get_args(How))}")
    return iter(frames) if how == "none" else _with_subframes(frames, how)


def _with_subframes(frames: Iterable[Frame], how: How) -> Iterator[Frame]:
    previous: Frame | None = None
    for frame, t_us in frames:
        if previous is not None:
            yield from _between(previous, (frame, t_us), how)
        yield frame, t_us
        previous = frame, t_us


def _between(before: Frame, after: Frame, how: How) -> Iterator[Frame]:
    (first, start), (second, stop) = before, after
    motion = Motion(first, second)
    parts = max(1, min(int(np.ceil(motion.length)), stop - start))
    for part in range(1, parts):
        share = part / parts
        image = motion.at(share) if how == "flow" else motion.faded(share)
        yield np.rint(np.clip(image, 0, 255)).astype(np.uint8), start + (stop - start) * part // parts


class Motion:
    """How one frame becomes the next.

    Flow is found in both directions (DIS: Kroeger, Timofte, Dai and Van Gool, ECCV 2016). At a share s of the
    interval each frame's flow is carried along to where its pixels have come, the better agreed winning (as in Baker
    et al., IJCV 92, 2011). With u the flow at x then, the frame at s is

        I(x) = g (w0 I0(x - s u) + w1 I1(x + (1 - s) u)) / (w0 + w1) + (1 - g) ((1 - s) I0(x) + s I1(x))

    w0 = (1 - s) v0 and w1 = s v1, v near 1 if the flow at the place it came from is u too, near 0 if the pixel is
    hidden in that frame; g falls from 1 where flow is not supported around, or does not explain the frames' difference.

    length: the motion in pixels that all but the fastest of the pixels stay below, where flow is believed and
    explains most of what changed.

    Args:
        first, second: uint8 [H, W].

    Raises:
        NeuvaError: if the frames are below 12 pixels on a side.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        height, width = first.shape
        if min(height, width) < _LEAST_SIDE:
            raise NeuvaError(
                f"frames of {width}x{height}: motion between them is found from {_LEAST_SIDE} pixels a side: "
                "take larger ones, or no interpolation"
            )
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._here = np.stack([columns, rows], axis=-1)
        self._images = first.astype(np.float32), second.astype(np.float32)
        self._flows = _flow(first, second), _flow(second, first)
        self._misses = tuple(self._miss(there, back) for there, back in (self._flows, self._flows[::-1]))
        self._supports = tuple(_support(miss) for miss in self._misses)
        self._change = _around((self._images[0] - self._images[1]) ** 2)
        self.length = self._length()

    def at(self, share: float) -> np.ndarray:
        """The frame at a share 0 < share < 1 of the interval, float32 [H, W]."""
        flow = _carried(self._flows[0], self._flows[1], self._misses[0], self._misses[1], share)
        places = self._here - np.float32(share) * flow, self._here + np.float32(1 - share) * flow
        seen = [_sampled(image, place, cv2.INTER_CUBIC) for image, place in zip(self._images, places, strict=True)]
        weights = [
            part * (self._visible(place, there, flow) + _BLEND_FLOOR)
            for part, place, there in zip((1 - share, share), places, (self._flows[0], -self._flows[1]), strict=True)
        ]
        warped = (weights[0] * seen[0] + weights[1] * seen[1]) / (weights[0] + weights[1])
        change, unexplained = self._change + NOISE, _around((seen[0] - seen[1]) ** 2)
        support = (1 - share) * _sampled(self._supports[0], places[0]) + share * _sampled(self._supports[1], places[1])
        belief = support * change / (change + unexplained)
        return belief * warped + (1 - belief) * self.faded(share)

    def faded(self, share: float) -> np.ndarray:
        """The cross-fade, ``(1 - share) I0 + share I1``, float32 [H, W]."""
        return (1 - np.float32(share)) * self._images[0] + np.float32(share) * self._images[1]

    def _miss(self, there: np.ndarray, back: np.ndarray) -> np.ndarray:
        """By how many pixels flow there and back misses its start; just believed where it leaves the picture."""
        place = self._here + there
        miss = np.linalg.norm(there + _sampled(back, place), axis=-1)
        return np.where(_inside(place), miss, 0.99 * AGREEMENT).astype(np.float32)

    def _visible(self, place: np.ndarray, there: np.ndarray, flow: np.ndarray) -> np.ndarray:
        apart = ((_sampled(there, place) - flow) ** 2).sum(axis=-1)
        return np.exp(-apart / 2) * _inside(place)

    def _length(self) -> float:
        speeds = []
        for k, (flow, miss, support) in enumerate(zip(self._flows, self._misses, self._supports, strict=True)):
            unexplained = _around((_sampled(self._images[1 - k], self._here + flow) - self._images[k]) ** 2)
            moves = (self._change > 2 * (unexplained + NOISE)) & (miss < AGREEMENT) & (support > 0.5)
            speeds.append(np.linalg.norm(flow, axis=-1) * moves)
        return float(np.percentile(speeds, PERCENTILE))


def _flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where each pixel of the first frame goes, float32 [H, W, 2] as (x, y)."""
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    method.setFinestScale(0)  # a sensor is small: its own scale costs little, and the error falls hundredfold
    return method.calc(np.ascontiguousarray(first), np.ascontiguousarray(second), None)  # type: ignore[call-overload]


def _sampled(image: np.ndarray, place: np.ndarray, kind: int = cv2.INTER_LINEAR) -> np.ndarray:
    return cv2.remap(image, place, None, kind, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]


def _around(values: np.ndarray, side: int = WINDOW) -> np.ndarray:
    """Mean over the square around each pixel."""
    return cv2.blur(values, (side, side))


def _inside(place: np.ndarray) -> np.ndarray:
    height, width = place.shape[:2]
    x, y = place[..., 0], place[..., 1]
    return (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)


def _support(miss: np.ndarray) -> np.ndarray:
    believed = _around((miss < AGREEMENT).astype(np.float32), SUPPORT_SIDE)
    return np.clip((believed - SUPPORT) / (FULL_SUPPORT - SUPPORT), 0, 1)


@njit(cache=True, nogil=True)
def _carried(
    forward: np.ndarray, backward: np.ndarray, miss0: np.ndarray, miss1: np.ndarray, share: float
) -> np.ndarray:
    """The flow from the first frame to the second by the pixel it passes at `share`, float32 [H, W, 2].

    Each pixel of a frame lands on the four around its place; where several land, the one that misses least wins, a
    miss counting by the time from its frame. Where none does, both frames' flow at the same pixel is mixed.
    """
    height, width = miss0.shape
    flow = np.empty((height, width, 2), np.float32)
    least = np.full((height, width), np.inf, np.float32)
    for y in range(height):
        for x in range(width):
            for c in range(2):
                flow[y, x, c] = (1 - share) * forward[y, x, c] - share * backward[y, x, c]
    for k in range(2):
        there, miss, away, sign = (forward, miss0, share, 1) if k == 0 else (backward, miss1, 1 - share, -1)
        for y in range(height):
            for x in range(width):
                left = int(np.floor(x + away * there[y, x, 0]))
                top = int(np.floor(y + away * there[y, x, 1]))
                cost = np.float32(away * miss[y, x])
                for row in range(max(top, 0), min(top + 2, height)):
                    for column in range(max(left, 0), min(left + 2, width)):
                        if cost < least[row, column]:
                            least[row, column] = cost
                            flow[row, column, 0] = sign * there[y, x, 0]
                            flow[row, column, 1] = sign * there[y, x, 1]
    return flow
