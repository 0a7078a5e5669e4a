"""HDF5 files of events: ours, v2e's and Prophesee's."""

from __future__ import annotations

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from datasets.events import Events
from datasets.files import hdf5, read_events, stream_events, write_events
from datasets.store import EventStore, StoreWriter
from neuva import NeuvaError

ON_DISK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CD = np.dtype({"names": ["x", "y", "p", "t"], "formats": ["<u2", "<u2", "<i2", "<i8"], "offsets": [0, 2, 4, 8]})


@st.composite
def streams(draw):
    n = draw(st.integers(0, 50))
    far = draw(st.booleans())
    t = draw(arrays(np.int64, n, elements=st.integers(-(2**63) if far else 0, 2**63 - 1 if far else 100)))
    width, height = draw(st.integers(1, 2000)), draw(st.integers(1, 32767))
    x, y, p = (draw(arrays(np.int64, n, elements=st.integers(0, most - 1))) for most in (width, height, 2))
    return Events.from_columns(np.sort(t), x, y, p, (width, height))


@ON_DISK
@given(streams(), st.sampled_from([".h5", ".HDF5"]))
def test_what_is_written_is_read_again(tmp_path, events, suffix):
    path = tmp_path / f"a{suffix}"
    assert write_events(path, events) == len(events)
    assert read_events(path) == events
    assert list(tmp_path.iterdir()) == [path]
    path.unlink()


def some_events(n: int, size=(346, 260)) -> Events:
    rng = np.random.default_rng(0)
    x, y, p = (rng.integers(0, most, n) for most in (*size, 2))
    return Events.from_columns(np.sort(rng.integers(0, n, n)), x, y, p, size)


def test_a_long_recording_comes_in_pieces_and_is_a_store(tmp_path):
    events = some_events(1_500_000)
    write_events(tmp_path / "a.npy", events)
    stream = stream_events(tmp_path / "a.npy", sensor_size=events.sensor_size)
    assert write_events(tmp_path / "a.h5", stream) == len(events)
    again = stream_events(tmp_path / "a.h5")
    assert (again.format, again.sensor_size) == ("HDF5", (346, 260))
    pieces = list(again)
    assert len(pieces) > 1
    assert np.array_equal(np.concatenate([piece.array for piece in pieces]), events.array)
    assert EventStore(tmp_path / "a.h5").sample(0).events == events


def test_a_store_of_several_clips_says_what_to_do(tmp_path):
    path = tmp_path / "a.h5"
    with StoreWriter(path, dataset="two", sensor_size=(4, 4), provenance={}) as store:
        sample = EventStore(one_clip(tmp_path)).sample(0)
        store.add("a", "all", sample)
        store.add("b", "all", sample)
    with pytest.raises(NeuvaError, match="holds 2 clips; needed: one"):
        read_events(path)
    assert hdf5.is_store(path)


def one_clip(folder):
    write_events(folder / "one.h5", some_events(5, (4, 4)))
    return folder / "one.h5"


def test_v2e_files(tmp_path):
    events = some_events(1000)
    table = np.stack([events.array[name].astype(np.uint32) for name in "txyp"], axis=1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("events", data=table, maxshape=(None, 4), compression="gzip")
        file["frame_idx"] = np.arange(3)
    with pytest.raises(NeuvaError, match="does not tell its sensor size"):
        read_events(tmp_path / "a.h5")
    assert read_events(tmp_path / "a.h5", sensor_size=(346, 260)) == events
    assert not hdf5.is_store(tmp_path / "a.h5")


def test_prophesee_files(tmp_path):
    events = some_events(1000)
    table = np.zeros(1000, CD)
    for name in "txyp":
        table[name] = events.array[name]
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("CD/events", data=table, chunks=(100,), **hdf5plugin.Blosc())
        file.attrs["geometry"] = "346x260"
    assert read_events(tmp_path / "a.hdf5") == events
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["CD/events"] = table
    assert read_events(tmp_path / "b.hdf5", sensor_size=(346, 260)) == events


def test_chunks_too_large_to_be_unpacked_are_refused(tmp_path):
    rows = 200_000_000
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("events", (rows, 4), "u4", chunks=(rows, 4), compression="gzip")
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file.create_dataset("CD/events", (rows,), CD, chunks=(rows,), compression="gzip")
    for name in ("a.h5", "b.hdf5"):
        with pytest.raises(NeuvaError, match=rf"{name}: its chunks are of \d+ bytes; read are at most 268435456"):
            stream_events(tmp_path / name, sensor_size=(8, 8))


def test_a_missing_ecf_filter_says_what_to_install(tmp_path):
    if h5py.h5z.filter_avail(hdf5.ECF):
        pytest.skip("the ECF filter is installed")
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((10,))
        made.set_filter(hdf5.ECF, h5py.h5z.FLAG_OPTIONAL, ())
        space, kind = h5py.h5s.create_simple((10,)), h5py.h5t.py_create(CD)
        h5py.h5d.create(file.create_group("CD").id, b"events", kind, space, made)
        file.attrs["geometry"] = "1280x720"
    with pytest.raises(NeuvaError, match=r"filter ECF \(36559\): install its plugin .*HDF5_PLUGIN_PATH"):
        read_events(tmp_path / "a.hdf5")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("voxels", np.zeros(3), "holds voxels; read are a store of neuva, v2e's"),
        ("events", np.zeros((3, 5), int), r"`events` is int64 \[3, 5\]; needed: integers \[N, 4\]"),
        ("events", np.zeros((3, 4)), r"`events` is float64 \[3, 4\]; needed"),
        ("CD/events", np.zeros(3, [("x", int), ("t", int)]), r"needed: t, x, y and p \[N\]"),
    ],
)
def test_other_hdf5_files_say_what_they_hold(tmp_path, name, data, message):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = data
    with pytest.raises(NeuvaError, match=message):
        read_events(tmp_path / "a.h5", sensor_size=(8, 8))


def test_a_damaged_chunk_is_one_clear_line(tmp_path):
    path = tmp_path / "a.h5"
    write_events(path, some_events(100_000))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle // 2 : -middle // 2] = b"\xff" * len(content[middle // 2 : -middle // 2])
    path.write_bytes(content)
    with pytest.raises(NeuvaError, match=r"a\.h5: .*damaged") as error:
        read_events(path)
    assert "\n" not in str(error.value)
    path.write_bytes(content[:middle])
    with pytest.raises(NeuvaError, match=r"a\.h5: the HDF5 file is damaged"):
        read_events(path)
