"""Where a program can run, by name; each gives the same kind of trace."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hardware.program import ChipProgram
from hardware.trace import Trace
from neuva import NeuvaError

SIMULATORS = {"loihi": ("emulator", "lava"), "speck": ("emulator", "emulator-events", "sinabs")}
"""Per family: ours first, then the vendor's."""

BOARDS = ("loihi2",)
"""Chips whose boards can be driven: such a chip's own name asks for its board."""


def run(program: ChipProgram, x: np.ndarray, on: str, *, record_state: bool = False) -> Trace:
    """One clip of steps, counts [T, C, H, W], from zero state; see `run_many`."""
    return run_many(program, [x], on, record_state=record_state)[0]


def run_many(program: ChipProgram, clips: Sequence[np.ndarray], on: str, *, record_state: bool = False) -> list[Trace]:
    """Clips of steps, each from zero state, on the simulator or board named `on`.

    Raises:
        NeuvaError: if the program's family has no such place to run, or it is missing here.
    """
    if program.family == "loihi":
        from hardware.loihi import emulator, lava

        if on == "emulator":
            return [emulator.run(program, x, record_state=record_state) for x in clips]
        if on == "loihi1" == program.target:
            raise NeuvaError("loihi1: Lava's open release drives Loihi 2 only: convert for loihi2, or run `--on lava`")
        if on in ("lava", program.target):
            pairs = [(program, x) for x in clips]
            return lava.run_many(pairs, record_state=record_state, hardware=on == program.target)
    else:
        from hardware.speck import clocked, event_driven, sinabs_run

        if on == "emulator":
            return [clocked.run(program, x, record_state=record_state) for x in clips]
        if on == "emulator-events":
            return [event_driven.run(program, x) for x in clips]
        if on == "sinabs":
            return [sinabs_run.run(program, x) for x in clips]
        if on == program.target:
            raise NeuvaError(
                f"{on}: driving a board is not built yet: use `--on emulator-events`, which does as the chip does"
            )
    boards = (program.target,) if program.target in BOARDS else ()
    places = ", ".join((*SIMULATORS[program.family], *boards))
    raise NeuvaError(f'a {program.target} program cannot run on "{on}": choose one of {places}')


def run_events(program: ChipProgram, events: np.ndarray, steps: int) -> Trace:
    """Speck's event-driven emulator on a clip's events (t in microseconds since its start), for `steps` steps of dt.

    Raises:
        NeuvaError: if the program is not for a Speck.
    """
    if program.family != "speck":
        raise NeuvaError(f"{program.target} is clocked: run it on steps of dt (`--on emulator`)")
    from hardware.speck import event_driven

    return event_driven.run(program, events, duration_us=steps * program.dt_us)
