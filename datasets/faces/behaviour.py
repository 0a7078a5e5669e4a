"""What a face does besides showing affect: blinks, looks around, talks, sways; noise that no label explains."""

from __future__ import annotations

import numpy as np

from datasets.faces.action_units import AU_INDEX, AU_NAMES
from datasets.faces.pose import Pose
from datasets.faces.signals import Wander, arrivals, glide, pulses

_TWITCHING = AU_NAMES[: AU_NAMES.index("AU45")]
_BLINK_RATE = (
    0.28  # per second; at rest people blink about 17 times a minute (Bentivoglio et al., Mov. Disord. 12, 1997)
)

# Deviations of head motion: yaw, pitch, roll in degrees; x, y, scale as fractions of the picture.
_TURN = np.array([5.5, 4.0, 2.5])
_SLOW = np.array([4.5, 3.0, 2.4, 0.015, 0.012, 0.012])
_MICRO = np.array([0.90, 0.80, 0.55, 0.0030, 0.0030, 0.0024])


class Behaviour:
    """Random behaviour of one clip as functions of time.

    `liveliness` in [0, 1] (from the clip's mean arousal) modestly raises the rates of blinks, gaze
    shifts and head motion; each varies far more from clip to clip, so none gives arousal away.
    """

    def __init__(self, rng: np.random.Generator, seconds: float, liveliness: float) -> None:
        lively = 0.85 + 0.3 * liveliness
        self._noise = {name: Wander(rng, 0.9) for name in _TWITCHING}
        self._level = {name: rng.uniform(0.08, 0.36) for name in _TWITCHING}
        self._droop = rng.uniform(0, 0.28)  # some people's lids hang, whatever they feel
        self._blinks = arrivals(rng, seconds, _BLINK_RATE * lively * rng.uniform(0.6, 1.6), 0.5)
        looks = arrivals(rng, seconds, 0.9 * lively * rng.uniform(0.5, 1.5), 0.25)
        targets = rng.normal(0, [0.4, 0.25], size=(len(looks) + 1, 2))
        targets[rng.uniform(size=len(targets)) < 0.45] = 0.0  # often back at the camera
        self._looks, self._gaze = looks, np.clip(targets, -1, 1)
        self._talk_level = rng.uniform(0.35, 0.8) * (rng.uniform() < 0.35)
        self._talk_gate = Wander(rng, 0.5)
        self._syllables = Wander(rng, 5.5, waves=7), Wander(rng, 3.0, waves=5)
        self._sway = rng.uniform(0.5, 1.5) * lively
        self._slow = [Wander(rng, 0.35) for _ in range(6)]
        self._micro = [Wander(rng, 2.6) for _ in range(6)]
        nods = arrivals(rng, seconds, 0.5 * self._sway, 0.4)
        self._nods, self._nod_to = nods, rng.normal(0, 1, size=(len(nods) + 1, 3))

    def add_to(self, units: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Action units [T, n] with noise, speech, blinks and gaze added, clipped to their ranges."""
        out = units.copy()
        for name in _TWITCHING:
            out[:, AU_INDEX[name]] += self._level[name] * np.maximum(self._noise[name](t) - 0.5, 0)
        out[:, AU_INDEX["AU43"]] += self._droop
        talk = self._talk_level / (1 + np.exp(-6 * self._talk_gate(t)))
        beat, phrase = (np.clip(0.5 + 0.45 * wave(t), 0, 1) for wave in self._syllables)
        out[:, AU_INDEX["AU25"]] += 0.9 * talk * beat
        out[:, AU_INDEX["AU26"]] += 0.55 * talk * beat * phrase
        out[:, AU_INDEX["AU20"]] += 0.25 * talk * (1 - phrase)
        out[:, AU_INDEX["AU45"]] = pulses(t, self._blinks, 0.09, 0.16)
        out = np.clip(out, 0, 1)
        moves = np.full(len(self._looks), 0.06)
        out[:, AU_INDEX["gaze_x"] : AU_INDEX["gaze_y"] + 1] = glide(t, self._looks, self._gaze, moves)
        return out

    def pose(self, t: np.ndarray) -> Pose:
        """Head pose: slow sway, micro-motion that never stops, and now and then a larger turn."""
        slow, micro = (np.stack([w(t) for w in waves], axis=1) for waves in (self._slow, self._micro))
        turn = glide(t, self._nods, self._nod_to, np.full(len(self._nods), 0.6))
        angles = np.radians(_TURN * turn + self._sway * (_SLOW[:3] * slow[:, :3] + _MICRO[:3] * micro[:, :3]))
        shift = self._sway * (_SLOW[3:] * slow[:, 3:] + _MICRO[3:] * micro[:, 3:])
        yaw, pitch, roll = np.clip(angles, -0.42, 0.42).T
        return Pose(yaw, pitch, roll, shift[:, 0], shift[:, 1], 1 + shift[:, 2])
