"""Runs a command whose processes all end with it, and with whoever started it, however that one ends.

Between the two stands a guard, this file run as a script: leader of a process group of its own, which the command
and all it starts belong to. The guard's standard input is a pipe; it is closed when the starter lets go or dies.
Told from /proc, so that on systems without one the command alone is watched.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

GRACE_S = 5.0
POLL_S = 0.05
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - only looked at, for what our own processes have mapped


@contextmanager
def started(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """A command run in the background under its guard; after the block none of its processes is left.

    Its exit status is the guard's, 128 + signal if it was killed. What it says is in `folder`/log.

    Args:
        command: its standard input is empty.
        folder: of its temporary files; the guard removes it if the starter lets go too early.
        environment: of the command.
    """
    guard = [sys.executable, "-I", __file__, str(folder), *command]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            guard,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment | {"TMPDIR": str(folder)},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(3 * GRACE_S)
        end(process.pid)  # the guard itself may have been killed
        process.wait()


def end(group: int, spare: int = 0) -> None:
    """Ask all of a group but `spare` to end, then force them, then free the shared memory they had mapped.

    SIGTERM leaves Python's resource tracker alive, which unlinks the shared memory of those that died.
    """
    shared: set[Path] = set()
    for sign in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + GRACE_S
        while (living := [pid for pid in members(group) if pid != spare]) and time.monotonic() < until:
            for pid in living:
                shared |= shared_memory(pid)
                with suppress(ProcessLookupError):
                    os.kill(pid, sign)
            time.sleep(POLL_S / 2)
    for path in shared:
        path.unlink(missing_ok=True)


def members(group: int) -> list[int]:
    """Living processes of a group, as /proc has them (none where there is no /proc)."""
    living = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member_group = entry.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended while we looked
            continue
        if int(member_group) == group and state != "Z":
            living.append(int(entry.parent.name))
    return living


def shared_memory(pid: int) -> set[Path]:
    """Files in /dev/shm that a process has mapped."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return set()
    mapped = {line.split(maxsplit=5)[5] for line in lines if f" {SHARED_MEMORY}/" in line}
    return {Path(name) for name in mapped if not name.endswith("(deleted)")}


def guard(folder: str, command: list[str]) -> int:
    """Run the command until it ends or standard input closes; its exit status, 128 + signal if it was killed."""
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, lambda *_: None)  # it outlives what its group is sent; the command starts without this
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    let_go = False
    while child.poll() is None and not let_go:
        let_go = bool(select.select([sys.stdin], [], [], POLL_S)[0])
    end(os.getpgrp(), spare=os.getpid())
    code = child.wait()
    if let_go:
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(guard(sys.argv[1], sys.argv[2:]))
