"""Events as tensors: each representation a pure function of `Events`, and a transform as Tonic's.

A transform takes a structured array with t, x, y, p (`Events.array`, or what Tonic's data sets give) and returns a
numpy array [T, C, H, W]; channels (OFF, ON) where C = 2. It is frozen, keeps nothing between calls and can be pickled.
"""

from __future__ import annotations

from datasets.representations.binary import ToTemporalBinary, temporal_binary
from datasets.representations.frames import Kind, ToFrames, to_frames
from datasets.representations.spike_tensor import Measurement, ToEventSpikeTensor, event_spike_tensor
from datasets.representations.steps import ToSteps, to_steps
from datasets.representations.surfaces import (
    NEVER,
    ToSurfaceOfActiveEvents,
    ToTimeSurface,
    surface_of_active_events,
    time_surface,
)
from datasets.representations.voxels import ToVoxelGrid, voxel_grid
from datasets.representations.windows import ByCount, ByTime, EventBins, TimeBins, Window

__all__ = [
    "NEVER",
    "ByCount",
    "ByTime",
    "EventBins",
    "Kind",
    "Measurement",
    "TimeBins",
    "ToEventSpikeTensor",
    "ToFrames",
    "ToSteps",
    "ToSurfaceOfActiveEvents",
    "ToTemporalBinary",
    "ToTimeSurface",
    "ToVoxelGrid",
    "Window",
    "event_spike_tensor",
    "surface_of_active_events",
    "temporal_binary",
    "time_surface",
    "to_frames",
    "to_steps",
    "voxel_grid",
]
