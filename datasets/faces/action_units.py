"""From valence and arousal to facial action units.

Action units are those of the Facial Action Coding System (Ekman & Friesen, Facial Action Coding
System, 1978), as intensities in [0, 1]; gaze is in [-1, 1] (x to the image's right, y down).

The mapping blends emotion prototypes. Where a prototype lies on the circumplex (Russell, A
circumplex model of affect, 1980) is the mean rating of its English term by Russell & Mehrabian
(Evidence for a three-factor theory of emotions, 1977): (valence, arousal). Which action units it
shows are those of Ekman & Friesen's emotion predictions (EMFACS) for the six basic emotions; for
the other terms, which have no such table, they are our reading of the literature: excitement a
wide-eyed smile, low arousal drooping lids (AU 43), boredom lids and mouth corners down.

Anger and fear have almost the same valence and arousal; the third factor, dominance (anger
+0.25, fear -0.43), tells them apart. Here dominance is a hidden path that no label gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.faces.curves import smoothstep

AU_NAMES = (
    "AU1", "AU2", "AU4", "AU5", "AU6", "AU7", "AU9", "AU10", "AU12", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26",
    "AU43", "AU45", "gaze_x", "gaze_y",
)  # fmt: skip
"""Columns of every action-unit array: inner brow raiser, outer brow raiser, brow lowerer, upper lid raiser, cheek
raiser, lid tightener, nose wrinkler, upper lip raiser, lip corner puller, lip corner depressor, chin raiser, lip
stretcher, lip tightener, lips part, jaw drop, eyes closed, blink, and gaze."""

AU_INDEX = {name: i for i, name in enumerate(AU_NAMES)}

EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "low arousal")
"""Names of the expression classes; relaxed, bored and sleepy faces share "low arousal"."""

NEUTRAL_RADIUS = 0.25
"""Nearer to the centre than this, the expression counts as neutral."""

_FULL_RADIUS = 0.8  # the distance from the centre at which a prototype shows fully


@dataclass(frozen=True)
class Prototype:
    """One emotion term: its place (Russell & Mehrabian 1977), its class and its action units."""

    term: str
    valence: float
    arousal: float
    expression: str
    units: dict[str, float]
    dominance: int = 0
    """+1 or -1 where only dominance tells two prototypes apart, else 0."""


PROTOTYPES = (
    Prototype("happy", 0.81, 0.51, "happiness", {"AU6": 0.8, "AU12": 0.95, "AU25": 0.55}),
    Prototype("excited", 0.62, 0.75, "happiness",
              {"AU1": 0.4, "AU2": 0.45, "AU5": 0.45, "AU6": 0.45, "AU12": 0.9, "AU25": 0.8, "AU26": 0.55}),
    Prototype("surprised", 0.40, 0.67, "surprise", {"AU1": 1.0, "AU2": 1.0, "AU5": 0.9, "AU25": 0.75, "AU26": 0.95}),
    Prototype("angry", -0.51, 0.59, "anger", {"AU4": 1.0, "AU5": 0.6, "AU7": 0.6, "AU23": 0.85}, dominance=1),
    Prototype("fearful", -0.64, 0.60, "fear",
              {"AU1": 0.9, "AU2": 0.5, "AU4": 0.6, "AU5": 0.9, "AU20": 0.85, "AU25": 0.55, "AU26": 0.35}, dominance=-1),
    Prototype("disgusted", -0.60, 0.35, "disgust",
              {"AU4": 0.4, "AU7": 0.4, "AU9": 0.95, "AU10": 0.8, "AU17": 0.6, "AU15": 0.2}),
    Prototype("sad", -0.63, -0.27, "sadness", {"AU1": 1.0, "AU4": 0.45, "AU15": 0.95, "AU17": 0.5, "AU43": 0.15}),
    Prototype("bored", -0.65, -0.62, "low arousal", {"AU1": 0.1, "AU15": 0.5, "AU17": 0.25, "AU43": 0.36}),
    Prototype("sleepy", 0.20, -0.70, "low arousal", {"AU43": 0.62, "AU25": 0.15, "AU26": 0.12}),
    Prototype("relaxed", 0.68, -0.46, "low arousal", {"AU6": 0.15, "AU12": 0.42, "AU43": 0.24}),
)  # fmt: skip

_ANGLES = np.array([np.arctan2(p.arousal, p.valence) for p in PROTOTYPES])
_DOMINANCE = np.array([p.dominance for p in PROTOTYPES])
_CLASSES = np.array([EXPRESSIONS.index(p.expression) for p in PROTOTYPES])
_UNITS = np.array([[p.units.get(name, 0.0) for name in AU_NAMES] for p in PROTOTYPES])


def prototype_weights(valence: np.ndarray, arousal: np.ndarray, dominance: np.ndarray) -> np.ndarray:
    """How much of each prototype a state shows, [N, len(PROTOTYPES)], rows summing to 1.

    Between two prototypes that follow each other round the circumplex, at angles a and b, the share
    of the second is 3u^2 - 2u^3 with u = (angle - a) / (b - a), so each shows purely at its own angle.
    Anger and fear stand on two rings, mixed by g = 1 / (1 + exp(-8 dominance)) and 1 - g.
    """
    angle = np.arctan2(arousal, valence)
    share = (1 / (1 + np.exp(-8 * np.asarray(dominance))))[:, None]
    return share * _ring_weights(angle, _DOMINANCE >= 0) + (1 - share) * _ring_weights(angle, _DOMINANCE <= 0)


def _ring_weights(angle: np.ndarray, members: np.ndarray) -> np.ndarray:
    order = np.flatnonzero(members)[np.argsort(_ANGLES[members])]
    stops = _ANGLES[order]
    after = np.searchsorted(stops, angle, side="right") % len(order)
    before = (after - 1) % len(order)
    turn = 2 * np.pi
    u = smoothstep(((angle - stops[before]) % turn) / ((stops[after] - stops[before]) % turn), 0, 1)
    weights = np.zeros((len(angle), len(PROTOTYPES)))
    rows = np.arange(len(angle))
    weights[rows, order[before]] = 1 - u
    weights[rows, order[after]] = u
    return weights


def affect_to_units(valence: np.ndarray, arousal: np.ndarray, dominance: np.ndarray) -> np.ndarray:
    """Action units of an affective state, [N, len(AU_NAMES)] in [0, 1].

    The blend of prototypes times min(1, r / 0.8), r the distance from the centre: nothing shows at
    the centre, everything near the rim.
    """
    strength = np.minimum(np.hypot(valence, arousal) / _FULL_RADIUS, 1.0)
    return strength[:, None] * (prototype_weights(valence, arousal, dominance) @ _UNITS)


def expression_class(valence: np.ndarray, arousal: np.ndarray, dominance: np.ndarray) -> np.ndarray:
    """Index into EXPRESSIONS, int64 [N]: the heaviest prototype's class, neutral near the centre."""
    nearest = _CLASSES[np.argmax(prototype_weights(valence, arousal, dominance), axis=1)]
    return np.where(np.hypot(valence, arousal) < NEUTRAL_RADIUS, 0, nearest)
