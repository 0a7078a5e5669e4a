"""`neuva data`: stores made and described as a user asks for them."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from datasets.catalogue import CATALOGUE, recipe_of
from datasets.events import Events
from datasets.files import write_events
from datasets.sample import Sample
from datasets.store import EventStore, StoreWriter
from experiments.cli import app
from neuva import NeuvaError

SIZE = (32, 24)


def neuva(*arguments: object) -> str:
    """What the command prints."""
    done = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: object) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(done.exception, NeuvaError), done.output
    return str(done.exception)


def noise(seed: int, count: int = 3000) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 400_000, count))
    return Events.from_columns(t, *(rng.integers(0, limit, count) for limit in (*SIZE, 2)), SIZE)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    rows = ["file,time_us,valence,arousal,subject,split"]
    for seed, (subject, split) in enumerate([("ann", "train"), ("bob", "train"), ("ann", "test")]):
        write_events(folder / f"{seed}.npz", noise(seed))
        rows += [f"{seed}.npz,{t},{0.1 * seed},{-0.25},{subject},{split}" for t in (100_000, 300_000)]
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def store(recordings: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "mine.h5"
    said = neuva("data", "make", "folder", "--root", recordings, "--out", out, "--face", "whole", "--workers", 1)
    assert f"{out}: 3 clips, 9,000 events (" in said
    notes = EventStore(out).provenance["notes"]
    assert notes
    assert all(f"note: {note}" in said for note in notes)
    return out


def test_a_folder_of_recordings_becomes_a_store(store: Path) -> None:
    made = EventStore(store)
    assert (made.dataset, made.sensor_size, len(made)) == ("folder", SIZE, 3)
    assert [made.sample(i).events for i in range(3)] == [noise(seed) for seed in range(3)]


def test_info_says_what_is_in_a_store(store: Path) -> None:
    said = neuva("data", "info", store)
    assert f"{store}: folder, 32x24, 3 clips, 9,000 events (" in said
    assert "array " not in said
    assert "people: 1 are in more than one split, the first ann" in said
    found = json.loads(neuva("data", "info", store, "--json"))
    assert found["shared_subjects"] == ["ann"]
    assert found["splits"]["train"]["subjects"] == ["ann", "bob"]
    assert (found["splits"]["train"]["clips"], found["splits"]["train"]["labels"]) == (2, 4)
    assert found["splits"]["test"]["valence"]["mean"] == pytest.approx(0.2)
    assert found["splits"]["train"]["valence"]["std"] == pytest.approx(0.05)
    assert found["splits"]["test"]["arousal"] == pytest.approx({"min": -0.25, "mean": -0.25, "max": -0.25, "std": 0})
    assert 1 < found["bytes_per_event"] < 6
    assert found["provenance"] == EventStore(store).provenance


def test_info_of_clips_without_people_labels_or_events(tmp_path: Path) -> None:
    nothing = np.zeros(2, np.int64), np.zeros((2, 2), np.float32), np.zeros(2, bool)
    with StoreWriter(tmp_path / "a.h5", dataset="bare", sensor_size=SIZE, provenance={"long": "x" * 300}) as writer:
        writer.add("a", "train", Sample(Events.empty(SIZE), *nothing))
    said = neuva("data", "info", tmp_path / "a.h5")
    assert "1 clip, 0 events, " in said
    assert "people: not told" in said
    assert max(map(len, said.splitlines())) < 200
    found = json.loads(neuva("data", "info", tmp_path / "a.h5", "--json"))
    assert found["bytes_per_event"] is found["shared_subjects"] is found["splits"]["train"]["valence"] is None


def test_info_is_plain_text(tmp_path: Path) -> None:
    nothing = np.zeros(2, np.int64), np.zeros((2, 2), np.float32), np.zeros(2, bool)
    provenance = {
        "synthetic": True,
        "left_out": {},
        "who": None,
        "seconds": [1.5, 2],
        "model": {f"constant_{number}": [number, False] for number in range(20)},
    }
    with StoreWriter(tmp_path / "a.h5", dataset="bare", sensor_size=SIZE, provenance=provenance) as writer:
        writer.add("a", "train", Sample(Events.empty(SIZE), *nothing), {"jpeg": np.zeros((7, 3), np.uint8)})
    said = neuva("data", "info", tmp_path / "a.h5")
    assert "  array jpeg of the first clip: 7x3 uint8\n" in said
    assert "  synthetic: yes\n" in said
    assert "  seconds: 1.5, 2\n" in said
    assert "  model: constant_0 (0, no), constant_1 (1, no), " in said
    assert "constant_11 (11, no), ...\n" in said
    assert "left" not in said
    assert "who" not in said
    assert json.loads(neuva("data", "info", tmp_path / "a.h5", "--json"))["arrays"] == {"jpeg": [[7, 3], "uint8"]}


def test_synthetic_faces_share_no_one(tmp_path: Path, monkeypatch) -> None:
    from datasets import synthetic

    spec = synthetic.SyntheticSpec(identities=(2, 1, 1), clips=(2, 1, 1), seconds=0.2, size=48)
    monkeypatch.setitem(synthetic.SIZES, "smallest", spec)
    said = neuva(
        "data", "make", "synthetic", "--size", "smallest", "--seed", 2, "--workers", 1, "--out", tmp_path / "f.h5"
    )
    assert "note: the faces are drawn, not filmed" in said
    assert "people: no one is in two splits" in neuva("data", "info", tmp_path / "f.h5")
    assert EventStore(tmp_path / "f.h5").provenance["seed"] == 2


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_lists_what_recipes_take(name: str) -> None:
    entry = CATALOGUE[name]
    parameters = inspect.signature(import_module(entry.module).recipe).parameters
    assert set(parameters) == set(entry.options) | ({"root"} if entry.root else set())


def test_the_command_line_knows_every_option() -> None:
    said = neuva("data", "list")
    shown = json.loads(neuva("data", "list", "--json"))
    assert list(shown) == list(CATALOGUE)
    options = " ".join(f"--{option.replace('_', '-')}" for entry in CATALOGUE.values() for option in entry.options)
    help_text = neuva("data", "make", "--help")
    for option in options.split():
        assert option in said
        assert option in help_text
    for name, entry in CATALOGUE.items():
        assert f"{name}: {entry.what}" in said


def test_what_a_data_set_does_not_take_is_refused(tmp_path: Path) -> None:
    out = "--out", tmp_path / "a.h5"
    known = ", ".join(CATALOGUE)
    assert refused("data", "make", "affectnet", *out) == f'data set "affectnet" is not known: choose one of {known}'
    assert refused("data", "make", "nefer", *out, "--root", tmp_path, "--fps", 30) == (
        "data set nefer has no option --fps: it has --labels, --repair"
    )
    assert "aff-wild2 has no option --repair: it has none" in refused("data", "make", "aff-wild2", *out, "--repair")
    assert "see needs its folder, which holds event/" in refused("data", "make", "see", *out)
    assert "is made from nothing: leave out --root" in refused("data", "make", "synthetic", *out, "--root", tmp_path)
    assert "nowhere: is no folder" in refused("data", "make", "see", *out, "--root", tmp_path / "nowhere")
    assert '--rescale-to "big": give WIDTHxHEIGHT' in refused("data", "make", "folder", *out, "--rescale-to", "big")
    assert "leave out --workers" in refused("data", "make", "see", *out, "--scheduler", "tcp://a:1", "--workers", 2)
    assert "choose disjoint or official" in refused("data", "make", "see", *out, "--root", tmp_path, "--split", "mine")
    assert list(tmp_path.iterdir()) == []


def test_the_label_table_is_not_written_over(recordings: Path) -> None:
    table = recordings / "labels.csv"
    before = table.read_bytes()
    for labels in ((), ("--labels", table)):
        assert "own inputs" in refused("data", "make", "folder", "--root", recordings, *labels, "--out", table)
    assert table.read_bytes() == before


def test_a_recording_is_not_written_over(recordings: Path) -> None:
    recording = recordings / "1.npz"
    before = recording.read_bytes()
    assert "own inputs" in refused("data", "make", "folder", "--root", recordings, "--out", recording)
    assert recording.read_bytes() == before


def test_a_relative_root_is_made_absolute(recordings: Path, monkeypatch) -> None:
    monkeypatch.chdir(recordings.parent)
    jobs = recipe_of("folder", Path(recordings.name), {}).jobs
    assert str(recordings) in repr(jobs[0].make)
