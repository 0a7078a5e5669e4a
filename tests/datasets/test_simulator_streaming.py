"""Threads, buffers and memory: what must not change the events."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from datasets.simulator import EventSimulator, PixelModel, preset
from neuva import NeuvaError

SIZE = (150, 113)  # four spans and a rest: no edge of theirs falls on a row


def frames(number=8, size=SIZE):
    random = np.random.default_rng(4)
    return random.integers(40, 200, (number, *size[::-1])).astype(np.uint8)


def stream(simulator, pictures):
    return [simulator.feed(picture, 5000 * number).tobytes() for number, picture in enumerate(pictures)]


@pytest.mark.parametrize(
    "model", [preset("ideal"), preset("noisy"), preset("davis346"), PixelModel(surround_px=2, surround_ms=3)]
)
def test_any_number_of_threads_gives_the_same_events(model):
    pictures = frames()
    alone = stream(EventSimulator(SIZE, model, 3), pictures)
    assert sum(map(len, alone)) > 0
    for threads in (2, 3, 64):
        assert stream(EventSimulator(SIZE, model, 3, threads=threads), pictures) == alone


def test_simulators_side_by_side_do_not_meet():
    pictures = frames()
    alone = [stream(EventSimulator(SIZE, preset("noisy"), seed), pictures) for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        together = list(
            pool.map(lambda seed: stream(EventSimulator(SIZE, preset("noisy"), seed, threads=2), pictures), range(6))
        )
    assert together == alone


def test_a_view_holds_until_the_next_frame_and_a_copy_for_good():
    pictures = frames(4)
    viewing, copying = (EventSimulator(SIZE, preset("noisy"), 0) for _ in range(2))
    kept, seen, before = [], [], None
    for number, picture in enumerate(pictures):
        view = viewing.feed_view(picture, 5000 * number)
        assert not view.flags.writeable
        if before is not None and len(before):
            assert np.shares_memory(before, view)
        seen.append(view.tobytes())
        kept.append(copying.feed(picture, 5000 * number))
        before = view
    assert [events.tobytes() for events in kept] == seen


@pytest.mark.parametrize(("model", "threads"), [(preset("noisy"), 1), (preset("v2e"), 2)])
def test_memory_does_not_grow_with_the_video(model, threads):
    pictures = frames(2)
    simulator = EventSimulator(SIZE, model, 0, threads=threads)

    def show(first, last):
        for number in range(first, last):
            simulator.feed_view(pictures[number % 2], 5000 * number)

    show(0, 20)
    tracemalloc.start()
    try:
        show(20, 40)
        start = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        show(40, 340)
        end, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert end - start < 10_000
    assert peak - start < pictures[0].nbytes  # 17 kB: not even a frame, let alone its events


def test_buffers_grow_to_the_busiest_frame():
    black, white = np.zeros((200, 100), np.uint8), np.full((200, 100), 255, np.uint8)
    counts = []
    for threads in (1, 2):
        simulator = EventSimulator((100, 200), preset("ideal"), 0, threads=threads)
        counts.append([len(simulator.feed_view(f, 1000 * n)) for n, f in enumerate((black, white, black, white))])
    assert counts[0] == counts[1] == [0, *[20_000 * 27] * 3]


def test_frames_need_not_lie_in_one_piece():
    wide = frames(3, (300, 113))
    plain, cut = (EventSimulator(SIZE, preset("noisy"), 0) for _ in range(2))
    assert stream(cut, wide[:, :, ::2]) == stream(plain, np.ascontiguousarray(wide[:, :, ::2]))


def test_user_mistakes_are_named():
    with pytest.raises(NeuvaError, match="0 threads"):
        EventSimulator(SIZE, preset("ideal"), 0, threads=0)
    with pytest.raises(NeuvaError, match="sensor of 40000x2"):
        EventSimulator((40_000, 2), preset("ideal"), 0)
