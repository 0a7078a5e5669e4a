"""A contact sheet: people in rows, expressions in columns, labelled, so that a person can judge them."""

from __future__ import annotations

import os

import cv2
import numpy as np

from datasets.faces.action_units import AU_NAMES, PROTOTYPES, affect_to_units
from datasets.faces.identity import Identity
from datasets.faces.pose import Pose
from datasets.faces.render import Light, Scene, render
from neuva import NeuvaError, atomic_path

_TITLE = "SYNTHETIC FACES (procedurally rendered, no real persons)"
_FONT, _INK, _PAPER = cv2.FONT_HERSHEY_SIMPLEX, 30, 255


def contact_sheet(identities: list[int], size: int = 128) -> np.ndarray:
    """uint8 picture: one row a person; neutral and each prototype at its place (valence, arousal)."""
    if not identities:
        raise NeuvaError("a contact sheet of 0 people was asked for: name at least 1 identity")
    terms = ["neutral", *(p.term for p in PROTOTYPES)]
    places = np.array([(0.0, 0.0, 0.0), *((p.valence, p.arousal, p.dominance) for p in PROTOTYPES)])
    units = affect_to_units(*places.T)
    rows = [np.hstack(list(_pictures(identity, units, size))) for identity in identities]
    head = np.full((46, rows[0].shape[1]), _PAPER, np.uint8)
    scale = size / 128 * 0.36
    for i, (term, place) in enumerate(zip(terms, places, strict=True)):
        _write(head, term, (i * size + 4, 32), scale)
        _write(head, f"v {place[0]:+.2f} a {place[1]:+.2f}", (i * size + 4, 43), 0.85 * scale)
    _write(head, _TITLE, (4, 15), 0.45)
    return np.vstack([head, *rows])


def write_contact_sheet(path: str | os.PathLike[str], identities: list[int], size: int = 128) -> None:
    """Write the contact sheet as a PNG.

    Raises:
        NeuvaError: if nothing can be written at `path`.
    """
    done, encoded = cv2.imencode(".png", contact_sheet(identities, size))
    if not done:
        raise NeuvaError(f"{path}: the picture cannot be encoded: use fewer people or a smaller size")
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _pictures(identity: int, units: np.ndarray, size: int) -> np.ndarray:
    n = len(units)
    zero, one = np.zeros(n), np.ones(n)
    turn = 0.10 * np.cos(2.4 * identity)
    pose = Pose(turn * one, zero, 0.3 * turn * one, zero, zero, one)
    light = Light(one, 0.5 * np.cos(1.7 * identity + 1) * one, zero)
    scene = Scene(units, np.zeros(len(AU_NAMES)), pose, light, np.zeros((n, 2)), identity)
    return render(Identity.from_seed(identity), scene, size)


def _write(image: np.ndarray, text: str, place: tuple[int, int], scale: float) -> None:
    cv2.putText(image, text, place, _FONT, scale, _INK, 1, cv2.LINE_AA)
