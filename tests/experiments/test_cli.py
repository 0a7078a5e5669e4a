"""The command line as a user meets it: real files, and bad input of every kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import torch

from conversion import loihi, speck
from conversion.nir_export import save_nir
from datasets.events import Events
from datasets.files import write_events
from datasets.sample import Sample
from datasets.store import StoreWriter
from datasets.synthetic import recipe
from experiments import pipeline
from experiments.commands.run import run as run_command
from experiments.recording import open_recording, prepare
from experiments.running import run_input
from hardware.check import check
from hardware.program import ChipProgram
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, ValenceArousalNet
from snn.networks import scale_to_rate
from snn.training import AffectTraining
from tests.command import neuva

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("NEUVA_REAL_DATA", ROOT / ".." / "shared" / "data"))
TARGETS = {
    "loihi2": (loihi.lower, Neuron(0.5, 0.9), "binary"),
    "speck2f": (speck.lower, Neuron(reset="subtract", low=-1.0, multi_spike=True), "counts"),
}


def process(*arguments: object) -> subprocess.CompletedProcess:
    """The command in a process of its own."""
    command = [sys.executable, "-c", "from experiments.cli import main; main()", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "200"}
    )


def refused(*arguments: object, **environment: str) -> str:
    """The one line that a refusal is."""
    done = neuva(*arguments, **environment)
    assert done.returncode == 2, done.stderr + done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("neuva: ")
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.mark.parametrize("arguments", [("--version",), ("check", "missing.h5")])
def test_a_process_of_its_own_says_the_same(arguments) -> None:
    done, here = process(*arguments), neuva(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (here.returncode, here.stdout, here.stderr)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Small programs of both chips, their networks, and a recording with a moving square."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    x = (torch.rand(20, 2, 2, 16, 16) < 0.1).float()
    for target, (lower, neuron, encoding) in TARGETS.items():
        layers = (LayerSpec("conv", 4, neuron, (3, 3), (2, 2), (1, 1)), LayerSpec("dense", 8, neuron))
        net = ValenceArousalNet(NetworkSpec("any", layers, (2, 16, 16), encoding))
        scale_to_rate(net, x)
        check(lower(net.eval(), target, x)).program.save(folder / f"{target}.h5")
        save_nir(net, folder / f"{target}.nir")
        module = AffectTraining(net.spec.to_dict(), {"steps": 1})
        module.net.load_state_dict(net.state_dict())
        state = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
        torch.save(state, folder / f"{target}.ckpt")
    write_events(folder / "square.npz", moving_square())
    return folder


def moving_square() -> Events:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 400_000, 20_000))
    x = 20 + 20 * t / 400_000 + rng.integers(0, 20, len(t))
    y = 20 + rng.integers(0, 20, len(t))
    return Events.from_columns(t, x.astype(int), y, rng.integers(0, 2, len(t)), (80, 60))


@pytest.mark.parametrize(
    "command",
    ["", "demo", "events", "events info", "events show", "events convert", "simulate", "data", "data make", "data show",
     "train", "evaluate", "convert", "check", "run", "verify", "energy"],
)  # fmt: skip
def test_every_command_has_help_and_the_leaves_an_example(command: str) -> None:
    done = neuva(*command.split(), "--help")
    assert done.returncode == 0
    if command not in ("", "events", "data"):
        assert "Example: neuva " in done.stdout.replace("`", "")


@pytest.mark.parametrize(
    ("target", "on"), [("loihi2", "emulator"), ("speck2f", "emulator"), ("speck2f", "emulator-events")]
)
def test_run_gives_trace_csv_and_picture(target: str, on: str, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "trace.h5"
    done = neuva("run", made / f"{target}.h5", made / "square.npz", "--on", on, "--out", out)
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "trace.csv").read_text().splitlines()
    assert rows[0] == "t_us,valence,arousal,face"
    assert len(rows) > 8
    assert (tmp_path / "trace.png").read_bytes().startswith(b"\x89PNG")
    with h5py.File(out) as file:
        assert len(file["va"]) == len(rows) - 1


def test_runs_are_named_after_the_file(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, clip in (("one.h5", None), ("two.h5", "square")):
        write_store(tmp_path / name)
        run_command(made / "loihi2.h5", Path(name), clip=clip)
    there = {path.name for path in Path("runs").iterdir()}
    assert {"loihi2-one-emulator.csv", "loihi2-two-square-emulator.csv"} <= there


def write_store(path: Path, **meta: object) -> None:
    """A store of one clip without labels."""
    events, none = moving_square(), np.empty(0, np.int64)
    meta |= {"start_us": 0, "end_us": 400_000}
    sample = Sample(events, none, np.empty((0, 2), np.float32), none.astype(bool), meta)
    with StoreWriter(path, dataset="video", sensor_size=(80, 60), provenance={}) as store:
        store.add("square", "test", sample)


@pytest.mark.parametrize(("target", "on"), [("loihi2", "emulator"), ("speck2f", "emulator-events")])
def test_energy_needs_no_labels_and_counts_what_a_run_does(target: str, on: str, made: Path, tmp_path: Path) -> None:
    write_store(tmp_path / "one.h5")
    program = check(ChipProgram.load(made / f"{target}.h5")).program
    report, _ = pipeline.measure_energy(program, tmp_path / "one.h5", "test", 3)
    ran = run_input(program, prepare(open_recording(tmp_path / "one.h5"), program), on)
    assert report.inferences == len(ran.times) == 10
    assert sum(part.synops for part in report.parts) == sum(core.synops for core in ran.counts) > 0


def test_a_video_is_sent_to_simulate(tmp_path: Path) -> None:
    (tmp_path / "face.mp4").write_bytes(b"\0\0\0 ftyp")
    with pytest.raises(NeuvaError, match=r"face\.mp4: is a video: .* `neuva simulate"):
        open_recording(tmp_path / "face.mp4")


def test_a_run_says_what_speaks_against_it(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_store(tmp_path / "one.h5", frames_with_face=1, face_track={"times": [100_000], "boxes": [[40.0, 30.0, 30.0]]})
    program = ChipProgram.load(made / "loihi2.h5")
    replace(program, provenance={"calibrated_on": recipe(size="smallest").dataset}).save(tmp_path / "p.h5")
    run_command(tmp_path / "p.h5", tmp_path / "one.h5", out=tmp_path / "t.h5")
    said = " ".join(capsys.readouterr().out.split())
    assert "a face was found near 7 of 10 estimates (70%)" in said
    assert "calibrated on synthetic faces" in said
    assert [row[-1] for row in (tmp_path / "t.csv").read_text().splitlines()[1:]] == list("1111111000")
    write_store(tmp_path / "bare.h5")
    run_command(made / "loihi2.h5", tmp_path / "bare.h5", out=tmp_path / "t.h5")
    said = capsys.readouterr().out
    assert "synthetic" not in said
    assert "face" not in said.splitlines()[0]


def test_check_as_json(made: Path) -> None:
    done = neuva("check", made / "loihi2.h5", "--json")
    assert json.loads(done.stdout)["fits"] is True


def test_events_info_as_json(made: Path) -> None:
    done = neuva("events", "info", made / "square.npz", "--json")
    (figures,) = json.loads(done.stdout).values()
    assert figures["count"] == 20_000


def test_events_show_and_convert(made: Path, tmp_path: Path) -> None:
    assert neuva("events", "show", made / "square.npz", "-o", tmp_path / "square.png").returncode == 0
    assert (tmp_path / "square.png").read_bytes().startswith(b"\x89PNG")
    assert neuva("events", "convert", made / "square.npz", tmp_path / "square.h5").returncode == 0
    assert neuva("run", made / "loihi2.h5", tmp_path / "square.h5", "--out", tmp_path / "t.h5").returncode == 0


@pytest.mark.parametrize("command", [("events", "info"), ("events", "show"), ("run",)])
@pytest.mark.parametrize(
    "content", [b"", b"these are no events", b"\x00" * 1000, b"\x89HDF\r\n\x1a\n broken", b"PK\x03\x04"]
)
def test_what_is_no_event_file_is_refused(command: tuple, content: bytes, made: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.raw"
    bad.write_bytes(content)
    program = (made / "loihi2.h5",) if command == ("run",) else ()
    assert "bad.raw" in refused(*command, *program, bad)


def test_a_missing_file_is_refused(made: Path, tmp_path: Path) -> None:
    assert "none.aedat4" in refused("events", "info", tmp_path / "none.aedat4")
    assert "none.h5" in refused("check", tmp_path / "none.h5")
    assert "none.ckpt" in refused("evaluate", tmp_path / "none.ckpt", "--data", made / "square.npz")
    assert "none.mp4" in refused("simulate", tmp_path / "none.mp4", tmp_path / "out.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not (REAL / "face-dvxplorer.aedat4").exists(), reason=f"no recordings at {REAL}")
def test_a_truncated_recording_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "short.aedat4"
    bad.write_bytes((REAL / "face-dvxplorer.aedat4").read_bytes()[:20_000])
    assert "short.aedat4" in refused("events", "info", bad)


@pytest.mark.skipif(not (REAL / "prophesee-gen3.evt2.raw").exists(), reason=f"no recordings at {REAL}")
def test_another_sensor_size_than_asked_is_refused() -> None:
    line = refused("events", "info", REAL / "prophesee-gen3.evt2.raw", "--sensor", "320x240")
    assert "640" in line
    assert "320" in line


def test_an_empty_recording_is_refused(made: Path, tmp_path: Path) -> None:
    write_events(tmp_path / "empty.npz", Events.empty((64, 64)))
    assert "no events" in refused("run", made / "loihi2.h5", tmp_path / "empty.npz")
    assert neuva("events", "info", tmp_path / "empty.npz").returncode == 0


def test_a_program_of_another_schema_is_refused(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    path.write_bytes((made / "loihi2.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = 99
    assert "schema 99" in refused("check", path)


def test_a_network_with_a_layer_the_chip_lacks_is_refused(made: Path, spot_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "chip.h5"
    graph = nir.read(made / "loihi2.nir")
    graph.nodes["conv1"] = nir.Threshold(threshold=np.ones((4, 8, 8)))
    nir.write(tmp_path / "odd.nir", graph)
    line = refused("convert", tmp_path / "odd.nir", "--target", "loihi2", "--out", out, "--data", spot_store)
    assert "node conv1 is a Threshold" in line
    assert "store it was trained on" in refused("convert", made / "loihi2.nir", "--target", "loihi2", "--out", out)
    assert not out.exists()


def test_from_network_to_certificate(made: Path, spot_store: Path, tmp_path: Path) -> None:
    """convert, check, verify and energy in a row, on both chips, as a user types them."""
    for target in TARGETS:
        model, chip, certificate = made / f"{target}.nir", tmp_path / f"{target}.h5", tmp_path / f"{target}.json"
        steps = (
            ("convert", model, "--target", target, "--out", chip, "--data", spot_store),
            ("check", chip),
            ("verify", chip, "--reference", model, "--data", spot_store, "--out", certificate, "--vendor-clips", 0),
            ("energy", chip, "--data", spot_store),
        )
        for step in steps:
            done = neuva(*step)
            assert done.returncode == 0 or step[0] == "verify", done.stderr  # untrained: its CCC may fall
        figures = json.loads(certificate.read_text())
        assert figures["not_run"] == ["lava" if target == "loihi2" else "sinabs"]
        assert all(pair["ok"] for pair in figures["fidelity"])


def test_a_run_does_not_write_over_its_input(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "square.h5"
    assert neuva("events", "convert", made / "square.npz", copy).returncode == 0
    assert "another name" in refused("run", made / "loihi2.h5", copy, "--out", copy)
    assert "trace is an .h5 file" in refused("run", made / "loihi2.h5", copy, "--out", tmp_path / "trace.csv")
    assert neuva("events", "info", copy).returncode == 0


def test_a_folder_for_a_file_is_refused(made: Path, tmp_path: Path) -> None:
    assert "is a folder" in refused("data", "show", "-o", tmp_path)
    assert "cannot be read" in refused("train", tmp_path)
    (tmp_path / "file").touch()
    assert "no folder can be made" in refused("demo", "--size", "smallest", "--out", tmp_path / "file")


def test_a_stray_time_stamp_is_refused(made: Path, tmp_path: Path) -> None:
    array = moving_square().array.copy()
    array["t"][-1] += 10**12
    write_events(tmp_path / "stray.npz", Events(array, (80, 60)))
    assert "a time stamp is wrong" in refused("run", made / "loihi2.h5", tmp_path / "stray.npz")


def test_damage_names_the_option_that_mends_it(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.csv"
    path.write_text("t,x,y,p\n1,2,3,1\n2,99,3,1\n")
    for command in (("events", "info", path), ("run", made / "loihi2.h5", path)):
        assert "read with --repair" in refused(*command, "--sensor", "80x60")


def test_a_place_the_program_cannot_run_on_is_refused(made: Path, tmp_path: Path) -> None:
    line = refused("run", made / "loihi2.h5", made / "square.npz", "--on", "sinabs")
    assert line.endswith("choose one of emulator, lava, loihi2")
    line = refused("run", made / "speck2f.h5", made / "square.npz", "--on", "lava")
    assert line.endswith("choose one of emulator, emulator-events, sinabs, speck2f")


def test_a_missing_lava_is_refused_with_the_cure(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "trace.h5"
    arguments = ("run", made / "loihi2.h5", made / "square.npz", "--on", "lava", "--out", out)
    assert ".venv-lava" in refused(*arguments, NEUVA_LAVA_PYTHON=str(tmp_path / "python"))
    assert not out.exists()


def test_a_video_that_is_none_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    assert "bad.mp4" in refused("simulate", bad, tmp_path / "out.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.mp4"]


def test_a_certificate_of_another_network_is_refused(made: Path) -> None:
    line = refused("verify", made / "loihi2.h5", "--reference", made / "speck2f.ckpt", "--data", made / "square.npz")
    assert "not the network the program was made from" in line
