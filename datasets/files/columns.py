"""What the columns of a table are: by name, or by what is in them where they have none; and as events.

Tables come from many hands, so this is the rule for all of them: t in whole numbers is microseconds, t with fractions
seconds; p is 1 for ON, 0 or -1 for OFF.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.files.records import as_events
from neuva import NeuvaError

NAMES = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "x": ("x",),
    "y": ("y",),
    "p": ("p", "pol", "polarity", "polarities", "on"),
}
ORDERS = ("txyp", "xypt")
"""Orders of four columns without names: that of the rpg data sets, and that of Prophesee's CSV."""


def find_columns(path: Path, names: Sequence[str]) -> list[int]:
    """Where t, x, y and p are among these names.

    Raises:
        NeuvaError: names the first that is missing.
    """
    there = [name.strip().strip("\"'").lower() for name in names]
    found = []
    for column, known in NAMES.items():
        places = [place for place, name in enumerate(there) if name in known]
        if not places:
            raise NeuvaError(f"{path}: has {', '.join(names) or 'nothing'}; needed are t, x, y, p: {column} is missing")
        found.append(places[0])
    return found


def find_order(path: Path, columns: Sequence[np.ndarray]) -> list[int]:
    """Where t, x, y and p are among four columns without names: p is the one that holds polarities alone.

    Raises:
        NeuvaError: if p is neither the last (t, x, y, p) nor the third (x, y, p, t).
    """
    for order in ORDERS:
        if np.isin(columns[order.index("p")], (-1, 0, 1)).all():
            return [order.index(name) for name in "txyp"]
    raise NeuvaError(f"{path}: four columns, but neither t, x, y, p nor x, y, p, t: name them in a header")


def is_seconds(t: np.ndarray) -> bool:
    """Whether times have fractions."""
    return t.dtype.kind == "f" and bool((np.isfinite(t) & (t != np.rint(t))).any())


def to_events(columns: Sequence[np.ndarray], seconds: bool) -> np.ndarray:
    """Columns t, x, y, p [N] of integers, floats or booleans as `EVENT_DTYPE` [M]; t in seconds or microseconds.

    M < N where row M is no event: a number is not finite, or a coordinate or polarity not whole.
    """
    scaled = [(columns[0], 1e6 if seconds else 1.0), *((column, 1.0) for column in columns[1:])]
    t, x, y, p = (_whole(column, scale) for column, scale in scaled)
    p = np.where(p == -1, 0, p) if p.dtype.kind == "i" else p
    sound = min(map(len, (t, x, y, p)))
    return as_events(t[:sound], x[:sound], y[:sound], p[:sound])


def _whole(column: np.ndarray, scale: float) -> np.ndarray:
    """The column as integers, as far as it is whole; seconds are rounded to microseconds."""
    if column.dtype.kind != "f":
        return column  # so no seconds either
    scaled = column.astype(np.float64) * scale
    rounded = np.rint(scaled)
    good = np.abs(rounded) < 2.0**63  # neither is NaN
    if scale == 1:
        good &= rounded == scaled
    sound = len(good) if good.all() else int(np.argmin(good))
    return rounded[:sound].astype(np.int64)
