from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tonic
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.events import EVENT_DTYPE, Events
from datasets.files import write_events
from datasets.interrupt import uninterrupted
from datasets.sample import Sample
from datasets.store import EventStore, StoreWriter, lock
from neuva import NeuvaError

SIZE = (32, 24)
REPOSITORY = Path(__file__).parents[2]
REAL = Path(os.environ.get("NEUVA_REAL_DATA", REPOSITORY / ".." / "shared" / "data"))


def make_sample(seed: int, count: int = 400) -> Sample:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 100_000, count)) + 10**12 * seed
    events = Events.from_columns(t, *(rng.integers(0, limit, count) for limit in (*SIZE, 2)), SIZE)
    times = np.arange(3 + seed % 2) * 40_000 + 10**12 * seed
    labels = rng.uniform(-1, 1, (len(times), 2)).astype(np.float32)
    return Sample(events, times, labels, rng.random(len(times)) < 0.8, {"subject": seed, "light": "dim"})


def make_arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"frames": rng.integers(0, 255, (4, 6, 8), np.uint8), "aus": rng.random((4, 17), np.float32)}


def make_store(path: Path, clips: int = 6, **changes) -> Path:
    settings = {"dataset": "trial", "sensor_size": SIZE, "provenance": {"seed": 3}, **changes}
    with StoreWriter(path, **settings) as store:
        for seed in range(clips):
            if f"clip {seed}" not in store.finished:
                store.add(f"clip {seed}", "train" if seed % 3 else "test", make_sample(seed), make_arrays(seed))
    return path


def labels_of(sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return sample.label_times, sample.labels, sample.mask


def same(a: Sample, b: Sample) -> bool:
    pairs = ((a.label_times, b.label_times), (a.labels, b.labels), (a.mask, b.mask))
    return a.events == b.events and a.meta == b.meta and all(np.array_equal(*pair) for pair in pairs)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return make_store(tmp_path_factory.mktemp("store") / "trial.h5")


def test_what_goes_in_comes_out(path):
    store = EventStore(path)
    assert (store.dataset, store.sensor_size, store.provenance) == ("trial", SIZE, {"seed": 3})
    assert store.names == [f"clip {seed}" for seed in range(6)]
    assert store.splits == ["test", "train", "train"] * 2
    assert store.event_counts == [400] * 6
    for seed in range(6):
        assert same(store.sample(seed), make_sample(seed))
        assert store.meta(seed) == {"subject": seed, "light": "dim"}
        for read, stored in zip(store.labels(seed), labels_of(make_sample(seed)), strict=True):
            np.testing.assert_array_equal(read, stored)
        for key, array in make_arrays(seed).items():
            np.testing.assert_array_equal(store.arrays(seed, key), array)
            assert store.arrays(seed, key).dtype == array.dtype
    assert not list(path.parent.glob(".*"))


def test_a_split_is_a_smaller_data_set(path):
    test = EventStore(path, "test")
    assert (len(test), test.names) == (2, ["clip 0", "clip 3"])
    assert same(test.sample(1), make_sample(3))
    assert test.meta(1)["subject"] == 3
    np.testing.assert_array_equal(test.arrays(1, "aus"), make_arrays(3)["aus"])
    assert same(test.sample(-1), make_sample(3))
    assert len(list(test)) == 2


def test_items_are_tonics(path):
    events, target = EventStore(path)[2]
    np.testing.assert_array_equal(events, make_sample(2).events.array)
    assert set(target) == {"label_times", "labels", "mask"}
    assert (target["labels"].dtype, target["mask"].dtype) == (np.float32, bool)
    events["x"] = 0  # a transform may write

    store = EventStore(path, transform=len, target_transform=lambda target: target["labels"][-1])
    length, label = store[2]
    assert length == 400
    np.testing.assert_array_equal(label, make_sample(2).labels[-1])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), max_size=4))
def test_any_times_come_back(tmp_path, clips):
    path = tmp_path / "times.h5"
    samples = []
    for times in clips:
        t = np.array(sorted(times), np.int64)
        zeros = np.zeros(len(t), np.int64)
        samples.append(Sample(Events.from_columns(t, zeros, zeros, zeros, (1, 1)), t, np.zeros((len(t), 2)), t > 0))
    with StoreWriter(path, dataset="times", sensor_size=(1, 1), provenance={}) as store:
        for number, sample in enumerate(samples):
            store.add(str(number), "all", sample)
    read = EventStore(path)
    assert len(read) == len(samples)
    assert all(same(read.sample(number), sample) for number, sample in enumerate(samples))


def test_the_same_clips_make_the_same_bytes(path, tmp_path):
    assert make_store(tmp_path / "again.h5").read_bytes() == path.read_bytes()


KILLED = """
import os, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_store import SIZE, make_arrays, make_sample
from datasets.store import StoreWriter

def slow(seed):
    arrays = make_arrays(seed)
    if seed == 3:  # dies in the middle of writing this clip, its events being written already
        class Slow(dict):
            def items(self):
                Path(sys.argv[1] + ".reached").touch()
                time.sleep(60)
        return Slow(arrays)
    return arrays

with StoreWriter(sys.argv[1], dataset="trial", sensor_size=SIZE, provenance={"seed": 3}) as store:
    for seed in range(6):
        store.add(f"clip {seed}", "train" if seed % 3 else "test", make_sample(seed), slow(seed))
"""


def test_a_killed_run_goes_on_to_an_equal_store(path, tmp_path):
    target, reached = tmp_path / "trial.h5", tmp_path / "trial.h5.reached"
    command = [sys.executable, "-c", KILLED, str(target), str(Path(__file__).parent)]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    deadline = time.monotonic() + 60
    while not reached.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert reached.exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not target.exists()
    assert len(list((tmp_path / ".trial.h5.partial").glob("clip-*.h5"))) == 3

    make_store(target)
    assert target.read_bytes() == path.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["trial.h5", "trial.h5.reached"]


def stop_after_two(path: Path, **changes) -> None:
    settings = {"dataset": "trial", "sensor_size": SIZE, "provenance": {"seed": 3}, **changes}
    with contextlib.suppress(KeyboardInterrupt), StoreWriter(path, **settings) as store:
        store.add("clip 0", "test", make_sample(0), make_arrays(0))
        store.add("clip 1", "train", make_sample(1), make_arrays(1))
        raise KeyboardInterrupt


def test_an_interrupted_run_keeps_its_clips_for_the_same_settings_alone(path, tmp_path, caplog):
    target = tmp_path / "trial.h5"
    stop_after_two(target)
    with caplog.at_level(logging.INFO):
        make_store(target)
    assert "going on after 2 finished clips" in caplog.text
    assert target.read_bytes() == path.read_bytes()

    stop_after_two(target, provenance={"seed": 4})
    assert EventStore(target).provenance == {"seed": 3}  # what stood there still does
    with caplog.at_level(logging.WARNING):
        make_store(target)
    assert "starting afresh" in caplog.text
    assert target.read_bytes() == path.read_bytes()


def cut(events: Events, *bounds: int) -> list[Events]:
    edges = [0, *bounds, len(events)]
    return [Events(events.array[a:b], events.sensor_size) for a, b in itertools.pairwise(edges)]


def without_events(sample: Sample) -> Sample:
    return dataclasses.replace(sample, events=Events.empty(SIZE))


def test_a_clip_may_come_and_go_in_pieces(path, tmp_path, monkeypatch):
    for module in ("reading", "writing"):
        monkeypatch.setattr(f"datasets.store.{module}.PIECE", 64)
    target = tmp_path / "pieces.h5"
    with StoreWriter(target, dataset="trial", sensor_size=SIZE, provenance={"seed": 3}) as store:
        for seed in range(6):
            sample = make_sample(seed)
            pieces = iter(cut(sample.events, 0, 1, 100, 100, 399))  # empty ones among them
            split = "train" if seed % 3 else "test"
            store.add(f"clip {seed}", split, without_events(sample), make_arrays(seed), events=pieces)
    assert target.read_bytes() == path.read_bytes()
    read = EventStore(target, "train")
    for index, seed in enumerate((1, 2, 4, 5)):
        pieces = list(read.pieces(index))
        assert [len(piece) for piece in pieces] == [64] * 6 + [16]
        np.testing.assert_array_equal(np.concatenate([piece.array for piece in pieces]), make_sample(seed).events.array)
        assert same(read.sample(index), make_sample(seed))


def test_pieces_that_make_no_clip_are_refused(tmp_path):
    sample = make_sample(1)
    late, early = cut(sample.events, 200)[::-1]
    with StoreWriter(tmp_path / "a.h5", dataset="trial", sensor_size=SIZE, provenance={}) as store:
        with pytest.raises(
            NeuvaError, match=r"clip a: a piece of events begins at \d+ us, the one before ends at \d+ us"
        ):
            store.add("a", "train", without_events(sample), events=[late, early])
        with pytest.raises(NeuvaError, match=r"from a sensor of \(4, 4\)"):
            store.add("a", "train", without_events(sample), events=[early, Events.empty((4, 4))])
        with pytest.raises(NeuvaError, match="both in its sample and in pieces"):
            store.add("a", "train", sample, events=[early])
        assert not store.finished
        store.add("a", "train", without_events(sample), events=[])
    read = EventStore(tmp_path / "a.h5")
    assert (list(read.pieces(0)), read.event_counts) == ([], [0])


def test_clips_are_listed_as_announced_in_whatever_order_they_come(path, tmp_path):
    clips = {f"clip {seed}": "train" if seed % 3 else "test" for seed in range(6)}
    target = tmp_path / "trial.h5"
    settings = {"dataset": "trial", "sensor_size": SIZE, "provenance": {"seed": 3}}
    with contextlib.suppress(KeyboardInterrupt), StoreWriter(target, **settings, clips=clips) as store:
        for seed in (5, 1, 3):
            store.add(f"clip {seed}", clips[f"clip {seed}"], make_sample(seed), make_arrays(seed))
        with pytest.raises(NeuvaError, match="clip of mine of split train is not among those to come"):
            store.add("clip of mine", "train", make_sample(9))
        raise KeyboardInterrupt
    with (
        contextlib.suppress(KeyboardInterrupt),
        StoreWriter(target, **settings, clips=clips | {"clip 3": "train"}) as store,
    ):
        assert store.finished == {"clip 1", "clip 5"}  # clip 3 was of another split
        raise KeyboardInterrupt
    with pytest.raises(NeuvaError, match="4 clips have not been added, the first clip 0"):
        StoreWriter(target, **settings, clips=clips).__enter__().__exit__(None, None, None)
    (tmp_path / ".trial.h5.partial" / "clip-000001.h5").write_bytes(b"damaged")
    with StoreWriter(target, **settings, clips=clips) as store:
        assert store.finished == {"clip 5"}
        for seed in (4, 0, 1, 3, 2):
            store.add(f"clip {seed}", clips[f"clip {seed}"], make_sample(seed), make_arrays(seed))
    assert target.read_bytes() == path.read_bytes()


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_store import make_sample, make_store
from neuva import NeuvaError

limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    make_store(Path(sys.argv[1]))
except NeuvaError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize(("limit", "kept"), [(4_000, 0), (60_000, 6)])
def test_a_full_disk_keeps_the_earlier_clips_and_a_later_run_goes_on(path, tmp_path, caplog, limit, kept):
    target = tmp_path / "trial.h5"
    assert path.stat().st_size > limit  # the larger limit takes each clip by itself, but not the whole
    command = [sys.executable, "-c", FULL, str(target), str(Path(__file__).parent), str(limit)]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1  # HDF5 left to itself ends the process by a segmentation fault
    assert len(ran.stderr.splitlines()) == 1
    assert "trial.h5: cannot be written (File too large): choose another place; finished clips are kept" in ran.stderr
    assert not target.exists()
    assert len(list((tmp_path / ".trial.h5.partial").glob("clip-*.h5"))) == kept
    with caplog.at_level(logging.INFO):
        make_store(target)
    assert (f"going on after {kept} finished clips" in caplog.text) == (kept > 0)
    assert target.read_bytes() == path.read_bytes()


def test_ctrl_c_waits_until_hdf5_has_written(tmp_path):
    def pieces():
        for piece in cut(make_sample(1).events, 100, 200, 300):
            with uninterrupted():
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
                reached.append(len(piece))
            yield piece

    reached: list[int] = []
    with (
        pytest.raises(KeyboardInterrupt),
        StoreWriter(tmp_path / "a.h5", dataset="trial", sensor_size=SIZE, provenance={}) as store,
    ):
        store.add("a", "train", without_events(make_sample(1)), events=pieces())
    assert reached == [100]
    assert [file.name for file in (tmp_path / ".a.h5.partial").iterdir()] == ["header.json"]


def test_a_kill_while_tidying_up_costs_nothing_but_time(path, tmp_path):
    target = tmp_path / "trial.h5"
    stop_after_two(target)
    folder = tmp_path / ".trial.h5.partial"
    (folder / "header.json").unlink()
    (folder / "clip-000000.h5").unlink()
    make_store(target)
    assert target.read_bytes() == path.read_bytes()


def test_one_writer_at_a_time(path, tmp_path):
    target = tmp_path / "trial.h5"
    settings = {"dataset": "trial", "sensor_size": SIZE, "provenance": {"seed": 3}}
    with contextlib.suppress(KeyboardInterrupt), StoreWriter(target, **settings) as store:
        store.add("clip 0", "test", make_sample(0), make_arrays(0))
        for changes in ({}, {"provenance": {"seed": 4}}):  # which would throw away what is there
            with pytest.raises(NeuvaError, match=r"trial\.h5: another run is making it: wait"):
                make_store(target, **changes)
        raise KeyboardInterrupt
    with pytest.raises(NeuvaError, match="provenance cannot be stored"):
        make_store(target, provenance={"what": object()})
    make_store(target)  # neither holds it still
    assert target.read_bytes() == path.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["trial.h5"]


def test_whoever_waited_for_a_lock_that_is_gone_looks_again(tmp_path, monkeypatch):
    path, real, opened = tmp_path / "a.h5", os.open, []

    def opens_then_it_is_removed(name, *options):
        opened.append(real(name, *options))
        if len(opened) == 1:
            Path(name).unlink()  # by the run before, at its end
        return opened[-1]

    with monkeypatch.context() as patch:
        patch.setattr(lock.os, "open", opens_then_it_is_removed)
        held = lock.only_writer(path)
        held.__enter__()
    with pytest.raises(NeuvaError, match="another run"):
        lock.only_writer(path).__enter__()
    held.__exit__(None, None, None)
    assert len(opened) == 2
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks_does_not_stop_a_run(path, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    assert make_store(tmp_path / "trial.h5").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("why", "cure"),
    [(errno.EACCES, "choose another place"), (errno.ENOSPC, "free space, or choose another place")],
)
def test_a_place_that_cannot_be_written_is_named_as_asked(tmp_path, monkeypatch, why, cure):
    def refuse(*_):
        raise OSError(why, "refused")

    monkeypatch.setattr(lock.os, "open", refuse)
    with pytest.raises(NeuvaError) as caught:
        lock.only_writer(tmp_path / "y").__enter__()
    assert str(caught.value) == f"{tmp_path / 'y'}: cannot be written (refused): {cure}"


def damage(path: Path, array: str) -> None:
    """Change the middle of an array's first chunk; of an array of texts, where the third one is said to lie."""
    with h5py.File(path) as file:
        place = file[array].id
        if file[array].chunks:
            chunk = place.get_chunk_info(0)
            start, size = chunk.byte_offset + chunk.size // 4, min(200, chunk.size // 2)
        else:  # a text's length and number take 4 bytes each, the address between them 8
            start, size = place.get_offset() + 2 * 16 + 4, 4
    content = bytearray(path.read_bytes())
    middle = slice(start, start + size)
    content[middle] = bytes(byte ^ 0x5A for byte in content[middle])
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("array", "read", "what"),
    [
        ("arrays/000001/frames", lambda store: store.arrays(1, "frames"), "clip clip 1, array frames"),
        ("labels/va", lambda store: store.labels(0), "clip clip 0"),
        ("events/x", lambda store: store.sample(2), "clip clip 2"),
        ("events/dt", lambda store: list(store.pieces(0)), "clip clip 0"),
        ("clips/meta", lambda store: store.meta(2), "clip clip 2"),
        ("clips/name", lambda store: store.names, "its index"),
    ],
)
def test_damage_is_named_by_its_place(path, tmp_path, array, read, what):
    target = tmp_path / "x.h5"
    shutil.copy(path, target)
    damage(target, array)
    with pytest.raises(NeuvaError) as caught:
        read(EventStore(target))
    assert str(caught.value) == f"{target}: {what} is damaged: make the store again"


def test_a_finished_clip_that_was_damaged_is_named(tmp_path):
    store = StoreWriter(tmp_path / "a.h5", dataset="trial", sensor_size=SIZE, provenance={}).__enter__()
    store.add("a", "test", make_sample(0))
    part = tmp_path / ".a.h5.partial" / "clip-000000.h5"
    damage(part, "events/x")
    with pytest.raises(NeuvaError, match=f"its finished clip {part} is damaged: remove that file"):
        store.__exit__(None, None, None)


def test_parts_that_two_runs_mixed_up_are_no_store(path, tmp_path):
    target = tmp_path / "trial.h5"
    folder = tmp_path / ".trial.h5.partial"
    store = StoreWriter(target, dataset="trial", sensor_size=SIZE, provenance={"seed": 3}).__enter__()
    for seed in range(2):
        store.add(f"clip {seed}", "train" if seed % 3 else "test", make_sample(seed), make_arrays(seed))
    shutil.copy(folder / "clip-000001.h5", folder / "clip-000000.h5")
    with pytest.raises(NeuvaError, match=r"clip-000000\.h5 holds clip clip 1, not clip 0: two runs"):
        store.__exit__(None, None, None)
    assert not target.exists()
    make_store(target)
    assert sorted(EventStore(target).names) == EventStore(path).names


@pytest.mark.parametrize("size", [0, 100])
def test_what_is_no_store_is_not_written_over(path, tmp_path, size):
    target = tmp_path / "mine.raw"
    target.write_bytes(bytes(size))
    refusal = r"is there and is no store: move it away"
    with pytest.raises(NeuvaError, match=refusal):
        make_store(target)
    assert target.read_bytes() == bytes(size)
    with h5py.File(target, "w") as file:
        file["a"] = 1
    for other in (target, tmp_path):
        with pytest.raises(NeuvaError, match=refusal):
            make_store(other)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.raw"]
    for damaged in (path.read_bytes()[:-100], path.read_bytes()):  # as `EventStore` says: make it again
        target.write_bytes(damaged)
        make_store(target)
        assert target.read_bytes() == path.read_bytes()


def test_users_mistakes_are_one_clear_line(path, tmp_path):
    from datasets.files import read_events

    target = tmp_path / "x.h5"
    with pytest.raises(NeuvaError, match=r"x\.h5: no such file: make it with `neuva data make`, or name another$"):
        EventStore(target)
    with pytest.raises(NeuvaError, match=f"^{tmp_path}: is a folder: name the .h5 file in it$"):
        EventStore(tmp_path)
    target.write_bytes(b"no HDF5")
    with pytest.raises(NeuvaError, match="no HDF5 file, or truncated"):
        EventStore(target)
    target.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(NeuvaError, match="no HDF5 file, or truncated"):
        EventStore(target)
    with h5py.File(target, "w") as file:
        file["a"] = 1
    with pytest.raises(NeuvaError, match="no neuva store"):
        EventStore(target)
    target.write_bytes(path.read_bytes())
    with h5py.File(target, "a") as file:
        file.attrs["schema"] = 99
    with pytest.raises(NeuvaError, match="schema 99, read is 1: make the store again"):
        EventStore(target)
    with pytest.raises(NeuvaError, match='no split "dev": there are test, train'):
        EventStore(path, "dev")
    with pytest.raises(NeuvaError, match='clip 1 has no array "boxes": there are aus, frames'):
        EventStore(path).arrays(1, "boxes")
    assert EventStore(path).array_kinds(1) == {"aus": ((4, 17), "float32"), "frames": ((4, 6, 8), "uint8")}
    with pytest.raises(NeuvaError, match="holds 6 clips; needed: one"):
        read_events(path)
    with pytest.raises(IndexError):
        EventStore(path)[6]


def test_what_cannot_be_stored_is_refused_and_leaves_no_clip(tmp_path):
    sample = make_sample(1)
    other = Sample(Events.empty((4, 4)), sample.label_times, sample.labels, sample.mask)
    secret = Sample(sample.events, sample.label_times, sample.labels, sample.mask, {"who": object()})
    with StoreWriter(tmp_path / "a.h5", dataset="trial", sensor_size=SIZE, provenance={}) as store:
        store.add("a", "train", sample)
        with pytest.raises(NeuvaError, match="clip a is there already"):
            store.add("a", "train", sample)
        with pytest.raises(NeuvaError, match=r"from a sensor of \(4, 4\)"):
            store.add("b", "train", other)
        with pytest.raises(NeuvaError, match="meta of clip b cannot be stored as JSON"):
            store.add("b", "train", secret)
        for key, array in (("a/b", np.zeros(2)), ("words", np.array(["x"])), ("things", np.array([{}]))):
            with pytest.raises(NeuvaError, match=f'array "{key}" of clip b'):
                store.add("b", "train", sample, {key: array})
        assert store.finished == {"a"}
        store.add("scalar", "train", sample, {"gain": np.float32(2), "none": np.zeros((0, 4))})
    store = EventStore(tmp_path / "a.h5")
    assert store.names == ["a", "scalar"]
    assert (store.arrays(1, "gain"), store.arrays(1, "none").shape) == (2, (0, 4))


def last_label(target: dict) -> torch.Tensor:
    return torch.from_numpy(target["labels"])[-1:]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_tonic_transform_collation_and_workers(path, start):
    frames = tonic.transforms.ToFrame(sensor_size=(*SIZE, 2), time_window=20_000)
    store = EventStore(path, transform=frames, target_transform=last_label)
    store[0]  # the file is open already when the workers start
    loader = torch.utils.data.DataLoader(
        store,
        batch_size=3,
        num_workers=2,
        collate_fn=tonic.collation.PadTensors(batch_first=False),
        multiprocessing_context=multiprocessing.get_context(start),
    )
    batches = [(x, y) for x, y in loader]
    assert len(batches) == 2
    total = sum(int(x.sum()) for x, _ in batches)
    assert total > 0.75 * 6 * 400  # ToFrame drops the last, incomplete window
    assert batches[0][0].shape[1:] == (3, 2, SIZE[1], SIZE[0])


def test_tonic_slicer_and_caches(path, tmp_path):
    store = EventStore(path)
    sliced = tonic.SlicedDataset(store, tonic.slicers.SliceByEventCount(100))
    assert len(sliced) == 6 * 4
    np.testing.assert_array_equal(sliced[5][0], make_sample(1).events.array[100:200])
    for cached in (tonic.MemoryCachedDataset(store), tonic.DiskCachedDataset(store, str(tmp_path / "cache"))):
        for _ in range(2):  # filled, then read
            events, target = cached[3]
            np.testing.assert_array_equal(events, make_sample(3).events.array)
            np.testing.assert_array_equal(target["labels"], make_sample(3).labels)


def test_an_open_store_can_be_pickled(path):
    store = EventStore(path, "train")
    store[0]
    again = pickle.loads(pickle.dumps(store))
    assert again.names == store.names
    assert same(again.sample(0), store.sample(0))


def test_a_real_face_takes_few_bytes_an_event(tmp_path):
    if not (REAL / "face-dvxplorer.aedat4").exists():
        pytest.skip("real recording face-dvxplorer.aedat4 is not there (NEUVA_REAL_DATA)")
    from datasets.files import read_events

    events = read_events(REAL / "face-dvxplorer.aedat4")
    nothing = np.empty(0, np.int64), np.empty((0, 2), np.float32), np.empty(0, bool)
    with StoreWriter(tmp_path / "f.h5", dataset="face", sensor_size=events.sensor_size, provenance={}) as store:
        store.add("face", "test", Sample(events, *nothing))
    assert (tmp_path / "f.h5").stat().st_size / len(events) < 3


def test_damage_inside_a_compressed_chunk_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    array = np.zeros(20_000, EVENT_DTYPE)
    array["t"] = np.cumsum(np.random.default_rng(0).integers(0, 50, len(array)))
    write_events(path, Events(array, (8, 8)))
    with h5py.File(path) as file:
        chunk = file["events/dt"].id.get_chunk_info(0)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset + chunk.size // 2)
        file.write(bytes(64))
    with pytest.raises(NeuvaError, match="damaged"):
        EventStore(path).sample(0)
