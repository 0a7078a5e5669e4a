"""Makes a recipe's store: clips are made side by side by Dask workers, each kept as soon as it is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from datasets.inputs import fingerprint, keep_apart
from datasets.recipe import ClipJob, Recipe
from datasets.store import Header, StoredClip, StoreWriter
from datasets.store.writing import pack
from neuva import NeuvaError

Packed = Generator[tuple[ClipJob, bytes]]


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
            yield from cluster.each_made(client, partial(make_packed, header), jobs, lambda job: f"clip {job.name}")
