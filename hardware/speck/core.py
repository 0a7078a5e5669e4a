"""One core of the event-driven emulator: what arrives, in which order it is taken, what it sends."""

from __future__ import annotations

import numpy as np

from hardware.program import ChipProgram
from hardware.speck.kernels import run_events
from hardware.speck.paths import BORN, CHANNEL, PATH, TIME, Paths, X, Y
from hardware.speck.queueing import Queue, Server
from hardware.speck.synapses import Synapses


class Core:
    """A layer's state, kept between stretches of events, and what it has done so far."""

    def __init__(self, layer: Synapses, program: ChipProgram, paths: Paths, queue: Queue | None) -> None:
        self.layer = layer
        self._paths = paths
        self.server = Server(queue.timing, drop=queue.full == "drop") if queue else None
        self.synops = self.updates = self.spikes = self.saturated = 0
        step = program.dt_us * 1000
        reset = program.reset_every * step
        f, h, w = layer.layer.out_shape
        self._clocks = np.array([[reset, reset], [0, step * layer.leaks]], np.int64)
        self._v = np.zeros((h * w, f), np.int32)
        self._waiting = [np.zeros((0, paths.width), np.int64) for _ in layer.sources]

    def take(self, sent: list[np.ndarray], before: int) -> np.ndarray:
        """What has arrived before a time, in the order taken and, with a queue, at the time the work on it is done.

        Args:
            sent: rows of each source, in the order they arrive. Later ones are kept for the next call.
        """
        ready = []
        for source, rows in enumerate(sent):
            waiting = self._waiting[source]
            rows = np.concatenate([waiting, rows]) if len(waiting) else rows
            split = int(np.searchsorted(rows[:, TIME], before))
            ready.append(self._paths.towards(rows[:split], self.layer.sources[source], self.layer.name))
            self._waiting[source] = rows[split:].copy()
        rows = self._paths.merged(ready)
        if self.server is None:
            return rows
        done, kept = self.server.serve(rows[:, TIME], self.layer.reached(rows[:, Y], rows[:, X]))
        return np.column_stack([done, rows[:, BORN:]])[kept]

    def work(self, rows: np.ndarray, until: int) -> np.ndarray:
        """Spikes of the rows taken, and of the clocks before `until`, as rows with the neurons' own addresses."""
        neuron, (_, h, w) = self.layer.neuron, self.layer.layer.out_shape
        fired, synops, ticks, saturated = run_events(
            rows[:, [TIME, CHANNEL, Y, X]],
            self.layer.weight,
            (h, w, *self.layer.stride, *self.layer.padding),
            self.layer.bias,
            (neuron.threshold, neuron.low, neuron.reset == "zero"),
            self._clocks,
            until,
            self._v,
        )
        self.synops += int(synops)
        self.updates += int(synops) + int(ticks) * self.layer.layer.neurons
        self.saturated += int(saturated)
        causes = np.concatenate([rows, self._paths.tick(self.layer.name)])
        sent = causes[fired[:, 1]]  # -1, a tick, is the last of them
        sent[:, TIME], sent[:, CHANNEL:PATH] = fired[:, 0], fired[:, 2:]
        self._paths.sent(sent, self.layer.name, self.spikes)
        self.spikes += len(fired)
        return sent

    def pooled(self, rows: np.ndarray) -> np.ndarray:
        """Addresses after sum-pooling, order kept; what lies beyond the last whole window is dropped."""
        pool, (_, height, width) = self.layer.layer.pool, self.layer.layer.sent_shape
        if pool == 1:
            return rows
        moved = rows.copy()
        moved[:, Y : X + 1] //= pool
        return moved[(moved[:, Y] < height) & (moved[:, X] < width)]
