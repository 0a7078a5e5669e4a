"""The job that puts SEEN on chips as far as it goes: what fits, what it would cost, and what must stay on the host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from conversion import loihi, quantize, speck
from conversion.nir_export import save_nir
from conversion.retarget import retarget
from experiments.studies.seen.clips import Clips
from experiments.studies.seen.config import FULL, SeenConfig
from experiments.studies.seen.training import trained
from experiments.studies.seen.trunk import Recorded, fc1_bias, host_answer, record, trunk
from experiments.studies.study import Inputs, Progress
from hardware import devices
from hardware.check import Check, check
from hardware.energy import EnergyTable, energy
from hardware.energy.fanout import fanout, received
from hardware.program import ChipProgram, LoihiNeuron
from snn.networks import ValenceArousalNet
from snn.networks.seen import SAMPLINGS, SeenNet, SeenSpec

CLIPS = 8
CHIPS = ("loihi2", "speck2f")
LEAK = "SEEN's neurons leak (decay 0.2) and Speck's do not: train it with integrate-and-fire neurons"


def chips(config: SeenConfig, inputs: Inputs, folder: Path, progress: Progress) -> dict[str, Any]:
    """The job: the trained network's and the published size's spiking layers, on each chip.

    The trained ones are kept as trunk.nir, trunk-loihi2.h5 and trunk-speck2f.h5, which `neuva check` takes.
    """
    net = trained(config, inputs, config.deployed, FULL)
    testing = Clips.load(config, inputs, "test")
    rows = np.unique(np.linspace(0, len(testing) - 1, CLIPS).astype(int))
    found = record(net, *testing.draw(rows, SAMPLINGS[config.deployed], np.random.default_rng([config.seed, 1])))
    progress("chips", 1, 3)
    whole = trunk(net)
    save_nir(whole, folder / "trunk.nir")
    own = {chip: check(_program(whole, chip, found)) for chip in CHIPS}
    for chip, checked in own.items():
        checked.program.save(folder / f"trunk-{chip}.h5")
    emulated = emulate(net, own["loihi2"].program, found)
    progress("chips", 2, 3)
    spec = SeenSpec(duration=net.spec.duration)
    published = own if spec == net.spec else _published(spec)
    progress("chips", 3, 3)
    return {
        "rates": found.rates,
        "steps": net.spec.duration,
        "emulated": emulated,
        "own": {chip: _told(checked, found.rates) for chip, checked in own.items()},
        "published": {chip: _told(checked, found.rates) for chip, checked in published.items()},
    }


def emulate(net: SeenNet, program: ChipProgram, found: Recorded) -> dict[str, Any]:
    """Run clips on Loihi's integers, fc1's bias written for each, and compare with the float network.

    same: clips of the same answer. mismatch: share of fc1's spikes that only one of the two sends. joules: of a clip,
    without static power, which nobody has published.
    """
    scale = program.provenance["calibration_scales"][-1]
    traces, hidden = [], []
    for clip in range(found.first.shape[1]):
        bias, exponent = quantize.loihi_bias(found.bias[clip].numpy().astype(np.float64), scale)
        *before, last = program.layers
        last = replace(
            last, neuron=replace(cast("LoihiNeuron", last.neuron), bias=bias.astype(np.int32), bias_exp=exponent)
        )
        mine = replace(program, layers=(*before, last))
        traces.append(devices.run(mine, found.first[:, clip].numpy().astype(np.int32), "emulator"))
        hidden.append(traces[-1].spikes[last.name].dense(len(found.first), program.dt_us)[:, :, 0, 0])
    sent = torch.as_tensor(np.stack(hidden, 1), dtype=found.hidden.dtype)
    wrong = float((sent != found.hidden).sum())
    answers = host_answer(net, sent).argmax(-1)
    return {
        "clips": len(traces),
        "same": int((answers == found.logits.argmax(-1)).sum()),
        "mismatch": wrong / max(float((sent + found.hidden > 0).sum()), 1.0),
        "joules": energy(traces, program).per_inference["total"].to_dict(),
    }


def _program(net: ValenceArousalNet, chip: str, found: Recorded) -> ChipProgram:
    """The integers for a chip; on Loihi with the bias of the clip that has the largest, so that all can be written."""
    if chip.startswith("speck"):
        return _speck(net, chip, found.first)
    widest = int(found.bias.abs().amax(1).argmax())
    bias = fc1_bias(net)
    with torch.no_grad():
        before = bias.clone()
        bias.copy_(found.bias[widest])
        program = loihi.lower(net, chip, found.first[:, widest : widest + 1])
        bias.copy_(before)
    return program


def _speck(net: ValenceArousalNet, chip: str, x: torch.Tensor) -> ChipProgram:
    """The same weights with Speck's own neurons: a program to check for its size, not to run."""
    other = ValenceArousalNet(retarget(net.spec, "speck"))
    other.load_state_dict(net.state_dict())
    return speck.lower(other, chip, x, scaling="sinabs")


def _published(spec: SeenSpec) -> dict[str, Check]:
    """The published size with fresh weights: whether it fits does not depend on what was learnt."""
    torch.manual_seed(0)
    net = trunk(SeenNet(spec))
    x = torch.zeros(net.spec.every, 1, *net.spec.input_shape)
    return {"loihi2": check(loihi.lower(net, "loihi2", x)), "speck2f": check(_speck(net, "speck2f", x))}


def _told(checked: Check, rates: list[float]) -> dict[str, Any]:
    """Whether it fits and why not; a clip's synaptic operations and their joules, if its layers hear these rates."""
    program = checked.program
    fans = [int(fanout(layer, shape).sum()) for layer, shape in received(program)]
    synops = program.every * sum(rate * fan for rate, fan in zip(rates, fans, strict=True))
    errors = [each for each in checked.findings if each.severity == "error"]
    return {
        "fits": checked.fits,
        "cores": len(checked.cores) or None,
        "broken": [f"{each.rule}, {each.where}: {each.measured}, allowed {each.limit}" for each in errors],
        "advice": [each.change for each in checked.advice],
        "synops": synops,
        "synop_joules": (synops * EnergyTable.load(program.target)["synop"]).to_dict(),
    }
