"""Stores made by several workers: the same bytes whoever is killed, and one clear error for what cannot be mended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

import neuva
from datasets.making import make_store
from datasets.recipe import ClipJob, Made, Recipe
from datasets.store import EventStore
from datasets.synthetic import SyntheticSpec, faces
from neuva import NeuvaError

REPOSITORY = Path(__file__).parents[2]
SPEC = SyntheticSpec(identities=(2, 1, 1), clips=(8, 2, 2), seconds=0.3, size=48)
RECIPE = faces(SPEC)
SOON = 30


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("faces") / "faces.h5"
    make_store(path, RECIPE, workers=1)
    assert EventStore(path).names == [job.name for job in RECIPE.jobs]
    return path.read_bytes()


def with_job(job: ClipJob, at: int = 5) -> Recipe:
    jobs = [*RECIPE.jobs[:at], job, *RECIPE.jobs[at:]]
    return Recipe(RECIPE.dataset, RECIPE.sensor_size, RECIPE.provenance, jobs)


def wait_for(happened: Callable[[], object], seconds: float = SOON) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def worker_processes(process: psutil.Process | None = None) -> list[psutil.Process]:
    found = (process or psutil.Process()).children(recursive=True)
    return [child for child in found if "--multiprocessing-fork" in child.cmdline()]


def parts(path: Path) -> int:
    return len(list(path.with_name(f".{path.name}.partial").glob("clip-*.h5")))


def kill_at(when: int, kill: Callable[[], None]) -> tuple[list[int], Callable[[int, int], None]]:
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        assert total == len(RECIPE.jobs)
        seen.append(done)
        if done == when:
            kill()

    return seen, progress


def test_a_killed_worker_loses_nothing_and_duplicates_nothing(made, tmp_path):
    before = dict(os.environ)
    seen, progress = kill_at(3, lambda: worker_processes()[0].kill())
    make_store(tmp_path / "faces.h5", RECIPE, workers=2, progress=progress)
    assert (tmp_path / "faces.h5").read_bytes() == made
    assert seen == list(range(len(RECIPE.jobs) + 1))
    assert not worker_processes()
    assert [file.name for file in tmp_path.iterdir()] == ["faces.h5"]
    assert dict(os.environ) == before  # Dask's OMP_NUM_THREADS=1 would slow down what comes after


CLIENT = """
import sys
from pathlib import Path
from datasets.making import make_store
from tests.datasets.test_making import RECIPE

if __name__ == "__main__":
    make_store(Path(sys.argv[1]), RECIPE, workers=2)
"""


@contextlib.contextmanager
def client(target: Path) -> Iterator[psutil.Popen]:
    """A process that makes the store with two workers, stopped when it has some clips."""
    script = target.with_suffix(".py")
    script.write_text(CLIENT)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(target.parent)}
    process = psutil.Popen(
        [sys.executable, script, target], env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: parts(target) >= 2)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_killed_client_goes_on(made, tmp_path):
    target = tmp_path / "faces.h5"
    with client(target) as process:
        workers = worker_processes(process)
        process.kill()
        process.wait()
        psutil.wait_procs(workers, timeout=SOON)
        assert not any(worker.is_running() for worker in workers)
    kept = parts(target)
    seen, progress = kill_at(-1, lambda: None)
    make_store(target, RECIPE, workers=1, progress=progress)
    assert seen[0] == kept >= 2
    assert target.read_bytes() == made


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_all_processes_within_seconds(made, tmp_path, times):
    target = tmp_path / "faces.h5"
    with client(target) as process:
        processes = [process, *worker_processes(process)]
        assert len(processes) == 3
        begin = time.monotonic()
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
            time.sleep(0.05)
        psutil.wait_procs(processes, timeout=SOON)
        assert time.monotonic() - begin < 8
        assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)
        assert process.returncode != 0
    make_store(target, RECIPE, workers=1)
    assert target.read_bytes() == made


@pytest.mark.parametrize("workers", [1, 2])
def test_a_clip_that_cannot_be_made_is_named_and_the_others_are_kept(made, tmp_path, workers):
    target = tmp_path / "faces.h5"
    broken = ClipJob("train/broken", "train", partial(neuva.require, "nothing_of_the_kind", "install it"))
    with pytest.raises(NeuvaError, match=r"^clip train/broken: nothing_of_the_kind is needed here .*: install it$"):
        make_store(target, with_job(broken), workers=workers)
    assert not target.exists()
    assert parts(target) >= 3
    make_store(target, RECIPE, workers=1)
    assert target.read_bytes() == made
    assert not worker_processes()


def test_a_clip_that_kills_its_workers_is_named(made, tmp_path):
    target = tmp_path / "faces.h5"
    killer = ClipJob("train/killer", "train", partial(os._exit, 3))
    with pytest.raises(NeuvaError, match=r"clip train/killer: the worker that made it died 3 times"):
        make_store(target, with_job(killer), workers=2)
    assert parts(target) >= 3
    assert not worker_processes()


def test_a_fault_of_ours_names_the_clip_too(tmp_path):
    fault = ClipJob("train/fault", "train", partial(int, "no number"))
    with pytest.raises(ValueError, match="no number") as caught:
        make_store(tmp_path / "faces.h5", with_job(fault), workers=2)
    assert caught.value.__notes__ == ["while making clip train/fault"]


def too_late() -> Made:
    raise TimeoutError("the disk did not answer")


def test_a_clip_that_times_out_is_no_lost_worker(tmp_path):
    late = ClipJob("train/late", "train", too_late)
    with pytest.raises(TimeoutError, match="the disk did not answer"):
        make_store(tmp_path / "faces.h5", with_job(late), workers=2)


def test_recipes_without_clips_or_with_a_name_twice(tmp_path):
    make_store(tmp_path / "none.h5", Recipe("none", (4, 4), {}, []), scheduler="tcp://127.0.0.1:1")
    assert len(EventStore(tmp_path / "none.h5")) == 0
    with pytest.raises(NeuvaError, match="2 clips are called train/0003: rename"):
        make_store(tmp_path / "twice.h5", with_job(RECIPE.jobs[3]))


class Cluster:
    """A scheduler and workers of Dask's own command line, on loopback."""

    def __init__(self, folder: Path) -> None:
        self._file, self._folder = folder / "scheduler.json", folder
        self._processes = [
            self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", self._file)
        ]

    def start_worker(self, *more: object, **environment: str) -> subprocess.Popen[bytes]:
        wait_for(self._file.exists)
        options = "--scheduler-file", self._file, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1"
        self._processes.append(self._start("worker", *options, "--local-directory", self._folder, *more, **environment))
        return self._processes[-1]

    @property
    def address(self) -> str:
        import json

        wait_for(self._file.exists)
        return json.loads(self._file.read_text())["address"]

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _start(self, kind: str, *options: object, **environment: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "distributed.cli.dask_worker" if kind == "worker" else "distributed.cli.dask_scheduler",
        ]
        command += [str(option) for option in (*options, "--no-dashboard")]
        own = {"PYTHONPATH": str(REPOSITORY), "DASK_TEMPORARY_DIRECTORY": str(self._folder)}
        variables = {**os.environ, **own, **environment}
        return subprocess.Popen(command, env=variables, cwd=self._folder, stderr=subprocess.DEVNULL)


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    started = Cluster(folder)
    yield started
    started.close()


def test_a_cluster_that_exists_and_a_worker_of_it_killed(made, tmp_path, cluster):
    victim, _ = cluster.start_worker(), cluster.start_worker()
    seen, progress = kill_at(3, victim.kill)
    make_store(tmp_path / "faces.h5", RECIPE, scheduler=cluster.address, progress=progress)
    assert (tmp_path / "faces.h5").read_bytes() == made
    assert seen == list(range(len(RECIPE.jobs) + 1))


def test_a_cluster_that_loses_its_last_worker_is_told_and_the_run_goes_on(made, tmp_path, cluster, monkeypatch):
    monkeypatch.setattr("datasets.cluster.LOST", 1)
    target = tmp_path / "faces.h5"
    last = cluster.start_worker()
    _, progress = kill_at(3, last.kill)
    with pytest.raises(
        NeuvaError, match=r"at tcp://127.0.0.1:\d+ has (lost all its|no) workers: start some with `dask worker"
    ):
        make_store(target, RECIPE, scheduler=cluster.address, progress=progress)
    assert 3 <= parts(target) < len(RECIPE.jobs)
    monkeypatch.setattr("datasets.cluster.LOST", SOON)
    another = cluster.start_worker()
    _, progress = kill_at(7, lambda: (another.kill(), cluster.start_worker()))
    make_store(target, RECIPE, scheduler=cluster.address, progress=progress)
    assert target.read_bytes() == made


def test_a_cluster_without_workers_or_with_other_versions(tmp_path, cluster, monkeypatch):
    target = tmp_path / "faces.h5"
    monkeypatch.setattr("datasets.cluster.PATIENCE", 1)
    with pytest.raises(NeuvaError, match=r"the Dask scheduler at tcp://127.0.0.1:\d+ has no workers: start some"):
        make_store(target, RECIPE, scheduler=cluster.address)
    monkeypatch.undo()
    older = tmp_path / "older.py"
    older.write_text("import neuva\nneuva.__version__ = '0.0.1'\n")
    worker = cluster.start_worker("--preload", older)
    with pytest.raises(NeuvaError, match=rf"has neuva 0\.0\.1, here is {neuva.__version__}"):
        make_store(target, RECIPE, scheduler=cluster.address)
    worker.kill()
    worker.wait()
    foreign = tmp_path / "foreign" / "datasets"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").touch()
    (foreign / "cluster.py").write_text("raise ModuleNotFoundError('not the datasets you look for')")
    cluster.start_worker(PYTHONPATH=str(foreign.parent))
    with pytest.raises(NeuvaError, match=r"the Dask workers at tcp://.* lack neuva \(.*not the datasets you look for"):
        make_store(target, RECIPE, scheduler=cluster.address)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "nonsense", "abc://host:1", "tcp://no.such.host.invalid:8786"]
)
def test_a_scheduler_that_does_not_answer(tmp_path, address, monkeypatch):
    monkeypatch.setattr("datasets.cluster.PATIENCE", 1)
    begin = time.monotonic()
    with pytest.raises(NeuvaError, match=r"no Dask scheduler answers at .*: start one with `dask scheduler`"):
        make_store(tmp_path / "faces.h5", RECIPE, scheduler=address)
    assert time.monotonic() - begin < 10
