"""Energy: numbers worked out by hand, another library's gradients for the fan-out, and variants that must fail."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.energy import EnergyTable, Interval, activity, baseline, break_even, energy
from hardware.energy.fanout import arrivals, fanout, received
from hardware.energy.table import BOUNDS, UNITS, names
from hardware.loihi import chip as loihi_chip
from hardware.loihi import emulator
from hardware.program import (
    ChipProgram,
    Connection,
    CoreSlice,
    InputEncoding,
    Layer,
    LoihiNeuron,
    Readout,
    SpeckNeuron,
)
from hardware.speck import clocked, event_driven
from hardware.trace import CoreCounts, Spikes, Trace
from neuva import NeuvaError

DT = 10_000
EVERY = 4
STEPS = 8
TARGETS = ("loihi1", "loihi2", "dynapcnn", "speck2e", "speck2f")


def flat_figure(value: float, unit: str) -> dict:
    return {"what": "x", "unit": unit} | {bound: {"value": value, "source": "assumption: round"} for bound in BOUNDS}


def round_table(*, static: bool = True) -> EnergyTable:
    """10 pJ a synaptic operation, 100 pJ an update, 1 pJ a packet, 2 mW at rest."""
    values = {
        "figures": {"synop": flat_figure(10, "pJ"), "update": flat_figure(100, "pJ"), "spike": flat_figure(1, "pJ")},
        "static": {"all": flat_figure(2, "mW")} if static else {},
    }
    return EnergyTable.from_dict("round", values)


def neuron(family: str, channels: int, bias: int = 0) -> LoihiNeuron | SpeckNeuron:
    biases = np.full(channels, bias, np.int32)
    return LoihiNeuron(4095, 0, 50, biases) if family == "loihi" else SpeckNeuron(20, -20, "subtract", biases)


def small_program(target: str = "loihi2", kind: str = "binary", bias: int = 0, pool: int = 1) -> ChipProgram:
    """2 x 6 x 6 -> conv 3 x 3, padding 1, 4 channels (one tap zero) -> dense of 5, read out every 4 steps."""
    family = "loihi" if target.startswith("loihi") else "speck"
    rng = np.random.default_rng(0)
    conv = rng.integers(1, 40, (4, 2, 3, 3))
    conv[:, :, 0, 0] = 0
    side = 6 // pool
    dense = rng.integers(-40, 40, (5, 4 * side * side)) | 1
    layers = (
        Layer("conv", (2, 6, 6), (4, 6, 6), Connection("conv", conv, padding=(1, 1)), neuron(family, 4, bias), pool),
        Layer("out", (4, side, side), (5, 1, 1), Connection("dense", dense), neuron(family, 5)),
    )
    placement = (
        CoreSlice(0, "conv", 0, 4, 0, 6),
        *((CoreSlice(1, "out", 0, 3, 0, 1), CoreSlice(2, "out", 3, 5, 0, 1)) if family == "loihi" else ()),
        *((CoreSlice(1, "out", 0, 5, 0, 1),) if family == "speck" else ()),
    )
    readout = Readout(np.zeros((2, 5), np.float32), np.zeros(2, np.float32), 0.9, EVERY)
    return ChipProgram(target, DT, InputEncoding((2, 6, 6), kind), layers, readout, placement)


def hand_trace(**changes) -> Trace:
    """80 ms, 2 estimates, counts chosen by hand."""
    empty = np.zeros(0, np.int64)
    three = Spikes((2, 6, 6), np.array([0, 0, DT]), np.array([0, 7, 7], np.int32), np.ones(3, np.int32))
    four = Spikes((4, 6, 6), np.array([0, DT, DT, 2 * DT]), np.array([0, 0, 1, 5], np.int32), np.ones(4, np.int32))
    values = {
        "target": "loihi2",
        "backend": "emulator",
        "dt_us": DT,
        "duration_us": STEPS * DT,
        "times": np.array([4, 8]) * DT,
        "va": np.zeros((2, 2), np.float32),
        "spikes": {"input": three, "conv": four, "out": Spikes((5, 1, 1), empty, empty, empty)},
        "counts": (
            CoreCounts(0, "conv", synops=92, updates=1152, spikes=4),
            CoreCounts(1, "out", synops=12, updates=24, spikes=0),
            CoreCounts(2, "out", synops=8, updates=16, spikes=0),
        ),
    }
    return Trace(**(values | changes))


def test_by_hand() -> None:
    report = energy(hand_trace(), small_program(), round_table())
    kinds = report.per_inference
    # 112 operations, 1192 updates; 3 spikes in to one core; 4 spikes to at least one and at most two cores; 80 ms
    assert kinds["synops"].typical == pytest.approx(112 * 10e-12 / 2)
    assert kinds["updates"].typical == pytest.approx(1192 * 100e-12 / 2)
    assert kinds["spikes"].low == pytest.approx(7e-12 / 2)
    assert kinds["spikes"].high == pytest.approx(11e-12 / 2)
    assert kinds["static"].typical == pytest.approx(2e-3 * 0.08 / 2)
    assert kinds["total"].high == pytest.approx((1120e-12 + 119200e-12 + 11e-12 + 160e-6) / 2)
    for kind, watts in report.per_second.items():
        assert watts.typical == pytest.approx(kinds[kind].typical / 0.04), kind
    assert report.by_core[2].total.typical == pytest.approx((80 + 1600) * 1e-12 / 2)
    assert report.by_layer["input"].spikes.typical == pytest.approx(3e-12 / 2)
    assert report.busiest_core == 0


def test_per_step_would_be_another_number() -> None:
    report = energy(hand_trace(), small_program(), round_table())
    assert report.per_inference["total"].typical == pytest.approx(
        EVERY * report.per_second["total"].typical * DT * 1e-6
    )
    assert report.per_inference["total"].typical != pytest.approx(report.per_second["total"].typical * DT * 1e-6)


def test_parts_add_up_and_runs_add_up() -> None:
    program = small_program()
    one, two = energy(hand_trace(), program), energy([hand_trace(), hand_trace()], program)
    assert two.inferences == 2 * one.inferences
    assert two.per_inference["total"].typical == pytest.approx(one.per_inference["total"].typical)
    layers = sum(split.total.typical for split in one.by_layer.values())
    cores = sum(split.total.typical for split in one.by_core.values()) + one.by_layer["input"].total.typical
    assert layers == pytest.approx(one.per_inference["total"].typical) == pytest.approx(cores)


def test_unknown_static_power_is_left_out_and_said_so() -> None:
    report = energy(hand_trace(), small_program(), round_table(static=False))
    assert "static" not in report.per_inference
    assert report.to_dict()["static_known"] is False
    assert "static   unknown" in str(report)
    assert any("static" in note for note in EnergyTable.load("loihi2").notes)


@pytest.mark.parametrize("target", TARGETS)
def test_report_as_json_and_text(target: str) -> None:
    report = energy(hand_trace(target=target), small_program(target))
    again = json.loads(json.dumps(report.to_dict()))
    assert again["per_inference_J"]["total"]["typical"] == report.per_inference["total"].typical
    assert again["counts"][1] == {"layer": "conv", "core": 0, "synops": 92, "spikes": 4} | {
        "updates": 1152 if target.startswith("loihi") else 0  # no bias, so Speck's leak clock touches nothing
    }
    assert {entry["figure"] for entry in again["sources"]} >= {"synop", "update", "spike"}
    assert "J an inference" in str(report)
    assert all(f"beside   {name} " in str(report) for name in report.beside_power)
    assert bool(report.beside_power) == ("beside it" in str(report))


ENERGIES = st.tuples(*[st.floats(1e-15, 1e3) for _ in BOUNDS]).map(lambda values: Interval(*sorted(values)))


@given(ENERGIES, ENERGIES, st.floats(1e-6, 1e6))
def test_arithmetic_keeps_the_order(a: Interval, b: Interval, factor: float) -> None:
    for value in (a + b, a * b, a * factor, a / b, a / factor, factor * a):
        assert value.low <= value.typical <= value.high
    assert (a / b).high == a.high / b.low


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 10**12), min_size=9, max_size=9), st.sampled_from(TARGETS))
def test_reports_are_ordered_whatever_the_counts(numbers: list[int], target: str) -> None:
    counts = tuple(
        CoreCounts(core, layer, *numbers[3 * core : 3 * core + 3]) for core, layer in enumerate(("conv", "out", "out"))
    )
    spikes = {name: sent for name, sent in hand_trace().spikes.items() if name != "input"}
    report = energy(hand_trace(target=target, counts=counts, spikes=spikes), small_program(target))
    for values in (report.per_inference, report.per_second):
        for value in values.values():
            assert 0 <= value.low <= value.typical <= value.high < math.inf


def test_text() -> None:
    assert Interval(0.6e-6, 1.234e-6, 2.4e-6).text("J") == "1.23 (0.6 to 2.4) uJ"
    assert Interval(0, 0, 0).text("J") == "0 (0 to 0) J"
    assert Interval(1e-9, 999.9e-9, 2e-3).text("J") == "1000 (1 to 2000000) nJ"


@pytest.mark.parametrize("bounds", [(2, 1, 3), (-1, 0, 1), (0, 1, math.inf), (0, math.nan, 1)])
def test_disorder_is_refused(bounds: tuple[float, float, float]) -> None:
    with pytest.raises(NeuvaError, match="low <= typical <= high"):
        Interval(*bounds)
    with pytest.raises(NeuvaError, match="nothing was counted"):
        Interval(1, 1, 1) / 0


@pytest.mark.parametrize("name", names())
def test_every_number_has_unit_and_source(name: str) -> None:
    entries = EnergyTable.load(name).sources()
    assert len(entries) >= 9
    for entry in entries:
        assert entry["unit"] in UNITS, entry
        assert entry["what"], entry
        assert any(word in entry["source"] for word in ("assumption: ", "doi:", "https://", "arXiv:")), entry
        assert "pypi" not in entry["source"], entry


def test_every_chip_has_a_table() -> None:
    chips = {path.stem for path in loihi_chip.FOLDER.glob("*.yaml")}
    assert chips | set(TARGETS) <= set(names())


def test_derived_figures_follow_from_their_sources() -> None:
    base, speck, loihi = EnergyTable.load("mac45nm"), EnergyTable.load("speck2f"), EnergyTable.load("loihi1")
    adds = Interval(2 * 0.03e-12, 2 * 0.05e-12, 2 * 0.1e-12)
    for key, bits in (("synop", 8 + 16 + 16), ("update", 16 + 16 + 16)):
        expected = bits * base["bit"] + adds
        for bound in BOUNDS:
            assert getattr(speck[key], bound) == pytest.approx(getattr(expected, bound), rel=2e-3)
    assert sum(figure.interval.typical for figure in speck.static.values()) == pytest.approx(0.419e-3, rel=1e-3)
    tiles = [(x, y) for x in range(8) for y in range(4)]
    hops = [abs(ax - bx) + abs(ay - by) for ax, ay in tiles for bx, by in tiles]
    assert loihi["spike"].typical == pytest.approx((1.7 + np.mean(hops) * 3.5) * 1e-12, rel=5e-3)
    assert loihi["spike"].high == pytest.approx((76.8 + max(hops) * 4.2) * 1e-12)
    assert EnergyTable.load("dynapcnn")["synop"] == speck["synop"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda figure: figure.pop("unit"), "'unit'"),
        (lambda figure: figure.update(unit="kcal"), "'kcal'"),
        (lambda figure: figure["low"].pop("source"), "'source'"),
        (lambda figure: figure["low"].update(value="much"), "much"),
        (lambda figure: figure["low"].update(value=99), "in order"),
    ],
)
def test_bad_tables_are_refused(damage, message: str) -> None:
    figure = flat_figure(1, "pJ")
    damage(figure)
    with pytest.raises(NeuvaError, match=f"mine, figures synop.*{message}"):
        EnergyTable.from_dict("mine", {"figures": {"synop": figure}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": ()}, "counts no synaptic operations"),
        ({"counts": (CoreCounts(0, "conv", 0, 9, 4), CoreCounts(1, "out", 0, 9, 0))}, "counts no synaptic operations"),
        ({"counts": (CoreCounts(0, "other", 1, 1, 1),)}, "layers other on loihi2, the program has conv, out"),
        ({"target": "loihi1"}, "on loihi1, the program has"),
        ({"times": np.zeros(0, np.int64)}, "give no estimate, needed 40000 us"),
    ],
)
def test_bad_traces_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(NeuvaError, match=message):
        energy(hand_trace(**changes), small_program())


def test_unknown_target_and_missing_figures_are_refused() -> None:
    with pytest.raises(NeuvaError, match="no energy table for loihi3: choose one of dynapcnn"):
        EnergyTable.load("loihi3")
    with pytest.raises(NeuvaError, match="mac45nm has no figure synop"):
        energy(hand_trace(), small_program(), EnergyTable.load("mac45nm"))
    with pytest.raises(NeuvaError, match="give no estimate"):
        energy([], small_program())


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from([1, 2, 4]),
    side=st.tuples(st.integers(7, 10), st.integers(7, 10)),
    nonzero=st.booleans(),
)
def test_fanout_is_the_gradient_of_a_convolution(kernel, stride, padding, dilation, groups, side, nonzero) -> None:
    weight = np.random.default_rng(0).integers(-1, 2, (8, 4 // groups, *kernel))
    there = torch.tensor(weight != 0 if nonzero else np.ones_like(weight), dtype=torch.float64)
    x = torch.zeros(1, 4, *side, dtype=torch.float64, requires_grad=True)
    out = torch.nn.functional.conv2d(x, there, None, stride, padding, dilation, groups)
    out.sum().backward()
    link = Connection("conv", weight, stride, padding, dilation, groups)
    layer = Layer("conv", (4, *side), tuple(out.shape[1:]), link, neuron("loihi", 8))
    assert x.grad is not None
    np.testing.assert_array_equal(fanout(layer, (4, *side), nonzero=nonzero), x.grad[0].numpy())
    words = baseline(one_layer(layer)).layers[0].words
    assert words.low <= words.typical <= words.high


def one_layer(layer: Layer) -> ChipProgram:
    readout = Readout(np.zeros((2, layer.neurons), np.float32), np.zeros(2, np.float32), 0.5)
    return ChipProgram("loihi2", DT, InputEncoding(layer.in_shape, "binary"), (layer,), readout)


def random_input(kind: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.minimum(rng.poisson(0.4, (STEPS, 2, 6, 6)), 1 if kind == "binary" else 9)


def runs() -> list[tuple[ChipProgram, Trace]]:
    """Real counts of all emulators, with and without bias, pooling and payloads."""
    loihi, graded = small_program("loihi2", bias=3), small_program("loihi2", "counts")
    speck, pooled = small_program("speck2f", "counts", bias=3), small_program("speck2f", "counts", pool=4)
    binary, counts = random_input("binary"), random_input("counts")
    return [
        (loihi, emulator.run(loihi, binary)),
        (graded, emulator.run(graded, counts)),
        *((program, run(program, counts)) for program in (speck, pooled) for run in (clocked.run, event_driven.run)),
    ]


def test_counts_of_all_emulators_are_arrivals_times_fanout() -> None:
    for program, trace in runs():
        for index, (layer, shape) in enumerate(received(program)):
            counted = sum(core.synops for core in trace.counts if core.layer == layer.name)
            assert counted == int((arrivals(trace, program, index) * fanout(layer, shape)).sum()) > 0


def test_speck_updates_are_ticks_of_layers_with_a_bias_whatever_the_backend() -> None:
    for program, trace in runs()[2:]:
        found = {part.layer: part.updates for part in energy(trace, program).parts if part.core is not None}
        biased = program.layers[0].neuron.bias.any()
        assert found == {"conv": 4 * 6 * 6 * STEPS * int(biased), "out": 0}, trace.backend
        if trace.backend == "emulator-events":
            assert {core.layer: core.updates - core.synops for core in trace.counts} == found


def test_activity_by_hand() -> None:
    measured = activity(hand_trace(), small_program())
    conv = measured.layers[0]
    assert conv.activation_sparsity == 1 - 4 / (144 * STEPS)
    assert measured.spike_rate == 4 / (149 * STEPS)
    # the spike at (0, 0) reaches 2 x 2 places, one of them through the kernel's top left tap, which is zero;
    # the two at (1, 1) reach 9 places each, one of them through that tap; all this in 4 channels
    assert conv.effective_acs == (3 + 8 + 8) * 4 / 2
    assert measured.layers[1].effective_acs == 4 * 5 / 2
    assert measured.effective_macs == 0
    assert measured.connection_sparsity == 8 / (72 + 5 * 144)
    assert measured.footprint_bytes == (72 + 720) + (4 + 5) * 2 + (144 + 5) * 6
    assert json.loads(json.dumps(measured.to_dict()))["effective_acs"] == measured.effective_acs
    assert "0.34% a neuron and step, below the 5.7%" in break_even(measured)


def test_payloads_make_multiply_accumulates_in_the_first_layer_only() -> None:
    program, trace = runs()[1]
    measured = activity(trace, program)
    assert measured.layers[0].effective_acs == 0 < measured.layers[0].effective_macs
    assert measured.layers[1].effective_macs == 0 < measured.layers[1].effective_acs


def test_effective_operations_leave_out_zero_weights_alone() -> None:
    for program, trace in runs():
        measured = activity(trace, program)
        counted = sum(core.synops for core in trace.counts) / len(trace.times)
        assert 0 < measured.effective_acs + measured.effective_macs < counted


def test_activity_needs_the_spikes() -> None:
    with pytest.raises(NeuvaError, match="spikes of input in the trace: none"):
        activity(hand_trace(spikes={}), small_program())
    wrong = hand_trace().spikes | {"conv": Spikes((4, 3, 3), *[np.zeros(0, np.int64)] * 3)}
    with pytest.raises(NeuvaError, match="conv in the trace: shape"):
        activity(hand_trace(spikes=wrong), small_program())


def test_baseline_by_hand() -> None:
    one = baseline(small_program())
    # along an axis of 6 with padding 1, a kernel of 3 meets 2 + 3 + 3 + 3 + 3 + 2 = 16 places inside
    conv, out = one.layers
    assert conv.macs == 16 * 16 * 2 * 4
    assert conv.macs != 6 * 6 * 9 * 2 * 4  # padding counted as work
    assert out.macs == 144 * 5
    assert conv.words == Interval(72 + 72 + 144, 72 + 16 * 16 * 2 + 144, 2 * conv.macs + 144)
    assert out.words == Interval(720 + 144 + 5, 720 + 144 + 5, 2 * 720 + 5)
    assert one.arithmetic.typical == pytest.approx((2048 + 720) * 0.23e-12)
    assert one.memory.typical == pytest.approx((728 + 869) * 8 * 20e-12 / 64)
    assert one.every_step.typical == pytest.approx(EVERY * one.per_inference.typical)
    assert json.loads(json.dumps(one.to_dict()))["macs"] == one.macs == 2768


def test_a_speck_spike_goes_to_each_layer_that_hears_it() -> None:
    """input -> a -> b, c -> join: each core has its own number of destinations, whatever layer comes next in order."""
    own = neuron("speck", 1)
    link = Connection("conv", np.full((1, 1, 1, 1), 20, np.int16))
    layers = tuple(
        Layer(name, (1, 2, 2), (1, 2, 2), link, own, 1, sources)
        for name, sources in (("a", ("input",)), ("b", ("a",)), ("c", ("a",)), ("join", ("b", "c")))
    )
    placement = tuple(CoreSlice(core, layer.name, 0, 1, 0, 2) for core, layer in enumerate(layers))
    readout = Readout(np.zeros((2, 4), np.float32), np.zeros(2, np.float32), 0.9, 1)
    program = ChipProgram("speck2f", DT, InputEncoding((1, 2, 2), "counts"), layers, readout, placement)
    trace = event_driven.run(program, np.ones((1, 1, 2, 2), int))
    parts = energy(trace, program, round_table()).by_layer
    packets = {name: part.spikes.high / 1e-12 for name, part in parts.items()}
    assert packets == pytest.approx({"input": 4, "a": 8, "b": 4, "c": 4, "join": 8})
    assert all(part.spikes.low == part.spikes.high for part in parts.values())
