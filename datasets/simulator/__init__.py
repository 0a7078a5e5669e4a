"""An event camera in numbers: frames of intensity in, events out."""

from datasets.simulator.model import PRESETS, PixelModel, preset
from datasets.simulator.simulator import EventSimulator, simulate

__all__ = ["PRESETS", "EventSimulator", "PixelModel", "preset", "simulate"]
