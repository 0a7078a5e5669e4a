"""Runs a study: the jobs of a stage side by side, each done once and kept, however often the run is killed."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.store.lock import only_writer
from experiments.config import Model
from experiments.stages import code_hash
from experiments.studies import jobs
from experiments.studies.provenance import LIBRARIES, begin
from experiments.studies.published import published_tables
from experiments.studies.results import FILE, Report
from experiments.studies.study import Inputs, Job, Progress, Study
from experiments.studies.writing import clear, write_page, write_tables
from neuva import NeuvaError

if TYPE_CHECKING:
    from distributed import Client

Watch = Callable[[str, str, int, int], None]
"""Told (job, what it does, done, of how many); job "" is the study, whose jobs are counted."""

Keyed = tuple[Job, str, Path]
"""A job, its key and its folder."""

Attempt = jobs.Finished | str
"""A finished job, or why it failed."""
Do = Callable[[Sequence[Keyed]], Generator[tuple[Keyed, Attempt]]]
"""Does jobs, in any order, and gives each with what has come of it."""

TOPIC = "neuva-study"
OFTEN = 0.5
"""Seconds between two messages of a worker's job."""


def run(
    study: Study,
    config: Model,
    inputs: Inputs,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    again: bool = False,
    progress: Watch = lambda *_: None,
) -> Report:
    """Do what is not done yet of a study, and write its results folder; a stopped run goes on from the finished jobs.

    A job counts as done while its key is the same: a hash over neuva's code, the configuration, the stores it hangs on
    and its name. results.json is written anew after each job.

    Args:
        workers: processes on this machine; 1 does the jobs in this one. scheduler: address of a Dask cluster that
            exists, used in place of own workers; it sees the same folders under the same paths.
        again: whether finished jobs of another key may be removed, to be done anew.

    Raises:
        NeuvaError: if the store is not the study's or lacks something, another run works in the folder or it is of
            another study or holds jobs of another key, jobs fail (they are named; the others of their stage are done
            and kept), or the workers cannot be reached or run other code.
    """
    report = begin(study, config, inputs)
    study.check(config, inputs)
    stages = [[_keyed(report, job, inputs) for job in stage] for stage in study.stages(config, inputs)]
    every = [each for stage in stages for each in stage]
    _require_names([job.name for job, _, _ in every])
    with only_writer(inputs.out):
        _require_folder(study, inputs.out)
        done = _done(every, inputs.out, again)
        earlier = Report.load(inputs.out) if (inputs.out / FILE).exists() else report
        if earlier.hashes != report.hashes:
            clear(inputs.out, earlier)
        else:
            report = report.with_pictures(earlier.pictures)

        def tell() -> Report:
            progress("", study.name, len(done), len(every))
            known = {job.name: done.get(job.name) for job, _, _ in every}  # in their order
            seconds = {name: finished.seconds if finished else None for name, finished in known.items()}
            results = {name: finished.result for name, finished in known.items() if finished}
            tables = [*study.tables(config, results), *published_tables(study.name)]
            found = report.with_jobs(seconds, [finished.made_with for finished in done.values()], tables)
            found.save(inputs.out)
            return found

        found = tell()
        waiting = [[each for each in stage if each[0].name not in done] for stage in stages]
        with _hands(max(map(len, waiting), default=0), report.hashes["code"], workers, scheduler, progress) as do:
            for stage in waiting:
                failed = []
                with closing(do(stage)) as made:
                    for (job, _, folder), finished in made:
                        if isinstance(finished, str):
                            failed.append(finished)
                            progress(job.name, "failed", 1, 1)
                            continue
                        jobs.keep(folder, finished)
                        done[job.name] = finished
                        progress(job.name, "done", 1, 1)
                        found = tell()
                if failed:
                    raise NeuvaError("; ".join(sorted(failed)))
        write_tables(inputs.out, found)
        results = {job.name: done[job.name].result for job, _, _ in every}
        drawn = study.pictures(config, inputs, results)
        found = found.with_pictures([str(each.path.relative_to(inputs.out)) for each in drawn])
        found.save(inputs.out)
        write_page(inputs.out, found, drawn)
    return found


def _keyed(report: Report, job: Job, inputs: Inputs) -> Keyed:
    hashes = {name: value for name, value in report.hashes.items() if name not in inputs.extra or name in job.extra}
    key = sha256(json.dumps([hashes, job.name], sort_keys=True).encode()).hexdigest()
    return job, key, inputs.of_job(job.name)


def _done(every: Sequence[Keyed], out: Path, again: bool) -> dict[str, jobs.Finished]:
    """The jobs that need not be done."""
    kept = [(job.name, key, finished) for job, key, folder in every if (finished := jobs.kept(folder)) is not None]
    done = {name: finished for name, key, finished in kept if finished.key == key}
    if len(done) < len(kept) and not again:
        raise NeuvaError(
            f"{out}: holds {len(kept) - len(done)} finished jobs of another store, configuration or code: "
            "name another --out, or give --again to do them anew"
        )
    return done


def _attempt(job: Job, key: str, folder: Path, progress: Progress) -> Attempt:
    """So that one that fails does not keep the others of its stage from being done."""
    try:
        return jobs.do(job, key, folder, progress)
    except NeuvaError as error:
        return str(error)  # an exception would hold the job's network in memory


@contextmanager
def _hands(most: int, code: str, workers: int, scheduler: str | None, progress: Watch) -> Iterator[Do]:
    """What does the jobs of a stage, `most` at the most: this process, or workers, which live as long as the block."""
    if not most or (scheduler is None and min(workers, most) < 2):
        yield partial(_here, progress)
        return
    from datasets import cluster  # Dask is imported only where it works

    own = scheduler is None
    opened = cluster.own(min(workers, most)) if own else cluster.existing(str(scheduler), LIBRARIES)
    with opened as client, _heard(client, progress):
        do = partial(_in_worker, code)
        yield lambda waiting: cluster.each_made(client, do, waiting, lambda each: f"job {each[0].name}")


def _here(progress: Watch, waiting: Sequence[Keyed]) -> Generator[tuple[Keyed, Attempt]]:
    for job, key, folder in waiting:
        yield (job, key, folder), _attempt(job, key, folder, partial(progress, job.name))


def _in_worker(code: str, keyed: Keyed) -> Attempt:
    job, key, folder = keyed
    if (here := code_hash()) != code:
        raise NeuvaError(
            f"job {job.name}: its worker runs neuva's code {here[:12]}, the study is of {code[:12]}: "
            "bring the same code to all and start the workers anew"
        )
    return _attempt(job, key, folder, _messages(job.name))


def _messages(name: str) -> Progress:
    """A job's progress, sent from its worker to the run by Dask, not too often."""
    from distributed import get_worker

    worker, last = get_worker(), 0.0

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > OFTEN:
            last = time.monotonic()
            worker.log_event(TOPIC, (name, what, done, total))

    return tell


@contextmanager
def _heard(client: Client, progress: Watch) -> Iterator[None]:
    """What workers tell of their jobs reaches `progress`, as long as the block lasts."""
    client.subscribe_topic(TOPIC, lambda event: progress(*event[1]))
    try:
        yield
    finally:
        if client.status == "running":
            client.unsubscribe_topic(TOPIC)


def _require_names(names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1 or Path(name).name != name:
            raise NeuvaError(f'job "{name}": {count} are called so; one alone may be, and fit for a folder: rename it')


def _require_folder(study: Study, out: Path) -> None:
    if (out / FILE).exists() and (found := Report.load(out).study) != study.name:
        raise NeuvaError(f"{out}: holds study {found}: name another folder for {study.name}")
