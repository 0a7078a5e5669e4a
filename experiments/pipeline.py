"""The steps between a trained network and a report, as functions that commands and the demo share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from conversion import loihi, speck
from conversion.calibration import clippings
from conversion.classes import spread_classes
from conversion.fidelity import Clip
from conversion.fitting import fit_neurons
from conversion.lava_dl import load_net
from conversion.lowering import network_hash
from conversion.nir_import import Reading, load_nir
from datasets.store import EventStore
from experiments.clips import Cut, load_clips, make_clip
from experiments.evaluation import calibrated
from experiments.recording import clip_recording, prepare
from experiments.spike_clips import read_spike_clips
from experiments.spike_files import SUFFIXES
from hardware import devices
from hardware.camera import Camera
from hardware.check import Check, check
from hardware.energy import EnergyReport, activity, break_even, energy
from hardware.origin import board_input
from hardware.program import CHIPS, ChipProgram, Shape
from hardware.trace import Trace
from neuva import NeuvaError
from snn.building import AffectNet
from snn.networks import AFFECT, ValenceArousalNet
from snn.training import load_network

CALIBRATION_CLIPS = 6
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ForSpeck:
    """What may be asked for of a program for a Speck alone.

    scaling: how scales are chosen. camera: what its camera layer does to a sensor's events. classes_on_chip: the last
    layer's features are spread for the read-out layer on the chip (`conversion.classes`).
    """

    scaling: speck.Scaling = "calibrated"
    camera: Camera | None = None
    classes_on_chip: bool = False


def load_model(path: Path, reading: Reading | None = None) -> AffectNet:
    """A network from a checkpoint (.ckpt) or a NIR graph (.nir), one of another framework by `reading`.

    Raises:
        NeuvaError: if it is neither, or cannot be read.
    """
    if path.suffix == ".nir":
        return load_nir(path, reading)
    if reading is not None:
        raise NeuvaError(f"{path}: --dt-us, --encoding, --reset and the like are for .nir files: leave them out")
    if path.suffix == ".ckpt":
        return load_network(path)
    raise NeuvaError(f"{path}: a model is a .ckpt (neuva train) or a .nir file, or, to convert, a .net of lava-dl")


def calibration_input(net: ValenceArousalNet, data: Path) -> torch.Tensor:
    """Clips [T, B, C, H, W] of the train split, evenly spread over it, cut to their shortest; or a file's first."""
    clips = [clip.x for clip in chosen_clips(net, data, "train", CALIBRATION_CLIPS)]
    steps = min(len(x) for x in clips)
    return torch.stack([torch.as_tensor(x[:steps]) for x in clips], dim=1).float()


def chosen_clips(net: ValenceArousalNet, data: Path, split: str, count: int) -> list[Clip]:
    """`count` clips of a store's split, or the first `count` of a numpy file of input spikes (`spike_clips`).

    Raises:
        NeuvaError: if the network's input is none of camera events and a store is given.
    """
    if data.suffix in SUFFIXES:
        return read_spike_clips(data, net.spec)[:count]
    if net.spec.input_shape[0] != 2:
        raise NeuvaError(
            f"{data}: a store has 2 channels (OFF, ON), the network's input {net.spec.input_shape} has "
            f"{net.spec.input_shape[0]}: name an .npy of its input spikes [T, clips, C, H, W] with --data"
        )
    return spread_clips(Cut.of(net.spec), data, split, count)


def convert(
    net: ValenceArousalNet,
    target: str,
    data: Path,
    progress: Progress = lambda *_: None,
    reading: Reading | None = None,
    asked: ForSpeck | None = None,
) -> Check:
    """Lower the network for a chip, calibrated on the data, place it, and calibrate its region.

    The program's provenance names the data set, or the file of input spikes, as "calibrated_on", and how another
    framework's graph was read as "nir". The region is that of valence and arousal, and needs a store.

    Args:
        data: a store, or a numpy file of input spikes.
        reading: how the network was read from another framework's graph.
        asked: for a Speck only.

    Raises:
        NeuvaError: for an unknown target or a network the chip cannot hold in principle.
    """
    if target not in CHIPS:
        raise NeuvaError(f'unknown target "{target}": choose one of {", ".join(CHIPS)}')
    on_loihi, stored = target.startswith("loihi"), data.suffix not in SUFFIXES
    fitted, changes = fit_neurons(net, "loihi" if on_loihi else "speck")
    x = calibration_input(net, data)
    if on_loihi:
        if asked is not None:
            raise NeuvaError(f"{target}: --scale, --camera and --classes-on-chip are for Speck: leave them out")
        checked = check(loihi.lower(fitted, target, x))
    else:
        asked = asked or ForSpeck()
        fitted = spread_classes(fitted, target) if asked.classes_on_chip else fitted
        checked = check(replace(speck.lower(fitted, target, x, asked.scaling), camera=asked.camera))
    provenance = {
        **checked.program.provenance,
        "network_sha256": network_hash(net),
        "calibrated_on": EventStore(data).dataset if stored else data.name,
        **({"nir": reading.to_dict()} if reading else {}),
        **({"classes_on_chip": True} if asked and asked.classes_on_chip else {}),
    }
    region = calibrated(checked.program, data, progress) if stored and net.spec.outputs == AFFECT else None
    program = replace(checked.program, region=region, provenance=provenance)
    return replace(checked, program=program, findings=(*checked.findings, *changes, *clippings(program)))


def reading_of(program: ChipProgram) -> Reading | None:
    """How the network it was made from was read from another framework's graph; None if it is of none."""
    said = program.provenance.get("nir")
    return Reading(**said) if said else None


def as_converted(program: ChipProgram, net: ValenceArousalNet) -> ValenceArousalNet:
    """The network with its classes where the program has them."""
    return spread_classes(net, program.target) if program.provenance.get("classes_on_chip") else net


def convert_net(
    path: Path, target: str, dt_us: int | None, input_shape: Shape | None = None, reset_every: int = 0
) -> Check:
    """The program of a lava-dl `.net` file, placed: integers already, so there is nothing to calibrate.

    Raises:
        NeuvaError: as `load_net`, or if nobody says how long a step lasts.
    """
    if dt_us is None:
        raise NeuvaError(f"{path}: does not say how long a step lasts: name it with --dt-us (1 ms: 1000)")
    return check(load_net(path, target, dt_us, input_shape=input_shape, reset_every=reset_every))


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


def recorded_energy(program: ChipProgram, paths: Sequence[Path]) -> tuple[EnergyReport, str]:
    """The same of a board's traces, with what its rails drew.

    Raises:
        NeuvaError: if a trace is of another program or of no board.
    """
    traces = [Trace.load(path) for path in paths]
    for trace, path in zip(traces, paths, strict=True):
        board_input(trace, program, str(path))
    placed = check(program).program
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
        return devices.run_events(replace(program, camera=None), events, len(x))  # x, events: at the network's size
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
