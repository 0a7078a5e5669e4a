"""A neuron's constants in NIR and here.

NIR's are continuous in time, ours are per step. With the step dt known they are each other's image under the forward
Euler step: beta = 1 - dt / tau_mem, alpha = 1 - dt / tau_syn, and an input's gain is r dt / tau_mem, with a synaptic
current r w_in (dt / tau_mem) (dt / tau_syn). A neuron without time constant (IF) has gain r whatever dt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import nir
import numpy as np

from neuva import NeuvaError
from snn.neurons import Neuron

Shape = tuple[int, int, int]
NEURONS = (nir.IF, nir.LIF, nir.CubaLIF)
NEUTRAL = 1e-6
"""A gain this near to 1 is 1: exporters compute constants in float32."""


class Said(NamedTuple):
    """What a graph leaves unsaid of its neurons.

    step: dt in the graph's unit of time (s by its definition); None where the graph needs none.
    reset: "zero" or "subtract"; None: as the node says, which with a v_reset (nir 1.0.6 and later) is to zero and
        without one, as nir 1.0.4 defines its neurons, by subtraction.
    low: the membrane's lower bound, in the threshold's unit. multi_spike: several spikes a step.
    """

    step: float | None = None
    reset: Literal["zero", "subtract"] | None = None
    low: float | None = None
    multi_spike: bool = False


@dataclass(frozen=True)
class Folded:
    """A neuron with the constants that one layer of a chip shares, and what goes into the synapse before it.

    gain, bias: [C], the synapse's weights and bias become gain * weight and gain * bias + bias.
    """

    neuron: Neuron
    gain: np.ndarray
    bias: np.ndarray


def to_node(name: str, neuron: Neuron, shape: tuple[int, ...], dt_us: int) -> nir.NIRNode:
    """The neuron as a NIR node with constants of `shape`; what NIR lacks goes into its metadata.

    Raises:
        NeuvaError: if a constant has no image in NIR (a CUBA neuron whose membrane never leaks).
    """
    dt = dt_us * 1e-6
    full = lambda value: np.full(shape, value, np.float64)  # noqa: E731 (a name for a long call, used six times)
    metadata: dict[str, Any] = {
        "reset": neuron.reset,
        "multi_spike": neuron.multi_spike,
        "surrogate": neuron.surrogate,
        "width": neuron.width,
    }
    if neuron.low is not None:
        metadata["low"] = neuron.low
    if neuron.alpha == 0 and neuron.beta == 1:
        return nir.IF(r=full(1), v_threshold=full(neuron.threshold), metadata=metadata)
    if neuron.beta == 1:
        raise NeuvaError(f"{name}: a current-based neuron whose membrane never leaks has no NIR form: use beta below 1")
    tau_mem = dt / (1 - neuron.beta)
    membrane = {"r": full(tau_mem / dt), "v_leak": full(0), "v_threshold": full(neuron.threshold)}
    if neuron.alpha == 0:
        return nir.LIF(tau=full(tau_mem), **membrane, metadata=metadata)
    tau_syn = dt / (1 - neuron.alpha)
    return nir.CubaLIF(
        tau_syn=full(tau_syn), tau_mem=full(tau_mem), w_in=full(tau_syn / dt), **membrane, metadata=metadata
    )


def from_node(name: str, node: Any, shape: Shape, said: Said) -> Folded:
    """A neuron node on a population (C, H, W), its constants folded until a layer needs one of each.

    Scaling a channel's weights, bias and threshold alike keeps its spikes, so gains and thresholds may differ between
    channels. A rest v_leak adds (1 - beta) v_leak in each step, which is a bias where there is no synaptic current.

    Raises:
        NeuvaError: names the node and what no layer of a chip can have.
    """
    get = lambda key: per_channel(name, key, getattr(node, key), shape)  # noqa: E731 (four arguments, used six times)
    meta = {key: plain(value) for key, value in node.metadata.items()}
    threshold, gain, bias = get("v_threshold"), get("r"), np.zeros(shape[0])
    if np.any(threshold <= 0):
        raise NeuvaError(f"node {name}: v_threshold is {threshold.min():.6g}, needed above 0: train it again")
    v_reset = getattr(node, "v_reset", None)
    if v_reset is not None and numbers(name, "v_reset", v_reset).any():
        raise NeuvaError(f"node {name}: resets to another value than 0, which no chip here does: train with 0")
    alpha, beta = 0.0, 1.0
    if not isinstance(node, nir.IF):
        beta, share = decay(name, "tau_mem" if isinstance(node, nir.CubaLIF) else "tau", node, shape, said.step)
        gain, bias = gain * share, (1 - beta) * get("v_leak")
    if isinstance(node, nir.CubaLIF):
        alpha, share = decay(name, "tau_syn", node, shape, said.step)
        gain = gain * share * get("w_in")
        if bias.any():
            raise NeuvaError(f"node {name}: rests at v_leak = {np.abs(get('v_leak')).max():.6g}: train with v_leak 0")
    gain = np.where(np.abs(gain - 1) <= NEUTRAL, 1.0, gain)
    common, low = float(threshold.max()), meta.get("low", said.low)
    if low is not None and np.ptp(threshold):
        raise NeuvaError(
            f"node {name}: thresholds from {threshold.min():.6g} to {common:.6g} cannot share a lower bound of {low}: "
            "leave --low out (each then gets its own threshold's negative), or train with one threshold"
        )
    neuron = Neuron(
        alpha=alpha,
        beta=beta,
        threshold=common,
        reset=said.reset or meta.get("reset", "subtract" if v_reset is None else "zero"),
        low=None if low is None else float(low),
        multi_spike=bool(meta.get("multi_spike", said.multi_spike)),
        surrogate=meta.get("surrogate", "arctan"),
        width=float(meta.get("width", 1.0)),
    )
    return Folded(neuron, gain * (common / threshold), bias * (common / threshold))


def decay(name: str, key: str, node: Any, shape: Shape, step: float | None) -> tuple[float, float]:
    """(decay per step, dt / tau) of a node's time constant `key`, which one layer has one of.

    Raises:
        NeuvaError: if the step is unknown, does not suit the constant, or the constant differs between neurons.
    """
    tau = per_channel(name, key, getattr(node, key), shape)
    if np.ptp(tau) > NEUTRAL * abs(tau[0]):
        raise NeuvaError(
            f"node {name}: {key} differs between neurons ({tau.min():.6g} to {tau.max():.6g}); the chips hold one "
            "value a layer: train with one"
        )
    if not 0 < tau[0] < np.inf:
        raise NeuvaError(
            f"node {name}: {key} = {tau[0]:.6g}, allowed above 0 and finite: export it with a time constant"
        )
    if step is None:
        raise NeuvaError(
            f"node {name} has a time constant, {key} = {tau[0]:.6g}, and the graph does not say of what step: say it "
            f"with --graph-step ({STEPS})"
        )
    share = step / float(tau[0])
    if share > 1 + NEUTRAL:
        raise NeuvaError(
            f"node {name}: {key} = {tau[0]:.6g} is shorter than a step of {step:.6g}: give the step that the graph was "
            f"written for with --graph-step ({STEPS})"
        )
    # undo the division's last-bit error, far below the chips' 12-bit grid
    return max(round(1 - share, 12), 0.0), share


STEPS = "snnTorch writes for 1e-4, norse for 1e-6 or, with to_nir(..., dt=1), its own 1e-3, sinabs for 1"
"""What exporters take a step to be in the graph's unit of time (snnTorch 1.0.0, norse 1.1.0, sinabs 3.1.3)."""


def per_channel(name: str, key: str, values: Any, shape: Shape) -> np.ndarray:
    """A node's constant as float64 [C], given as a scalar, for each channel or for each neuron of (C, H, W).

    Raises:
        NeuvaError: if it is not finite, of another shape, or differs within a channel.
    """
    array, channels = numbers(name, key, values), shape[0]
    if array.size == 1:
        return np.full(channels, float(array.ravel()[0]))
    if array.size == channels:
        return array.ravel()
    if array.size != np.prod(shape):
        raise NeuvaError(f"node {name}: {key} has shape {array.shape}, its population {shape}: shapes do not chain")
    rows = array.reshape(channels, -1)
    if np.any(np.ptp(rows, axis=1) > NEUTRAL * np.abs(rows[:, 0])):
        raise NeuvaError(
            f"node {name}: {key} differs between neurons of a channel; the chips hold one value a channel: "
            "train with one"
        )
    return rows[:, 0]


def numbers(name: str, key: str, values: Any) -> np.ndarray:
    """Finite float64.

    Raises:
        NeuvaError: if they are not.
    """
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise NeuvaError(f"node {name}: {key} is no array of numbers: export it again") from error
    if not array.size or not np.isfinite(array).all():
        raise NeuvaError(f"node {name}: {key} holds what is not a finite number: train or export it again")
    return array


def plain(value: Any) -> Any:
    """A value of a node's metadata as Python has it."""
    value = value.item() if isinstance(value, np.generic | np.ndarray) else value
    return value.decode() if isinstance(value, bytes) else value
