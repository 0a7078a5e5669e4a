"""The certificate: how faithful the chip's version is to the float reference, level by level."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conversion.comparison import ClipRun, Comparison
from conversion.device import matched
from conversion.fake_quant import fake_quantised_estimates, fake_quantised_spikes
from conversion.lowering import network_hash, versions
from hardware import devices
from hardware.program import ChipProgram
from hardware.rules import Finding
from hardware.trace import Trace
from neuva import atomic_path
from snn.metrics import affect_metrics
from snn.networks import AFFECT, Recording, ValenceArousalNet

FLOAT, FAKE, EMULATOR, EVENTS = "float reference", "fake-quantised", "integer emulator", "event-driven emulator"


@dataclass(frozen=True)
class Clip:
    """One whole clip as every level sees it.

    x: integers [T, C, H, W] in the program's encoding. events: the same clip's events at the network's size,
    structured (t, x, y, p), t in microseconds since the clip's start. labels [N, 2], mask [N]: at the estimates' times;
    N = 0 where there are none.
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
    device_traces: Mapping[str, Trace] | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Certificate:
    """Run every level on the same clips and compare each with the one before.

    Levels: float reference; fake-quantised network; integer emulator; the vendor's simulator (Lava, sinabs) on the
    first `vendor_clips` clips; on Speck also the event-driven emulator. Fake-quantised to emulator and emulator to
    vendor must agree in every spike. CCC, PCC and RMSE ("metrics") are those of valence and arousal: None for a network
    with other outputs, for one without a read-out, and for clips without labels. Recordings of a board are compared
    with the emulator that does as the chip does, on the clips they are of: reported, not judged.

    Args:
        device_traces: of a board, by the name of their file.
        progress: called with (level, clips done, clips in all).

    Raises:
        NeuvaError: if a level cannot be run (a missing `.venv-lava`, say), or a recording is not of these clips.
    """
    recorded = matched(device_traces or {}, program, clips)
    tolerances = tolerances or Tolerances()
    vendor = "lava" if program.family == "loihi" else "sinabs"
    pairs = [Comparison(FLOAT, FAKE, must_be_equal=False), Comparison(FAKE, EMULATOR, must_be_equal=True)]
    to_vendor = Comparison(EMULATOR, vendor, must_be_equal=True)
    to_events = Comparison(EMULATOR, EVENTS, must_be_equal=False)
    before, board = (EVENTS if program.family == "speck" else EMULATOR), f"{program.target} board"
    to_board = Comparison(before, board, must_be_equal=False)
    estimates: dict[str, list[np.ndarray]] = {}
    traces: dict[str, list[Trace]] = {EMULATOR: []}

    reference = copy.deepcopy(net).to("cuda" if torch.cuda.is_available() else "cpu")
    for index, clip in enumerate(clips):
        levels = _own_levels(program, reference, clip)
        emulated = devices.run(program, clip.x, "emulator")
        traces[EMULATOR].append(emulated)
        levels[EMULATOR] = _clip_run(program, emulated, len(clip.x))
        if program.family == "speck":
            past_camera = replace(program, camera=None)  # clips are at the network's size
            ran = devices.run_events(past_camera, clip.events, len(clip.x))
            traces.setdefault(EVENTS, []).append(ran)
            levels[EVENTS] = _clip_run(program, ran, len(clip.x))
            to_events.add(levels[EMULATOR], levels[EVENTS])
        if index in recorded:
            to_board.add(levels[before], _clip_run(program, recorded[index], len(clip.x)))
        pairs[0].add(levels[FLOAT], levels[FAKE])
        pairs[1].add(levels[FAKE], levels[EMULATOR])
        for level, run in levels.items():
            estimates.setdefault(level, []).append(run.va)
        progress("float, fake-quantised and emulated", index + 1, len(clips))

    chosen = clips[:vendor_clips]
    for index, (clip, trace) in enumerate(_vendor_traces(program, chosen, vendor, progress)):
        run = _clip_run(program, trace, len(clip.x))
        to_vendor.add(_clip_run(program, traces[EMULATOR][index], len(clip.x)), run)
        traces.setdefault(vendor, []).append(trace)
        estimates.setdefault(vendor, []).append(run.va)
    pairs += [pair for pair in (to_vendor, to_events, to_board) if pair.clips]

    judged = net.spec.outputs == AFFECT and all(len(clip.labels) for clip in clips)
    metrics = {level: _metrics(runs, clips) for level, runs in estimates.items()} if judged else None
    if recorded:
        traces[board] = list(recorded.values())
        if metrics is not None:
            metrics[board] = _metrics([trace.va for trace in recorded.values()], [clips[index] for index in recorded])
    figures = {
        "format": "neuva-certificate",
        "target": program.target,
        "clips": [clip.name for clip in clips],
        "fidelity": [pair.to_dict() for pair in pairs],
        "metrics": metrics,
        "rules": [asdict(finding) for finding in findings],
        "notes": [trace.notes for trace in traces[EMULATOR] if trace.notes],
        "board": [trace.notes for trace in recorded.values()],
        "verdict": _verdict(pairs, metrics, findings, tolerances),
        "not_run": [] if to_vendor.clips else [vendor],
        "tolerances": asdict(tolerances),
        "hashes": {"network": network_hash(net), "program": program.sha256(), "clips": _clips_hash(clips)},
        "versions": {
            **program.provenance.get("versions", {}),
            **versions("neuva", "numba", "torch"),
            **_vendor_versions(traces.get(vendor, [])),
            **_vendor_versions(traces.get(board, [])),
        },
    }
    return Certificate(figures, traces)


@torch.no_grad()
def _own_levels(program: ChipProgram, net: ValenceArousalNet, clip: Clip) -> dict[str, ClipRun]:
    """The float reference and the fake-quantised network."""
    x = torch.as_tensor(clip.x)[:, None]
    recording = Recording()
    device = next(net.parameters()).device
    out = net(x.to(device, torch.float32), recording)
    read = program.readout
    va = out[:0, 0, :0] if read is None else out[:, 0].clamp(-read.limit, read.limit)
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


def _vendor_traces(
    program: ChipProgram, clips: Sequence[Clip], vendor: str, progress: Callable[[str, int, int], None]
) -> Iterator[tuple[Clip, Trace]]:
    if clips:
        given = [clip.x for clip in clips]
        ran = devices.run_many(program, given, vendor, progress=lambda done, total: progress(vendor, done, total))
        yield from zip(clips, ran, strict=True)


def _vendor_versions(traces: Sequence[Trace]) -> dict[str, str]:
    return traces[0].notes.get("versions", {}) if traces else {}


def _metrics(runs: Sequence[np.ndarray], clips: Sequence[Clip]) -> dict[str, Any]:
    seen = clips[: len(runs)]  # the vendor's simulator runs on the first clips only
    target = np.concatenate([clip.labels for clip in seen])
    mask = np.concatenate([clip.mask for clip in seen])
    return {**affect_metrics(np.concatenate(runs), target, mask).to_dict(), "clips": len(seen)}


def _verdict(
    pairs: Sequence[Comparison], metrics: dict[str, Any] | None, findings: Sequence[Finding], tolerances: Tolerances
) -> dict[str, Any]:
    """Whether it passes and why not; cost_judged: whether what conversion cost on the task was part of it."""
    reasons, judged = [f"{pair.left} to {pair.right}: {pair.reason}" for pair in pairs if not pair.ok], False
    for level in (EMULATOR, EVENTS):
        before, after = ((metrics or {}).get(name, {}).get("ccc") for name in (FLOAT, level))
        allowed = tolerances.ccc_drop
        if allowed is None or before is None or after is None:
            continue
        judged = True
        if before - after > allowed:
            reasons.append(f"mean CCC falls by {before - after:.3f} on the {level}, allowed {allowed}")
    reasons += [str(finding) for finding in findings if finding.severity == "error"]
    return {"pass": not reasons, "reasons": reasons, "cost_judged": judged}


def _clips_hash(clips: Sequence[Clip]) -> str:
    digest = hashlib.sha256()
    for clip in clips:
        for part in (clip.x, clip.events, clip.labels, clip.mask):
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
