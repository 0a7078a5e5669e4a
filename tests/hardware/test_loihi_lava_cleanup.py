"""Whatever happens to a Lava run, no process and no shared memory stays, and the error says what happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hardware.loihi import group, lava
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout
from neuva import NeuvaError

SHARES_AND_FORKS = """
import multiprocessing, os, signal, sys, time
from multiprocessing.managers import SharedMemoryManager
manager = SharedMemoryManager(); manager.start()
memory = manager.SharedMemory(4096)
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,)); child.start()
with open(sys.argv[1], "w") as note:
    note.write(f"{memory.name} {os.getpgrp()}")
"""


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "note"


@pytest.fixture
def work() -> Iterator[Path]:
    """The folder of the command's temporary files, its name short as for sockets; the guard may remove it."""
    with tempfile.TemporaryDirectory(prefix="neuva-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _command(note: Path, ending: str) -> list[str]:
    return [sys.executable, "-c", SHARES_AND_FORKS + ending, str(note)]


def _assert_nothing_left(note: Path) -> None:
    memory, leader = note.read_text().split()
    until = time.monotonic() + 5
    while time.monotonic() < until and (group.members(int(leader)) or Path("/dev/shm", memory).exists()):
        time.sleep(0.05)
    assert group.members(int(leader)) == []
    assert not Path("/dev/shm", memory).exists()


def test_a_hanging_runner_is_stopped_in_time(note: Path, work: Path) -> None:
    with pytest.raises(NeuvaError, match=r"did not finish within 3 s"):
        lava.run_to_end(_command(note, "time.sleep(60)"), work, 3)
    _assert_nothing_left(note)


def test_a_runner_that_ignores_sigterm_is_killed(note: Path, work: Path) -> None:
    with pytest.raises(NeuvaError, match="did not finish"):
        lava.run_to_end(_command(note, "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)"), work, 3)
    _assert_nothing_left(note)


def test_a_failing_runner_tells_its_last_line_and_leaves_nothing(note: Path, work: Path) -> None:
    with pytest.raises(NeuvaError, match=r"exit status 3 \(the board is on fire\)") as caught:
        lava.run_to_end(_command(note, "print('the board is on fire', flush=True); os._exit(3)"), work, 20)
    assert "\n" not in str(caught.value)
    _assert_nothing_left(note)


def test_a_runner_killed_from_outside_leaves_nothing(note: Path, work: Path) -> None:
    with pytest.raises(NeuvaError, match="Lava ended with SIGKILL"):
        lava.run_to_end(_command(note, "os.kill(os.getpid(), signal.SIGKILL)"), work, 20)
    _assert_nothing_left(note)


def test_ctrl_c_leaves_nothing(note: Path, work: Path) -> None:
    def interrupt_when_running() -> None:
        while not note.exists() or not note.read_text():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_when_running, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        lava.run_to_end(_command(note, "time.sleep(60)"), work, 20)
    _assert_nothing_left(note)


def test_without_an_interpreter_the_error_tells_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUVA_LAVA_PYTHON", "/nowhere/python")
    with pytest.raises(NeuvaError, match=r"/nowhere/python.*make \.venv-lava"):
        lava.run(_program(), np.zeros((1, 1, 4, 4), np.uint8))


def _program() -> ChipProgram:
    layers = (
        Layer(
            "only",
            (1, 4, 4),
            (1, 4, 4),
            Connection("conv", np.full((1, 1, 3, 3), 8), padding=(1, 1)),
            LoihiNeuron(0, 0, 10, np.zeros(1, np.int32)),
        ),
    )
    return ChipProgram(
        "loihi2",
        1000,
        InputEncoding((1, 4, 4), "binary"),
        layers,
        Readout(np.zeros((2, 16), np.float32), np.zeros(2, np.float32), 0.5),
    )


@pytest.mark.lava
def test_a_real_lava_run_that_is_cut_short_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt_when_mapped() -> None:
        while not (found := {path for pid in group.members(leaders[0]) for path in group.shared_memory(pid)}):
            time.sleep(0.1)
        memory.update(found)
        os.kill(os.getpid(), signal.SIGINT)

    leaders: list[int] = []
    memory: set[Path] = set()
    real = lava._wait

    def watching(process: subprocess.Popen, until: float) -> int | None:
        if not leaders:
            leaders.append(process.pid)
            threading.Thread(target=interrupt_when_mapped, daemon=True).start()
        return real(process, until)

    monkeypatch.setattr(lava, "_wait", watching)
    with pytest.raises(KeyboardInterrupt):
        lava.run(_program(), np.ones((20_000, 1, 4, 4), np.uint8))
    assert memory
    assert not [path for path in memory if path.exists()]
    assert group.members(leaders[0]) == []


@pytest.mark.lava
def test_a_board_that_is_not_there_is_one_clear_line() -> None:
    with pytest.raises(NeuvaError, match="--hardware needs") as caught:
        lava.run(_program(), np.ones((5, 1, 4, 4), np.uint8), hardware=True, timeout_s=30)
    assert "\n" not in str(caught.value)


@pytest.mark.lava
def test_the_traceback_of_a_failed_lava_process_is_shown(tmp_path, monkeypatch, caplog) -> None:
    broken = tmp_path / "runner.py"
    broken.write_text(
        "import runpy\n"
        f"runner = runpy.run_path({str(lava.RUNNER)!r})\n"
        "def fail(self): raise ValueError('the membrane burst')\n"
        "runner['RecordingLif'].run_spk = fail\n"
        "runner['main']()\n"
    )
    monkeypatch.setattr(lava, "RUNNER", broken)
    caplog.set_level("INFO")
    with pytest.raises(NeuvaError, match="the membrane burst"):
        lava.run(_program(), np.ones((5, 1, 4, 4), np.uint8), timeout_s=30)
    assert "Traceback" in caplog.text
