"""The certificate's last level: recordings of the program on a board, found among the clips by what went in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hardware.origin import board_input, input_sha256
from hardware.program import ChipProgram
from hardware.trace import Trace
from neuva import NeuvaError

if TYPE_CHECKING:
    from conversion.fidelity import Clip


def matched(traces: Mapping[str, Trace], program: ChipProgram, clips: Sequence[Clip]) -> dict[int, Trace]:
    """The number of a clip -> the trace a board gave of it, in the clips' order.

    Args:
        traces: by the name of their file, for errors.

    Raises:
        NeuvaError: if a trace is of another program, of no board or of none of the clips, or two are of one clip.
    """
    if not traces:
        return {}
    numbers = {input_sha256(clip.x, clip.events, program.dt_us): index for index, clip in enumerate(clips)}
    found: dict[int, Trace] = {}
    for name, trace in traces.items():
        digest, clip = board_input(trace, program, name)
        if digest not in numbers:
            raise NeuvaError(
                f"{name}: is of clip {clip}, whose input is that of none of the {len(clips)} clips compared "
                f"({', '.join(each.name for each in clips[:3])}{' ...' if len(clips) > 3 else ''}): "
                "give the store and split it was recorded of, and more --clips"
            )
        if numbers[digest] in found:
            raise NeuvaError(f"{name}: a second trace of clip {clip}: give one of each clip")
        found[numbers[digest]] = trace
    return dict(sorted(found.items()))
