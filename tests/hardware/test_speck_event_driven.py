"""Event-driven emulator: each rule in closed form, an independent reference, and wrong variants that must not match."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.program import ChipProgram, Connection, CoreSlice, InputEncoding, Layer, Readout, SpeckNeuron
from hardware.speck import clocked, event_driven
from hardware.speck.event_driven import EventEmulator
from hardware.speck.input import events_of_counts
from neuva import NeuvaError

DT = 1000
EVENT = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])


def program(*layers: Layer, kind: str = "counts", placement: tuple[CoreSlice, ...] = ()) -> ChipProgram:
    outputs = int(np.prod(layers[-1].sent_shape))
    readout = Readout(np.full((2, outputs), 0.01, np.float32), np.zeros(2, np.float32), 0.5)
    encoding = InputEncoding(layers[0].in_shape, kind)  # type: ignore[arg-type]
    return ChipProgram("speck2f", DT, encoding, layers, readout, placement)


def point(weight: list[int], threshold: int, low: int = -100, reset: str = "subtract", bias: int = 0) -> ChipProgram:
    """One neuron, with one synapse from each of some input pixels in a row."""
    own = SpeckNeuron(threshold, low, reset, np.array([bias]))  # type: ignore[arg-type]
    link = Connection("dense", np.array([weight], np.int16))
    return program(Layer("n", (1, 1, len(weight)), (1, 1, 1), link, own))


def send(pixels: list[int], gap: int = 10) -> np.ndarray:
    return np.array([(gap * (k + 1), x, 0, 1) for k, x in enumerate(pixels)], EVENT)


def spike_times(chip: ChipProgram, events: np.ndarray, **options: int) -> list[int]:
    return np.repeat(*(lambda s: (s.t, s.count))(event_driven.run(chip, events, **options).spikes["n"])).tolist()


def random_program(seed: int, bias: bool = True) -> ChipProgram:
    rng = np.random.default_rng(seed)

    def own(features: int, reset: str) -> SpeckNeuron:
        return SpeckNeuron(60, -50, reset, rng.integers(-9, 20, features) * bias)  # type: ignore[arg-type]

    first = Connection("conv", rng.integers(-60, 128, (5, 2, 3, 3)).astype(np.int8), (2, 1), (1, 2))
    second = Connection("conv", rng.integers(-60, 128, (3, 5, 2, 2)).astype(np.int8))
    return program(
        Layer("a", (2, 9, 7), (5, 5, 9), first, own(5, "subtract"), 2),
        Layer("b", (5, 2, 4), (3, 1, 3), second, own(3, "zero")),
    )


def random_counts(seed: int, chip: ChipProgram, steps: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).poisson(0.1, (steps, *chip.input.shape))


def reference(layer: Layer, events: list[tuple[int, ...]], ticks: list[int], variant: str) -> list[tuple[int, ...]]:
    """One layer by dense arithmetic on the whole map, event by event; `variant` names the one broken rule."""
    link, n = layer.connection, layer.neuron
    kernel, v, out = link.weight.astype(np.int64), np.zeros(layer.out_shape, np.int64), []
    queue = sorted([(t, 0, ()) for t in ticks] + [(e[0], 1, e) for e in events], key=lambda item: item[:2])
    for t, _, event in queue:
        if event:
            image = np.zeros((layer.in_shape), np.int64)
            image[event[1:]] = 1
            current, reached = convolve(link, image, kernel), convolve(link, image, np.ones_like(kernel)) > 0
        else:
            current, reached = np.broadcast_to(n.bias[:, None, None], v.shape), np.ones(v.shape, bool)
        v = v + current
        if variant == "all neurons spike, reached or not":
            reached = np.ones(v.shape, bool)
        number = np.where(reached & (v >= n.threshold), 1, 0)
        if variant == "as many spikes as fit":
            number = np.where(reached, np.maximum(v // n.threshold, 0), 0)
        v = np.where(number, 0, v) if n.reset == "zero" else v - number * n.threshold
        v = v if variant == "no lower bound" else np.maximum(v, n.low)
        out += [(t, int(f), int(y), int(x)) for y, x, f in np.argwhere(number.transpose(1, 2, 0)) for _ in range(1)]
    return out


def convolve(link: Connection, image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    padded = np.pad(image, ((0, 0), *((p, p) for p in link.padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], (1, 2))
    return np.einsum("chwyx,fcyx->fhw", windows[:, :: link.stride[0], :: link.stride[1]], kernel)


def both_layers(chip: ChipProgram, counts: np.ndarray, variant: str) -> dict[str, list[tuple[int, ...]]]:
    events = [tuple(int(value) for value in row) for row in events_of_counts(chip, counts)]
    found, ticks = {}, [k * DT for k in range(len(counts))]
    for layer in chip.layers:
        found[layer.name] = reference(layer, events, ticks if layer.neuron.bias.any() else [], variant)
        _, h, w = layer.sent_shape
        moved = [(t, f, y // layer.pool, x // layer.pool) for t, f, y, x in found[layer.name]]
        events = [event for event in moved if event[2] < h and event[3] < w]
    return found


def emulated(chip: ChipProgram, counts: np.ndarray) -> dict[str, list[tuple[int, ...]]]:
    fed = EventEmulator(chip).feed(events_of_counts(chip, counts), len(counts) * DT)
    return {name: [tuple(row) for row in rows.tolist()] for name, rows in fed.spikes.items()}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bias", [False, True])
def test_equals_the_dense_reference_in_order(seed: int, bias: bool) -> None:
    chip = random_program(seed, bias)
    counts = random_counts(seed, chip)
    found = emulated(chip, counts)
    assert found == both_layers(chip, counts, "right")
    assert len(found["a"]) > 20


@pytest.mark.parametrize("variant", ["all neurons spike, reached or not", "as many spikes as fit", "no lower bound"])
def test_wrong_variants_do_not_match(variant: str) -> None:
    chip = random_program(1)
    counts = random_counts(1, chip)
    assert emulated(chip, counts) != both_layers(chip, counts, variant)


def test_one_spike_an_event_and_the_rest_stays_until_the_next_event() -> None:
    chip = point([250, -10], threshold=100)
    assert spike_times(chip, send([0])) == [10]  # v = 250 -> one spike, 150 stays
    assert spike_times(chip, send([0, 1, 1, 1])) == [10, 20]  # 140 spikes even on a negative weight; then 40 - 10
    assert clocked.run(chip, np.array([[[[1, 0]]]])).spikes["n"].total == 2  # clocked: 250 // 100 at once


def test_reset_to_zero_drops_the_rest() -> None:
    assert spike_times(point([250, 60], 100, reset="zero"), send([0, 1, 1, 1, 1])) == [10, 30, 50]


def test_equal_to_the_threshold_spikes() -> None:
    assert spike_times(point([50], 100), send([0, 0, 0, 0])) == [20, 40]


def test_lower_bound_holds_after_each_event() -> None:
    chip = point([-90, 60], threshold=100, low=-30)
    assert spike_times(chip, send([0, 0, 0, 1, 1, 1])) == [60]  # -30 + 3 * 60 = 150; unbounded: -270 + 180
    assert spike_times(replace_low(chip, -32768), send([0, 0, 0, 1, 1, 1])) == []
    assert clocked.run(chip, np.array([[[[3, 3]]]])).spikes["n"].total == 0  # the step's sum alone is bounded


def replace_low(chip: ChipProgram, low: int) -> ChipProgram:
    layer = chip.layers[0]
    return replace(chip, layers=(replace(layer, neuron=replace(layer.neuron, low=low)),))


def test_the_16_bit_state_saturates_and_says_so() -> None:
    chip = point([20_000], threshold=30_000)
    trace = event_driven.run(chip, send([0, 0, 0, 0, 0]))
    # 20000; 40000 -> 32767 spikes -> 2767; 22767; 42767 -> 32767 spikes -> 2767; 22767
    assert trace.spikes["n"].t.tolist() == [20, 40]
    assert trace.notes == {"saturations": {"n": 2}}
    with pytest.raises(NeuvaError, match="16 bits"):
        event_driven.run(chip, send([0, 0]), strict=True)
    with pytest.raises(NeuvaError, match="16 bits"):
        clocked.run(chip, np.full((1, 1, 1, 1), 2), strict=True)
    assert clocked.run(chip, np.full((1, 1, 1, 1), 2)).notes == {"saturations": {"n": 1}}


def test_bias_is_added_at_each_tick_before_that_times_events() -> None:
    chip = point([1], threshold=20, bias=10)
    assert spike_times(chip, np.zeros(0, EVENT), duration_us=5 * DT) == [DT, 3 * DT]  # ticks at 0, 1, ... 4 ms
    late = np.array([(DT, 0, 0, 1), (DT + 1, 0, 0, 1)], EVENT)
    assert spike_times(chip, late, duration_us=3 * DT) == [DT]  # the tick comes first: 10, 20 -> spike, 1, 2, 12
    assert spike_times(point([1], 20, bias=-3), late) == []


def test_pooling_addresses_windows_and_drops_what_is_left_over() -> None:
    own = SpeckNeuron(1, 0, "subtract", np.zeros(1, int))
    spread = Layer("n", (1, 5, 5), (1, 5, 5), Connection("conv", np.ones((1, 1, 1, 1), np.int8)), own, pool=2)
    after = Layer("m", (1, 2, 2), (1, 2, 2), Connection("conv", np.ones((1, 1, 1, 1), np.int8)), own)
    counts = np.zeros((1, 1, 5, 5), int)
    counts[0, 0, 0:2, 2:4] = 1
    counts[0, 0, 4, 4] = 9
    trace = event_driven.run(program(spread, after), counts)
    assert trace.spikes["n"].total == 13
    assert trace.spikes["m"].neuron.tolist() == [1]
    assert trace.spikes["m"].count.tolist() == [4]


@pytest.mark.parametrize("seed", range(4))
def test_positive_weights_up_to_the_threshold_give_the_clocked_spikes(seed: int) -> None:
    """With 0 <= w <= threshold, floor(sum / threshold) spikes are out after each step either way."""
    chip = random_program(seed, bias=False)
    layers = tuple(
        replace(
            layer,
            connection=replace(layer.connection, weight=np.abs(layer.connection.weight)),
            neuron=replace(layer.neuron, threshold=128, reset="subtract"),
        )
        for layer in chip.layers
    )
    chip = replace(chip, layers=layers)
    counts = random_counts(seed, chip)
    step, event = clocked.run(chip, counts), event_driven.run(chip, counts)
    for name in step.spikes:
        np.testing.assert_array_equal(step.spikes[name].dense(6, DT), event.spikes[name].dense(6, DT))
    np.testing.assert_array_equal(step.va, event.va)
    assert [c.synops for c in step.counts] == [c.synops for c in event.counts]
    assert step.spikes["b"].total > 0


def test_counts_are_exact_at_borders_and_follow_the_placement() -> None:
    chip = random_program(3)
    chip = replace(chip, placement=(CoreSlice(4, "a", 0, 5, 0, 5), CoreSlice(7, "b", 0, 3, 0, 1)))
    counts = random_counts(3, chip)
    trace = event_driven.run(chip, counts)
    first, second = trace.counts
    link = chip.layers[0].connection
    synapses = int(convolve(link, counts.sum(0), np.ones_like(link.weight)).sum())
    naive = int(counts.sum()) * 5 * 9
    assert first.synops == synapses < naive
    assert clocked.run(chip, counts).counts[0].synops == synapses
    assert first.updates == synapses + 6 * 5 * 5 * 9
    assert (first.core, second.core) == (4, 7)
    assert (first.spikes, second.spikes) == (trace.spikes["a"].total, trace.spikes["b"].total)
    assert [c.core for c in event_driven.run(replace(chip, placement=()), counts).counts] == [-1, -1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 6 * DT), max_size=5))
def test_state_streams_across_any_cut(seed: int, cuts: list[int]) -> None:
    chip = random_program(seed)
    events, emulator = events_of_counts(chip, random_counts(seed, chip)), EventEmulator(chip)
    whole = EventEmulator(chip)
    expected = whole.feed(events, 6 * DT)
    edges = [0, *sorted(cuts), 6 * DT]
    parts = [emulator.feed(events[(events[:, 0] >= a) & (events[:, 0] < b)], b) for a, b in itertools.pairwise(edges)]
    for name, rows in expected.spikes.items():
        np.testing.assert_array_equal(np.concatenate([part.spikes[name] for part in parts]), rows)
    assert emulator.counts == whole.counts


def test_camera_events_choose_the_channel_by_polarity_and_binary_keeps_the_first_of_a_step() -> None:
    own = SpeckNeuron(1, 0, "subtract", np.zeros(2, int))
    weight = np.eye(2, dtype=np.int8)[:, :, None, None]
    layer = Layer("n", (2, 3, 4), (2, 3, 4), Connection("conv", weight), own)
    events = np.array([(5000, 3, 1, 0), (5001, 3, 1, 1), (5002, 3, 1, 1), (6001, 3, 1, 1)], EVENT)
    counts = event_driven.run(program(layer), events, start_us=5000)
    off, on = np.ravel_multi_index(((0, 1), (1, 1), (3, 3)), (2, 3, 4))
    assert counts.spikes["n"].neuron.tolist() == [off, on, on, on]
    assert counts.spikes["n"].t.tolist() == [0, 1, 2, 1001]
    assert counts.duration_us == 2 * DT
    binary = event_driven.run(program(layer, kind="binary"), events, start_us=5000)
    assert binary.spikes["input"].t.tolist() == [0, 1, 1001]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-5, 50), st.integers(-1, 8), st.integers(-1, 10), st.integers(-1, 2)), max_size=6)
)
def test_any_events_run_or_are_refused_in_one_line(rows: list[tuple[int, ...]]) -> None:
    chip, events = random_program(0), np.array(rows, EVENT)
    times = [row[0] for row in rows]
    good = times == sorted(times) and all(t >= 0 and 0 <= x < 7 and 0 <= y < 9 and p in (0, 1) for t, x, y, p in rows)
    if good:
        assert event_driven.run(chip, events).spikes["input"].total == len(rows)
    else:
        with pytest.raises(NeuvaError, match=r"^event \d") as caught:
            event_driven.run(chip, events)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((2, 2, 9, 6), int), "takes integers"),
        (np.zeros((2, 2, 9, 7)), "takes integers"),
        (np.full((1, 2, 9, 7), -1), "input holds -1"),
        (np.zeros(3, [("t", int), ("x", int)]), "fields t, x, y, p"),
    ],
)
def test_unsuitable_input_is_refused(bad: np.ndarray, message: str) -> None:
    with pytest.raises(NeuvaError, match=message):
        event_driven.run(random_program(0), bad)
    if bad.ndim == 4:
        with pytest.raises(NeuvaError, match=message):
            clocked.run(random_program(0), bad)


def test_a_run_shorter_than_its_events_is_refused() -> None:
    with pytest.raises(NeuvaError, match="ends at 10 us"):
        event_driven.run(point([1], 2), send([0]), duration_us=10)


@pytest.mark.parametrize("steps", [0, 3])
def test_silence(steps: int) -> None:
    chip = random_program(0, bias=False)
    for run in (clocked.run, event_driven.run):
        trace = run(chip, np.zeros((steps, 2, 9, 7), int))
        assert (trace.spikes["b"].total, len(trace.va), trace.duration_us) == (0, steps, steps * DT)
