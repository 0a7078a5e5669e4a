"""Makes a recipe's store: clips are made side by side by Dask workers, each kept as soon as it is there."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.inputs import fingerprint, keep_apart
from datasets.recipe import ClipJob, Recipe
from datasets.store import Header, StoredClip, StoreWriter
from datasets.store.writing import pack
from neuva import NeuvaError

if TYPE_CHECKING:
    from distributed import Client, Future

Packed = Generator[tuple[ClipJob, bytes]]

IN_FLIGHT = 2
"""Clips a worker's thread has at hand: one it makes, one that waits; so memory does not grow with the data set."""


def make_store(
    path: Path,
    recipe: Recipe,
    *,
    workers: int = 2,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Make every clip of a recipe into the store at `path`; a stopped run goes on from the finished clips.

    A worker makes a clip and packs it; this process keeps it at once, so only this process writes the store and a
    killed worker loses nothing: its clip is made again by another. The store's content depends on the recipe alone;
    its provenance tells by "inputs_sha256" from which files, so that none is mixed with what it was before.

    Args:
        workers: processes on this machine; 1 makes the clips in this process, for a debugger and for tiny stores.
        scheduler: address of a Dask cluster that exists ("tcp://host:8786"), used in place of own workers. Its
            workers need the same neuva, and the data set under the same path.
        progress: called with (clips done, clips in all).

    Raises:
        NeuvaError: if a clip cannot be made (it is named; those before it are kept), the store cannot be written or
            would replace an input or what is no store, another run makes it too, or the cluster cannot be reached,
            has no workers or runs another version.
    """
    name, count = Counter(job.name for job in recipe.jobs).most_common(1)[0] if recipe.jobs else ("", 0)
    if count > 1:
        raise NeuvaError(f"{recipe.dataset}: {count} clips are called {name}: rename all but one")
    keep_apart(path, recipe.inputs)
    splits = {job.name: job.split for job in recipe.jobs}
    made_from = {"inputs_sha256": fingerprint(recipe.inputs)} if recipe.inputs else {}
    with StoreWriter(
        path,
        dataset=recipe.dataset,
        sensor_size=recipe.sensor_size,
        provenance={**recipe.provenance, **made_from},
        clips=splits,
    ) as store:
        waiting = [job for job in recipe.jobs if job.name not in store.finished]
        done = len(splits) - len(waiting)
        progress(done, len(splits))
        with closing(_packed(store.header, waiting, workers, scheduler)) as made:  # whatever stops us ends the workers
            for job, packed in made:
                store.add_packed(job.name, job.split, packed)
                done += 1
                progress(done, len(splits))


def make_packed(header: Header, job: ClipJob) -> bytes:
    """Make one clip and pack it for the way to the process that keeps it; runs in a worker.

    Raises:
        NeuvaError: if the clip cannot be made; the message names it.
    """
    try:
        sample, arrays = job.make()
    except NeuvaError as error:
        raise NeuvaError(f"clip {job.name}: {error}") from error
    except Exception as error:
        error.add_note(f"while making clip {job.name}")
        raise
    return pack(header, StoredClip(job.name, job.split, sample, arrays))


def _packed(header: Header, jobs: Sequence[ClipJob], workers: int, scheduler: str | None) -> Packed:
    if scheduler is None and (workers < 2 or len(jobs) < 2):
        for job in jobs:
            yield job, make_packed(header, job)
    elif jobs:
        from datasets import cluster  # Dask is imported only where it works

        with cluster.own(min(workers, len(jobs))) if scheduler is None else cluster.existing(scheduler) as client:
            yield from _from_workers(client, header, jobs)


def _from_workers(client: Client, header: Header, jobs: Sequence[ClipJob]) -> Packed:
    waiting = iter(jobs)
    running: dict[Future, ClipJob] = {}
    while True:
        room = IN_FLIGHT * sum(client.nthreads().values()) - len(running)  # workers may come and go
        for job in itertools.islice(waiting, max(room, 0 if running else 1)):
            future = client.submit(make_packed, header, job, pure=False)
            running[future] = job
        if not running:
            return
        future = _first_done(client, running)
        job = running.pop(future)
        yield job, _result(client, future, job)
        future.release()  # its clip is on disk: the worker may forget it


def _first_done(client: Client, running: Collection[Future]) -> Future:
    from distributed import wait

    from datasets import cluster

    while True:
        try:
            with client.as_current():
                done = wait(list(running), cluster.PATIENCE, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            cluster.require_workers(client)  # without any this would wait for ever
            continue
        if done:  # else it was lost with its worker, and is made again
            return next(iter(done))


def _result(client: Client, future: Future, job: ClipJob) -> bytes:
    from distributed import KilledWorker

    from datasets import cluster

    patience = cluster.PATIENCE
    while True:
        try:
            return future.result(timeout=patience)
        except KilledWorker as error:
            raise NeuvaError(
                f"clip {job.name}: the worker that made it died {error.allowed_failures + 1} times, killed or out of "
                "memory: use fewer workers, or --workers 1 to see why"
            ) from error
        except TimeoutError:
            if future.status == "error":  # the clip's own
                raise
            cluster.require_workers(client)
            patience *= 2  # a large clip takes its time to come
