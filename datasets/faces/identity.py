"""Who a synthetic face is: everything that stays the same while it moves."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

BEARDS = ("none", "stubble", "moustache", "goatee", "full")
GLASSES = ("none", "round", "square")
COLLARS = ("crew", "v", "shirt")


@dataclass(frozen=True)
class Identity:
    """The fixed look of one synthetic person; no real person is modelled.

    Lengths are in face units: the head is about 2 wide and 2.6 high, the origin between the eyes,
    x to the right and y down. Tones are reflectances in [0, 1]. `gain` scales how strongly each
    action unit shows on this person.
    """

    seed: int
    skin: float
    head_width: float
    jaw: float
    chin_width: float
    chin: float
    cheek: float
    age: float
    freckles: float
    eye_x: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    iris: float
    lash: float
    brow_y: float
    brow_thickness: float
    brow_arch: float
    brow_tilt: float
    brow_length: float
    nose_length: float
    nose_width: float
    nose_relief: float
    mouth_y: float
    mouth_width: float
    lips: float
    lip_tone: float
    ear: float
    hair: float
    hairline: float
    volume: float
    cloth: float
    hair_style: str
    beard: str
    glasses: str
    collar: str
    gain: tuple[float, float, float, float]
    """Gains of the brow, eye, nose and mouth action units."""

    @classmethod
    def from_seed(cls, seed: int) -> Identity:
        """Draw a person; the same seed gives the same person."""
        rng = np.random.default_rng([seed, 0x1D])
        u = rng.uniform
        skin = u(0.38, 0.88)
        masculine = u(0, 1)
        age = u(0, 1) ** 1.5
        # Dark skin rarely comes with fair hair, and hair greys with age.
        hair = u(0.04, 0.14) + (u(0, 0.45) if skin > 0.6 and u() < 0.55 else 0) + (0.4 * age if age > 0.5 else 0)
        if abs(hair - 0.75 * skin) < 0.14:  # hair as bright as the skin would hide the head's shape
            hair = 0.45 * hair
        if masculine > 0.5:
            style = rng.choice(
                ["bald", "buzz", "short", "parted", "curly", "fringe"], p=[0.14, 0.18, 0.25, 0.2, 0.13, 0.1]
            )
            beard = rng.choice(BEARDS, p=[0.4, 0.22, 0.1, 0.1, 0.18])
        else:
            style = rng.choice(
                ["short", "parted", "fringe", "curly", "bob", "long", "bun"], p=[0.08, 0.1, 0.12, 0.15, 0.2, 0.22, 0.13]
            )
            beard = "none"
        return cls(
            seed=seed,
            skin=skin,
            head_width=u(0.9, 1.02),
            jaw=0.76 + 0.09 * masculine + u(-0.05, 0.06),
            chin_width=0.28 + 0.14 * masculine + u(-0.04, 0.06),
            chin=1.22 + 0.08 * masculine + u(-0.05, 0.06),
            cheek=u(0.6, 1.3),
            age=age,
            freckles=u(0, 1) ** 3,
            eye_x=u(0.385, 0.435),
            eye_width=u(0.18, 0.215),
            eye_open=u(0.078, 0.105) - 0.008 * masculine,
            eye_tilt=u(-0.025, 0.03),
            iris=u(0.1, 0.42) if skin > 0.56 else u(0.06, 0.16),
            lash=u(0.5, 1.0) - 0.3 * masculine,
            brow_y=-0.30 + 0.035 * masculine + u(-0.04, 0.025),
            brow_thickness=0.026 + 0.022 * masculine + u(0, 0.014),
            brow_arch=u(0.01, 0.06) * (1.3 - masculine),
            brow_tilt=u(-0.02, 0.035),
            brow_length=u(0.23, 0.28),
            nose_length=u(0.40, 0.50),
            nose_width=u(0.15, 0.22),
            nose_relief=u(0.8, 1.25),
            mouth_y=u(0.74, 0.80),
            mouth_width=u(0.29, 0.36),
            lips=u(0.75, 1.3) - 0.2 * masculine,
            lip_tone=u(0.52, 0.68) + 0.1 * masculine,
            ear=u(0.85, 1.15),
            hair=float(np.clip(hair, 0.04, 0.78)),
            hairline=-0.78 - 0.1 * masculine * age + u(-0.06, 0.06),
            volume=u(0.8, 1.25),
            cloth=u(0.12, 0.85),
            hair_style=str(style),
            beard=str(beard),
            glasses=str(rng.choice(GLASSES, p=[0.7, 0.15, 0.15])),
            collar=str(rng.choice(COLLARS)),
            gain=(u(0.75, 1.15), u(0.75, 1.15), u(0.75, 1.15), u(0.8, 1.15)),
        )

    def __post_init__(self) -> None:
        for f in fields(self):  # numpy scalars would make equal people print and hash differently
            value = getattr(self, f.name)
            if isinstance(value, np.generic):
                object.__setattr__(self, f.name, value.item())
