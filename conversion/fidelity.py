"""The certificate: how faithful the chip's version is to the float reference, level by level."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conversion.comparison import ClipRun, Comparison
from conversion.fake_quant import fake_quantised_estimates, fake_quantised_spikes
from conversion.lowering import network_hash, versions
from hardware import devices
from hardware.program import ChipProgram
from hardware.rules import Finding
from hardware.trace import Trace
from neuva import atomic_path
from snn.metrics import affect_metrics
from snn.networks import Recording, ValenceArousalNet

FLOAT, FAKE, EMULATOR, EVENTS = "float reference", "fake-quantised", "integer emulator", "event-driven emulator"


@dataclass(frozen=True)
class Clip:
    """One whole clip as every level sees it.

    x: integers [T, C, H, W] in the program's encoding. events: the same clip's events at the network's size,
    structured (t, x, y, p), t in microseconds since the clip's start. labels [N, 2], mask [N]: at the estimates' times.
    """

    name: str
    x: np.ndarray
    events: np.ndarray
    labels: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Tolerances:
    """What the verdict allows.

    ccc_drop: loss of mean CCC from the float reference to each emulator of the chip; None: not judged.
    """

    ccc_drop: float | None = 0.05


@dataclass(frozen=True)
class Certificate:
    """The figures (JSON-serialisable) and the traces they were made from, for energy and pictures."""

    figures: dict[str, Any]
    traces: dict[str, list[Trace]]

    def save(self, path: str | Path) -> None:
        """Write as JSON under a temporary name, then rename."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self.figures, indent=2))


def verify(
    program: ChipProgram,
    net: ValenceArousalNet,
    clips: Sequence[Clip],
    *,
    vendor_clips: int = 4,
    tolerances: Tolerances | None = None,
    findings: Sequence[Finding] = (),
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Certificate:
    """Run every level on the same clips and compare each with the one before.

    Levels: float reference; fake-quantised network; integer emulator; the vendor's simulator (Lava, sinabs) on the
    first `vendor_clips` clips; on Speck also the event-driven emulator. Fake-quantised to emulator and emulator to
    vendor must agree in every spike.

    Args:
        progress: called with (level, clips done, clips in all).

    Raises:
        NeuvaError: if a level cannot be run (a missing `.venv-lava`, say).
    """
    tolerances = tolerances or Tolerances()
    vendor = "lava" if program.family == "loihi" else "sinabs"
    pairs = [Comparison(FLOAT, FAKE, must_be_equal=False), Comparison(FAKE, EMULATOR, must_be_equal=True)]
    to_vendor = Comparison(EMULATOR, vendor, must_be_equal=True)
    to_events = Comparison(EMULATOR, EVENTS, must_be_equal=False)
    estimates: dict[str, list[np.ndarray]] = {}
    traces: dict[str, list[Trace]] = {EMULATOR: []}

    reference = copy.deepcopy(net).to("cuda" if torch.cuda.is_available() else "cpu")
    for index, clip in enumerate(clips):
        levels = _own_levels(program, reference, clip)
        emulated = devices.run(program, clip.x, "emulator")
        traces[EMULATOR].append(emulated)
        levels[EMULATOR] = _clip_run(program, emulated, len(clip.x))
        if program.family == "speck":
            ran = devices.run_events(program, clip.events, len(clip.x))
            traces.setdefault(EVENTS, []).append(ran)
            levels[EVENTS] = _clip_run(program, ran, len(clip.x))
            to_events.add(levels[EMULATOR], levels[EVENTS])
        pairs[0].add(levels[FLOAT], levels[FAKE])
        pairs[1].add(levels[FAKE], levels[EMULATOR])
        for level, run in levels.items():
            estimates.setdefault(level, []).append(run.va)
        progress("float, fake-quantised and emulated", index + 1, len(clips))

    chosen = clips[:vendor_clips]
    for index, (clip, trace) in enumerate(_vendor_traces(program, chosen, vendor)):
        run = _clip_run(program, trace, len(clip.x))
        to_vendor.add(_clip_run(program, traces[EMULATOR][index], len(clip.x)), run)
        traces.setdefault(vendor, []).append(trace)
        estimates.setdefault(vendor, []).append(run.va)
        progress(vendor, index + 1, len(chosen))
    pairs += [pair for pair in (to_vendor, to_events) if pair.clips]

    metrics = {level: _metrics(runs, clips) for level, runs in estimates.items()}
    figures = {
        "format": "neuva-certificate",
        "target": program.target,
        "clips": [clip.name for clip in clips],
        "fidelity": [pair.to_dict() for pair in pairs],
        "metrics": metrics,
        "rules": [asdict(finding) for finding in findings],
        "notes": [trace.notes for trace in traces[EMULATOR] if trace.notes],
        "verdict": _verdict(pairs, metrics, findings, tolerances),
        "not_run": [] if to_vendor.clips else [vendor],
        "tolerances": asdict(tolerances),
        "hashes": {"network": network_hash(net), "program": program.sha256(), "clips": _clips_hash(clips)},
        "versions": {
            **program.provenance.get("versions", {}),
            **versions("neuva", "numba", "torch"),
            **_vendor_versions(traces.get(vendor, [])),
        },
    }
    return Certificate(figures, traces)


@torch.no_grad()
def _own_levels(program: ChipProgram, net: ValenceArousalNet, clip: Clip) -> dict[str, ClipRun]:
    """The float reference and the fake-quantised network."""
    x = torch.as_tensor(clip.x)[:, None]
    recording = Recording()
    device = next(net.parameters()).device
    va = net(x.to(device, torch.float32), recording).clamp(-1, 1)[:, 0]
    spikes = fake_quantised_spikes(program, x)
    quantised = fake_quantised_estimates(program, spikes)[:, 0]
    return {
        FLOAT: ClipRun({name: _counts(s) for name, s in recording.spikes.items()}, va.numpy(force=True)),
        FAKE: ClipRun({name: _counts(s) for name, s in spikes.items()}, quantised.numpy().astype(np.float32)),
    }


def _counts(spikes: torch.Tensor) -> np.ndarray:
    return spikes[:, 0].numpy(force=True).astype(np.int32)


def _clip_run(program: ChipProgram, trace: Trace, steps: int) -> ClipRun:
    dense = {layer.name: trace.spikes[layer.name].dense(steps, program.dt_us) for layer in program.layers}
    return ClipRun(dense, trace.va)


def _vendor_traces(program: ChipProgram, clips: Sequence[Clip], vendor: str) -> Iterator[tuple[Clip, Trace]]:
    if clips:
        yield from zip(clips, devices.run_many(program, [clip.x for clip in clips], vendor), strict=True)


def _vendor_versions(traces: Sequence[Trace]) -> dict[str, str]:
    return traces[0].notes.get("versions", {}) if traces else {}


def _metrics(runs: Sequence[np.ndarray], clips: Sequence[Clip]) -> dict[str, Any]:
    seen = clips[: len(runs)]  # the vendor's simulator runs on the first clips only
    target = np.concatenate([clip.labels for clip in seen])
    mask = np.concatenate([clip.mask for clip in seen])
    return {**affect_metrics(np.concatenate(runs), target, mask).to_dict(), "clips": len(seen)}


def _verdict(
    pairs: Sequence[Comparison], metrics: dict[str, Any], findings: Sequence[Finding], tolerances: Tolerances
) -> dict[str, Any]:
    reasons = [f"{pair.left} to {pair.right}: {pair.reason}" for pair in pairs if not pair.ok]
    for level in (EMULATOR, EVENTS):
        before, after = metrics[FLOAT]["ccc"], metrics.get(level, {}).get("ccc")
        allowed = tolerances.ccc_drop
        if allowed is not None and before is not None and after is not None and before - after > allowed:
            reasons.append(f"mean CCC falls by {before - after:.3f} on the {level}, allowed {allowed}")
    reasons += [str(finding) for finding in findings if finding.severity == "error"]
    return {"pass": not reasons, "reasons": reasons}


def _clips_hash(clips: Sequence[Clip]) -> str:
    digest = hashlib.sha256()
    for clip in clips:
        for part in (clip.x, clip.events, clip.labels, clip.mask):
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
