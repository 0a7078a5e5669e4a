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


def frames_of(store: EventStore, index: int, which: Sequence[int] | np.ndarray | slice = slice(None)) -> np.ndarray:
    """Faces of clip `index`, RGB uint8 [n, H, W, 3], for its labels number `which` (all unless given).

    A frame without a picture of its own shows the nearest there is.

    Raises:
        NeuvaError: if the clip holds no JPEG frames, has no such label, or a picture is damaged.
    """
    shown = store.arrays(index, "frame_index")
    try:
        shown = shown[which]
    except IndexError as error:
        raise NeuvaError(f"clip {store.names[index]}: frames are 0..{len(shown) - 1}: {error}") from error
    jpeg, offsets = (store.arrays(index, key) for key in ("jpeg", "jpeg_offsets"))
    decoded: dict[int, np.ndarray] = {}
    for each in np.unique(shown):
        image = _decode(jpeg[offsets[each] : offsets[each + 1]])
        if image is None or image.shape != (SIDE, SIDE, 3):
            number = store.arrays(index, "frame_numbers")[each]
            raise NeuvaError(
                f"clip {store.names[index]}: picture {number} is damaged: copy it again, make the store anew"
            )
        decoded[each] = image
    return np.stack([decoded[each] for each in shown]) if len(shown) else np.empty((0, SIDE, SIDE, 3), np.uint8)


def _decode(content: np.ndarray) -> np.ndarray | None:
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
