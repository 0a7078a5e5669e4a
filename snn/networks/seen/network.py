"""SEEN: the spatial and the temporal branch, joined by the spiking addition."""

from __future__ import annotations

import torch
from torch import nn

from neuva import NeuvaError
from snn.networks.seen.neuron import lif
from snn.networks.seen.spatial import Spatial
from snn.networks.seen.spec import SeenSpec
from snn.networks.seen.temporal import EventPath, SpikingHead
from snn.networks.seen.variants import PlainHead, Volume


class SeenNet(nn.Module):
    """Spiking Eye Emotion Network (Zhang et al., SIGGRAPH 2023, doi 10.1145/3588432.3591511).

        Js = lif(spatial(frames));   logits = head(path(events)[t] + Js, t = 1 .. T)

    spatial (`snn.networks.seen.spatial`) sees two intensity frames, path (`snn.networks.seen.temporal`) each event
    frame by the same weights, copied without gradient: the convolutions learn through Js alone. States are zero at
    the clip's start. The defaults of `SeenSpec` give the published 6,078,655 parameters, and 0.907, 1.454 and 2.548 G
    multiply-accumulates for 4, 7 and 13 event frames.

    forward: frames [B, n, 3, H, W], of which `spec.frames` says which are seen (n = duration for "all"), and events
    [B, duration, 3, H, W], both as `normalised` gives them with H = W = side -> logits [B, 7], in the order of the
    labels it was trained on.

    Raises:
        NeuvaError: if the input is of another shape, or a batch in training is of one clip alone.
    """

    def __init__(self, spec: SeenSpec) -> None:
        super().__init__()
        self.spec = spec
        self.spatial = Spatial(spec)
        act = _spikes if spec.temporal == "snn" else torch.relu
        self.path = Volume(spec) if spec.temporal == "conv3d" else EventPath(spec, act)
        self.head = SpikingHead(spec) if spec.temporal == "snn" else PlainHead(spec)

    def forward(self, frames: torch.Tensor, events: torch.Tensor) -> torch.Tensor:
        """Logits [B, 7] of frames [B, n, 3, H, W] and events [B, T, 3, H, W], from zero state."""
        self._check(frames, events)
        features, weights = self.spatial(frames)
        seen, _ = lif(features.flatten(1)[None])
        path = self.path(events.movedim(1, 0), self.spatial.pyramid, weights)
        return self.head(path + seen)

    def _check(self, frames: torch.Tensor, events: torch.Tensor) -> None:
        side, duration, all_frames = self.spec.side, self.spec.duration, self.spec.frames == "all"
        if events.ndim != 5 or events.shape[1:] != (duration, 3, side, side):
            allowed = f"[B, {duration}, 3, {side}, {side}]"
            raise NeuvaError(f"events {tuple(events.shape)} must be {allowed}: see `normalised`")
        least = len(self.spatial.chosen)
        count = frames.shape[1] if frames.ndim == 5 else 0
        if count < least or (all_frames and count > least) or frames.shape[2:] != (3, side, side):
            allowed = f"[B, {least}{'' if all_frames else ' or more'}, 3, {side}, {side}]"
            raise NeuvaError(f"frames {tuple(frames.shape)} must be {allowed}: see `normalised`")
        if len(frames) != len(events):
            raise NeuvaError(f"{len(frames)} clips of frames and {len(events)} of events: give as many of both")
        if self.training and len(events) < 2:
            raise NeuvaError("a batch of 1 clip cannot be normalised in training: leave an odd last clip out")


def _spikes(current: torch.Tensor) -> torch.Tensor:
    return lif(current)[0]
