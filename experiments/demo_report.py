"""The demo's results in the form the report takes, and its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from conversion.fidelity import EMULATOR, EVENTS, FLOAT
from datasets.faces import SPLITS
from datasets.store import EventStore
from datasets.synthetic import SyntheticSpec
from experiments import pipeline, plots
from experiments.clips import Cut
from experiments.sheet import clip_moments
from experiments.units import interval
from hardware import devices
from hardware.energy import baseline
from hardware.program import CHIPS, ChipProgram
from snn.networks import ValenceArousalNet

LEAST_CCC, MOST_DROP = 0.5, 0.05
"""What the default size sets out to reach: mean CCC of the float network, and how little of it a chip may lose."""


def report_results(
    size: str,
    spec: SyntheticSpec,
    seconds: float,
    nets: dict[str, ValenceArousalNet],
    programs: dict[str, ChipProgram],
    figures: Any,
) -> dict[str, Any]:
    """What `experiments.report` shows, from each target's stage figures."""
    targets = {target: _target(nets[target], programs[target], figures[target]) for target in programs}
    return {
        "title": "neuva: from events of a face to two neuromorphic chips",
        "subtitle": "Valence and arousal from camera events of synthetic faces, on Loihi 2 and Speck 2f"
        + (
            ""
            if size == "default"
            else "; at this size only fidelity is judged, the networks have learnt next to nothing"
        ),
        "made": {
            "command": f"neuva demo --size {size}",
            "seconds": seconds,
            "versions": next(iter(programs.values())).provenance["versions"],
            "seed": spec.seed,
            "size": size,
        },
        "data": {
            "name": "the embedded faces",
            "synthetic": True,
            "clips": dict(zip(SPLITS, spec.clips, strict=True)),
            "identities": dict(zip(SPLITS, spec.identities, strict=True)),
        },
        "summary": [row for target in programs for row in _summary(target, figures[target], size)],
        "targets": targets,
    }


def pictures(
    store: Path, nets: dict[str, ValenceArousalNet], programs: dict[str, ChipProgram], figures: Any
) -> dict[str, bytes]:
    """All pictures of the report as PNG."""
    out = {"faces": plots.png(plots.faces_and_events(*clip_moments(EventStore(store, "test"), 6)))}
    for target, program in programs.items():
        out |= _target_pictures(target, store, nets[target], program)
    energies = {CHIPS[target]: _intervals(figures[target]["energy"]["per_inference_J"]) for target in programs}
    out["energy"] = plots.png(plots.energy_bars(energies))
    return out


def _target(net: ValenceArousalNet, program: ChipProgram, figures: dict[str, Any]) -> dict[str, Any]:
    certificate, energy = figures["certificate"], figures["energy"]
    return {
        "network": {
            "parameters": sum(parameter.numel() for parameter in net.parameters()),
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.connection.kind,
                    "neurons": layer.neurons,
                    "weights": int(layer.connection.weight.size),
                }
                for layer in program.layers
            ],
        },
        "training": {key: figures["trained"][key] for key in ("seconds", "steps")},
        "metrics": certificate["metrics"],
        "fidelity": certificate["fidelity"],
        "check": figures["check"],
        "energy": {
            "per_inference": _intervals(energy["per_inference_J"]),
            "per_second": _intervals(energy["per_second_W"]),
            "baseline": _baseline(program),
            "notes": [*energy["notes"], energy["break_even"], *baseline(program).to_dict()["notes"]],
            "sources": [_source(source) for source in energy["sources"]],
        },
        "latency_steps": len(program.layers) if program.family == "loihi" else 0,
        "verdict": certificate["verdict"],
    }


def _summary(target: str, figures: dict[str, Any], size: str) -> list[dict[str, Any]]:
    name, judged = CHIPS[target], size == "default"  # the smallest size is too small to learn anything
    certificate, energy = figures["certificate"], figures["energy"]["per_inference_J"]["total"]
    metrics = figures["evaluation"]
    chip = EMULATOR if EVENTS not in certificate["metrics"] else EVENTS
    before, after = certificate["metrics"][FLOAT]["ccc"], certificate["metrics"][EMULATOR]["ccc"]
    rows = [
        _row(f"{name}: mean CCC on unseen faces, float network", metrics["ccc"], LEAST_CCC, "at least", judged),
        {
            "label": f"{name}: CCC valence / arousal",
            "value": f"{_ccc(metrics, 'valence')} / {_ccc(metrics, 'arousal')}",
        },
        _row(f"{name}: mean CCC lost on the chip", _difference(before, after), MOST_DROP, "at most", judged),
    ]
    if chip == EVENTS:
        lost = _difference(before, certificate["metrics"][EVENTS]["ccc"])
        rows.append(_row(f"{name}: mean CCC lost, event by event", lost, MOST_DROP, "at most", judged))
    for pair in certificate["fidelity"]:
        if pair["must_be_equal"]:
            wrong = sum(layer["mismatches"] for layer in pair["layers"])
            label = f"{name}: mismatched spikes, {pair['from']} to {pair['to']}, {pair['clips']} clips"
            rows.append({"label": label, "value": wrong, "target": "0", "ok": wrong == 0})
    joules = [energy[key] for key in ("low", "typical", "high")]
    return [*rows, {"label": f"{name}: energy per inference", "value": interval(joules, "J")}]


def _row(label: str, value: float | None, limit: float, word: str, judged: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"label": label, "value": value}
    if judged:
        ok = value is not None and (value >= limit if word == "at least" else value <= limit)
        row |= {"target": f"{word} {limit}", "ok": ok}
    return row


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else before - after


def _ccc(metrics: dict[str, Any], name: str) -> str:
    value = metrics[f"ccc_{name}"]
    return "undefined" if value is None else f"{value:.3f}"


def _intervals(parts: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    return {name: (part["low"], part["typical"], part["high"]) for name, part in parts.items()}


def _baseline(program: ChipProgram) -> dict[str, Any]:
    figures = baseline(program).to_dict()
    return _intervals(
        {
            "conventional 8-bit network at 45 nm, dynamic, one pass an estimate": figures["per_inference_J"],
            "the same, a pass every step": figures["every_step_J"],
        }
    )


def _source(source: dict[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in source.items())


@torch.no_grad()
def _target_pictures(target: str, store: Path, net: ValenceArousalNet, program: ChipProgram) -> dict[str, bytes]:
    clips = pipeline.spread_clips(Cut.of(program), store, "test", 12)
    traces = [devices.run(program, clip.x, "emulator") for clip in clips]
    shown = int(np.argmax([clip.labels.std(axis=0).sum() for clip in clips]))
    clip, trace = clips[shown], traces[shown]
    reference = net(torch.as_tensor(clip.x)[:, None].float()).clamp(-1, 1)[:, 0].numpy()
    truth, estimates = np.concatenate([c.labels for c in clips]), np.concatenate([t.va for t in traces])
    name, neurons = CHIPS[target], {layer.name: layer.neurons for layer in program.layers}
    per_step = {
        layer.name: trace.spikes[layer.name].dense(len(clip.x), program.dt_us).sum(axis=(1, 2, 3))
        for layer in program.layers
    }
    dots = {name: (spikes.t / 1e6, spikes.neuron) for name, spikes in trace.spikes.items() if name in neurons}
    va = {"float network": reference, name: trace.va}
    one, all_clips = f"{name}: one test clip of a synthetic face", f"{name}: {len(clips)} test clips of synthetic faces"
    return {
        f"traces_{target}": plots.png(plots.traces(trace.times / 1e6, clip.labels, va, one)),
        f"circumplex_{target}": plots.png(plots.circumplex(truth, estimates, all_clips)),
        f"raster_{target}": plots.png(plots.spike_raster(dots, neurons, f"{name}: each spike of that clip")),
        f"rates_{target}": plots.png(
            plots.layer_rates(per_step, neurons, program.dt_us, f"{name}: spikes of that clip")
        ),
    }
