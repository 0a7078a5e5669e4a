"""Videos cut into windows of one length that overlap, and what was made of them joined again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuva import NeuvaError, SettingError


@dataclass(frozen=True)
class Windows:
    """The windows of arXiv 2303.08356: the i-th of floor(n / stride) + 1 has the frames i stride .. i stride + length.

    The last ends with the video and is padded. A last one that would be empty, where stride divides n, is none. So
    every frame is in a window, also of videos shorter than one. The defaults are the paper's.

    Raises:
        NeuvaError: if a size is below 1, or the stride above the length (frames would be in no window).
    """

    length: int = 300
    stride: int = 200

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.length:
            raise SettingError(f"stride = {self.stride} must be in 1..length = {self.length}: else frames are left out")

    def starts(self, n: int) -> np.ndarray:
        """First frame of each window of a video of n frames, int64 [W]; n = 0 has none."""
        return np.arange(0, n, self.stride)

    def mask(self, n: int) -> np.ndarray:
        """Which frames of each window there are, bool [W, length]: False is padding, which comes last."""
        return self.starts(n)[:, None] + np.arange(self.length) < n

    def cut(self, rows: np.ndarray, filler: float = 0) -> np.ndarray:
        """Rows [n, ...] of a video's frames as windows [W, length, ...], padded with the filler."""
        n = len(rows)
        windows = np.full((len(self.starts(n)), self.length, *rows.shape[1:]), filler, rows.dtype)
        for window, start in zip(windows, self.starts(n), strict=True):
            piece = rows[start : start + self.length]
            window[: len(piece)] = piece
        return windows

    def join(self, windows: np.ndarray, n: int) -> np.ndarray:
        """Windows [W, length, ...] back to float32 [n, ...]: the mean of what the windows of a frame say of it.

        Raises:
            NeuvaError: if they are not the windows of n frames.
        """
        starts = self.starts(n)
        if windows.shape[:2] != (len(starts), self.length):
            raise NeuvaError(
                f"{windows.shape[0]} windows of {windows.shape[1]} frames are not the {len(starts)} of {self.length} "
                f"that {n} frames have: join them by what cut them"
            )
        summed = np.zeros((n, *windows.shape[2:]), np.float64)
        count = np.zeros((n, *[1] * (windows.ndim - 2)))
        for window, start in zip(windows, starts, strict=True):
            summed[start : start + self.length] += window[: n - start]
            count[start : start + self.length] += 1
        return (summed / count).astype(np.float32)
