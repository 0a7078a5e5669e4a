"""Dask workers: own ones on this machine, or those of a cluster that exists, and work done by them."""

from __future__ import annotations

import importlib.metadata
import itertools
import logging
import os
import platform
import signal
import tempfile
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any, TypeVar

import dask
from distributed import CancelledError, Client, Future, KilledWorker, LocalCluster, wait
from distributed.comm import CommClosedError
from distributed.utils import silence_logging_cmgr

from datasets.interrupt import uninterrupted
from neuva import NeuvaError, __version__

Item = TypeVar("Item")
Made = TypeVar("Made")

IN_FLIGHT = 2
"""Items a worker's thread has at hand: one it makes, one that waits; so memory does not grow with their number."""

PATIENCE = 5
"""Seconds to wait for a scheduler, and for its first worker."""

LOST = 15
"""Seconds for a cluster that has lost all its workers to get new ones."""

SETTINGS = {
    "distributed.scheduler.allowed-failures": 2,  # what has killed three workers is given up
    "distributed.scheduler.worker-saturation": 1.0,  # nothing waits on a worker, to be blamed when that one dies
}
LIBRARIES = ("numpy", "numba", "h5py", "opencv-python-headless", "distributed")


@contextmanager
def own(count: int) -> Iterator[Client]:
    """`count` worker processes of one thread each, reachable from this machine alone; gone when the block ends.

    A worker that dies is replaced. They are spawned, not forked: OpenCV's and numba's threads do not survive a fork.
    """
    with (
        tempfile.TemporaryDirectory(prefix="neuva-workers-") as folder,
        dask.config.set({**SETTINGS, "temporary-directory": folder}),
        _environment_kept(),
        _quiet(),
        ExitStack() as ending,
    ):
        with uninterrupted(), _spared_by_ctrl_c():  # workers that are half started could not be ended
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
            client = Client(cluster, set_as_default=False)
            ending.callback(_end, cluster, client)
        yield client


@contextmanager
def existing(address: str, libraries: Sequence[str] = LIBRARIES) -> Iterator[Client]:
    """The workers of the cluster whose scheduler is at `address`; they must run the same version of each library.

    Raises:
        NeuvaError: if it cannot be reached, has no workers, or these run another neuva or other libraries.
    """
    with _quiet():
        try:
            client = Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise NeuvaError(
                f"no Dask scheduler answers at {address} ({error}): start one with `dask scheduler`, "
                "or leave out --scheduler"
            ) from error
        with client, _connection(client, address):
            _check_workers(client, address, libraries)
            yield client


def each_made(
    client: Client, make: Callable[[Item], Made], items: Sequence[Item], called: Callable[[Item], str]
) -> Generator[tuple[Item, Made]]:
    """``make(item)`` of every item by the workers, each as soon as it is there; what a lost worker had is made again.

    Args:
        called: what an item is called in an error ("clip train/0001").

    Raises:
        NeuvaError: if all workers are lost, or an item has killed one worker after the other.
    """
    waiting = iter(items)
    running: dict[Future, Item] = {}
    while True:
        room = IN_FLIGHT * sum(client.nthreads().values()) - len(running)  # workers may come and go
        for item in itertools.islice(waiting, max(room, 0 if running else 1)):
            running[client.submit(make, item, pure=False)] = item
        if not running:
            return
        future = _first_done(client, running)
        item = running.pop(future)
        yield item, _result(client, future, called(item))
        future.release()  # it has been taken: the worker may forget it


def _first_done(client: Client, running: Collection[Future]) -> Future:
    while True:
        try:
            with client.as_current():
                done = wait(list(running), PATIENCE, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            _require_workers(client)  # without any this would wait for ever
            continue
        if done:  # else it was lost with its worker, and is made again
            return next(iter(done))


def _result(client: Client, future: Future, called: str) -> Any:
    patience = PATIENCE
    while True:
        try:
            return future.result(timeout=patience)
        except KilledWorker as error:
            raise NeuvaError(
                f"{called}: the worker that made it died {error.allowed_failures + 1} times, killed or out of "
                "memory: use fewer workers, or --workers 1 to see why"
            ) from error
        except TimeoutError:
            if future.status == "error":  # its own
                raise
            _require_workers(client)
            patience *= 2  # what is large takes its time to come


def _require_workers(client: Client) -> None:
    """Wait until there is a worker.

    Raises:
        NeuvaError: if none comes within `LOST` seconds.
    """
    address = client.scheduler.address  # type: ignore[union-attr]  # connected
    try:
        client.wait_for_workers(1, timeout=LOST)
    except TimeoutError as error:
        if client.status != "running":  # it is the scheduler that is lost
            raise
        raise NeuvaError(
            f"the Dask scheduler at {address} has lost all its workers: start some with `dask worker {address}` and "
            "run the same again; what is finished is kept"
        ) from error


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """What makes two workers give the same bytes: neuva, Python and libraries."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"neuva": __version__, "Python": python, **{name: importlib.metadata.version(name) for name in libraries}}


@contextmanager
def _connection(client: Client, address: str) -> Iterator[None]:
    try:
        yield
    except (CancelledError, OSError) as error:
        closed = isinstance(error, CancelledError | CommClosedError)
        if not closed and client.status == "running":  # an item's own
            raise
        raise NeuvaError(
            f"the connection to the Dask scheduler at {address} was lost: run the same again to go on"
        ) from error


def _check_workers(client: Client, address: str, libraries: Sequence[str]) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        raise NeuvaError(
            f"the Dask scheduler at {address} has no workers: start some with `dask worker {address}`"
        ) from error
    try:
        found = client.run(versions, libraries)
    except OSError:  # the connection
        raise
    except Exception as error:  # whatever an import there raises, as text
        raise NeuvaError(
            f"the Dask workers at {address} lack neuva ({error}): start them in neuva's own virtual environment"
        ) from error
    here = versions(libraries)
    for worker, there in found.items():
        for name, version in here.items():
            if there.get(name) != version:
                raise NeuvaError(
                    f"Dask worker {worker} has {name} {there.get(name)}, here is {version}: "
                    "what is made together must come from one version: install the same on all"
                )


def _end(cluster: LocalCluster, client: Client) -> None:
    """End the workers at once, whatever they do: all that is wanted of them is here, and Ctrl-C shall not wait."""
    with uninterrupted():
        for nanny in cluster.workers.values():
            pid = nanny.pid
            nanny.close_gracefully()  # so that it does not replace the worker
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        client.close()
        cluster.close()


@contextmanager
def _spared_by_ctrl_c() -> Iterator[None]:
    """Processes and threads started in the block inherit that SIGINT, which a terminal sends to all, is blocked."""
    resource_tracker.ensure_running()  # the spawning of processes starts it, and it unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Dask writes its workers' environment (OMP_NUM_THREADS=1, ...) into this process too; training comes after."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log to itself: what concerns the user comes as an error."""
    logger, nowhere = logging.getLogger("distributed"), logging.NullHandler()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(nowhere)
    try:
        with silence_logging_cmgr(logging.CRITICAL):
            yield
    finally:
        logger.removeHandler(nowhere)
        logger.propagate = propagate
