"""SEEN, emotions from one eye by intensity frames and events (Zhang et al., SIGGRAPH 2023), and its ablations."""

from snn.networks.seen.network import SeenNet
from snn.networks.seen.neuron import NEURON, lif
from snn.networks.seen.pictures import EVENT_MOMENTS, FRAME_MOMENTS, Moments, normalised
from snn.networks.seen.sampling import SAMPLINGS, Sampling, sample
from snn.networks.seen.spec import ABLATIONS, CLASSES, SeenSpec

__all__ = [
    "ABLATIONS",
    "CLASSES",
    "EVENT_MOMENTS",
    "FRAME_MOMENTS",
    "NEURON",
    "SAMPLINGS",
    "Moments",
    "Sampling",
    "SeenNet",
    "SeenSpec",
    "lif",
    "normalised",
    "sample",
]
