"""Event-driven emulator: each rule in closed form, an independent reference, and wrong variants that must not match."""

from __future__ import annotations

import itertools
from collections import deque
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


def branching_program(seed: int) -> ChipProgram:
    """input -> a -> b, and a, b -> join; pools leave rows over; all leak."""
    rng = np.random.default_rng(seed)

    def layer(
        name: str, features: int, shape: tuple, kernel: int, heard: tuple, pool: int = 1, leaks: int = 0
    ) -> Layer:
        weight = rng.integers(-60, 128, (features, shape[0], kernel, kernel)).astype(np.int16)
        low, reset, bias = (
            -int(rng.integers(20, 60)),
            ("subtract", "zero")[features % 2],
            rng.integers(-9, 20, features),
        )
        own = SpeckNeuron(60, low, reset, bias * leaks)  # type: ignore[arg-type]
        sides = [side + 2 * (kernel // 2) - kernel + 1 for side in shape[1:]]
        link = Connection("conv", weight, (1, 1), (kernel // 2, kernel // 2))
        return Layer(name, shape, (features, *sides), link, own, pool, heard)

    return program(
        layer("a", 3, (2, 7, 5), 3, ("input",), 2, 1),
        layer("b", 3, (3, 3, 2), 3, ("a",), 1, 1),
        layer("join", 2, (3, 3, 2), 1, ("b", "a"), 1, 1),
    )


def heavy(chip: ChipProgram) -> ChipProgram:
    """Weights that leave 16 bits both ways."""

    def scaled(layer: Layer) -> Layer:
        link = replace(layer.connection, weight=layer.connection.weight.astype(np.int32) * 400)
        return replace(layer, connection=link, neuron=replace(layer.neuron, threshold=30_000, low=-40_000))

    return replace(chip, layers=tuple(scaled(layer) for layer in chip.layers))


def random_counts(seed: int, chip: ChipProgram, steps: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).poisson(0.1, (steps, *chip.input.shape))


WRONG = (
    "all neurons spike, reached or not",
    "as many spikes as fit",
    "no lower bound",
    "no saturation above",
    "no saturation below",
    "the other reset",
    "threshold itself does not spike",
    "pooling joins the events of a window",
    "pooling keeps the rows left over",
    "events before the tick of their time",
    "hearers in the other order",
    "breadth first",
    "a tick's spikes of the first layer first",
    "only the first destination hears",
    "no reset",
)


def reference(chip: ChipProgram, counts: np.ndarray, broken: str = "") -> dict[str, list[tuple[int, ...]]]:
    """Each spike followed through all cores before the next is sent; `broken` names one broken rule."""
    events = [tuple(int(value) for value in row) for row in events_of_counts(chip, counts)]
    every = chip.reset_every * DT
    tick_rank = 3 if broken == "events before the tick of their time" else 1
    roots = [(t, tick_rank, ()) for t in range(0, len(counts) * DT, DT)] + [(e[0], 2, e) for e in events]
    if every and broken != "no reset":
        roots += [(t, 0, ()) for t in range(every, len(counts) * DT, every)]
    v = {layer.name: np.zeros(layer.out_shape, np.int64) for layer in chip.layers}
    sent: dict[str, list[tuple[int, ...]]] = {layer.name: [] for layer in chip.layers}
    for t, rank, event in sorted(roots, key=lambda root: root[:2]):
        if rank == 0:
            v = {name: np.zeros_like(state) for name, state in v.items()}
            continue
        ticked = {} if event else {each.name: fire(each, v, None, t, broken) for each in chip.layers if leaks(each)}
        order = chip.layers if broken == "a tick's spikes of the first layer first" else chip.layers[::-1]
        todo = deque((hearer, event) for hearer in hearers(chip, "input", broken) if event)
        for layer in order:
            sent[layer.name] += ticked.get(layer.name, [])
            todo += onwards(chip, layer, ticked.get(layer.name, []), broken)
        while todo:
            layer, each = todo.popleft()
            own = fire(layer, v, each, t, broken)
            sent[layer.name] += own
            new = onwards(chip, layer, own, broken)
            if broken == "breadth first":
                todo += new
            else:
                todo.extendleft(new[::-1])
    return sent


def leaks(layer: Layer) -> bool:
    return bool(layer.neuron.bias.any())


def onwards(
    chip: ChipProgram, layer: Layer, own: list[tuple[int, ...]], broken: str
) -> list[tuple[Layer, tuple[int, ...]]]:
    return [(next_, spike) for spike in pool(layer, own, broken) for next_ in hearers(chip, layer.name, broken)]


def hearers(chip: ChipProgram, name: str, broken: str) -> list[Layer]:
    found = [layer for layer, sources in zip(chip.layers, chip.sources, strict=True) if name in sources]
    found = found[::-1] if broken == "hearers in the other order" else found
    return found[:1] if broken == "only the first destination hears" else found


def fire(layer: Layer, v: dict, event: tuple[int, ...] | None, t: int, broken: str) -> list[tuple[int, ...]]:
    """One event, or without one a tick, on the whole map of neurons."""
    link, n, state = layer.connection, layer.neuron, v[layer.name]
    kernel = link.weight.astype(np.int64)
    current, reached = np.broadcast_to(n.bias[:, None, None], state.shape), np.ones(state.shape, bool)
    if event:
        image = np.zeros(layer.in_shape, np.int64)
        image[event[1:]] = 1
        current, reached = convolve(link, image, kernel), convolve(link, image, np.ones_like(kernel)) > 0
    state = state + current
    state = state if broken == "no saturation above" else np.minimum(state, 32767)
    state = state if broken == "no saturation below" else np.maximum(state, -32768)
    reached = reached | (broken == "all neurons spike, reached or not")
    number = (reached & (state >= n.threshold + (broken == "threshold itself does not spike"))).astype(np.int64)
    if broken == "as many spikes as fit":
        number = np.where(reached, np.maximum(state // n.threshold, 0), 0)
    to_zero = (n.reset == "zero") != (broken == "the other reset")
    state = np.where(number > 0, 0, state) if to_zero else state - number * n.threshold
    v[layer.name] = state if broken == "no lower bound" else np.maximum(state, n.low)
    return [(t, int(f), int(y), int(x)) for y, x, f in np.argwhere(number.transpose(1, 2, 0))]


def pool(layer: Layer, spikes: list[tuple[int, ...]], broken: str) -> list[tuple[int, ...]]:
    _, h, w = layer.sent_shape
    moved = [(t, f, y // layer.pool, x // layer.pool) for t, f, y, x in spikes]
    if broken == "pooling keeps the rows left over":
        return [(t, f, min(y, h - 1), min(x, w - 1)) for t, f, y, x in moved]
    inside = [spike for spike in moved if spike[2] < h and spike[3] < w]
    return list(dict.fromkeys(inside)) if broken == "pooling joins the events of a window" else inside


def convolve(link: Connection, image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    padded = np.pad(image, ((0, 0), *((p, p) for p in link.padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], (1, 2))
    return np.einsum("chwyx,fcyx->fhw", windows[:, :: link.stride[0], :: link.stride[1]], kernel)


def emulated(chip: ChipProgram, counts: np.ndarray) -> dict[str, list[tuple[int, ...]]]:
    fed = EventEmulator(chip).feed(events_of_counts(chip, counts), len(counts) * DT)
    return {name: [tuple(row) for row in rows.tolist()] for name, rows in fed.spikes.items()}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bias", [False, True])
def test_equals_the_dense_reference_in_order(seed: int, bias: bool) -> None:
    chip = random_program(seed, bias)
    counts = random_counts(seed, chip)
    found = emulated(chip, counts)
    assert found == reference(chip, counts)
    assert len(found["a"]) > 20


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("resets", [0, 2])
def test_branches_and_merges_equal_the_reference_that_follows_each_event(seed: int, resets: int) -> None:
    chip = replace(branching_program(seed), reset_every=resets)
    counts = random_counts(seed, chip)
    found = emulated(chip, counts)
    assert found == reference(chip, counts)
    assert len(found["join"]) > 20


@pytest.mark.parametrize("broken", WRONG)
def test_wrong_variants_do_not_match(broken: str) -> None:
    chip = replace(branching_program(1), reset_every=2)
    chip = heavy(chip) if "saturation" in broken else chip
    counts = random_counts(1, chip)
    found = emulated(chip, counts)
    assert found == reference(chip, counts)
    assert found != reference(chip, counts, broken)


def test_two_sources_meet_in_the_order_of_the_input_events() -> None:
    """`slow` needs two events; `join` spikes on the second of any two spikes: who comes when decides who tips it."""
    own = SpeckNeuron(2, 0, "zero", np.zeros(1, int))
    one = Connection("conv", np.full((1, 1, 1, 1), 2, np.int8))
    half = Connection("conv", np.ones((1, 1, 1, 1), np.int8))
    fast = Layer("fast", (1, 1, 1), (1, 1, 1), one, own, sources=("input",))
    slow = Layer("slow", (1, 1, 1), (1, 1, 1), half, own, sources=("input",))
    join = Layer("join", (1, 1, 1), (1, 1, 1), half, own, sources=("slow", "fast"))
    chip = program(fast, slow, join)
    events = np.array([(10, 0, 0, 1), (10, 0, 0, 1), (20, 0, 0, 1), (30, 0, 0, 1)], EVENT)
    # heard: fast at 10 (event 0), slow and fast at 10 (event 1), fast at 20, slow and fast at 30; every second tips it
    joined = event_driven.run(chip, events).spikes["join"]
    assert np.repeat(joined.t, joined.count).tolist() == [10, 20, 30]
    rows = np.stack([events["t"], *(np.zeros(4, int) for _ in range(3))], axis=1)
    sent = EventEmulator(chip).feed(rows, DT).sent
    assert sent[:, 0].tolist() == [10, 20, 30]  # by source first: slow 10, slow 30, fast 10, 10, 20, 30: 30, 10, 30


def test_sources_of_different_shapes_are_refused() -> None:
    own = SpeckNeuron(2, 0, "zero", np.zeros(4, int))
    spread = Layer("spread", (1, 2, 2), (4, 1, 1), Connection("dense", np.ones((4, 4), np.int8)), own)
    join = Layer(
        "join", (4, 1, 1), (4, 1, 1), Connection("dense", np.eye(4, dtype=np.int8)), own, 1, ("spread", "input")
    )
    with pytest.raises(NeuvaError, match="one input shape"):
        event_driven.run(program(spread, join), np.zeros((1, 1, 2, 2), int))


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


def test_a_spike_is_followed_to_its_end_before_the_next_is_sent() -> None:
    """left sends 0 and 1 for an event, right answers each by 0 and 1, and join hears both, of weights 1 and 2."""
    own = SpeckNeuron(1, 0, "zero", np.zeros(2, int))
    left = Layer("left", (1, 1, 1), (2, 1, 1), Connection("conv", np.ones((2, 1, 1, 1), np.int8)), own)
    right = Layer("right", (2, 1, 1), (2, 1, 1), Connection("conv", np.ones((2, 2, 1, 1), np.int8)), own)
    weight, third = np.array([1, 2], np.int8).reshape(1, 2, 1, 1), SpeckNeuron(3, 0, "zero", np.zeros(1, int))
    join = Layer("join", (2, 1, 1), (1, 1, 1), Connection("conv", weight), third, 1, ("left", "right"))
    fed = EventEmulator(program(left, right, join)).feed(np.zeros((1, 4), int), DT)
    # depth first: right 0, 1, left 0, right 0, 1, left 1: 1 + 2 and 1 + 1 + 2 spike, and 2 stays
    # one source after the other, either way round: 1 + 2, 1 + 2, 1 + 2
    assert len(fed.spikes["join"]) == 2


def test_two_events_on_a_pixel_come_after_all_first_ones() -> None:
    chip = random_program(0)
    counts = np.zeros((1, 2, 9, 7), int)
    counts[0, 0, 0, 0], counts[0, 1, 3, 2] = 3, 2
    pixels = [row[1:] for row in events_of_counts(chip, counts).tolist()]
    assert pixels == [[0, 0, 0], [1, 3, 2], [0, 0, 0], [1, 3, 2], [0, 0, 0]]


@pytest.mark.parametrize("low", [-32768, -40_000])
def test_a_state_cut_below_counts_where_the_bound_would_not_cut_it_anyway(low: int) -> None:
    chip = replace_low(point([-20_000], threshold=30_000), low)
    cut = {"saturations": {"n": 2}} if low < -32768 else {}  # -20000, then -40000 and -52768: both are cut
    assert event_driven.run(chip, send([0, 0, 0])).notes == cut
    counted = {"saturations": {"n": 1}} if low < -32768 else {}
    assert clocked.run(chip, np.full((1, 1, 1, 1), 3)).notes == counted


@pytest.mark.parametrize("stretch", [1, 7])
def test_a_run_in_short_stretches_is_one_feed(stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chip = replace(branching_program(2), reset_every=2)
    stream = events_of_counts(chip, random_counts(2, chip))
    whole = EventEmulator(chip).feed(stream, 6 * DT)
    monkeypatch.setattr(event_driven, "STRETCH", stretch)
    parts = list(event_driven.stretches(EventEmulator(chip), stream, 6 * DT))
    assert len(parts) > 3
    for name, rows in whole.spikes.items():
        np.testing.assert_array_equal(np.concatenate([part.spikes[name] for part in parts]), rows)
    np.testing.assert_array_equal(np.concatenate([part.sent for part in parts]), whole.sent)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[10, 0, 0, 0], [5, 0, 0, 0]], "event 1 .* earlier"),
        ([[3, 0, 0, 0]], "outside 5 <= t < 20"),
        ([[20, 0, 0, 0]], "outside 5 <= t < 20"),
        ([[10, 2, 0, 0]], "outside the input"),
        ([[10, 0, 9, 0]], "outside the input"),
        ([[10, 0, 0, -3]], "outside the input"),
        ([[10.0, 0, 0, 0]], "needed integers"),
        ([[10, 0, 0]], "needed integers"),
    ],
)
def test_what_cannot_be_fed_is_refused(rows: list, message: str) -> None:
    emulator = EventEmulator(random_program(0))
    emulator.feed(np.zeros((1, 4), int), 5)
    with pytest.raises(NeuvaError, match=message):
        emulator.feed(np.array(rows), 20)


def test_feeding_goes_forward_and_ends_with_the_drain() -> None:
    emulator, nothing = EventEmulator(random_program(0)), np.zeros((0, 4), int)
    emulator.feed(nothing, 5)
    with pytest.raises(NeuvaError, match="fed until 5 us"):
        emulator.feed(nothing, 4)
    emulator.drain()
    with pytest.raises(NeuvaError, match="drained"):
        emulator.feed(nothing, 10)
    with pytest.raises(NeuvaError, match="without queues"):
        emulator.report(np.zeros((0, 2), int))
