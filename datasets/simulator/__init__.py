"""An event camera in numbers: frames of intensity in, events out."""

from datasets.simulator.model import PixelModel
from datasets.simulator.presets import PRESETS, SENSORS, Sensor, preset
from datasets.simulator.simulator import EventSimulator, simulate

__all__ = ["PRESETS", "SENSORS", "EventSimulator", "PixelModel", "Sensor", "preset", "simulate"]
