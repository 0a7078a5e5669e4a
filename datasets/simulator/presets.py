"""Pixel models by name: v2e's settings, and sensors one can buy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from datasets.simulator.model import PixelModel
from neuva import NeuvaError

SENSORS_FILE = Path(__file__).with_name("sensors.yaml")


@dataclass(frozen=True)
class Figure:
    """One setting of a sensor's model: its value, where it comes from, and whether that is only an assumption."""

    value: float
    source: str
    assumed: bool


@dataclass(frozen=True)
class Sensor:
    """A sensor one can buy.

    size: (width, height) in pixels, for information: simulated frames may have any. size_source: where that is
    said. model: its pixel. figures: where each of the model's settings comes from; the others are `PixelModel`'s.
    """

    name: str
    title: str
    size: tuple[int, int]
    size_source: str
    model: PixelModel
    figures: Mapping[str, Figure]


def _sensors() -> dict[str, Sensor]:
    sensors = {}
    for name, table in yaml.safe_load(SENSORS_FILE.read_text(encoding="utf-8")).items():
        figures = {
            setting: Figure(row["value"], row.get("source", row.get("assumed")), "assumed" in row)
            for setting, row in table["pixel"].items()
        }
        model = PixelModel(**{setting: row["value"] for setting, row in table["pixel"].items()})
        size = table["size"]
        sensors[name] = Sensor(name, table["title"], tuple(size["value"]), size["source"], model, figures)
    return sensors


SENSORS = _sensors()

PRESETS = {
    "ideal": PixelModel(),  # the equations without mismatch, bandwidth or noise
    "clean": PixelModel(sigma=0.02),  # v2e --dvs_params clean
    "noisy": PixelModel(sigma=0.05, cutoff_hz=30, leak_hz=0.1, shot_hz=5),  # v2e --dvs_params noisy: a dim room
    "v2e": PixelModel(  # v2e's command-line defaults
        sigma=0.03, cutoff_hz=300, leak_hz=0.01, shot_hz=0.001, refractory_us=500
    ),
    **{name: sensor.model for name, sensor in SENSORS.items()},
}


def preset(name: str) -> PixelModel:
    """The preset of that name.

    Raises:
        NeuvaError: if there is none.
    """
    if name not in PRESETS:
        raise NeuvaError(f"pixel model {name!r} is not known: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
