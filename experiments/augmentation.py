"""Windows seen anew each time: events cut out, moved, turned, stretched, thinned and sorted into steps in one pass.

Each change is the one `datasets.augment` makes of the same name, but on the events' own pixels before they are binned,
so that nothing is rounded twice and a window costs no more than a plain cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from experiments.clips import Cut, EventClip, nearest
from experiments.config import Augment

DTYPES: dict[str, type[np.integer]] = {"binary": np.uint8, "counts": np.int16}
"""As `to_steps` gives them."""


@dataclass(frozen=True)
class Change:
    """What one window is changed by.

    mirror: left and right exchanged. polarity: ON and OFF exchanged. shift: of the face's box, shares of its side
    (right, down); drift: how far it moves on during the window, the same. scale: the box's side over the true one.
    degrees: the picture turned clockwise. stretch: seconds that one second of the clip takes. drop: chance of an event
    to be lost. noise_hz: events a second and pixel of the network's input that nothing caused.
    """

    mirror: bool = False
    polarity: bool = False
    shift: tuple[float, float] = (0.0, 0.0)
    drift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    degrees: float = 0.0
    stretch: float = 1.0
    drop: float = 0.0
    noise_hz: float = 0.0


def draw(most: Augment, random: np.random.Generator) -> Change:
    """A change drawn evenly up to what is allowed; scale and stretch evenly in their logarithm."""

    def pair(largest: float) -> tuple[float, float]:
        right, down = random.uniform(-largest, largest, 2)
        return float(right), float(down)

    return Change(
        mirror=most.flip and bool(random.random() < 0.5),
        polarity=bool(random.random() < most.polarity),
        shift=pair(most.shift),
        drift=pair(most.drift),
        scale=_ratio(most.scale, random),
        degrees=float(random.uniform(-most.rotate, most.rotate)),
        stretch=_ratio(most.stretch, random),
        drop=float(random.uniform(0, most.drop)),
        noise_hz=float(random.uniform(0, most.noise_hz)),
    )


def window(
    clip: EventClip, cut: Cut, estimates: int, change: Change, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A window anywhere in the clip, at most `estimates` long: x [T, C, H, W], labels [T / every, 2], mask [T / every].

    It begins at one of the clip's own estimates; an estimate takes the label nearest to the time it shows.
    Without a change it is a stretch of what `make_clip` gives.
    """
    period = cut.every * cut.dt_us
    length = max(1, min(estimates, int(clip.estimates * change.stretch)))
    last = max(0, int(clip.estimates - length / change.stretch))
    start = clip.start_us + period * int(random.integers(last + 1))
    x = seen(clip, cut, start, length * cut.every, change, random)
    times = start + np.round(period / change.stretch * np.arange(1, length + 1)).astype(np.int64)
    rows = nearest(clip.label_times, times)
    return x, clip.labels[rows], clip.mask[rows]


def seen(clip: EventClip, cut: Cut, start: int, steps: int, change: Change, random: np.random.Generator) -> np.ndarray:
    """Steps [T, 2, H, W] of the clip from `start` (microseconds) on, changed.

    An event at p and t lies ``R(degrees) (p - c(t))`` from the centre c of the moved box, in units of its side, and
    falls into step ``floor((t - start) stretch / dt)``.
    """
    array, most = clip.events.array, np.iinfo(DTYPES[cut.encoding]).max
    offsets = np.ceil(np.arange(steps + 1) * cut.dt_us / change.stretch).astype(np.int64)
    rows = np.searchsorted(array["t"], start + offsets)
    lost = np.zeros(0, np.bool_)
    if change.drop:
        lost = random.random(rows[-1] - rows[0], np.float32) < change.drop
    times, boxes = _boxes(clip, cut, start, start + int(offsets[-1]), change)
    out = np.zeros((steps, 2, *cut.shape[1:]), DTYPES[cut.encoding])
    angle = np.deg2rad(change.degrees)
    _bin(array, rows, lost, times, boxes, np.cos(angle), np.sin(angle), 1 if cut.encoding == "binary" else most, out)
    if change.noise_hz:
        _add_noise(out, change.noise_hz * cut.dt_us / 1e6, random)
    if change.polarity:
        out = out[:, ::-1]
    return np.ascontiguousarray(out[..., ::-1] if change.mirror else out)


def _ratio(most: float, random: np.random.Generator) -> float:
    """A ratio from 1 / (1 + most) to 1 + most."""
    return float(np.exp(random.uniform(-1, 1) * np.log1p(most)))


def _boxes(clip: EventClip, cut: Cut, start: int, stop: int, change: Change) -> tuple[np.ndarray, np.ndarray]:
    """The changed box over time: float64 times [N], and centre x, y, width and height [N, 4]."""
    if clip.track is None:
        times = np.array([start, stop], np.float64)
        boxes = np.tile(_whole_picture(clip.events.sensor_size, cut.shape), (2, 1))
    else:
        within = clip.track.times[(clip.track.times > start) & (clip.track.times < stop)]
        times = np.array([start, *within, stop], np.float64)
        square = clip.track.at(times)
        boxes = square[:, [0, 1, 2, 2]]
    moved = np.array(change.shift) + np.multiply.outer((times - start) / max(stop - start, 1) - 0.5, change.drift)
    boxes[:, :2] -= moved * boxes[:, 2:]  # the face moves right when its box moves left
    boxes[:, 2:] *= change.scale
    return times, boxes


def _whole_picture(sensor_size: tuple[int, int], shape: tuple[int, int, int]) -> np.ndarray:
    """The box that shows all, centre x, y, width, height.

    It lies so that ``floor((x + 1/2 - left) W' / W)`` is `rescale`'s ``floor(x W' / W)``, safe from rounding.
    """
    (width, height), (_, rows, columns) = sensor_size, shape
    return np.array([(width + 1 - 1 / columns) / 2, (height + 1 - 1 / rows) / 2, width, height], np.float64)


def _add_noise(x: np.ndarray, mean: float, random: np.random.Generator) -> None:
    """Events anywhere in x [T, 2, H, W], `mean` a pixel (of both polarities) and step."""
    places = random.integers(x.size, size=random.poisson(mean * x.size / 2))
    if x.dtype == np.uint8:
        x.reshape(-1)[places] = 1
    else:
        np.add.at(x.reshape(-1), places, 1)


@njit(cache=True, nogil=True)
def _bin(
    events: np.ndarray,
    rows: np.ndarray,
    lost: np.ndarray,
    times: np.ndarray,
    boxes: np.ndarray,
    cos: float,
    sin: float,
    most: int,
    out: np.ndarray,
) -> None:
    """Step k holds events[rows[k] : rows[k + 1]] without the lost ones, each at its place in the box of its time."""
    height, width = out.shape[2:]
    after = 1  # the first box after the event
    for k in range(len(out)):
        for i in range(rows[k], rows[k + 1]):
            if len(lost) and lost[i - rows[0]]:
                continue
            event = events[i]
            while after < len(times) - 1 and times[after] < event.t:
                after += 1
            before, behind = boxes[after - 1], boxes[after]
            share = (event.t - times[after - 1]) / (times[after] - times[after - 1])
            right = event.x + 0.5 - (before[0] + share * (behind[0] - before[0]))
            down = event.y + 0.5 - (before[1] + share * (behind[1] - before[1]))
            across = before[2] + share * (behind[2] - before[2])
            along = before[3] + share * (behind[3] - before[3])
            x = int(np.floor((cos * right - sin * down) * width / across + width / 2))
            y = int(np.floor((sin * right + cos * down) * height / along + height / 2))
            if 0 <= x < width and 0 <= y < height and out[k, event.p, y, x] < most:
                out[k, event.p, y, x] += 1
