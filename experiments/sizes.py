"""How large the demo and its faces are: `default` for a person to look at, `smallest` to see that the road holds."""

from __future__ import annotations

from dataclasses import dataclass

from datasets.synthetic import SIZES as FACES
from datasets.synthetic import SyntheticSpec
from neuva import NeuvaError


@dataclass(frozen=True)
class DemoSize:
    """Steps of training a chip, windows a step, their length; clips verified, and of these on Lava and sinabs.

    judged: whether what was learnt is held against targets, or fidelity alone.
    """

    faces: SyntheticSpec
    steps: int
    batch: int
    window_steps: int
    clips: int
    vendor_clips: int
    judged: bool


SIZES = {
    "default": DemoSize(FACES["default"], steps=800, batch=16, window_steps=60, clips=36, vendor_clips=4, judged=True),
    "smallest": DemoSize(
        FACES["smallest"],
        steps=24,
        batch=4,
        window_steps=50,
        clips=4,
        vendor_clips=1,
        judged=False,
    ),
}


def demo_size(name: str) -> DemoSize:
    """The size of that name.

    Raises:
        NeuvaError: if there is none.
    """
    if name not in SIZES:
        raise NeuvaError(f'size "{name}" is not known: choose one of {", ".join(SIZES)}')
    return SIZES[name]
