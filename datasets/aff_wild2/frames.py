"""Faces as the JPEG files they are published as: three million frames stay a few gigabytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from datasets.store import EventStore
from neuva import NeuvaError

SIDE = 112
_PICTURE = re.compile(r"\d{5,}\.jpg", re.IGNORECASE)


def pictures(folder: Path) -> dict[int, Path]:
    """The pictures of a folder by their number (the first frame of the video is 1), in order."""
    found = {int(path.stem): path for path in folder.iterdir() if _PICTURE.fullmatch(path.name)}
    return dict(sorted(found.items()))


def pack(files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """The files' bytes one after the other, uint8 [bytes], and where each begins and the last ends, int64 [M + 1].

    Raises:
        NeuvaError: if a file is no JPEG, or the first is not a face of 112x112.
    """
    contents = [path.read_bytes() for path in files]
    for path, content in zip(files, contents, strict=True):
        if not content.startswith(b"\xff\xd8"):
            raise NeuvaError(f"{path}: is no JPEG ({len(content)} bytes): copy it again, or remove it")
    for path, content in zip(files[:1], contents[:1], strict=True):
        image = _decode(np.frombuffer(content, np.uint8))
        if image is None or image.shape[:2] != (SIDE, SIDE):
            size = "unreadable" if image is None else f"{image.shape[1]}x{image.shape[0]}"
            raise NeuvaError(f"{path}: is {size}, needed {SIDE}x{SIDE}: take the folder of aligned faces")
    offsets = np.concatenate([[0], np.cumsum([len(content) for content in contents], dtype=np.int64)])
    return np.frombuffer(b"".join(contents), np.uint8), offsets


def nearest(numbers: np.ndarray, n: int) -> np.ndarray:
    """For each of the frames 1..n the picture whose number is nearest (of two the earlier), int32 [n].

    numbers: of the M >= 1 pictures there are, increasing.
    """
    wanted = np.arange(1, n + 1)
    after = np.clip(np.searchsorted(numbers, wanted), 0, len(numbers) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(wanted - numbers[before] <= np.abs(numbers[after] - wanted), before, after).astype(np.int32)


class ClipFaces:
    """The faces of clip `index`: its files are read once, and decoded as they are asked for.

    shown: the picture of each label, int [n]; a frame without one of its own shows the nearest there is.

    Raises:
        NeuvaError: if the clip holds no JPEG frames.
    """

    def __init__(self, store: EventStore, index: int) -> None:
        self.shown, self._jpeg, self._offsets = (
            store.arrays(index, key) for key in ("frame_index", "jpeg", "jpeg_offsets")
        )
        self._store, self._index = store, index

    def __getitem__(self, which: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """Of the labels number `which`, RGB uint8 [n, H, W, 3].

        Raises:
            NeuvaError: if there is no such label, or a picture is damaged.
        """
        try:
            shown = self.shown[which]
        except IndexError as error:
            clip = self._store.names[self._index]
            raise NeuvaError(f"clip {clip}: frames are 0..{len(self.shown) - 1}: {error}") from error
        decoded = {each: self._face(each) for each in np.unique(shown)}
        return np.stack([decoded[each] for each in shown]) if len(shown) else np.empty((0, SIDE, SIDE, 3), np.uint8)

    def _face(self, picture: int) -> np.ndarray:
        image = _decode(self._jpeg[self._offsets[picture] : self._offsets[picture + 1]])
        if image is None or image.shape != (SIDE, SIDE, 3):
            clip, number = self._store.names[self._index], self._store.arrays(self._index, "frame_numbers")[picture]
            raise NeuvaError(f"clip {clip}: picture {number} is damaged: copy it again, make the store anew")
        return image


def frames_of(store: EventStore, index: int, which: Sequence[int] | np.ndarray | slice = slice(None)) -> np.ndarray:
    """Faces of clip `index`, RGB uint8 [n, H, W, 3], for its labels number `which` (all unless given).

    Raises:
        NeuvaError: as `ClipFaces`.
    """
    return ClipFaces(store, index)[which]


def _decode(content: np.ndarray) -> np.ndarray | None:
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
