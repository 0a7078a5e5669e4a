"""Grey frames and their times from a video file or a folder of images."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from neuva import NeuvaError

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})

Frame = tuple[np.ndarray, int]
"""uint8 [H, W] and its time in microseconds."""


class VideoFrames:
    """The grey frames of a video, with the video's own time stamps; each iteration starts at the first frame.

    size: (width, height) in pixels, upright as a player shows it. fps: what the file claims, 0 if nothing.
    count: the number of frames the file claims (an estimate for some formats).

    Raises:
        NeuvaError: if the file is missing, cannot be decoded or has no frame; while iterating, if the picture changes
            its size or time runs backwards.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        capture = _open(self.path)
        try:
            image = _next_image(capture)
            if image is None:
                raise NeuvaError(f"{self.path}: no frame can be decoded: is it a video, and complete?")
            self.size = (image.shape[1], image.shape[0])
            self.fps = float(capture.get(cv2.CAP_PROP_FPS))
            self.count = max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        finally:
            capture.release()

    def __iter__(self) -> Iterator[Frame]:
        capture = _open(self.path)
        previous = -1
        try:
            number = 0
            while (image := _next_image(capture)) is not None:
                t_us = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1000)
                if t_us <= previous:
                    raise NeuvaError(
                        f"{self.path}: frame {number} is at {t_us} us, the one before at {previous} us: "
                        "write the video anew with time stamps that advance"
                    )
                yield _grey(image, self.size, f"{self.path}: frame {number}"), t_us
                previous = t_us
                number += 1
            if number < self.count:
                log.warning("%s: %d frames decoded, the file claims %d", self.path, number, self.count)
        finally:
            capture.release()


class ImageFolder:
    """The images of a folder as a video at `fps`, in the order of their names; same attributes as `VideoFrames`.

    Raises:
        NeuvaError: if fps is not positive, the folder is missing or holds no image; while iterating, if an image
            cannot be read or has another size than the first.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float) -> None:
        self.path = Path(path)
        if not fps > 0:
            raise NeuvaError(f"{self.path}: {fps} frames per second; needed more than 0")
        if not self.path.is_dir():
            raise NeuvaError(f"{self.path}: is no folder: give the folder that holds the images")
        self.files = sorted(file for file in self.path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        if not self.files:
            raise NeuvaError(f"{self.path}: holds no image; known are {', '.join(sorted(IMAGE_SUFFIXES))}")
        first = _read_image(self.files[0])
        self.size = (first.shape[1], first.shape[0])
        self.fps = float(fps)
        self.count = len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        for number, file in enumerate(self.files):
            yield _grey(_read_image(file), self.size, str(file)), round(number * 1e6 / self.fps)


def open_frames(path: str | os.PathLike[str], fps: float | None = None) -> VideoFrames | ImageFolder:
    """A video file, or a folder of images at `fps`.

    Raises:
        NeuvaError: as `VideoFrames` and `ImageFolder`; also if a folder comes without fps, or a file with it.
    """
    if Path(path).is_dir():
        if fps is None:
            raise NeuvaError(f"{path}: a folder of images has no time of its own: give the frames per second")
        return ImageFolder(path, fps)
    if fps is not None:
        raise NeuvaError(f"{path}: frames per second are for folders of images; a video keeps its own time")
    return VideoFrames(path)


def resized(frames: Iterable[Frame], size: tuple[int, int]) -> Iterator[Frame]:
    """The same frames at another (width, height), averaged over area where they shrink."""
    for frame, t_us in frames:
        shrinks = size[0] * size[1] < frame.size
        yield cv2.resize(frame, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), t_us


def _open(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise NeuvaError(f"{path}: no such file")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # else the decoder writes to the terminal beside our error
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise NeuvaError(f"{path}: cannot be decoded as a video: convert it, for example to H.264 in MP4")
    return capture


def _next_image(capture: cv2.VideoCapture) -> np.ndarray | None:
    decoded, image = capture.read()
    return image if decoded else None


def _read_image(file: Path) -> np.ndarray:
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise NeuvaError(f"{file}: cannot be read as an image: remove it or write it anew")
    return image


def _grey(image: np.ndarray, size: tuple[int, int], where: str) -> np.ndarray:
    height, width = image.shape[:2]
    if (width, height) != size:
        raise NeuvaError(f"{where} is {width}x{height}, the first is {size[0]}x{size[1]}: bring all to one size")
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
