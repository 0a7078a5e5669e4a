"""What goes into a Speck: counts per step, or single events, through its camera layer where it has one."""

from __future__ import annotations

import numpy as np

from hardware.program import ChipProgram
from hardware.speck.camera import seen
from neuva import NeuvaError


def events_heard(program: ChipProgram, events: np.ndarray, start_us: int = 0) -> np.ndarray:
    """What the first cores hear of a recording: `events_of_counts`, or `events_of_camera` after the camera layer.

    Args:
        program: for a chip of the Speck family.
        events: counts [T, C, H, W] per step of dt; or a structured array with fields t, x, y, p of the input's size,
            of the sensor's where the program has a camera.
        start_us: the recording's time that becomes 0.

    Returns:
        int64 [N, 4] of (t, channel, y, x), t in microseconds.

    Raises:
        NeuvaError: if program and events do not suit each other.
    """
    if events.dtype.names is None:
        return events_of_counts(program, events)
    if program.camera is not None and {"x", "y", "p"} <= set(events.dtype.names):
        events = seen(program.camera, events)
    return events_of_camera(program, events, start_us)


def checked_counts(program: ChipProgram, counts: np.ndarray) -> np.ndarray:
    """Counts int [T, C, H, W] that suit a program's input.

    Raises:
        NeuvaError: if shape, type or values do not.
    """
    shape = program.input.shape
    if counts.ndim != 4 or counts.shape[1:] != shape or not np.issubdtype(counts.dtype, np.integer):
        needed = f"integers [T, {', '.join(map(str, shape))}]"
        raise NeuvaError(f"input is {counts.dtype} {list(counts.shape)}, the program takes {needed}: encode it so")
    most = 1 if program.input.kind == "binary" else np.iinfo(np.int16).max
    if counts.size and (counts.min() < 0 or counts.max() > most):
        raise NeuvaError(f"input holds {counts.min()}..{counts.max()}, a {program.input.kind} input holds 0..{most}")
    return counts


def events_of_counts(program: ChipProgram, counts: np.ndarray) -> np.ndarray:
    """Counts [T, C, H, W] as single events, all of a step at its start.

    Within a step the whole map is swept in (C, H, W) order once for each first spike, then for each second, and so on.

    Returns:
        int64 [N, 4] of (t, channel, y, x), t in microseconds.
    """
    counts = checked_counts(program, counts)
    step, channel, y, x = np.nonzero(counts)
    number = counts[step, channel, y, x]
    columns = np.stack([step * program.dt_us, channel, y, x], axis=1).repeat(number, axis=0)
    sweep = np.arange(len(columns)) - np.repeat(np.cumsum(number) - number, number)
    return columns[np.lexsort((sweep, columns[:, 0]))].astype(np.int64)


def events_of_camera(program: ChipProgram, events: np.ndarray, start_us: int) -> np.ndarray:
    """Camera events (fields t, x, y, p) of the input's size as single events; p chooses the channel if there are two.

    A "binary" input lets the first event of a pixel, polarity and step of dt through, as the encoding does.

    Returns:
        int64 [N, 4] of (t - start_us, channel, y, x).

    Raises:
        NeuvaError: if they are not sorted, lie before the start or outside the input.
    """
    channels, height, width = program.input.shape
    if not {"t", "x", "y", "p"} <= set(events.dtype.names or ()) or channels > 2:
        raise NeuvaError(
            f"input is {events.dtype} for {channels} channels: give events with fields t, x, y, p for 1 or 2 channels, "
            "or counts [T, C, H, W]"
        )
    t = events["t"].astype(np.int64) - start_us
    channel = events["p"].astype(np.int64) if channels == 2 else np.zeros(len(t), np.int64)
    y, x = events["y"].astype(np.int64), events["x"].astype(np.int64)
    bad = (np.diff(t, prepend=0) < 0) | (channel < 0) | (channel >= channels)
    bad |= (y < 0) | (y >= height) | (x < 0) | (x >= width)
    if bad.any():
        row = int(bad.argmax())
        raise NeuvaError(
            f"event {row} {events[row].tolist()} is earlier than the one before or than {start_us}, or outside "
            f"{width}x{height} pixels or p in {{0, 1}}: sort, scale and crop the events to the program's input"
        )
    columns = np.stack([t, channel, y, x], axis=1)
    if program.input.kind == "counts":
        return columns
    step = t // program.dt_us
    key = np.ravel_multi_index((step, channel, y, x), (int(step.max(initial=0)) + 1, channels, height, width))
    return columns[np.sort(np.unique(key, return_index=True)[1])]
