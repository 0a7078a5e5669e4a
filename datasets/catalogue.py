"""The data sets by name: what each is, what it needs, and the recipe it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuva import NeuvaError

if TYPE_CHECKING:
    from datasets.recipe import Recipe


@dataclass(frozen=True)
class Entry:
    """A data set.

    what: it is, in one line. module: whose function `recipe` gives its recipe, imported when it is asked for.
    root: what lies in its folder; "" if it needs none. options: keywords of `recipe`, and what each chooses.
    splits: how its clips are dealt out.
    """

    what: str
    module: str
    root: str
    splits: str
    options: Mapping[str, str]


CATALOGUE = {
    "synthetic": Entry(
        "faces drawn by neuva, their events simulated; valence and arousal; nothing to download",
        "datasets.synthetic",
        root="",
        splits="train, validation, test by person",
        options={
            "size": "default (540 clips), smallest (14) or large (1,680)",
            "seed": "of behaviour, light and noise, not of people",
        },
    ),
    "synthetic-eyes": Entry(
        "right eyes of these faces as SEE would be stored: event and intensity frames; nothing to download",
        "datasets.synthetic_eyes",
        root="",
        splits="train, validation, test by volunteer",
        options={
            "size": "default (280 clips) or smallest (42)",
            "seed": "of behaviour, splits and noise, not of people",
        },
    ),
    "synthetic-videos": Entry(
        "the same faces as Aff-Wild2 would be stored: frames, sound, three tasks, no events; nothing to download",
        "datasets.synthetic_videos",
        root="",
        splits="train, validation by person; five folds by video",
        options={"size": "default (72 videos) or smallest (8)", "seed": "of behaviour and sound, not of people"},
    ),
    "afew-va": Entry(
        "600 clips of films, their events simulated; valence and arousal a frame",
        "datasets.afew_va",
        root="001/001.json, 001/00000.png, ...",
        splits="fold0 to fold4 by actor",
        options={
            "preset": "the simulator's pixels (v2e)",
            "interpolate": "none, linear or flow between frames (none)",
            "fps": "frames a second, which it does not tell (25)",
            "seed": "of the pixels' noise",
        },
    ),
    "nefer": Entry(
        "people who watch films, by an event camera (1280x720); emotions, no valence and arousal",
        "datasets.nefer",
        root="event_raw/user_01/*.raw, annotations/",
        splits="train, validation by user, as published",
        options={"labels": "expected or reported emotions (expected)", "repair": "take what a damaged recording holds"},
    ),
    "see": Entry(
        "single eyes as event and intensity frames, no events; emotions, no valence and arousal",
        "datasets.see",
        root="event/, frame/, emotion.json",
        splits="disjoint: train, validation, test by volunteer; official: as published, volunteers shared",
        options={"split": "disjoint or official (disjoint)", "seed": "of the disjoint split"},
    ),
    "aff-wild2": Entry(
        "videos as cropped frames, no events; valence and arousal, expressions, action units",
        "datasets.aff_wild2",
        root="cropped_aligned/, annotations, videos if there",
        splits="as published",
        options={},
    ),
    "folder": Entry(
        "your own recordings, in any event format, with a CSV table of labels",
        "datasets.folder",
        root="recordings and labels.csv (file,time_s,valence,arousal and, if known, subject,split,valid)",
        splits="the table's, else train, validation, test by subject",
        options={
            "labels": "the table, if it is not labels.csv in the folder",
            "clock": "recording, or start: label times count from a file's first event (recording)",
            "face": "activity: follow the busiest square; whole: the picture is the face (activity)",
            "sensor_size": "WIDTHxHEIGHT where files do not tell it",
            "rescale_to": "WIDTHxHEIGHT of the store, where recordings differ",
            "repair": "drop and sort bad events",
            "seed": "of the split",
        },
    ),
}


def recipe_of(name: str, root: Path | None, options: Mapping[str, Any]) -> Recipe:
    """The recipe of a data set.

    Args:
        name: in `CATALOGUE`. root: its folder. options: those that are not left to their defaults.

    Raises:
        NeuvaError: if there is no such data set, it takes an option not or needs a folder, or as its recipe does.
    """
    if name not in CATALOGUE:
        raise NeuvaError(f'data set "{name}" is not known: choose one of {", ".join(CATALOGUE)}')
    entry = CATALOGUE[name]
    for option in options:
        if option not in entry.options:
            there = ", ".join(map(flag, entry.options)) or "none"
            raise NeuvaError(f"data set {name} has no option {flag(option)}: it has {there}")
    if not entry.root:
        if root is not None:
            raise NeuvaError(f"data set {name} is made from nothing: leave out --root")
        return import_module(entry.module).recipe(**options)
    if root is None:
        raise NeuvaError(f"data set {name} needs its folder, which holds {entry.root}: give it by --root")
    if not root.is_dir():
        raise NeuvaError(f"{root}: is no folder; data set {name} needs one that holds {entry.root}")
    return import_module(entry.module).recipe(root.resolve(), **options)  # workers may run elsewhere


def flag(option: str) -> str:
    """How the command line spells an option."""
    return "--" + option.replace("_", "-")
