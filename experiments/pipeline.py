"""The steps between a trained network and a report, as functions that commands and the demo share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from conversion import loihi, speck
from conversion.fidelity import Clip
from conversion.graph import load_nir
from conversion.lowering import network_hash
from datasets.store import EventStore
from experiments.clips import Cut, load_clips, make_clip
from experiments.evaluation import calibrated
from experiments.recording import clip_recording, prepare
from hardware import devices
from hardware.check import Check, check
from hardware.energy import EnergyReport, activity, break_even, energy
from hardware.program import CHIPS, ChipProgram
from hardware.trace import Trace
from neuva import NeuvaError
from snn.building import AffectNet
from snn.networks import ValenceArousalNet
from snn.training import load_network

CALIBRATION_CLIPS = 6
Progress = Callable[[int, int], None]


def load_model(path: Path) -> AffectNet:
    """A network from a checkpoint (.ckpt) or a NIR graph (.nir).

    Raises:
        NeuvaError: if it is neither, or cannot be read.
    """
    if path.suffix == ".nir":
        return load_nir(path)
    if path.suffix == ".ckpt":
        return load_network(path)
    raise NeuvaError(f"{path}: a model is a .ckpt (neuva train) or a .nir file")


def calibration_input(net: ValenceArousalNet, store_path: Path) -> torch.Tensor:
    """Clips [T, B, C, H, W] of the train split, evenly spread over it, cut to their shortest."""
    store = EventStore(store_path, "train")
    indices = np.unique(np.linspace(0, len(store) - 1, CALIBRATION_CLIPS).astype(int))
    clips = [clip.x for clip in load_clips(store, Cut.of(net.spec), indices)]
    steps = min(len(x) for x in clips)
    return torch.stack([torch.as_tensor(x[:steps]) for x in clips], dim=1).float()


def convert(net: ValenceArousalNet, target: str, store_path: Path, progress: Progress = lambda *_: None) -> Check:
    """Lower the network for a chip, calibrated on the store's train split, place it, and calibrate its region.

    The program's provenance names the data set as "calibrated_on".

    Raises:
        NeuvaError: for an unknown target or a network the chip cannot hold in principle.
    """
    if target not in CHIPS:
        raise NeuvaError(f'unknown target "{target}": choose one of {", ".join(CHIPS)}')
    lower = loihi.lower if target.startswith("loihi") else speck.lower
    checked = check(lower(net, target, calibration_input(net, store_path)))
    provenance = {**checked.program.provenance, "calibrated_on": EventStore(store_path).dataset}
    region = calibrated(checked.program, store_path, progress)
    return replace(checked, program=replace(checked.program, region=region, provenance=provenance))


def spread_clips(cut: Cut, store_path: Path, split: str, count: int) -> list[Clip]:
    """`count` whole clips of a split, spread evenly over it."""
    store = EventStore(store_path, split)
    return list(load_clips(store, cut, _spread(store, count)))


def measure_energy(
    program: ChipProgram, store_path: Path, split: str, count: int, progress: Progress = lambda *_: None
) -> tuple[EnergyReport, str]:
    """Energy from exact counts over whole clips, as the chip works: in steps on Loihi, event by event on Speck.

    A clip without labels is run whole, as `neuva run` does.
    Beside it one sentence on whether the network spikes rarely enough to beat a conventional one.
    """
    store, placed = EventStore(store_path, split), check(program).program
    indices = _spread(store, count)
    traces = []
    for done, index in enumerate(indices, 1):
        traces.append(_run_clip(placed, store, index))
        progress(done, len(indices))
    return energy(traces, placed), break_even(activity(traces, placed))


def _run_clip(program: ChipProgram, store: EventStore, index: int) -> Trace:
    """One clip as it is evaluated if it has labels, as it is run if not."""
    if len(store.labels(index)[0]):
        clip = make_clip(store.names[index], store.sample(index), Cut.of(program))
        x, events = clip.x, clip.events
    else:
        given = prepare(clip_recording(store, index), program)
        x, events = given.x, given.since_start(program.dt_us)
    if program.family == "speck":
        return devices.run_events(program, events, len(x))
    return devices.run(program, x, "emulator")


def _spread(store: EventStore, count: int) -> list[int]:
    """Numbers of `count` clips, spread evenly over the store."""
    return np.unique(np.linspace(0, len(store) - 1, min(count, len(store))).astype(int)).tolist()


def training_store(model: Path) -> Path:
    """The store a checkpoint was trained on, as its configuration names it.

    Raises:
        NeuvaError: if it cannot be told; the cure is `--data`.
    """
    config = model.parent / "config.json"
    if model.suffix == ".ckpt" and config.exists():
        try:
            store = Path(json.loads(config.read_text())["data"]["store"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NeuvaError(f"{config}: not a training configuration ({error}): name a store with --data") from error
        if store.exists():
            return store
    raise NeuvaError(f"{model}: the store it was trained on cannot be told or is gone: name one with --data")


def require_same_network(program: ChipProgram, net: ValenceArousalNet, path: Path) -> None:
    """Refuse to compare a program with a network it was not made from.

    Raises:
        NeuvaError: if the hashes differ.
    """
    ours, theirs = program.provenance.get("network_sha256"), network_hash(net)
    if ours != theirs:
        raise NeuvaError(
            f"{path}: this is not the network the program was made from "
            f"(hash {theirs[:12]}, the program's {str(ours)[:12]}): give that network or convert again"
        )
