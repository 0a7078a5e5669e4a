"""From the 68 landmarks of a face to the box of its head, and to a camera that stands still and looks at it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from datasets.face_track import SMOOTHING_US

FACE = 128
"""Pixels across the head's box at its median, as in the embedded faces."""

HEAD_OVER_HEIGHT, HEAD_OVER_WIDTH = 1.83, 1.54
"""Side of the head's box over the landmarks' height (brow to chin) and width (jaw to jaw), as in the embedded faces,
whose box is 2.9 half head widths. The larger one counts: a head that turns gets narrow, one that nods gets low."""

EYES = slice(36, 48)
"""iBUG's points around both eyes; their middle is the box's centre."""

GREY = 128
"""What the camera sees outside the picture; it never changes, so it gives no events."""


@dataclass(frozen=True)
class Window:
    """The square of a picture that a still camera sees, in whole pixels; it may reach over the picture's edges."""

    left: int
    top: int
    side: int

    def cut(self, picture: np.ndarray, sensor: int) -> np.ndarray:
        """What the camera sees of a picture uint8 [H, W]: uint8 [sensor, sensor], averaged over area to shrink."""
        square = np.full((self.side, self.side), GREY, np.uint8)
        height, width = picture.shape
        x0, x1 = (min(max(x, 0), width) for x in (self.left, self.left + self.side))
        y0, y1 = (min(max(y, 0), height) for y in (self.top, self.top + self.side))
        square[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left] = picture[y0:y1, x0:x1]
        way = cv2.INTER_AREA if self.side > sensor else cv2.INTER_LINEAR
        return cv2.resize(square, (sensor, sensor), interpolation=way)

    def points(self, points: np.ndarray, sensor: int) -> np.ndarray:
        """Points [..., 2] of the picture in the sensor's pixels."""
        return (points - [self.left, self.top]) * (sensor / self.side)

    def boxes(self, boxes: np.ndarray, sensor: int) -> np.ndarray:
        """Boxes [N, 3] of the picture, centre x, centre y and side, in the sensor's pixels."""
        return np.column_stack([self.points(boxes[:, :2], sensor), boxes[:, 2] * (sensor / self.side)])


def head_boxes(landmarks: np.ndarray) -> np.ndarray:
    """Centre x, centre y and side [N, 3] of the head's square around landmarks [N, 68, 2] in iBUG's order."""
    width, height = np.ptp(landmarks, axis=1).T
    side = np.maximum(HEAD_OVER_HEIGHT * height, HEAD_OVER_WIDTH * width)
    return np.column_stack([landmarks[:, EYES].mean(axis=1), side])


def smoothed(boxes: np.ndarray, frame_us: float) -> np.ndarray:
    """Boxes [N, 3], one each `frame_us`, under a Gaussian in time: a box that jitters makes still things move."""
    sigma = SMOOTHING_US / frame_us
    reach = 2 * int(np.ceil(3 * sigma)) + 1
    return cv2.GaussianBlur(boxes, (1, reach), sigmaX=1, sigmaY=sigma, borderType=cv2.BORDER_REPLICATE)


def still_window(boxes: np.ndarray, sensor: int) -> Window:
    """The smallest square that holds all boxes [N, 3] and shows them at most `FACE` pixels wide at their median.

    It is centred on the middle of all the box sees, so that the camera needs not move.
    """
    half = boxes[:, 2:] / 2
    low, high = (boxes[:, :2] - half).min(axis=0), (boxes[:, :2] + half).max(axis=0)
    side = max(1, int(np.ceil(max((high - low).max(), sensor / FACE * np.median(boxes[:, 2])))))
    left, top = np.rint((low + high - side) / 2).astype(int).tolist()
    return Window(left, top, side)
