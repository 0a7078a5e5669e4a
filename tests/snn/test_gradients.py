"""The definition's gradients, in float64, against finite differences of the smooth neuron they belong to.

That neuron sends S(v~ - threshold), S' being the surrogate, and resets by the hard spike, as the definition does.
Its equations are written out here once more, in numpy, and share no code with snn.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from snn import kernels
from snn.neurons import Neuron, define
from snn.surrogates import SURROGATES

NEURONS = [
    Neuron(alpha, beta, 0.8, reset, low, multi, kind, 0.6)
    for (alpha, beta), reset, low, multi, kind in itertools.product(
        [(0.0, 1.0), (0.7, 0.9)], ["zero", "subtract"], [None, -0.5], [False, True], SURROGATES
    )
]
STEPS, CELLS, EPSILON = 12, 5, 1e-6


def smooth_step(d: np.ndarray, kind: str, w: float) -> np.ndarray:
    """S(d) up to a constant: the surrogates of `snn.surrogates`, integrated by hand."""
    if kind == "arctan":
        return np.arctan(np.pi * d / w) / np.pi
    if kind == "fast_sigmoid":
        return d / (w + np.abs(d))
    if kind == "triangular":
        inside = np.clip(d / w, -1, 1)
        return inside - np.sign(inside) * inside**2 / 2
    return np.clip(d / w, -0.5, 0.5)


def smooth(neuron: Neuron, x, u, v, alpha: float, beta: float, *, soft_reset: bool = False) -> np.ndarray:
    """All that leaves the smooth neuron: what it sends in each step, then u and v."""
    sent = []
    for current in x:
        u = alpha * u + current
        v = beta * v + u
        d = v - neuron.threshold
        if neuron.multi_spike:  # a staircase's mean slope above the threshold is the surrogate's peak
            s = smooth_step(np.minimum(d, 0), neuron.surrogate, neuron.width) + np.maximum(d, 0) / neuron.width
            fired = np.maximum(np.floor(v / neuron.threshold), 0)
        else:
            s, fired = smooth_step(d, neuron.surrogate, neuron.width), (d >= 0).astype(float)
        sent.append(s)
        reset = s if soft_reset else fired
        v = v * (1 - np.minimum(reset, 1)) if neuron.reset == "zero" else v - reset * neuron.threshold
        if neuron.low is not None:
            v = np.maximum(v, neuron.low)
    return np.stack([*sent, u, v])


def inputs() -> tuple[list[np.ndarray], np.ndarray]:
    """x, u, v, alpha, beta, and weights of the sum of all that leaves."""
    rng = np.random.default_rng(3)
    shapes = [(STEPS, CELLS), (CELLS,), (CELLS,)]
    drawn = [rng.normal(0.2, 0.6, shape) for shape in shapes]
    return drawn, rng.normal(size=(STEPS + 2, CELLS))


def finite_differences(neuron: Neuron, **how: bool) -> np.ndarray:
    """Central differences by every number of x, u, v, and by alpha and beta."""
    drawn, weights = inputs()
    flat = np.concatenate([*(part.ravel() for part in drawn), [neuron.alpha, neuron.beta]])

    def total(point: np.ndarray) -> float:
        x, u, v = np.split(point[:-2], [STEPS * CELLS, STEPS * CELLS + CELLS])
        return float((smooth(neuron, x.reshape(STEPS, CELLS), u, v, *point[-2:], **how) * weights).sum())

    steps = np.eye(len(flat)) * EPSILON
    return np.array([(total(flat + step) - total(flat - step)) / (2 * EPSILON) for step in steps])


def gradients(run, neuron: Neuron) -> np.ndarray:
    """The same derivatives by autograd."""
    drawn, weights = inputs()
    x, u, v = (torch.tensor(part).requires_grad_() for part in drawn)
    decays = torch.tensor([neuron.alpha, neuron.beta], dtype=torch.float64, requires_grad=True)
    spikes, (u_end, v_end) = run(neuron, x, (u, v), decays)
    (torch.cat([spikes, u_end[None], v_end[None]]) * torch.tensor(weights)).sum().backward()
    return np.concatenate([part.grad.numpy().ravel() for part in (x, u, v, decays)])  # type: ignore[union-attr]


@pytest.mark.parametrize("run", [define, kernels.run], ids=["definition", "kernel"])
@pytest.mark.parametrize("neuron", NEURONS, ids=str)
def test_gradients_are_finite_differences_of_the_smooth_neuron(run, neuron: Neuron) -> None:
    expected = finite_differences(neuron)
    assert np.abs(expected).max() > 0.5
    assert gradients(run, neuron) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_smooth_neuron_fires_and_resets_in_the_trial() -> None:
    drawn, _ = inputs()
    spikes, _ = define(NEURONS[0], *(torch.tensor(drawn[0]),))
    assert 0.1 < spikes.mean() < 0.6


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_gradient_through_the_reset_or_of_another_width_would_be_noticed(reset) -> None:
    neuron = Neuron(0.7, 0.9, 0.8, reset, width=0.6)
    expected = gradients(define, neuron)
    assert expected != pytest.approx(finite_differences(neuron, soft_reset=True), rel=1e-2, abs=1e-2)
    assert expected != pytest.approx(finite_differences(replace(neuron, width=0.5)), rel=1e-2, abs=1e-2)
