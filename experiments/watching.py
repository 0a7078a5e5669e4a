"""Streams of events that tell how far they have been read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from datasets.events import Events
from datasets.files import EventStream


class WatchedStream(EventStream):
    """A stream that calls `update` with the number of events read, after each piece."""

    def __init__(self, stream: EventStream, update: Callable[[int], None]) -> None:
        super().__init__(stream.path, stream.format, stream.sensor_size, iter(()), repair=False)
        self._stream, self._update = stream, update

    def __iter__(self) -> Iterator[Events]:
        done = 0
        for piece in self._stream:
            yield piece
            done += len(piece)
            self._update(done)

    def whole(self) -> Events:
        """All events at once, and `update` once."""
        events = self._stream.whole()
        self._update(len(events))
        return events
