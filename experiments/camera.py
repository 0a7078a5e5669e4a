"""A Speck's camera layer from what a user says of it, the rest chosen so that it gives a network its input."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from hardware.camera import Camera
from hardware.program import Shape
from neuva import NeuvaError

POOLS = (4, 2, 1)
"""What the layer pools by, the largest first: each event stays one event, so that a smaller map has as many."""
KEYS = tuple(field.name for field in fields(Camera))


def camera_of(text: str, shape: Shape) -> Camera:
    """The camera layer of settings "key: value, ..." (YAML; the keys are `Camera`'s) for a network's input (C, H, W).

    What is not said: a sensor of 128 x 128, both polarities for two channels and merged for one, the largest pooling
    that leaves the input's size, and of that the middle ("crop: centre").

    Raises:
        NeuvaError: for an unknown key, a value that is none, or settings that do not give this input.
    """
    said = _settings(text)
    channels, height, width = shape
    pool, crop = said.pop("pool", None), said.pop("crop", "centre")
    given: dict[str, Any] = {"polarity": "both" if channels == 2 else "merged", **said}
    whole = _camera(given)
    sides = (width, height) if whole.swap_xy else (height, width)
    if pool is None:
        (_, rows), (_, columns) = whole.window
        pool = str(next((p for p in POOLS if rows // p >= sides[0] and columns // p >= sides[1]), 1))
    given["pool"] = (pool, pool) if isinstance(pool, str) else pool
    given["crop"] = _middle(_camera(given), sides) if crop == "centre" else crop
    camera = _camera(given)
    if camera.shape != shape:
        raise NeuvaError(f"--camera {text}: gives {camera.shape}, the network takes {shape}: change pool or crop")
    return camera


def _settings(text: str) -> dict[str, Any]:
    try:
        said = yaml.load(f"{{{text}}}", yaml.BaseLoader)  # noqa: S506 (gives strings alone: "on" is a polarity)
    except yaml.YAMLError as error:
        raise NeuvaError(f'--camera {text}: write "key: value, ...", as "pool: 2, mirror_x: true"') from error
    unknown = [key for key in said if key not in KEYS]
    if unknown:
        raise NeuvaError(f"--camera {text}: {unknown[0]} is unknown: known are {', '.join(KEYS)}")
    return said


def _camera(values: dict[str, Any]) -> Camera:
    try:
        return TypeAdapter(Camera).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise NeuvaError(f"--camera: {where} is {first['input']}: {first['msg'].lower()}") from error


def _middle(camera: Camera, sides: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The crop that leaves `sides` (y, x) in the middle of the pooled map.

    Raises:
        NeuvaError: if the map is smaller.
    """
    (_, height), (_, width) = camera.window
    if height < sides[0] or width < sides[1]:
        raise NeuvaError(
            f"the camera's {width}x{height} pixels after pooling are fewer than the network's {sides[1]}x{sides[0]}: "
            "pool less, or train with a smaller input"
        )
    top, left = (height - sides[0]) // 2, (width - sides[1]) // 2
    return (top, top + sides[0]), (left, left + sides[1])
