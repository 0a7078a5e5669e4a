"""What is in a store, without reading its events."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets.store.dataset import EventStore


@dataclass(frozen=True)
class SplitSummary:
    """One split of a store.

    subjects: names of the people in it; None where clips do not tell.
    labels, valid: how many, and how many of them count. valence, arousal: min, mean, max and standard deviation of
    those, None without any.
    """

    clips: int
    events: int
    subjects: list[str] | None
    labels: int
    valid: int
    valence: dict[str, float] | None
    arousal: dict[str, float] | None


@dataclass(frozen=True)
class StoreSummary:
    """A whole store.

    size: bytes of the file. bytes_per_event: those of its events over their number, None without any.
    shared_subjects: people in more than one split; None where clips do not tell. arrays: shape and number type of
    what the first clip holds besides events and labels.
    """

    dataset: str
    sensor_size: tuple[int, int]
    clips: int
    events: int
    size: int
    bytes_per_event: float | None
    splits: dict[str, SplitSummary]
    shared_subjects: list[str] | None
    provenance: dict[str, Any]
    arrays: dict[str, tuple[tuple[int, ...], str]]

    @property
    def notes(self) -> list[str]:
        """What a reader of results must know."""
        return list(self.provenance.get("notes", []))


def summarize(store: EventStore) -> StoreSummary:
    """Count and measure the clips of a store, all its splits.

    Raises:
        NeuvaError: if the file is damaged.
    """
    rows: dict[str, list[int]] = {}
    for row, split in enumerate(store.splits):
        rows.setdefault(split, []).append(row)
    splits = {split: _summarize_split(store, members) for split, members in rows.items()}
    events = sum(store.event_counts)
    return StoreSummary(
        store.dataset,
        store.sensor_size,
        len(store),
        events,
        store.path.stat().st_size,
        store.event_bytes / events if events else None,
        splits,
        _shared([split.subjects for split in splits.values()]),
        store.provenance,
        store.array_kinds(0) if len(store) else {},
    )


def _summarize_split(store: EventStore, rows: list[int]) -> SplitSummary:
    subjects = [store.meta(row).get("subject") for row in rows]
    labels = [store.labels(row) for row in rows]
    mask = np.concatenate([valid for _, _, valid in labels])
    va = np.concatenate([each for _, each, _ in labels])[mask]
    return SplitSummary(
        clips=len(rows),
        events=sum(store.event_counts[row] for row in rows),
        subjects=None if None in subjects else sorted({str(subject) for subject in subjects}),
        labels=len(mask),
        valid=len(va),
        valence=_statistics(va[:, 0]),
        arousal=_statistics(va[:, 1]),
    )


def _statistics(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    values = values.astype(np.float64)
    figures = {"min": values.min(), "mean": values.mean(), "max": values.max(), "std": values.std()}
    return {name: float(figure) for name, figure in figures.items()}


def _shared(people: list[list[str] | None]) -> list[str] | None:
    if None in people:
        return None
    count = Counter(name for each in people for name in each or ())
    return sorted(name for name, splits in count.items() if splits > 1)
