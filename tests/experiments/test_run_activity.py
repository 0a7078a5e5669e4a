"""`neuva run` of programs that know nothing of valence and arousal: whole pictures, input spikes, states, winners."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from datasets.crop import rescale
from datasets.events import Events
from datasets.files import write_events
from datasets.representations import to_steps
from experiments import plots
from experiments.activity import activities, winner
from experiments.cli import app
from experiments.commands.run import _print_doubts
from experiments.commands.run import run as run_command
from experiments.recording import open_input
from experiments.running import run_input
from experiments.spike_clips import read_spike_clips
from experiments.spike_files import holds_spikes
from hardware import devices
from hardware.program import (
    AFFECT,
    ChipProgram,
    Connection,
    InputEncoding,
    Layer,
    LoihiNeuron,
    Readout,
    Shape,
    SpeckNeuron,
)
from hardware.trace import Spikes, Trace
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron

DT_US = 2000


def program_of(shape: Shape = (2, 6, 10), neurons: int = 5, readout: Readout | None = None) -> ChipProgram:
    """A convolution onto the shape's own size, then a dense layer."""
    rng = np.random.default_rng(0)
    conv = Connection("conv", 2 * rng.integers(-20, 60, (3, shape[0], 3, 3)), padding=(1, 1))
    middle = (3, *shape[1:])
    dense = Connection("dense", 2 * rng.integers(-30, 40, (neurons, int(np.prod(middle)))))
    cell = lambda channels: LoihiNeuron(2000, 400, 150, np.zeros(channels, np.int32))  # noqa: E731 - used twice
    layers = (
        Layer("conv", shape, middle, conv, cell(3)),
        Layer("out", middle, (neurons, 1, 1), dense, cell(neurons)),
    )
    return ChipProgram("loihi2", DT_US, InputEncoding(shape, "binary"), layers, readout)


def readout(outputs: int, neurons: int = 5) -> Readout:
    weight = np.random.default_rng(1).normal(size=(outputs, neurons)).astype(np.float32)
    return Readout(weight, np.ones(outputs, np.float32), 0.9, 3, tuple(f"y{k}" for k in range(outputs)))


def wide_events() -> Events:
    rng = np.random.default_rng(0)
    t = 5000 + np.sort(rng.integers(0, 100_000, 4000))
    return Events.from_columns(
        t, rng.integers(0, 40, 4000), rng.integers(0, 30, 4000), rng.integers(0, 2, 4000), (40, 30)
    )


@pytest.fixture
def spikes(tmp_path: Path) -> Path:
    np.save(tmp_path / "spikes.npy", np.random.default_rng(0).random((50, 2, 6, 10)) < 0.2)
    return tmp_path / "spikes.npy"


def run(program: ChipProgram, given: Path, **options) -> Trace:
    path = given.parent / "p.h5"
    program.save(path)
    run_command(path, given, out=given.parent / "t.h5", **options)
    return Trace.load(given.parent / "t.h5")


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "t.csv").read_text().splitlines()))


def test_the_whole_picture_of_an_event_file_is_what_goes_in(tmp_path: Path) -> None:
    events = wide_events()
    write_events(tmp_path / "wide.npz", events)
    trace = run(program_of(), tmp_path / "wide.npz")
    steps = (events.t1 + 1 - events.t0) // DT_US
    x = to_steps(rescale(events, (10, 6)), DT_US, steps, events.t0, "binary")
    assert np.array_equal(trace.spikes["input"].dense(steps, DT_US), x)
    out = trace.spikes["out"]
    assert out.total > 20
    got = [(int(row["t_us"]), int(row["neuron"]), int(row["spikes"])) for row in rows(tmp_path)]
    assert got == list(zip((events.t0 + out.t).tolist(), out.neuron.tolist(), out.count.tolist(), strict=True))
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


def test_input_spikes_run_as_they_are(spikes: Path, capsys: pytest.CaptureFixture) -> None:
    program = program_of()
    trace = run(program, spikes)
    x = np.load(spikes).astype(np.uint8)
    alone = devices.run(program, x, "emulator")
    for name, part in alone.spikes.items():
        assert np.array_equal(part.neuron, trace.spikes[name].neuron)
        assert np.array_equal(part.t, trace.spikes[name].t)
    said = capsys.readouterr().out
    for part in activities(trace):
        counted = int(alone.spikes[part.layer].count.sum())
        assert part.rate == pytest.approx(counted / (part.neurons * 50 * DT_US * 1e-6))
        assert any(f"{part.layer} " in line and f" {counted:,} " in line for line in said.splitlines())
    assert (winner(trace, program) or "?") in said


@pytest.mark.parametrize("outputs", [1, 3, 9, 40])
def test_other_outputs_have_their_names_in_csv_and_picture(outputs: int, spikes: Path) -> None:
    trace = run(program_of(readout=readout(outputs)), spikes)
    table = rows(spikes.parent)
    assert list(table[0]) == ["t_us", *(f"y{k}" for k in range(outputs))]
    assert [int(row["t_us"]) for row in table] == trace.times.tolist()
    assert np.allclose([[float(row[f"y{k}"]) for k in range(outputs)] for row in table], trace.va, rtol=1e-5)
    assert np.abs(trace.va).max() > 1  # not clipped


@pytest.mark.parametrize("record", ["", "u", "v", "u,v"])
def test_states_are_kept_on_request(record: str, spikes: Path) -> None:
    trace = run(program_of(), spikes, record=record)
    whole = devices.run(program_of(), np.load(spikes).astype(np.uint8), "emulator", record_state=True)
    for name in "uv":
        kept = getattr(trace, name)
        assert set(kept) == ({"conv", "out"} if name in record else set())
        for layer, values in kept.items():
            assert np.array_equal(values, getattr(whole, name)[layer])


def test_what_cannot_be_kept_is_refused(spikes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_of()
    with pytest.raises(NeuvaError, match=r"w of a loihi2 program on emulator cannot be kept, allowed u, v"):
        run(program, spikes, record="w")
    with pytest.raises(NeuvaError, match="does not go with --job"):
        run(program, spikes, record="u", job=spikes.parent / "job", on="lava")
    monkeypatch.setattr("experiments.running.MOST_BYTES", 1000)
    with pytest.raises(NeuvaError, match=r"u of 50 steps take .* GiB"):
        run(program, spikes, record="u")
    assert not run(program, spikes).u


def test_no_state_is_kept_where_events_run_one_by_one(spikes: Path) -> None:
    cell = SpeckNeuron(60, -60, "subtract", np.zeros(3, np.int32))
    link = Connection("conv", np.ones((3, 2, 3, 3), np.int64), padding=(1, 1))
    layer = Layer("conv", (2, 6, 10), (3, 6, 10), link, cell)
    program = ChipProgram("speck2f", DT_US, InputEncoding((2, 6, 10), "counts"), (layer,), None)
    _, given = open_input(spikes, program)
    with pytest.raises(NeuvaError, match="on emulator-events cannot be kept, allowed none"):
        run_input(program, given, "emulator-events", ("v",))
    with pytest.raises(NeuvaError, match="on emulator cannot be kept, allowed v"):
        run_input(program, given, "emulator", ("u", "v"))
    assert run_input(program, given, "emulator", ("v",)).v["conv"].shape == (50, 3, 6, 10)
    assert run_input(program, given, "emulator-events").spikes["input"].total == np.load(spikes).sum()


def counts(program: ChipProgram, *per_neuron: int) -> Trace:
    neuron = np.repeat(np.arange(len(per_neuron)), per_neuron).astype(np.int32)
    spikes = Spikes((len(per_neuron), 1, 1), np.arange(len(neuron)), neuron, np.ones(len(neuron), np.int32))
    return Trace("loihi2", "emulator", 1, 100, np.zeros(0), np.zeros((0, 0)), {"out": spikes}, ())


def test_the_winner_is_the_neuron_with_most_spikes() -> None:
    program = program_of()
    assert winner(counts(program, 3, 0, 7, 5, 0), program) == "most spikes in out: neuron 2, 7, the next has 5"
    assert winner(counts(program, 3, 0, 7, 7, 0), program) == "most spikes in out: neurons 2, 3, 7 each"
    assert winner(counts(program, 0, 0, 0, 0, 0), program) == "no neuron of out spiked"
    assert winner(counts(program, 1), program_of(neurons=1)) == "most spikes in out: neuron 0, 1"
    assert winner(counts(program, *[1] * 200), program_of(neurons=200)) is None


def test_input_spikes_are_told_from_events_and_chosen_by_number(tmp_path: Path) -> None:
    write_events(tmp_path / "events.npz", wide_events())
    clips = np.random.default_rng(0).integers(0, 2, (20, 3, 2, 6, 10))
    np.savez(tmp_path / "clips.npz", clips)
    np.save(tmp_path / "object.npy", np.array([{}], object))
    np.save(tmp_path / "table.npy", np.zeros((30, 4), int))
    for name in ("events.npz", "object.npy", "table.npy", "clips.h5"):
        assert not holds_spikes(tmp_path / name, (2, 6, 10))
    assert holds_spikes(tmp_path / "table.npy", (4, 1, 1))
    for clip, index in ((None, 0), ("2", 2)):
        assert np.array_equal(open_input(tmp_path / "clips.npz", program_of(), clip)[1].x, clips[:, index])
    with pytest.raises(NeuvaError, match="no clip 3: it has 0 to 2"):
        open_input(tmp_path / "clips.npz", program_of(), "3")


@pytest.mark.parametrize("shape", [(9, 2, 6, 10), (9, 1, 2, 6, 10)])
def test_whole_numbers_are_taken_in_whatever_type_by_run_and_verify_alike(shape: tuple, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random(shape) < 0.3
    spec = NetworkSpec("any", (LayerSpec("dense", 3, Neuron()),), (2, 6, 10))
    for kind in (bool, np.float32, np.float64, np.uint8, np.int64):
        np.save(tmp_path / "x.npy", x.astype(kind))
        given = open_input(tmp_path / "x.npy", program_of())[1].x
        assert np.array_equal(given, x.reshape(9, 2, 6, 10))
        (clip,) = read_spike_clips(tmp_path / "x.npy", spec)
        assert np.array_equal(given, clip.x)
        assert given.dtype == clip.x.dtype


def test_an_input_of_values_takes_rows_of_them(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 2, (9, 4))
    np.save(tmp_path / "x.npy", x)
    assert np.array_equal(open_input(tmp_path / "x.npy", program_of((4, 1, 1)))[1].x, x.reshape(9, 4, 1, 1))


@pytest.mark.parametrize("given", [("--sensor", "10x6"), ("--repair",)])
def test_what_is_for_events_alone_is_refused_with_input_spikes(given: tuple, spikes: Path) -> None:
    program_of().save(spikes.with_name("p.h5"))
    ran = CliRunner().invoke(app, ["run", str(spikes.with_name("p.h5")), str(spikes), *given])
    assert "holds input spikes, and --sensor and --repair are for events" in str(ran.exception)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((9, 2, 6, 9), int), r"x\.npy: holds int64 \[9, 2, 6, 9\], needed spikes \[T, 2, 6, 10\]"),
        (np.full((9, 2, 6, 10), 0.5), "x.npy: holds float64 that are not whole numbers"),
        (np.full((9, 2, 6, 10), 2), "x.npy: holds numbers from 2 to 2, needed 0 to 1"),
        (np.zeros((0, 2, 6, 10), int), r"holds int64 \[0, 2, 6, 10\], needed spikes"),
    ],
)
def test_input_spikes_that_do_not_suit_are_refused(x: np.ndarray, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(NeuvaError, match=said):
        run(program_of(), tmp_path / "x.npy")


def test_events_do_not_suit_an_input_of_other_channels(tmp_path: Path) -> None:
    write_events(tmp_path / "wide.npz", wide_events())
    with pytest.raises(NeuvaError, match=r"2 channels \(OFF, ON\), the program's input .* has 1: give input spikes"):
        run(program_of((1, 6, 10)), tmp_path / "wide.npz")


def test_valence_and_arousal_run_on_input_spikes_too(spikes: Path, capsys: pytest.CaptureFixture) -> None:
    affect = replace(readout(2), names=("valence", "arousal"))
    trace = run(program_of(readout=affect), spikes)
    assert "mean valence" in capsys.readouterr().out
    assert len(rows(spikes.parent)) == len(trace.va) == 16


def test_many_outputs_are_a_map_of_colours() -> None:
    times, values = np.arange(5) / 10, np.arange(35.0).reshape(5, 7)
    few = plots.outputs_over_time(times, values[:, :2], ["a", "b"], "few")
    assert [line.get_ydata().tolist() for line in few.axes[0].lines] == values[:, :2].T.tolist()
    many = plots.outputs_over_time(times, values, list("abcdefg"), "many")
    assert np.array_equal(many.axes[0].images[0].get_array(), values.T)


def test_states_are_named_with_blanks_too(spikes: Path) -> None:
    trace = run(program_of(), spikes, record=" u, v ")
    assert set(trace.u) == set(trace.v) == {"conv", "out"}


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (None, "the spikes may not be"),
        (readout(3), "the outputs may"),
        (replace(readout(2), names=AFFECT), "estimates"),
    ],
)
def test_an_overflow_puts_in_doubt_what_the_program_gives(
    read: Readout | None, said: str, capsys: pytest.CaptureFixture
) -> None:
    trace = counts(program_of(), 1)
    doubtful = replace(trace, notes={"overflows": {"out": {"u_wraps": 3, "v_clips": 0}}})
    _print_doubts(program_of(readout=read), doubtful, None)
    assert said in " ".join(capsys.readouterr().out.split())
