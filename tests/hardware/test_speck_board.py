"""Driving a board, up to the vendor's library, whose place a stand-in takes that runs what was configured."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hardware import devices
from hardware.camera import Camera
from hardware.energy import energy
from hardware.power import Power
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, Readout, SpeckNeuron
from hardware.speck import board, cores, event_driven, recording, sinabs_run
from hardware.speck.chip import load
from hardware.speck.configuration import layer_configurations
from hardware.speck.samna_guard import dynapcnn
from hardware.trace import Trace
from neuva import NeuvaError
from tests.hardware.fake_samna import JITTER_US, RAIL_WATTS, Clock, SpeckConfiguration, fake_samna

DT, STEPS = 10_000, 20
DURATION = DT * STEPS


def program(bias: int = 0, dt_us: int = DT) -> ChipProgram:
    """Two convolutions, the first pooled, and a dense layer; placed."""
    rng = np.random.default_rng(3)
    shapes = ((4, 2, 3, 3), (5, 4, 3, 3), (6, 5 * 4 * 4))
    first, second, dense = (rng.integers(-20, 41, shape).astype(np.int8) for shape in shapes)
    layers = (
        Layer("a", (2, 16, 12), (4, 8, 12), Connection("conv", first, (2, 1), (1, 1)), neuron(4, bias), pool=2),
        Layer("b", (4, 4, 6), (5, 4, 4), Connection("conv", second, (1, 1), (1, 0)), neuron(5, 0)),
        Layer("c", (80, 1, 1), (6, 1, 1), Connection("dense", dense), neuron(6, 0)),
    )
    made = ChipProgram(
        "speck2f",
        dt_us,
        InputEncoding((2, 16, 12), "counts"),
        layers,
        Readout(rng.uniform(-0.1, 0.1, (2, 6)).astype(np.float32), np.zeros(2, np.float32), 0.9, 4),
    )
    return replace(made, placement=cores.place(made)[0])


def neuron(features: int, bias: int) -> SpeckNeuron:
    return SpeckNeuron(50, -60, "subtract", np.full(features, bias))


def clip(count: int = 1500) -> np.ndarray:
    rng = np.random.default_rng(0)
    events = np.zeros(count, [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
    events["t"] = np.sort(rng.choice(DURATION, count, replace=False))
    for name, size in (("x", 12), ("y", 16), ("p", 2)):
        events[name] = rng.integers(0, size, count)
    return events


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(board, "time", clock)
    return clock


@pytest.fixture
def samna(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A board whose cores have little memory, which makes clearing it quick."""
    module = fake_samna(clock)
    monkeypatch.setitem(sys.modules, "samna", module)
    small = replace(load("speck2f"), cores=tuple(core._replace(neuron=64) for core in load("speck2f").cores))
    monkeypatch.setattr(recording, "load", lambda _: small)
    return module


def coarse(spikes: Any) -> np.ndarray:
    return np.bincount(spikes.neuron, spikes.count, int(np.prod(spikes.shape)))


def test_a_board_gives_what_the_event_driven_emulator_gives_a_little_later(samna: Any) -> None:
    ours = program()
    trace = devices.run_events(ours, clip(), STEPS, "speck2f")
    expected = event_driven.run(ours, clip(), duration_us=DURATION)
    assert (trace.target, trace.backend, trace.duration_us) == ("speck2f", "speck2f", DURATION)
    for name, spikes in expected.spikes.items():
        assert spikes.total > 50
        np.testing.assert_array_equal(coarse(trace.spikes[name]), coarse(spikes))
        assert np.all(np.diff(trace.spikes[name].t) >= 0)
        late = np.sort(np.repeat(trace.spikes[name].t, trace.spikes[name].count))
        late -= np.sort(np.repeat(spikes.t, spikes.count))
        assert late.min() >= 0
        assert late.max() <= (0 if name == "input" else JITTER_US)
    assert [core.spikes for core in trace.counts] == [core.spikes for core in expected.counts]
    assert trace.counts == expected.counts
    assert np.abs(trace.va - expected.va).max() < 0.05
    assert samna.closed == [samna.board]
    assert samna.board.stopped == 3


def test_events_arrive_in_order_at_the_first_core_with_their_times_and_addresses(samna: Any) -> None:
    ours, events = program(), clip(200)
    recording.run(ours, events, DURATION)
    core = ours.placement[0].core
    assert [(e.layer, e.timestamp - board.LEAD_US, e.feature, e.y, e.x) for e in samna.board.received] == [
        (core, *row) for row in zip(*(events[key].tolist() for key in ("t", "p", "y", "x")), strict=True)
    ]


def test_an_input_that_two_layers_hear_is_sent_to_both() -> None:
    ours = program()
    again = replace(ours.layers[0], name="again")
    merged = replace(ours.layers[1], sources=("a", "again"))
    ours = replace(ours, layers=(ours.layers[0], replace(again, sources=("input",)), merged, ours.layers[2]))
    ours = replace(ours, placement=cores.place(ours)[0])
    rows = recording._addressed(ours, np.array([[7, 1, 2, 3], [8, 0, 4, 5]]))
    first, second = (part.core for part in ours.placement[:2])
    assert first != second
    assert rows.tolist() == [[7, first, 1, 2, 3], [7, second, 1, 2, 3], [8, first, 0, 4, 5], [8, second, 0, 4, 5]]


def test_states_are_zeroed_word_by_word(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, samna = program(), fake_samna(clock)
    monkeypatch.setitem(sys.modules, "samna", samna)
    trace = recording.run(ours, clip(), DURATION)
    used = [part.core for part in ours.placement]
    memory = samna.board.memory
    words = {core: {a for c, a in memory if c == core and memory[c, a] == 0} for core in used}
    limits = load("speck2f").cores
    assert words == {core: set(range(limits[core].neuron)) for core in used}
    assert all(memory[core, 5] == 77 for core in set(range(9)) - set(used))
    assert trace.notes["board"]["words_read_as_zero"] == sum(map(len, words.values()))


def test_a_state_that_stays_is_refused(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = program()
    core = ours.placement[0].core
    samna = fake_samna(clock, stuck={(core, 3): -4})
    monkeypatch.setitem(sys.modules, "samna", samna)
    with pytest.raises(NeuvaError, match=rf"1 neuron states are not 0 .*core {core}, word 3: -4.*cut its power"):
        recording.run(ours, clip(), DURATION)
    assert samna.closed
    assert not samna.board.received


def test_the_configuration_is_what_sinabs_writes(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sinabs")
    dynapcnn()  # before a samna is there: sinabs would take it for the vendor's
    chips = pytest.importorskip("sinabs.backend.dynapcnn.chips.speck2f")
    ours, samna = program(bias=2), fake_samna(clock)
    monkeypatch.setitem(sys.modules, "samna", samna)
    recording.run(ours, clip(), DURATION)
    monkeypatch.setattr(chips, "SpeckConfiguration", SpeckConfiguration)
    network = sinabs_run.dynapcnn_network(ours)
    placed = {part.layer: part.core for part in ours.placement}
    core_map = {index: placed[layer.conv.layer_name] for index, layer in network.dynapcnn_layers.items()}
    builder = chips.Speck2FConfigBuilder
    theirs = builder.build_config(network.all_layers, core_map, network.layer_destination_map)
    with pytest.warns(UserWarning, match="pooling and is being monitored"):
        builder.monitor_layers(theirs, list(core_map.values()))
    assert samna.board.configuration.plain() == theirs.plain()
    samna.board.configuration.cnn_layers[placed["b"]].weights[0][0][0][0] += 1
    assert samna.board.configuration.plain() != theirs.plain()


def test_rails_become_energy_an_inference(samna: Any) -> None:
    ours = program()
    trace = recording.run(ours, clip(), DURATION)
    assert trace.power is not None
    assert trace.notes["board"]["power_left_out"] == ""
    lead, seconds = board.LEAD_US * 1e-6, DURATION * 1e-6
    by_hand = [w * (seconds + 0.1 * (lead * seconds + seconds**2 / 2)) for w in RAIL_WATTS]
    measured = trace.power.joules(DURATION)
    assert list(measured) == list(board.RAILS)
    assert list(measured.values()) == pytest.approx(by_hand, rel=1e-9)
    report = energy([trace, trace], ours)
    assert report.inferences == 2 * STEPS // 4
    each = report.measured_per_inference
    assert each["RAM"] == pytest.approx(by_hand[1] / (STEPS / 4))
    assert each["processor"] == pytest.approx((by_hand[1] + by_hand[2]) / (STEPS / 4))
    assert report.measured_per_second["IO"] == pytest.approx(by_hand[0] / seconds)
    assert report.to_dict()["measured_per_inference_J"] == each
    assert "measured processor" in str(report)
    assert "measured_per_inference_J" in energy(event_driven.run(ours, clip()), ours).to_dict()
    assert energy([trace, replace(trace, power=None)], ours).measured == {}


def test_a_rail_that_is_silent_leaves_the_trace_without_power(samna: Any) -> None:
    samna.board.rail_watts = RAIL_WATTS[:4]
    trace = recording.run(program(), clip(), DURATION)
    assert trace.power is None
    assert trace.notes["board"]["power_left_out"] == "pixel analogue never sampled"


def test_power_whose_clock_stood_still_is_left_out() -> None:
    power = Power(("A",), np.full(9, -board.LEAD_US), np.zeros(9, np.int8), np.arange(9.0))
    trace = recording.trace_of(
        program(), np.zeros((0, 4), np.int64), board.Heard(np.zeros((0, 5), np.int64), power), DURATION, {}
    )
    assert trace.power is None
    assert trace.notes["board"]["power_left_out"] == "samples without times"


def test_power_between_samples_is_straight_and_constant_beyond() -> None:
    t, watts = np.array([30, -10, 10]), np.array([4.0, 1.0, 3.0])
    power = Power(("A",), t, np.zeros(3, np.int8), watts)
    # at 0 it is 2; 2 to 3 in 10 us, 3 to 4 in 20 us, then 4 for 70 us
    assert power.joules(100)["A"] == pytest.approx((25 + 70 + 280) * 1e-6)
    with pytest.raises(NeuvaError, match="B was never sampled"):
        Power(("A", "B"), t, np.zeros(3, np.int8), watts).joules(100)
    with pytest.raises(NeuvaError, match="record the run again"):
        Power(("A",), t, np.ones(3, np.int8), watts)


def test_a_recording_comes_back_from_its_file(samna: Any, tmp_path) -> None:
    trace = recording.run(program(), clip(), DURATION)
    trace.save(tmp_path / "trace.h5")
    back = Trace.load(tmp_path / "trace.h5")
    assert back.power is not None
    assert trace.power is not None
    assert back.power.joules(DURATION) == trace.power.joules(DURATION)
    assert (back.notes, back.counts) == (trace.notes, trace.counts)
    assert back.notes["versions"] == {"samna": "0.48.0"}
    assert back.notes["board"]["name"] == "Speck2fDevKit"


def test_biases_tick_at_the_rate_of_the_steps_while_the_clip_runs(samna: Any) -> None:
    ours = program(bias=7)
    trace = recording.run(ours, clip(), DURATION)
    assert samna.board.slow_hz == 100
    assert samna.board.leaked_s == pytest.approx(DURATION * 1e-6)
    log = samna.board.log
    assert log.index("configure") < log.index("start") < log.index("leak True") < log.index("leak False")
    assert trace.notes["board"]["leak_clock_hz"] == 100
    expected = event_driven.run(ours, clip(), duration_us=DURATION)
    assert coarse(trace.spikes["a"]).sum() == pytest.approx(coarse(expected.spikes["a"]).sum(), rel=0.02)
    ticks = {core.layer: core.updates - core.synops for core in trace.counts}
    assert ticks == {"a": ours.layers[0].neurons * STEPS, "b": 0, "c": 0}


def test_without_biases_the_leak_clock_stands_still(samna: Any) -> None:
    recording.run(program(), clip(), DURATION)
    assert not [entry for entry in samna.board.log if entry.startswith("leak")]


def test_counts_in_steps_are_sent_at_their_steps(samna: Any) -> None:
    x = np.zeros((STEPS, 2, 16, 12), np.int64)
    x[3, 1, 4, 5] = 2
    devices.run(program(), x, "speck2f")
    assert [(e.timestamp - board.LEAD_US, e.feature, e.y, e.x) for e in samna.board.received] == [(3 * DT, 1, 4, 5)] * 2


def test_a_cameras_events_are_sent_as_its_layer_would(samna: Any) -> None:
    ours = replace(program(), camera=Camera((24, 32), pool=(2, 2), mirror_x=True))
    events = clip(50)
    events["x"] *= 2
    events["y"] *= 2
    recording.run(ours, events, DURATION)
    assert [e.x for e in samna.board.received] == (11 - events["x"] // 2).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reset_every": 4}, "without resets"),
        ({"target": "dynapcnn"}, "samna drives boards with speck2e or speck2f"),
        ({"placement": ()}, "layers a, b, c have no core"),
    ],
)
def test_what_no_board_runs_is_refused_before_one_is_opened(change: dict, message: str, samna: Any) -> None:
    with pytest.raises(NeuvaError, match=message):
        recording.run(replace(program(), **change), clip(), DURATION)
    assert samna.board.configuration is None


def test_biases_need_a_step_of_whole_hertz(samna: Any) -> None:
    with pytest.raises(NeuvaError, match=r"dt of 3000 us, 333\.333 Hz.*whole Hz"):
        recording.run(program(bias=1, dt_us=3000), clip(), DURATION)
    recording.run(program(dt_us=3000), clip(), DURATION)


def test_events_beyond_the_end_are_refused(samna: Any) -> None:
    with pytest.raises(NeuvaError, match="cut the events"):
        recording.run(program(), clip(), DURATION // 2)


def test_an_empty_clip_is_silence(samna: Any) -> None:
    trace = recording.run(program(), clip(0), DURATION)
    assert not sum(spikes.total for spikes in trace.spikes.values())
    assert len(trace.va) == STEPS // 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((0, 4, 0, 0, 0), "core 4, which holds no layer"),
        ((0, None, 4, 0, 0), "a: a spike at .* outside its map"),
        ((0, None, 0, 8, 0), "outside its map"),
    ],
)
def test_spikes_of_no_neuron_are_refused(row: tuple, message: str) -> None:
    ours = program()
    held = [part.core for part in ours.placement]
    first = [held[0] if value is None else value for value in row]
    assert row[1] is None or row[1] not in held
    silent = Power((), np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    heard = board.Heard(np.array([first]), silent)
    with pytest.raises(NeuvaError, match=message):
        recording.trace_of(ours, np.zeros((0, 4), np.int64), heard, DURATION, {})


def test_spikes_from_before_the_run_are_counted_and_left_out() -> None:
    ours = program()
    core = ours.placement[0].core
    heard = board.Heard(
        np.array([[-5, core, 0, 0, 0], [5, core, 1, 2, 3]]), Power((), np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    )
    trace = recording.trace_of(ours, np.zeros((0, 4), np.int64), heard, DURATION, {})
    assert trace.notes["board"]["early_spikes"] == 1
    assert trace.spikes["a"].neuron.tolist() == [np.ravel_multi_index((1, 2, 3), (4, 8, 12))]


def test_errors_of_the_vendors_library_are_one_line_and_the_board_is_closed(samna: Any) -> None:
    samna.refusal = "Layer 8: too many neurons"
    with pytest.raises(NeuvaError, match=r"refuses the configuration \(Layer 8: too many neurons\): see `neuva check`"):
        recording.run(program(), clip(), DURATION)
    samna.refusal = ""
    samna.board.apply_configuration = lambda _: 1 / 0
    with pytest.raises(NeuvaError, match="speck2f board: samna reports division by zero"):
        recording.run(program(), clip(), DURATION)
    assert len(samna.closed) == 2


@pytest.mark.parametrize("there", [(), ("Speck2eDevKit", "DAVIS")])
def test_no_board_names_what_is_there(there: tuple, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "samna", fake_samna(clock, there))
    with pytest.raises(NeuvaError, match=rf"boards there: {', '.join(there) or 'none'}: plug in a Speck2fDevKit"):
        recording.run(program(), clip(), DURATION)


def test_a_board_in_use_is_one_line(samna: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samna, "device", SimpleNamespace(**vars(samna.device) | {"open_device": lambda _: None}))
    with pytest.raises(NeuvaError, match="cannot be opened: end the program that uses it"):
        recording.run(program(), clip(), DURATION)


def test_without_samna_the_line_says_what_to_install_and_nothing_imports_it() -> None:
    code = """
import sys, numpy as np
from tests.hardware.test_speck_board import program, clip, DURATION
from hardware.speck import recording
from neuva import NeuvaError
seen = []
sys.addaudithook(lambda name, args: seen.append(args) if name in ("subprocess.Popen", "socket.connect") else None)
try:
    recording.run(program(), clip(), DURATION)
except NeuvaError as error:
    assert "SynSense's Samna documentation" in str(error), error
    assert len(str(error).splitlines()) == 1
else:
    raise AssertionError("ran without a board")
assert not seen
assert not [name for name in sys.modules if name.split(".")[0] == "samna"]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_configured_cores_are_those_of_the_placement(samna: Any) -> None:
    ours = program()
    recording.run(ours, clip(), DURATION)
    for core, values in layer_configurations(ours).items():
        assert samna.board.configuration.cnn_layers[core].weights == values["weights"]
    idle = [each for each in samna.board.configuration.cnn_layers if each.weights is None]
    assert len(idle) == 9 - len(ours.layers)
    assert samna.board.configuration.dvs_layer.pass_sensor_events is False
