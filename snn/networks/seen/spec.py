"""What makes a SEEN network besides its weights, and the published ablations in these words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from neuva import SettingError

CLASSES = 7
"""Emotions told apart."""

HEADS = 4
"""Of the transformer; chosen here."""

Frames = Literal["first+last", "first", "first+second", "all"]
Temporal = Literal["snn", "cnn", "lstm", "transformer", "conv3d"]
Output = Literal["mean_potential", "last_potential", "last_spike", "mean_spike"]


@dataclass(frozen=True)
class SeenSpec:
    """SEEN (Zhang et al., SIGGRAPH 2023, doi 10.1145/3588432.3591511); the defaults are the published network.

    frames: which intensity frames of the clip the spatial branch sees.
    weight_copy: the event path convolves with the spatial branch's weights, without gradient; else with its own,
        learnt through the spikes (their number grows by the convolutions').
    attention_copy: the event path weighs its three scales as the spatial branch does, without gradient; else by 1/3.
    temporal: what makes of the event frames' features logits. "snn" is published; of the others the paper tells the
        kind alone, and their sizes are chosen here (`snn.networks.seen.variants`).
    output: of the last population, the mean over the clip or the last step, of its membrane or of its spikes.
    side: of the square pictures. duration: event frames a clip. channels: of the three stages of convolutions.
    hidden: size of the fully connected layer.

    Raises:
        SettingError: if a value is outside its range, or two contradict each other.
    """

    frames: Frames = "first+last"
    weight_copy: bool = True
    attention_copy: bool = True
    temporal: Temporal = "snn"
    output: Output = "mean_potential"
    side: int = 90
    duration: int = 4
    channels: tuple[int, int, int] = (64, 256, 512)
    hidden: int = 256

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))  # a list, where it comes from a file
        for name, choices in (("frames", Frames), ("temporal", Temporal), ("output", Output)):
            if getattr(self, name) not in get_args(choices):
                raise SettingError(f'{name} "{getattr(self, name)}" must be one of {", ".join(get_args(choices))}')
        if len(self.channels) != 3 or min(self.side, self.duration, self.hidden, *self.channels) < 1:
            raise SettingError(
                f"side {self.side}, duration {self.duration}, hidden {self.hidden} and the three channels "
                f"{self.channels} must be at least 1"
            )
        if self.duration < 2 and self.frames == "first+second":
            raise SettingError("frames first+second need a duration of at least 2")
        if self.temporal != "snn" and self.output != "mean_potential":
            raise SettingError(f"output {self.output} is of spiking neurons, temporal {self.temporal} has none")
        if self.temporal == "conv3d" and (self.weight_copy or self.attention_copy):
            raise SettingError("temporal conv3d has convolutions of another kind: set both copies to false")
        if self.temporal == "transformer" and self.hidden % HEADS:
            raise SettingError(f"hidden {self.hidden} must be a multiple of the transformer's {HEADS} heads")


ABLATIONS: dict[str, SeenSpec] = {
    "A": SeenSpec(frames="first"),
    "B": SeenSpec(frames="first+second"),
    "C": SeenSpec(frames="all"),
    "D": SeenSpec(weight_copy=False),
    "E": SeenSpec(attention_copy=False),
    "F": SeenSpec(temporal="cnn"),
    "G": SeenSpec(temporal="lstm"),
    "H": SeenSpec(temporal="transformer"),
    "I": SeenSpec(temporal="conv3d", weight_copy=False, attention_copy=False),
    "J": SeenSpec(output="last_potential"),
    "K": SeenSpec(output="last_spike"),
    "L": SeenSpec(output="mean_spike"),
    "M": SeenSpec(),
}
"""The published ablations by their letters: A no last frame, B the second in its place, C all frames, D no weight copy,
E no copy of the attention, F to I another temporal part, J to L another output, M the network as published. What the
event path does instead in D (own weights, learnt) and E (scales weighed by 1/3) is chosen here: not told."""
