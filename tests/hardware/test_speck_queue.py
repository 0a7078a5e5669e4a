"""Queues between cores: closed forms, an independent reference, and wrong variants that must not match."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.program import ChipProgram, Connection, InputEncoding, Layer, SpeckNeuron
from hardware.speck import event_driven
from hardware.speck.event_driven import EventEmulator, Fed
from hardware.speck.queueing import Latency, Queue, QueueReport, Server, Timing
from neuva import NeuvaError

TIMING = Timing(synops_per_s=1e6, event_ns=4000, buffer=3)  # a synapse takes 1 us: one event of one synapse 5 us


def chain(layers: int = 3, features: int = 1, bias: int = 0) -> ChipProgram:
    """Every event makes the one place of each layer spike, once for each feature."""
    made, shape = [], (1, 1, 1)
    for index in range(layers):
        link = Connection("conv", np.ones((features, shape[0], 1, 1), np.int8))
        own = SpeckNeuron(1, 0, "subtract", np.full(features, bias))
        made.append(Layer(f"l{index}", shape, (features, 1, 1), link, own))
        shape = made[-1].sent_shape
    return ChipProgram("speck2f", 1000, InputEncoding((1, 1, 1), "counts"), tuple(made), None)


def steady(number: int, gap_us: int) -> np.ndarray:
    rows = np.zeros((number, 4), np.int64)
    rows[:, 0] = np.arange(number) * gap_us
    return rows


def timed(chip: ChipProgram, rows: np.ndarray, queue: Queue, until_us: int) -> tuple[Fed, Fed, QueueReport]:
    emulator = EventEmulator(chip, queue)
    fed, rest = emulator.feed(rows, until_us), emulator.drain()
    return fed, rest, emulator.report(np.concatenate([fed.latency, rest.latency]))


def test_below_the_ceiling_an_event_takes_the_sum_of_the_work() -> None:
    fed, rest, report = timed(chain(3), steady(100, 5), Queue(TIMING), 500)
    assert report.latency.most_us == report.latency.mean_us == report.latency.median_us == 3 * 5.0
    assert report.latency.events == 100
    assert [core.load for core in report.cores] == [1.0, 1.0, 1.0]
    assert report.first_full is None
    np.testing.assert_array_equal(np.concatenate([fed.sent, rest.sent])[:, 0], 15 + 5 * np.arange(100))


@pytest.mark.parametrize("gap", [1, 3, 4])
def test_above_the_ceiling_the_backlog_grows_by_work_minus_gap_an_event(gap: int) -> None:
    fed, rest, report = timed(chain(1), steady(200, gap), Queue(TIMING), 200 * gap)
    latency = np.concatenate([fed.latency, rest.latency])
    expected = 5000 + np.arange(200) * (5000 - gap * 1000)
    np.testing.assert_array_equal(latency, np.stack([np.arange(200), expected], axis=1))
    assert (np.arange(200) * (4000 - gap * 1000) + 5000 != expected).any()  # wrong: the synapse forgotten
    (core,) = report.cores
    assert core.load == pytest.approx(5 / gap)
    assert core.longest_wait_us == 199 * (5 - gap)
    # event n finds n - floor(n gap / 5) - 1 others waiting: those begun by then are at work or done
    waiting = np.arange(200) - np.arange(200) * gap // 5 - 1
    assert core.full == (waiting >= 3).sum()
    assert core.first_full_us == np.argmax(waiting >= 3) * gap


def test_only_the_slowest_core_of_a_chain_builds_a_backlog() -> None:
    """l0 sends 4 spikes an event, each 4 + 4 us of work in l1: 32 us an event; l2 hears 16 spikes a round of 8 us."""
    _, _, report = timed(chain(2, features=4), steady(50, 40), Queue(TIMING), 2000)
    first, second = report.cores
    assert first.load == pytest.approx(8 / 40)
    assert second.load == pytest.approx(32 / 40)
    assert report.latency.most_us == 8 + 32
    assert second.longest_wait_us == 3 * 8
    assert first.full == second.full == 0  # one at work and three waiting is what a buffer of 3 holds
    crowded = timed(chain(2, features=4), steady(50, 40), Queue(replace(TIMING, buffer=2)), 2000)[2]
    assert [core.full for core in crowded.cores] == [0, 50]
    assert crowded.first_full is crowded.cores[1]
    assert crowded.first_full.first_full_us == 8


def test_dropped_events_leave_no_trace() -> None:
    fed, rest, report = timed(chain(1), steady(20, 1), Queue(TIMING, "drop"), 20)
    # at 0 begins event 0; 1, 2, 3 wait; 4 is lost; at 5 event 1 begins, so 5 is taken; 6 to 9 are lost, ...
    taken = [0, 1, 2, 3, 5, 10, 15]
    latency = np.concatenate([fed.latency, rest.latency])
    assert latency[:, 0].tolist() == taken
    assert np.concatenate([fed.sent, rest.sent])[:, 0].tolist() == [5 * (k + 1) for k in range(7)]
    assert report.cores[0].full == 13
    assert latency[:, 1].max() <= 4 * 5000  # at most a full queue and itself
    trace = event_driven.run(chain(1), as_camera(steady(20, 1)), duration_us=20, queue=Queue(TIMING, "drop"))
    assert trace.spikes["l0"].total == trace.counts[0].synops == 7


def as_camera(rows: np.ndarray) -> np.ndarray:
    events = np.zeros(len(rows), [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
    events["t"], events["x"], events["y"] = rows[:, 0], rows[:, 3], rows[:, 2]
    return events


@pytest.mark.parametrize("wrong", ["the one at work counts as waiting", "a lost event keeps the core busy"])
def test_wrong_queues_do_not_match(wrong: str) -> None:
    arrival, synapses = np.arange(20) * 1000, np.ones(20, np.int64)
    done, kept = Server(TIMING, drop=True).serve(arrival, synapses)
    right = fifo(arrival.tolist(), [5000] * 20, 3, drop=True)
    assert (done.tolist(), kept.tolist()) == right[:2]
    assert right[:2] != fifo(arrival.tolist(), [5000] * 20, 3, drop=True, wrong=wrong)[:2]


def fifo(
    arrival: list[int], work: list[int], buffer: int, drop: bool, wrong: str = ""
) -> tuple[list[int], list[bool], int]:
    """Textbook queue with a list of those that wait; times in ns."""
    waiting: list[int] = []  # when each begins
    free, done, taken, full = 0, [], [], 0
    for now, needs in zip(arrival, work, strict=True):
        waiting = [begin for begin in waiting if begin > now]
        crowded = len(waiting) >= buffer
        full += crowded
        taken.append(not (crowded and drop))
        begin = max(now, free)
        if taken[-1]:
            waiting.append(begin + needs if wrong == "the one at work counts as waiting" else begin)
        if taken[-1] or wrong == "a lost event keeps the core busy":
            free = begin + needs
        done.append(free if taken[-1] else 0)
    return done, taken, full


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), max_size=60),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 60),
)
def test_a_server_is_the_textbook_queue_in_any_cut(rows: list, buffer: int, drop: bool, cut: int) -> None:
    arrival = np.cumsum([gap * 1000 for gap, _ in rows]).astype(np.int64)
    synapses = np.array([count for _, count in rows], np.int64)
    timing = replace(TIMING, buffer=buffer)
    server = Server(timing, drop=drop)
    parts = [server.serve(arrival[:cut], synapses[:cut]), server.serve(arrival[cut:], synapses[cut:])]
    done, kept = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    expected = fifo(arrival.tolist(), timing.work_ns(synapses).tolist(), buffer, drop)
    assert (done.tolist(), kept.tolist(), server.load(0, "", 1).full) == expected


def merging(seed: int) -> ChipProgram:
    """input -> a -> b, and a, b, input -> join, with leaks and resets."""
    rng = np.random.default_rng(seed)

    def layer(name: str, features: int, channels: int, *heard: str) -> Layer:
        weight = rng.integers(-40, 128, (features, channels, 3, 3)).astype(np.int8)
        own = SpeckNeuron(90, -60, "subtract", rng.integers(-9, 20, features))
        return Layer(
            name, (channels, 4, 4), (features, 4, 4), Connection("conv", weight, (1, 1), (1, 1)), own, 1, heard
        )

    layers = (layer("a", 2, 2, "input"), layer("b", 2, 2, "a"), layer("join", 3, 2, "a", "b", "input"))
    return ChipProgram("speck2f", 100, InputEncoding((2, 4, 4), "counts"), layers, None, reset_every=3)


def random_rows(seed: int, number: int = 120) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([np.sort(rng.integers(0, 1000, number)), *rng.integers(0, [[2], [4], [4]], (3, number))], axis=1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.sampled_from(["wait", "drop"]), st.lists(st.integers(1, 999), max_size=6))
def test_streaming_in_any_cut_gives_the_same(seed: int, full: str, cuts: list[int]) -> None:
    chip, rows, queue = merging(seed % 7), random_rows(seed), Queue(replace(TIMING, event_ns=500), full)  # type: ignore[arg-type]
    fed, rest, report = timed(chip, rows, queue, 1000)
    emulator = EventEmulator(chip, queue)
    edges = [0, *sorted(cuts), 1000]
    parts = [emulator.feed(rows[(rows[:, 0] >= a) & (rows[:, 0] < b)], b) for a, b in itertools.pairwise(edges)]
    parts.append(emulator.drain())
    for name in fed.spikes:
        expected = np.concatenate([fed.spikes[name], rest.spikes[name]])
        np.testing.assert_array_equal(np.concatenate([part.spikes[name] for part in parts]), expected)
    latency = np.concatenate([part.latency for part in parts])
    np.testing.assert_array_equal(latency, np.concatenate([fed.latency, rest.latency]))
    assert emulator.report(latency) == report


def test_an_endlessly_fast_core_is_the_pure_function() -> None:
    """Work of 1 ns an event: spikes of the same microsecond, in every layer, but for where ticks come between."""
    chip = merging(1)
    layers = tuple(
        replace(layer, neuron=replace(layer.neuron, bias=0 * layer.neuron.bias), sources=()) for layer in chip.layers
    )
    chip, rows = replace(chip, layers=layers[:2], reset_every=0), random_rows(1)
    pure = EventEmulator(chip).feed(rows, 1000)
    fed, rest, report = timed(chip, rows, Queue(Timing(1e15, 0, 1 << 20)), 1000)
    for name, spikes in pure.spikes.items():
        np.testing.assert_array_equal(np.concatenate([fed.spikes[name], rest.spikes[name]]), spikes)
    assert report.latency.most_us < 1
    slow, late, _ = timed(chip, rows, Queue(TIMING), 1000)
    assert slow.spikes["b"].tolist() != pure.spikes["b"].tolist()
    assert len(slow.spikes["b"]) + len(late.spikes["b"]) == len(pure.spikes["b"])  # a chain: later, but the same


@pytest.mark.parametrize("queue", [None, Queue(TIMING, "drop")])
def test_memory_does_not_grow_with_the_recording(queue: Queue | None) -> None:
    emulator, sizes = EventEmulator(merging(2), queue), []
    for stretch in range(40):
        rows = random_rows(stretch)
        rows[:, 0] += stretch * 1000
        emulator.feed(rows, (stretch + 1) * 1000)
        sizes.append(sum(array.nbytes for core in emulator._cores for array in arrays(core)))
    assert max(sizes[5:]) <= 2 * max(sizes[:5])


def arrays(holder: object) -> list[np.ndarray]:
    found = []
    for value in vars(holder).values():
        found += [value] if isinstance(value, np.ndarray) else []
        found += [each for each in value if isinstance(each, np.ndarray)] if isinstance(value, list) else []
        found += arrays(value) if isinstance(value, Server) else []
    return found


def test_a_waiting_queue_holds_its_backlog_and_nothing_else() -> None:
    """What a full queue holds back grows with the backlog, as it must, and is gone once it is worked off."""
    emulator = EventEmulator(chain(2), Queue(TIMING))
    emulator.feed(steady(1000, 1), 1000)
    assert sum(array.nbytes for array in arrays(emulator._cores[1])) > 800 * 48
    emulator.drain()
    assert sum(array.nbytes for array in arrays(emulator._cores[1])) < 1000


def test_peak_load_is_that_of_the_busiest_window() -> None:
    rows = np.concatenate([steady(1000, 10), 10_000 + steady(1000, 5), 20_000 + steady(10, 1000)])
    rows[:, 1:] = 0
    report = timed(chain(1), rows, Queue(TIMING), 30_000)[2]
    # from 5 to 15 ms: 500 events of 5 us and then 1,000; in whole windows from 0, half of each of the first two
    assert report.cores[0].peak_load == pytest.approx(0.75)
    assert report.cores[0].load == pytest.approx(2010 * 5 / 30_000)


def test_ticks_answer_no_input_event_and_take_no_time() -> None:
    chip = chain(2, bias=1)
    report = timed(chip, np.zeros((0, 4), np.int64), Queue(TIMING), 5000)[2]
    assert report.latency.events == 0
    assert report.latency.mean_us is None
    assert [core.events for core in report.cores] == [0, 5]


def test_the_trace_says_what_came_of_it_in_plain_values(tmp_path) -> None:
    trace = event_driven.run(chain(2), as_camera(steady(50, 1)), duration_us=1000, queue=Queue(TIMING))
    notes = json.loads(json.dumps(trace.notes["queue"]))
    assert notes["cores"][0]["first_full_us"] == 4
    assert notes["latency"]["most_us"] == 5 * 50 - 49 + 5
    trace.save(tmp_path / "trace.h5")
    assert "queue" not in event_driven.run(chain(2), as_camera(steady(50, 1))).notes


def test_the_tables_times_are_read() -> None:
    timing = Timing.load()
    assert timing.work_ns(np.array([0, 288])).tolist() == [373, 373 + 9600]
    assert 9 * timing.work_ns(np.array([0]))[0] == pytest.approx(3360, abs=9)


@pytest.mark.parametrize("wrong", [{"synops_per_s": 0}, {"event_ns": -1}, {"buffer": 0}, {"synops_per_s": np.inf}])
def test_times_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(NeuvaError, match="allowed are at least 1, 0 and 1"):
        replace(TIMING, **wrong)


@pytest.mark.parametrize("bursts", [[0], [17_000], [23_000], [0, 12_000], [3_000, 16_000, 26_000]])
def test_a_burst_is_the_peak_wherever_it_falls(bursts: list[int]) -> None:
    """500 events of 5 us in 4 ms: whatever their place against the windows, and with others more than 5 ms away."""
    rows = np.concatenate([steady(500, 8) + np.array([first, 0, 0, 0]) for first in bursts])
    assert timed(chain(1), rows, Queue(TIMING), 30_000)[2].cores[0].peak_load == pytest.approx(0.25)


@pytest.mark.parametrize("run_us", [1000, 4000])
def test_a_run_shorter_than_the_window_is_its_own_window(run_us: int) -> None:
    core = timed(chain(1), steady(100, 10), Queue(TIMING), run_us)[2].cores[0]
    assert core.peak_load == core.load == pytest.approx(500 / run_us)


@pytest.mark.parametrize("number", [20_000, 1000])
def test_the_offered_load_counts_what_comes_late(number: int) -> None:
    """Behind a core at five times its ceiling: work is offered to both alike, and reaches the second at its pace."""
    first, second = timed(chain(2), steady(number, 1), Queue(TIMING), number)[2].cores
    assert (first.load, second.load) == (5, 5)
    assert first.peak_load == pytest.approx(5)
    assert second.peak_load == pytest.approx(1, rel=1e-3)
    assert second.full == 0


def test_a_run_gives_what_was_still_on_its_way_at_its_end() -> None:
    trace = event_driven.run(chain(3), as_camera(steady(50, 1)), duration_us=50, queue=Queue(TIMING))
    assert trace.spikes["l2"].total == 50
    np.testing.assert_array_equal(trace.spikes["l2"].t, 15 + 5 * np.arange(50))
    assert trace.notes["queue"]["latency"]["events"] == 50


@pytest.mark.parametrize("stretch", [1, 7])
@pytest.mark.parametrize("full", ["wait", "drop"])
def test_short_stretches_are_one_feed(stretch: int, full: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chip, rows, queue = merging(3), random_rows(3), Queue(replace(TIMING, event_ns=500), full)  # type: ignore[arg-type]
    fed, rest, report = timed(chip, rows, queue, 1000)
    monkeypatch.setattr(event_driven, "STRETCH", stretch)
    emulator = EventEmulator(chip, queue)
    parts = list(event_driven.stretches(emulator, rows, 1000))
    for name in fed.spikes:
        expected = np.concatenate([fed.spikes[name], rest.spikes[name]])
        np.testing.assert_array_equal(np.concatenate([part.spikes[name] for part in parts]), expected)
    assert emulator.report(np.concatenate([part.latency for part in parts])) == report


def test_the_percentiles_of_the_latency() -> None:
    rows = np.stack([np.arange(101), 1000 * np.arange(101)], axis=1)
    found = Latency.of(np.concatenate([rows, rows // [1, 2]])[::-1])  # of each event the longest counts
    assert (found.events, found.median_us, found.p99_us, found.most_us) == (101, 50, 99, 100)


def test_the_leak_clock_ticks_on_in_a_core_that_is_late() -> None:
    trace = event_driven.run(chain(1, bias=1), as_camera(steady(2000, 1)), duration_us=2000, queue=Queue(TIMING))
    ticks = trace.counts[0].updates - trace.counts[0].synops
    assert ticks == 10_000 / 1000 + 1  # at 0, 1, ... 10 ms, when the last of 2,000 events of 5 us is done


def test_a_full_queue_waits_or_drops() -> None:
    with pytest.raises(NeuvaError, match='"lose"'):
        Queue(TIMING, "lose")  # type: ignore[arg-type]
