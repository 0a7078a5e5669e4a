"""The chips of the Loihi family as tables of limits (loihi1.yaml, loihi2.yaml)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from neuva import NeuvaError

FOLDER = Path(__file__).parent
Span = tuple[float, float]
"""Lowest and highest figure."""


@dataclass(frozen=True)
class LoihiChip:
    """Limits of one chip; `sources` says where each number comes from, or that it is assumed.

    memory_bytes_per_core holds synapses, and on Loihi 2 neurons and fan-in axons too (neuron_bytes, axon_bytes).
    fan_in_axons_per_core, fan_out_axons_per_core: None where no figure is published.
    payload_bits: of a spike; 1 is a plain spike.
    synop_ns, update_ns, spike_ns: lowest and highest published time of one synaptic operation, neuron update and spike
        sent, which a core does one after the other; barrier_ns: of the cores' agreement that a step is over; None where
        no figure is published.
    """

    name: str
    cores: int
    neurons_per_core: int
    memory_bytes_per_core: int
    fan_in_axons_per_core: int | None
    fan_out_axons_per_core: int | None
    neuron_bytes: int
    axon_bytes: int
    synapse_bytes: int
    weight_bits: int
    weight_exp_min: int
    weight_exp_max: int
    decay_bits: int
    threshold_bits: int
    bias_mantissa_bits: int
    bias_exp_bits: int
    payload_bits: int
    synop_ns: Span | None
    update_ns: Span | None
    spike_ns: Span | None
    barrier_ns: Span | None
    sources: dict[str, str]


@cache
def load(name: str) -> LoihiChip:
    """The chip called `name`.

    Raises:
        NeuvaError: if there is no such chip of the Loihi family.
    """
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name not in known:
        raise NeuvaError(f"{name} is no chip of the Loihi family: choose one of {', '.join(known)}")
    table = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    limits = [item.name for item in fields(LoihiChip) if item.name not in ("name", "sources")]
    return LoihiChip(
        name=table["name"],
        **{limit: _frozen(table[limit]["value"]) for limit in limits},
        sources={limit: table[limit]["source"] for limit in limits},
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
