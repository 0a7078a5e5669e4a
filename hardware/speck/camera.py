"""A sensor's events through Speck's camera layer, event by event."""

from __future__ import annotations

import numpy as np

from hardware.camera import Camera
from neuva import NeuvaError


def seen(camera: Camera, events: np.ndarray) -> np.ndarray:
    """The events that reach the program's input, in order, their times as they were.

    Merge or choose the polarity, pool, crop, mirror, swap: in the order of sinabs 3.1.3's `DVSLayer`.

    Args:
        events: structured array with fields t, x, y, p of the sensor; p = 1 is ON.

    Returns:
        The like with x, y at the input and p its channel (0 where there is one channel).

    Raises:
        NeuvaError: if an event lies outside the sensor.
    """
    width, height = camera.size
    x, y = events["x"].astype(np.int64), events["y"].astype(np.int64)
    bad = (x < 0) | (x >= width) | (y < 0) | (y >= height) | (events["p"] < 0) | (events["p"] > 1)
    if bad.any():
        row = int(bad.argmax())
        raise NeuvaError(
            f"event {row} {events[row].tolist()} is outside the camera's {width}x{height} pixels or p in {{0, 1}}: "
            "scale or crop the recording to the sensor, or give the camera its size"
        )
    y, x = y // camera.pool[0], x // camera.pool[1]
    (top, bottom), (left, right) = camera.window  # lies within the whole windows, so it also drops what is left over
    keep = (y >= top) & (y < bottom) & (x >= left) & (x < right)
    if camera.polarity in ("on", "off"):
        keep &= events["p"] == (camera.polarity == "on")
    y = bottom - 1 - y if camera.mirror_y else y - top
    x = right - 1 - x if camera.mirror_x else x - left
    if camera.swap_xy:
        y, x = x, y
    out = events[keep].copy()
    out["x"], out["y"] = x[keep], y[keep]
    if camera.polarity != "both":
        out["p"] = 0
    return out
