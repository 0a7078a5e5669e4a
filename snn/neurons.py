"""The spiking neurons, defined once by their equation; `snn.kernels` computes the same, faster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from neuva import SettingError
from snn.surrogates import SURROGATES, surrogate


@dataclass(frozen=True)
class Neuron:
    """Current-based leaky integrate-and-fire (CubaLIF); LIF and IF are special cases of it.

    Per step t, with input current x[t]:

        u[t] = alpha u[t-1] + x[t]
        v~   = beta v[t-1] + u[t]
        s[t] = [v~ >= threshold]                             at most one spike a step, or
        s[t] = max(0, floor(v~ / threshold))                 if `multi_spike`
        v[t] = (1 - [s > 0]) v~       (reset "zero")    or   v~ - s[t] threshold   (reset "subtract")
        v[t] = max(v[t], low)                                if `low` is given

    alpha = 0 gives LIF, alpha = 0 and beta = 1 gives IF. Decays are per step of dt. Gradients: the surrogate
    replaces ds/dv~ (`snn.surrogates`); the reset carries no gradient through s. They are thus the true gradients of
    the smooth neuron that sends S(v~ - threshold), S' being the surrogate, and resets as above: finite differences
    of that neuron give them.

    Raises:
        SettingError: if a constant is outside its range.
    """

    alpha: float = 0.0
    beta: float = 1.0
    threshold: float = 1.0
    reset: Literal["zero", "subtract"] = "zero"
    low: float | None = None
    multi_spike: bool = False
    surrogate: str = "arctan"
    width: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.alpha <= 1 and 0 <= self.beta <= 1):
            raise SettingError(f"decays alpha {self.alpha}, beta {self.beta} must be in [0, 1]")
        if not (self.threshold > 0 and self.width > 0):
            raise SettingError(f"threshold {self.threshold} and surrogate width {self.width} must be above 0")
        if self.low is not None and not self.low <= 0:
            raise SettingError(f"lower bound {self.low} must not be above the resting potential 0")
        if self.reset not in ("zero", "subtract"):
            raise SettingError(f'reset "{self.reset}" must be "zero" or "subtract"')
        if self.surrogate not in SURROGATES:
            raise SettingError(f'surrogate "{self.surrogate}" must be one of {", ".join(SURROGATES)}')


State = tuple[torch.Tensor, torch.Tensor]
"""(u, v) of a population, each [B, ...], as left by the last step."""


def initial_state(x: torch.Tensor) -> State:
    """Zero state for an input [T, B, ...]: float32, or of the input's type if that is finer."""
    zero = torch.zeros_like(x[0], dtype=torch.promote_types(x.dtype, torch.float32))
    return zero, zero


def define(
    neuron: Neuron, x: torch.Tensor, state: State | None = None, decays: torch.Tensor | None = None
) -> tuple[torch.Tensor, State]:
    """Run a population over time in plain PyTorch: the definition that every kernel is tested against.

    Args:
        x: input current [T, B, ...].
        state: (u, v) to start from, or None for zero.
        decays: [2], alpha and beta in place of the neuron's own, where they are learnt.

    Returns:
        Spikes [T, B, ...] of the input's type and the state after the last step, float32 or finer.
    """
    u, v = initial_state(x) if state is None else state
    alpha, beta = (neuron.alpha, neuron.beta) if decays is None else decays
    spikes = []
    for current in x.unbind(0):  # indexing x[t] instead would make backward grow with T squared
        u = alpha * u + current
        v = beta * v + u
        s = _Spike.apply(v, neuron)
        fired = s.detach()
        v = v * (1 - fired.clamp(max=1)) if neuron.reset == "zero" else v - fired * neuron.threshold
        if neuron.low is not None:
            v = v.clamp(min=neuron.low)
        spikes.append(s)
    return torch.stack(spikes).to(x.dtype), (u, v)


class _Spike(torch.autograd.Function):
    """Step function forward, surrogate backward."""

    @staticmethod
    def forward(ctx, v: torch.Tensor, neuron: Neuron) -> torch.Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(v)
        ctx.neuron = neuron
        if neuron.multi_spike:
            return torch.floor(v / neuron.threshold).clamp(min=0)
        return (v >= neuron.threshold).to(v.dtype)

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[no-untyped-def]
        (v,) = ctx.saved_tensors
        neuron: Neuron = ctx.neuron
        d = v - neuron.threshold
        if neuron.multi_spike:
            d = d.clamp(max=0)
        return grad * surrogate(d, neuron.surrogate, neuron.width), None
