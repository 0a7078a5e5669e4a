"""Grey frames and their times from a video file or a folder of images."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from neuva import NeuvaError

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})

MOST_DAMAGED = 10_000
"""Pieces of a video that may be damaged before it is given up."""

Frame = tuple[np.ndarray, int]
"""uint8 [H, W] and its time in microseconds."""


class VideoFrames:
    """The grey frames of a video, with the video's own time stamps; each iteration starts at the first frame.

    Read with FFmpeg through PyAV, one frame at a time: OpenCV's reader scales a picture that changes its size without
    a word. What is damaged is left out, as a player would, and how much of it is logged.

    size: (width, height) in pixels, upright as a player shows it. fps: what the file claims, 0 if nothing.
    count: the number of frames the file claims, or as many as its length gives room for; at least 1.

    Raises:
        NeuvaError: if the file is missing, cannot be decoded or has no frame; while iterating, if the picture changes
            its size, or a frame has no time or one that is not after the last.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self._stream() as stream:
            self.fps = float(stream.average_rate or 0)
            self.count = max(1, stream.frames or round(_seconds(stream) * self.fps))
            first = next(self._decoded(stream), None)
        if first is None:
            raise NeuvaError(f"{self.path}: no frame can be decoded: is it a video, and complete?")
        image = _upright(first)
        self.size = (image.shape[1], image.shape[0])

    def __iter__(self) -> Iterator[Frame]:
        previous: int | None = None
        number = 0
        with self._stream() as stream:
            for number, frame in enumerate(self._decoded(stream), 1):
                t_us = self._time(frame, number - 1, previous)
                yield _sized(_upright(frame), self.size, f"{self.path}: frame {number - 1}"), t_us
                previous = t_us
            if number < stream.frames:
                log.warning("%s: %d frames decoded, the file claims %d", self.path, number, stream.frames)

    @contextmanager
    def _stream(self) -> Iterator[av.VideoStream]:
        if not self.path.is_file():
            raise NeuvaError(f"{self.path}: no such file")
        cure = "convert it, for example to H.264 in MP4"
        try:
            container = av.open(str(self.path))
        except (av.FFmpegError, ValueError) as error:
            raise NeuvaError(f"{self.path}: cannot be decoded as a video ({_reason(error)}): {cure}") from error
        with container:
            streams = [stream for stream in container.streams.video if stream.codec_context is not None]
            if not streams:
                raise NeuvaError(
                    f"{self.path}: cannot be decoded as a video (no picture of a known kind in it): {cure}"
                )
            yield streams[0]

    def _decoded(self, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        damaged, packets = 0, stream.container.demux(stream)  # type: ignore[attr-defined]  # it was opened to be read
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                yield from packet.decode()
            except av.EOFError:
                break
            except av.FFmpegError as error:
                damaged += 1
                if damaged > MOST_DAMAGED:
                    raise NeuvaError(
                        f"{self.path}: more than {MOST_DAMAGED} pieces of it cannot be decoded ({_reason(error)}): "
                        "copy or convert it anew"
                    ) from error
        if damaged:
            log.warning("%s: %d pieces of it are damaged and left out", self.path, damaged)

    def _time(self, frame: av.VideoFrame, number: int, previous: int | None) -> int:
        cure = "write the video anew with time stamps that advance"
        if frame.pts is None or frame.time_base is None:
            raise NeuvaError(f"{self.path}: frame {number} has no time: {cure}")
        t_us = round(Fraction(frame.pts) * frame.time_base * 1_000_000)
        if previous is not None and t_us <= previous:
            raise NeuvaError(f"{self.path}: frame {number} is at {t_us} us, the one before at {previous} us: {cure}")
        return t_us


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
            yield _sized(_read_image(file), self.size, str(file)), round(number * 1e6 / self.fps)


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


def _seconds(stream: av.VideoStream) -> float:
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """The brightness of a decoded frame, turned as the file says a player must."""
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="gray"), round(frame.rotation / 90)))


def _read_image(file: Path) -> np.ndarray:
    image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise NeuvaError(f"{file}: cannot be read as an image: remove it or write it anew")
    return image


def _sized(image: np.ndarray, size: tuple[int, int], where: str) -> np.ndarray:
    height, width = image.shape
    if (width, height) != size:
        raise NeuvaError(f"{where} is {width}x{height}, the first is {size[0]}x{size[1]}: bring all to one size")
    return image
