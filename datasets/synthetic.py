"""The embedded synthetic faces as a data set: rendered, turned into events, stored with all their labels."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.faces import SPLITS, ClipSpec, clip_specs, render_clip
from datasets.sample import Sample
from datasets.simulator import PRESETS, PixelModel, simulate
from datasets.store import StoreWriter
from neuva import __version__


@dataclass(frozen=True)
class SyntheticSpec:
    """How many faces, for how long, and how they are filmed.

    identities and clips: (train, validation, test); no person is in two splits. fps: rendered frames a second,
    interpolated per pixel by the simulator. size: side of the square sensor. seconds: of each clip.
    """

    identities: tuple[int, int, int] = (120, 8, 12)
    clips: tuple[int, int, int] = (480, 24, 36)
    seconds: float = 4.0
    fps: float = 50.0
    size: int = 128
    model: PixelModel = PRESETS["v2e"]
    seed: int = 0

    def clip_specs(self) -> Iterator[tuple[str, str, ClipSpec]]:
        """(split, name, specification) of every clip, in the order they are stored."""
        for split, people, clips in zip(SPLITS, self.identities, self.clips, strict=True):
            made = clip_specs(split, clips, people, seed=self.seed, seconds=self.seconds, fps=self.fps, size=self.size)
            for number, spec in enumerate(made):
                yield split, f"{split}/{number:04d}", spec


def make_synthetic(
    path: Path, spec: SyntheticSpec, *, workers: int = 2, progress: Callable[[int, int], None] = lambda *_: None
) -> None:
    """Render and simulate every clip into a store; a stopped run goes on from the finished clips.

    The store's content depends on `spec` alone, not on the number of workers.

    Args:
        progress: called with (clips done, clips in all).

    Raises:
        NeuvaError: if the store cannot be written.
    """
    clips = list(spec.clip_specs())
    provenance = {"source": "synthetic faces", "version": __version__, **_plain(asdict(spec))}
    with StoreWriter(
        path, dataset="synthetic-faces", sensor_size=(spec.size, spec.size), provenance=provenance
    ) as store:
        waiting = [clip for clip in clips if clip[1] not in store.finished]
        done = len(clips) - len(waiting)
        progress(done, len(clips))
        with contextlib.closing(_made(waiting, spec.model, workers)) as made:  # whatever stops us ends the workers
            for (split, name, _), (sample, arrays) in zip(waiting, made, strict=True):
                store.add(name, split, sample, arrays)
                done += 1
                progress(done, len(clips))


def _made(
    clips: Sequence[tuple[str, str, ClipSpec]], model: PixelModel, workers: int
) -> Generator[tuple[Sample, dict[str, np.ndarray]]]:
    if workers < 2 or len(clips) < 2:
        for _, _, spec in clips:
            yield make_sample(spec, model)
        return
    # spawned, not forked: OpenCV's and numba's threads do not survive a fork
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_leave_stopping_to_the_parent)
    try:
        yield from pool.map(make_sample, [spec for _, _, spec in clips], [model] * len(clips), chunksize=4)
    except BaseException:
        for worker in multiprocessing.active_children():  # at once: waiting for their clips invites a second Ctrl-C
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_stopping_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def make_sample(spec: ClipSpec, model: PixelModel) -> tuple[Sample, dict[str, np.ndarray]]:
    """One clip's events and labels, and beside them frames at the label rate, action units and expression."""
    clip = render_clip(spec)
    events = simulate(clip.frames, clip.frame_times, model, spec.seed)
    labels = np.column_stack([clip.valence, clip.arousal]).astype(np.float32)
    shown = np.searchsorted(clip.frame_times, clip.label_times, side="right") - 1
    meta = {
        "start_us": int(clip.frame_times[0]),
        "identity": spec.identity,
        "lighting": spec.lighting,
        "synthetic": True,
        "face_track": _centred(clip.label_times, clip.face_box),
        "action_units": list(clip.au_names),
        "expressions": list(clip.expression_names),
    }
    arrays = {
        "frames": clip.frames[shown],
        "action_units": clip.action_units,
        "expression": clip.expression,
    }
    return Sample(events, clip.label_times, labels, np.ones(len(labels), bool), meta), arrays


def _centred(times: np.ndarray, corners: np.ndarray) -> dict[str, list]:
    """Boxes given by their corner as a face's track: centre x, centre y, side."""
    half = corners[:, 2:] / 2
    boxes = np.concatenate([corners[:, :2] + half, corners[:, 2:]], axis=1)
    return {"times": times.tolist(), "boxes": np.round(boxes.astype(float), 3).tolist()}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
