"""In which order spikes of several sources reach a core at one time: depth first.

As if each input event, and each spike it causes, were followed through all cores before the next is sent; of the cores
that hear a spike, the earlier layer first. Of a tick of the leak clock, which all cores hear at once, the later layers'
spikes are followed first, so that what a core sends on its own tick leaves it before what it sends on theirs.
"""

from __future__ import annotations

import numpy as np

from hardware.program import ChipProgram

TIME, BORN, NUMBER, CHANNEL, Y, X, PATH = range(7)
"""Columns of a row, an event on its way: its time in nanoseconds, that of the input event that caused it and this one's
number (-1: caused by a tick), its address, and from PATH on the way it came; see `Paths`."""


class Paths:
    """The way each row came, in a column for the input and one for each layer; none where no layer has several sources.

    A layer's column holds the place of the spike among all that this layer ever sent, and after which of its hearers
    it went. As spikes pass layers in the program's order only, the columns from left to right order rows depth first.
    """

    def __init__(self, program: ChipProgram) -> None:
        names = ("input", *(layer.name for layer in program.layers))
        self._places = {name: place for place, name in enumerate(names)}
        self._kept = any(len(sources) > 1 for sources in program.sources)
        self.width = PATH + self._kept * len(names)

    def sent(self, rows: np.ndarray, source: str, first: int) -> None:
        """Write down that they were sent by a layer, or came in, as number `first` and following."""
        if self._kept:
            numbers = np.arange(first, first + len(rows))
            rows[:, PATH + self._places[source]] = numbers * len(self._places)

    def towards(self, rows: np.ndarray, source: str, hearer: str) -> np.ndarray:
        """The rows that one of a source's hearers gets."""
        if not self._kept:
            return rows
        rows = rows.copy()
        rows[:, PATH + self._places[source]] += self._places[hearer]
        return rows

    def tick(self, layer: str) -> np.ndarray:
        """[1, width], the row that stands for ticks as the cause of a layer's spikes: before all input events."""
        row = np.zeros((1, self.width), np.int64)
        row[:, NUMBER] = -1
        row[:, PATH : PATH + 1] = -self._places[layer]
        return row

    def merged(self, parts: list[np.ndarray]) -> np.ndarray:
        """Rows of all sources, each part sorted, in the order they arrive."""
        if len(parts) == 1:
            return parts[0]
        rows = np.concatenate(parts)
        return rows[np.lexsort((*rows[:, PATH:].T[::-1], rows[:, TIME]))]
