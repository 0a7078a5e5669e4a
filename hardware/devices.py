"""Where a program can run, by name; each gives the same kind of trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hardware.program import ChipProgram
from hardware.trace import Trace
from neuva import NeuvaError

SIMULATORS = {"loihi": ("emulator", "lava"), "speck": ("emulator", "emulator-events", "sinabs")}
"""Per family: ours first, then the vendor's."""

BOARDS = ("loihi2", "speck2e", "speck2f")
"""Chips whose boards can be driven: such a chip's own name asks for its board."""


def run(program: ChipProgram, x: np.ndarray, on: str, *, record_state: bool = False) -> Trace:
    """One clip of steps, counts [T, C, H, W], from zero state; see `run_many`."""
    return run_many(program, [x], on, record_state=record_state)[0]


def run_many(
    program: ChipProgram,
    clips: Sequence[np.ndarray],
    on: str,
    *,
    record_state: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Trace]:
    """Clips of steps, each from zero state, on the simulator or board named `on`.

    Args:
        progress: called with (clips done, clips in all).

    Raises:
        NeuvaError: if the program's family has no such place to run, or it is missing here.
    """
    if program.family == "loihi":
        from hardware.loihi import emulator, lava

        if on == "emulator":
            return emulator.run_many(program, clips, record_state=record_state, progress=progress)
        if on == "loihi1" == program.target:
            raise NeuvaError("loihi1: Lava's open release drives Loihi 2 only: convert for loihi2, or run `--on lava`")
        if on in ("lava", program.target):
            pairs = [(program, x) for x in clips]
            return lava.run_many(pairs, record_state=record_state, hardware=on == program.target, progress=progress)
    else:
        from hardware.speck import clocked, event_driven, recording, sinabs_run

        if on == "emulator":
            return _each(lambda x: clocked.run(program, x, record_state=record_state), clips, progress)
        if on == "emulator-events":
            return _each(lambda x: event_driven.run(program, x), clips, progress)
        if on == "sinabs":
            return _each(lambda x: sinabs_run.run(program, x), clips, progress)
        if on == program.target:
            return _each(lambda x: recording.run(program, x, len(x) * program.dt_us), clips, progress)
    boards = (program.target,) if program.target in BOARDS else ()
    places = ", ".join((*SIMULATORS[program.family], *boards))
    raise NeuvaError(f'a {program.target} program cannot run on "{on}": choose one of {places}')


def _each(
    run: Callable[[np.ndarray], Trace], clips: Sequence[np.ndarray], progress: Callable[[int, int], None]
) -> list[Trace]:
    traces = []
    for x in clips:
        traces.append(run(x))
        progress(len(traces), len(clips))
    return traces


def by_hand(program: ChipProgram, x: np.ndarray, on: str, job: Path) -> Trace | None:
    """One clip on another machine's Lava or board: what to copy there is put into `job`, what came back is read.

    Returns:
        The trace, or None while `job` has no output.npz.

    Raises:
        NeuvaError: if `on` is neither Lava nor a board that Lava drives, or `job` holds another clip's output.
    """
    allowed = ("lava", program.target) if program.target in BOARDS else ("lava",)
    if program.family != "loihi" or on not in allowed:
        raise NeuvaError(f'a {program.target} program cannot be run by hand on "{on}": --job goes with lava or loihi2')
    from hardware.loihi.exchange import by_hand

    return by_hand(program, x, job, on)


def takes_events(program: ChipProgram, on: str) -> bool:
    """Whether the program runs there event by event, as `run_events` has it, and not on steps of dt."""
    return program.family == "speck" and on in ("emulator-events", program.target)


def run_events(program: ChipProgram, events: np.ndarray, steps: int, on: str = "emulator-events") -> Trace:
    """A clip's events (t in microseconds since its start) for `steps` steps on Speck's event-driven emulator or board.

    Raises:
        NeuvaError: if the program does not run there event by event.
    """
    if not takes_events(program, on):
        raise NeuvaError(f"a {program.target} program on {on} is clocked: run it on steps of dt (`--on emulator`)")
    from hardware.speck import event_driven, recording

    duration_us = steps * program.dt_us
    if on == program.target:
        return recording.run(program, events, duration_us)
    return event_driven.run(program, events, duration_us=duration_us)
