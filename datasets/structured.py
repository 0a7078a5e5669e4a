"""Structured event arrays from outside (Tonic's data sets and transforms), taken over as `Events`."""

from __future__ import annotations

import numpy as np

from datasets.events import EVENT_DTYPE, Events
from neuva import NeuvaError


def as_events(array: np.ndarray, sensor_size: tuple[int, ...]) -> Events:
    """The checked events of a structured array, not copied where it has the layout of `EVENT_DTYPE`.

    array: [N] with integer fields t, x, y, p in any order and width (p may be bool).
    sensor_size: (width, height), or Tonic's (width, height, 2).

    Raises:
        NeuvaError: if it is no such array, or names the first row that breaks a rule of `Events`.
    """
    if array.ndim != 1 or not {"t", "x", "y", "p"} <= set(array.dtype.names or ()):
        raise NeuvaError(
            f"events of {array.dtype} {list(array.shape)}: needed a structured array [N] with the fields t, x, y, p"
        )
    width, height = sensor_size[:2]
    if array.dtype == EVENT_DTYPE:
        return Events(np.ascontiguousarray(array), (width, height))
    return Events.from_columns(array["t"], array["x"], array["y"], array["p"], (width, height))
