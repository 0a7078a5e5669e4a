"""The surround of a centre-surround event camera: a resistive grid that spreads the picture."""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn, idctn


class Surround:
    r"""Spreads log intensity v over the grid: ``tau_p ds/dt = v - s + lambda^2 laplacian(s)``.

    lambda is the grid's space constant in pixels, tau_p its time constant; ``tau_h = tau_p / lambda^2`` is that of a
    grid resistor (v2e's names; the centre-surround event camera of Delbruck et al., ICIP 2022). The Laplacian has
    four neighbours, the border is repeated outwards.

    v2e takes many small Euler steps. The cosine transform turns the grid into numbers that relax by themselves,
    ``s_k -> s_k' + (s_k - s_k') exp(-dt (1 + lambda^2 e_k) / tau_p)``, ``s_k' = v_k / (1 + lambda^2 e_k)``,
    ``e_k = 4 - 2 cos(pi i / H) - 2 cos(pi j / W)``: for a v that stays as it is through the frame, as in v2e, that
    is the solution itself, at any dt. With tau_p = 0 the grid is always at rest.

    Args:
        shape: (height, width).
        lambda_px: space constant in pixels.
        tau_ms: tau_p in milliseconds.
        v: [H, W] log intensity of the first frame; the grid starts at rest on it.
    """

    def __init__(self, shape: tuple[int, int], lambda_px: float, tau_ms: float, v: np.ndarray) -> None:
        rows, columns = (2 - 2 * np.cos(np.pi * np.arange(side) / side) for side in shape)
        self._stiffness = 1 + lambda_px**2 * (rows[:, None] + columns)
        self._tau = tau_ms * 1e-3
        self._waves = dctn(v, norm="ortho") / self._stiffness
        self._spread = idctn(self._waves, norm="ortho")

    def follow(self, v: np.ndarray, seconds: float) -> np.ndarray:
        """Let the grid follow v [H, W] for that long; returns what each pixel's surround changed by, [H, W]."""
        rest = dctn(v, norm="ortho") / self._stiffness
        decay = np.exp(-seconds / self._tau * self._stiffness) if self._tau > 0 else 0.0
        self._waves = rest + (self._waves - rest) * decay
        before, self._spread = self._spread, idctn(self._waves, norm="ortho")
        return self._spread - before
