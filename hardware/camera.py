"""What a Speck's camera layer does to a sensor's events before they reach the first core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from neuva import NeuvaError


@dataclass(frozen=True)
class Camera:
    """The layer's settings, applied in this order (sinabs 3.1.3, `DVSLayer`, which has no polarity to choose).

    polarity: "both" (channels OFF, ON), "merged" (all in one channel), "on" or "off" (that one alone, in one channel).
    pool: (y, x); each event stays one event; rows and columns beyond the last whole window are dropped.
    crop: ((top, bottom), (left, right)) after pooling, ends excluded; None: everything.
    mirror_y, mirror_x: the cropped map upside down, left to right.
    swap_xy: rows become columns, last of all; with a mirror, a quarter turn.
    size: (width, height) of the sensor.

    Raises:
        NeuvaError: if the crop leaves the pooled map, a side is no whole number, or another part is none there is.
    """

    size: tuple[int, int] = (128, 128)
    polarity: Literal["both", "merged", "on", "off"] = "both"
    pool: tuple[int, int] = (1, 1)
    crop: tuple[tuple[int, int], tuple[int, int]] | None = None
    mirror_y: bool = False
    mirror_x: bool = False
    swap_xy: bool = False

    def __post_init__(self) -> None:
        for name, fits, needed in (
            ("size", _is_pair, "two whole numbers"),
            ("pool", _is_pair, "two whole numbers"),
            ("crop", _is_crop, "two pairs of whole numbers"),
            *((name, _is_bool, "true or false") for name in ("mirror_y", "mirror_x", "swap_xy")),
        ):
            if not fits(getattr(self, name)):
                raise NeuvaError(f"the camera's {name} is {getattr(self, name)!r}, needed {needed}: correct it")
        if self.polarity not in ("both", "merged", "on", "off") or min(self.pool) < 1:
            raise NeuvaError(
                f'a camera has polarity "{self.polarity}" and pooling {self.pool}: '
                "allowed are both, merged, on or off, and pooling of at least 1"
            )
        height, width = self.size[1] // self.pool[0], self.size[0] // self.pool[1]
        for (first, end), side in zip(self.window, (height, width), strict=True):
            if not 0 <= first < end <= side:
                raise NeuvaError(
                    f"the camera's crop {self.window} leaves its map of {width}x{height} pixels after pooling "
                    "or is empty: crop within it"
                )

    @property
    def window(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The crop, also where it is everything."""
        return self.crop or ((0, self.size[1] // self.pool[0]), (0, self.size[0] // self.pool[1]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what it sends."""
        height, width = (end - first for first, end in self.window)
        sides = (width, height) if self.swap_xy else (height, width)
        return 2 if self.polarity == "both" else 1, *sides

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Camera:
        """From what JSON made of its fields: lists are tuples again."""
        return cls(**{key: _tuples(value) for key, value in values.items()})


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(type(side) is int for side in value)


def _is_crop(value: object) -> bool:
    return value is None or (isinstance(value, tuple) and len(value) == 2 and all(map(_is_pair, value)))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
