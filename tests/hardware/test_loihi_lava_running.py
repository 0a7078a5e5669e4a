"""Runs on Lava and on a board as a user meets them: endings of every kind, interpreters, another machine."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets.events import Events
from datasets.files import write_events
from experiments.recording import open_recording, prepare
from hardware import devices
from hardware.loihi import emulator, exchange, group, lava
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout
from hardware.trace import Trace
from neuva import NeuvaError

ROOT = Path(__file__).parents[2]
SHARED = Path("/dev/shm")
RUNS = int(os.environ.get("NEUVA_LAVA_RUNS", "0"))


pytestmark = pytest.mark.lava


def program(reset_every: int = 0) -> ChipProgram:
    """Two small layers with memory, a bias, and spikes of both."""
    rng = np.random.default_rng(3)
    conv = Connection("conv", rng.integers(-20, 30, (2, 1, 3, 3)) * 2, padding=(1, 1))
    dense = Connection("dense", rng.integers(-20, 30, (3, 32)) * 2)
    layers = (
        Layer("conv", (1, 4, 4), (2, 4, 4), conv, LoihiNeuron(1000, 300, 90, np.array([64, -32], np.int32))),
        Layer("dense", (2, 4, 4), (3, 1, 1), dense, LoihiNeuron(2000, 100, 120, np.full(3, 96, np.int32))),
    )
    readout = Readout(np.ones((2, 3), np.float32) / 9, np.zeros(2, np.float32), 0.5)
    return ChipProgram("loihi2", 1000, InputEncoding((1, 4, 4), "binary"), layers, readout, reset_every=reset_every)


def clip(steps: int = 30) -> np.ndarray:
    return (np.random.default_rng(4).random((steps, 1, 4, 4)) < 0.4).astype(np.uint8)


def same(ours: Trace, theirs: Trace) -> bool:
    spikes = all(
        np.array_equal(getattr(ours.spikes[name], q), getattr(theirs.spikes[name], q))
        for name in theirs.spikes
        for q in ("t", "neuron", "count")
    )
    states = all(
        np.array_equal(ours.u[name], u) and np.array_equal(ours.v[name], theirs.v[name]) for name, u in theirs.u.items()
    )
    return spikes and states and np.array_equal(ours.va, theirs.va)


# Endings. A second Python does what `neuva run --on lava` does, and is ended in every way there is.

RUN = """
import sys, numpy as np
from hardware import devices
from hardware.program import ChipProgram
from neuva import NeuvaError
try:
    trace = devices.run(ChipProgram.load(sys.argv[1]), np.load(sys.argv[2]), "lava")
    print(trace.spikes["dense"].total)
except NeuvaError as error:
    sys.exit(str(error))
"""
LONG, SHORT = 20_000, 10


class Running:
    """A second process with a run on Lava under way."""

    def __init__(self, command: list[str]) -> None:
        self.temporary = Path(tempfile.mkdtemp(dir="/tmp"))  # short: a socket's path in it has 108 characters
        self.process = subprocess.Popen(
            [sys.executable, "-c", *command],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(self.temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.guard = 0
        self.shared: set[Path] = set()

    def wait_until_steps_run(self) -> None:
        """Until Lava's processes have written steps to their files."""
        until = time.monotonic() + 60
        while not any(path.stat().st_size for path in self.temporary.rglob("0/spikes")):
            assert time.monotonic() < until
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.1)
        (self.guard,) = children(self.process.pid)
        self.shared = {path for pid in self.members() for path in group.shared_memory(pid)}
        assert self.shared
        assert len(self.members()) > 6

    def members(self) -> list[int]:
        return group.members(self.guard) if self.guard else []

    def told(self, timeout_s: float = 60) -> tuple[int, str]:
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out + err

    def left(self) -> dict[str, list]:
        """What is left some seconds after the end."""
        until = time.monotonic() + 15
        while time.monotonic() < until:
            left = {
                "processes": self.members(),
                "shared memory": [path for path in self.shared if path.exists()],
                "files": list(self.temporary.iterdir()),
            }
            if not any(left.values()):
                break
            time.sleep(0.1)
        return left


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def actor(running: Running) -> int:
    """One of the processes that the runner forked, a layer or a service of Lava's."""
    (runner,) = children(running.guard)
    return max(children(runner))


def orphans() -> set[Path]:
    """Shared memory of Python's that no living process has mapped, whoever made it."""
    mapped = {path for entry in Path("/proc").glob("[0-9]*") for path in group.shared_memory(int(entry.name))}
    return set(SHARED.glob("psm_*")) - mapped


def while_it_starts(running: Running) -> None:
    """Killed at some moment before the first step."""
    while not running.guard:
        running.guard = next(iter(children(running.process.pid)), 0)
    time.sleep(random.Random(running.guard).uniform(0, 3))
    running.process.kill()
    assert running.told()[0] == -signal.SIGKILL


def success(running: Running) -> None:
    code, told = running.told()
    assert code == 0, told
    assert int(told) == emulator.run(program(), clip(SHORT)).spikes["dense"].total


def by(sign: signal.Signals, whom: Callable[[Running], int], code: int, words: str) -> Callable[[Running], None]:
    def ending(running: Running) -> None:
        running.wait_until_steps_run()
        os.kill(whom(running), sign)
        ended, told = running.told()
        assert (ended, words in told) == (code, True), (ended, told)

    return ending


def user(running: Running) -> int:
    return running.process.pid


ENDINGS = {
    "success": success,
    "ctrl-c": by(signal.SIGINT, user, -signal.SIGINT, "KeyboardInterrupt"),
    "terminated": by(signal.SIGTERM, user, -signal.SIGTERM, ""),
    "killed while it starts": while_it_starts,
    "killed": by(signal.SIGKILL, user, -signal.SIGKILL, ""),
    "hung up": by(signal.SIGHUP, user, -signal.SIGHUP, ""),
    "a process of Lava killed": by(signal.SIGKILL, actor, 1, "one of Lava's processes was ended by SIGKILL"),
    "the runner killed": by(signal.SIGKILL, lambda running: children(running.guard)[0], 1, "Lava ended with SIGKILL"),
    "the guard killed": by(signal.SIGKILL, lambda running: running.guard, 1, "Lava ended with"),
}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(steps: int = 0, command: Sequence[str] = ()) -> Running:
        program().save(tmp_path / "program.h5")
        np.save(tmp_path / "clip.npy", clip(steps))
        given = [RUN, str(tmp_path / "program.h5"), str(tmp_path / "clip.npy")]
        started.append(Running(list(command) or given))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.communicate()
        running.left()
        running.temporary.rmdir()


@pytest.mark.parametrize("name", ENDINGS)
def test_nothing_is_left_however_a_run_ends(name: str, start: Callable[..., Running]) -> None:
    running = start(SHORT if name == "success" else LONG)
    ENDINGS[name](running)
    assert not any(left := running.left().values()), left


@pytest.mark.skipif(not RUNS, reason="set NEUVA_LAVA_RUNS=50 for as many runs with endings drawn by chance (minutes)")
@pytest.mark.timeout(1800)
def test_nothing_piles_up_over_many_runs(start: Callable[..., Running]) -> None:
    draw, before, counted = random.Random(5), orphans(), dict.fromkeys(ENDINGS, 0)
    groups: list[int] = []
    for _ in range(RUNS):
        name = draw.choice(list(ENDINGS))
        running = start(SHORT if name == "success" else LONG)
        ENDINGS[name](running)
        assert not any(left := running.left().values()), (name, left)
        counted[name] += 1
        groups.append(running.guard)
    left = [pid for leader in groups if leader for pid in group.members(leader)]
    new = orphans() - before
    time.sleep(2)
    new &= orphans()  # a file of another run that begins is not mapped at once
    sys.stdout.write(f"\n{RUNS} runs {counted}: {len(left)} processes and {len(new)} files in {SHARED} left\n")
    assert (left, new) == ([], set())


# What a user is told.


COMMAND = "from experiments.cli import main; main()"


def neuva(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"COLUMNS": "200"} | environment,
    )


def moving_square(seconds: float) -> Events:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, int(seconds * 1e6), 20_000))
    x = 20 + 20 * t / t[-1] + rng.integers(0, 20, len(t))
    return Events.from_columns(t, x.astype(int), 20 + rng.integers(0, 20, len(t)), rng.integers(0, 2, len(t)), (80, 60))


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, Path]:
    """A program and a recording, as files."""
    rng = np.random.default_rng(6)
    write_events(tmp_path / "events.npz", moving_square(0.2))
    two = Layer(
        "only",
        (2, 8, 8),
        (2, 4, 4),
        Connection("conv", rng.integers(-20, 40, (2, 2, 2, 2)) * 2, stride=(2, 2)),
        LoihiNeuron(2000, 300, 60, np.zeros(2, np.int32)),
    )
    readout = Readout(np.ones((2, 32), np.float32) / 90, np.zeros(2, np.float32), 0.5, every=10)
    saved = ChipProgram("loihi2", 1000, InputEncoding((2, 8, 8), "binary"), (two,), readout)
    saved.save(tmp_path / "given.h5")
    return tmp_path / "given.h5", tmp_path / "events.npz"


def test_ctrl_c_ends_the_command_as_it_should(given: tuple[Path, Path], tmp_path: Path, start) -> None:
    write_events(tmp_path / "long.npz", moving_square(30))
    names = ("run", given[0], tmp_path / "long.npz", "--on", "lava", "--out", tmp_path / "t.h5")
    running = start(command=[COMMAND, *map(str, names)])
    running.wait_until_steps_run()
    running.process.send_signal(signal.SIGINT)
    code, told = running.told()
    assert (code, "Traceback" in told) == (130, False), told
    assert not any(left := running.left().values()), left


def test_without_a_board_loihi2_is_refused_in_one_line(given: tuple[Path, Path], tmp_path: Path) -> None:
    done = neuva("run", *given, "--on", "loihi2", "--out", tmp_path / "t.h5")
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == 2
    assert "--hardware needs Intel's lava-loihi extension" in line
    assert not (tmp_path / "t.h5").exists()


def test_all_that_a_failed_lava_said_is_shown_with_v(given: tuple[Path, Path], tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'Traceback (most recent call last):'\necho 'ValueError: burst'\nexit 4\n")
    broken.chmod(0o755)
    arguments = ("run", *given, "--on", "lava", "--out", tmp_path / "t.h5")
    done = neuva(*arguments, NEUVA_LAVA_PYTHON=str(broken))
    (line,) = done.stderr.strip().splitlines()
    assert (done.returncode, "exit status 4 (ValueError: burst)" in line) == (2, True)
    assert "Traceback (most" in neuva("-v", *arguments, NEUVA_LAVA_PYTHON=str(broken)).stderr


def test_the_time_out_follows_the_work() -> None:
    small, long = lava.patience_s([(program(), clip(10))]), lava.patience_s([(program(), clip(5000))])
    assert 120 < small < 200
    assert long > small + 4000 * 2 * 0.005
    assert lava.patience_s([(program(), clip(10))] * 9) > small + 8 * 20


def test_clips_done_are_reported() -> None:
    told: list[tuple[int, int]] = []
    devices.run_many(program(), [clip(5)] * 3, "lava", progress=lambda *both: told.append(both))
    assert told[-1] == (3, 3)
    assert told == sorted(told)
    assert len(set(told)) > 1


# Resets.


def plain(steps: np.ndarray, every: int, early: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """u and v of the two layers by the definition; early = 1: a wrong one, a step too soon."""
    heard, told = steps, {}
    for depth, layer in enumerate(program().layers):
        link, neuron = layer.connection, layer.neuron
        u, v = np.zeros(layer.out_shape, int), np.zeros(layer.out_shape, int)
        bias, fired, states = neuron.bias[:, None, None], [], []
        for k in range(
            -depth - 1, len(steps)
        ):  # before step 0 a layer has run as many steps as its input takes to come
            if every and k > 0 and (k + early) % every == 0:
                u, v = 0 * u, 0 * v
            drive = synapses(link, heard[k], layer.out_shape) if k >= 0 else np.zeros(layer.out_shape, int)
            u = np.sign(u) * (abs(u) * (4095 - neuron.du) >> 12) + (drive << 6)
            v = np.sign(v) * (abs(v) * (4096 - neuron.dv) >> 12) + u + bias
            spikes = v > neuron.vth << 6
            v = np.where(spikes, 0, v)
            fired.append(spikes)
            states.append((u, v))
        told[layer.name] = tuple(np.array(each[depth + 1 :]) for each in zip(*states, strict=True))
        early_spikes, heard = fired[: depth + 1], np.array(fired[depth + 1 :]).astype(int)
        assert not np.any(early_spikes), "no spike before the clip, so the next layer hears none"
    return told


def synapses(link: Connection, spikes: np.ndarray, out_shape: tuple[int, int, int]) -> np.ndarray:
    if link.kind == "dense":
        return (link.weight @ spikes.reshape(-1)).reshape(out_shape)
    padded, out = np.pad(spikes, ((0, 0), (1, 1), (1, 1))), np.zeros(out_shape, int)
    for c, y, x in np.ndindex(*out_shape):
        out[c, y, x] = (link.weight[c] * padded[:, y : y + 3, x : x + 3]).sum()
    return out


@pytest.mark.parametrize(("every", "early"), [(0, 0), (1, 0), (7, 0), (7, 1), (29, 0)])
def test_state_is_zeroed_every_so_many_steps_of_the_clip(every: int, early: int) -> None:
    trace = lava.run(program(every), clip(), record_state=True)
    told = plain(clip().astype(int), every, early)
    equal = [np.array_equal(trace.u[name], u) and np.array_equal(trace.v[name], v) for name, (u, v) in told.items()]
    assert equal == [not early] * 2


# Interpreters and other machines.


def python310() -> str:
    """An interpreter of official Python 3.10 with Lava: NEUVA_LAVA_PYTHON310, else .venv-lava310, or ""."""
    for named in (os.environ.get("NEUVA_LAVA_PYTHON310", ""), str(ROOT / ".venv-lava310" / "bin" / "python")):
        if named and os.access(named, os.X_OK):
            return named
    return ""


@pytest.mark.skipif(not python310(), reason="no Python 3.10 with Lava: set NEUVA_LAVA_PYTHON310 to one")
def test_mended_python_gives_the_trace_of_the_official_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = lava.run(program(7), clip(), record_state=True)
    monkeypatch.setenv("NEUVA_LAVA_PYTHON", python310())
    official = lava.run(program(7), clip(), record_state=True)
    assert official.notes["versions"]["lava's Python"].startswith("3.10.")
    if ours.notes["versions"]["lava's Python"].startswith("3.10."):
        pytest.skip(".venv-lava has the official Python already")
    assert same(ours, official)
    assert ours.spikes["dense"].total > 0


def test_a_run_by_hand_gives_the_trace_of_a_run(given: tuple[Path, Path], tmp_path: Path) -> None:
    job = tmp_path / "job"
    arguments = ("run", *given, "--on", "lava", "--job", job, "--out", tmp_path / "hand.h5")
    first = neuva(*arguments)
    assert first.returncode == 0, first.stderr
    assert "python lava_runner.py input.npz output.npz\n" in first.stdout
    assert sorted(path.name for path in job.iterdir()) == ["input.npz", "lava_runner.py"]
    there = tmp_path / "elsewhere"
    job.rename(there)  # the other machine has this folder alone
    subprocess.run(
        [lava.interpreter(), "lava_runner.py", "input.npz", "output.npz"],
        cwd=there,
        check=True,
        timeout=120,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    there.rename(job)
    second = neuva(*arguments)
    assert second.returncode == 0, second.stderr
    ran, hand = ChipProgram.load(given[0]), Trace.load(tmp_path / "hand.h5")
    x = prepare(open_recording(given[1]), ran).x
    assert same(hand, devices.run(ran, x, "emulator"))
    assert hand.backend == "lava"
    assert hand.spikes["only"].total > 0
    assert (tmp_path / "hand.csv").exists()
    with pytest.raises(NeuvaError, match="was made on lava, not on loihi2"):
        devices.by_hand(ran, x, "loihi2", job)


def test_an_output_of_another_clip_or_none_is_refused(tmp_path: Path) -> None:
    result = lava_output(tmp_path, clip(5))
    with pytest.raises(NeuvaError, match="answers another program or recording"):
        exchange.by_hand(program(), clip(6), tmp_path, "lava")
    with pytest.raises(NeuvaError, match="answers another program or recording"):
        exchange.by_hand(program(3), clip(5), tmp_path, "lava")
    assert exchange.by_hand(program(), clip(5), tmp_path, "lava") is not None
    result.write_bytes(result.read_bytes()[:300])
    with pytest.raises(NeuvaError, match=r"output\.npz: not an output of lava_runner\.py"):
        exchange.by_hand(program(), clip(5), tmp_path, "lava")


def lava_output(folder: Path, spikes: np.ndarray) -> Path:
    assert exchange.by_hand(program(), spikes, folder, "lava") is None
    result = folder / "output.npz"
    lava.run_to_end(
        [str(lava.interpreter()), str(folder / "lava_runner.py"), str(folder / "input.npz"), str(result)], folder, 120
    )
    return result


@pytest.mark.parametrize(("on", "told"), [("emulator", 'by hand on "emulator"'), ("sinabs", 'by hand on "sinabs"')])
def test_only_lava_and_its_boards_are_run_by_hand(on: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(NeuvaError, match=told):
        devices.by_hand(program(), clip(), on, tmp_path)


def test_a_branch_is_refused_not_run_as_a_chain(tmp_path: Path) -> None:
    first, last = program().layers
    dense = Connection("dense", np.ones((3, 16), int))
    aside = replace(last, in_shape=(1, 4, 4), sources=("input",), connection=dense)
    with pytest.raises(NeuvaError, match="layer dense hears input, allowed conv"):
        devices.by_hand(replace(program(), layers=(first, aside)), clip(), "lava", tmp_path)


# The pages.


@pytest.mark.parametrize("page", ["loihi.md", "loihi-arithmetic.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", (ROOT / "docs" / page).read_text())
    assert len(named) > 12 or page == "loihi.md"
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()]
    assert missing == []


def test_a_kernel_is_flipped_and_turned_for_lava() -> None:
    code = (
        "import sys, runpy, numpy as np; runner = runpy.run_path(sys.argv[1])\n"
        "kernel = np.array([[1, 2], [3, 4]])[None, None]\n"
        "print(runner['lava_weight']({'kind': 'conv'}, kernel)[0, ..., 0].tolist())"
    )
    done = subprocess.run([lava.interpreter(), "-c", code, lava.RUNNER], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[[4, 2], [3, 1]]", done.stderr
