from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from datasets.events import Events
from datasets.files import FORMATS, describe, read_events, write_events
from neuva import NeuvaError

REAL = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
FACE, GEN3, GEN41 = "face-dvxplorer.aedat4", "prophesee-gen3.evt2.raw", "prophesee-gen41.evt3.raw"
ON_DISK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def real(name: str) -> Path:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"real recording {name} is not there (NEUVA_REAL_DATA)")
    return path


@pytest.mark.parametrize(
    ("name", "size", "told", "count", "start", "stop", "on"),
    [
        (FACE, (320, 240), True, 111_954, 1605537493718345, 1605537494308262, 55_023),
        (GEN3, (640, 480), True, 521_252, 913716224, 913812095, None),
        (GEN41, (1280, 720), True, 219_596, 11718656, 11727457, None),
        ("dvs.es", (320, 240), True, 473_225, 0, 999000, None),
        ("chronocam-car.dat", (304, 240), False, 2_009, 0, 99952, None),
        ("gesture-dvs128.bin", (128, 128), False, 63_471, None, None, None),
        ("nmnist-digit.bin", (34, 34), False, 4_325, None, None, None),
    ],
)
def test_real_recordings_give_their_known_facts(name, size, told, count, start, stop, on):
    events = read_events(real(name), sensor_size=None if told else size)
    assert (len(events), events.sensor_size) == (count, size)
    if start is not None:
        assert (events.t0, events.t1) == (start, stop)
    if on is not None:
        assert int(events.array["p"].sum()) == on


def test_evt2_is_what_faery_reads_and_evt3_is_not():
    faery = pytest.importorskip("faery")
    theirs = faery.events_stream_from_file(real(GEN3)).to_array()
    ours = read_events(real(GEN3)).array
    for name, other in (("t", "t"), ("x", "x"), ("y", "y"), ("p", "on")):
        np.testing.assert_array_equal(ours[name], theirs[other])
    theirs = faery.events_stream_from_file(real(GEN41)).to_array()
    ours = read_events(real(GEN41)).array
    for name, other in (("x", "x"), ("y", "y"), ("p", "on")):
        np.testing.assert_array_equal(ours[name], theirs[other])
    late = theirs["t"].astype(np.int64) - ours["t"]
    assert late.min() == 0
    assert late.max() == 11  # it never lets time go back, though TIME_LOW does


def evt3(*words: tuple[int, int]) -> bytes:
    return b"% evt 3.0\n% geometry 64x32\n% end\n" + b"".join(struct.pack("<H", kind << 12 | v) for kind, v in words)


def test_evt3_words_by_hand(tmp_path):
    path = tmp_path / "hand.raw"
    path.write_bytes(
        evt3(
            (2, 5),  # before any time: left out
            (8, 4095),  # TIME_HIGH, about to turn
            (6, 7),  # TIME_LOW
            (0, 9),  # row 9
            (2, 3 | 1 << 11),  # ON at column 3
            (3, 20),  # OFF vectors from column 20
            (4, 0b1000_0000_0001),  # columns 20 and 31
            (5, 0b1000_0001),  # columns 32 and 39
            (10, 1),  # a trigger: no event
            (8, 0),  # the turn: 2^24 us later
            (6, 1),
            (2, 63),
        )
    )
    events = read_events(path)
    before, after = (4095 << 12) + 7, (1 << 24) + 1
    assert events.sensor_size == (64, 32)
    assert events.array["t"].tolist() == [before] * 5 + [after]
    assert events.array["x"].tolist() == [3, 20, 31, 32, 39, 63]
    assert events.array["y"].tolist() == [9] * 6
    assert events.array["p"].tolist() == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"% format EVT2;height=720;width=1280\n", (1280, 720)),
        (b"% evt 2.0\n% Width 304\n% Height 240\n", (304, 240)),
        (b"% plugin_name hal_plugin_gen31_fx3\n% evt 2.0\n", (640, 480)),
        (b"% evt 2.0\n", None),
    ],
)
def test_prophesee_headers_tell_the_sensor(tmp_path, header, size):
    path = tmp_path / "a.raw"
    path.write_bytes(header + struct.pack("<II", 8 << 28 | 3, 1 << 28 | 5 << 22 | 2 << 11 | 1))
    if size is None:
        with pytest.raises(NeuvaError, match="does not tell its sensor size"):
            read_events(path)
    events = read_events(path, sensor_size=size or (10, 10))
    assert events.sensor_size == (size or (10, 10))
    assert events.array.tolist() == [(3 << 6 | 5, 2, 1, 1)]


@st.composite
def streams(draw):
    width, height = draw(st.integers(1, 2000)), draw(st.integers(1, 32767))
    n = draw(st.integers(0, 50))
    far = draw(st.booleans())
    t = draw(arrays(np.int64, n, elements=st.integers(-(2**63), 2**63 - 1) if far else st.integers(0, 10_000)))
    x = draw(arrays(np.int16, n, elements=st.integers(0, width - 1)))
    y = draw(arrays(np.int16, n, elements=st.integers(0, height - 1)))
    p = draw(arrays(np.int8, n, elements=st.integers(0, 1)))
    return Events.from_columns(np.sort(t), x, y, p, (width, height))


@ON_DISK
@given(streams(), st.sampled_from([".npz", ".h5", ".HDF5"]))
def test_what_is_written_is_read_again(tmp_path, events, suffix):
    path = tmp_path / f"events{suffix}"
    write_events(path, events)
    assert read_events(path) == events
    assert read_events(path, sensor_size=events.sensor_size, repair=True) == events
    assert list(tmp_path.iterdir()) == [path]
    path.unlink()


@ON_DISK
@given(st.data())
def test_damaged_files_give_one_line_and_never_a_crash(tmp_path, data):
    name = data.draw(st.sampled_from([FACE, GEN3, GEN41, "dvs.es", "chronocam-car.dat"]))
    content = bytearray(real(name).read_bytes()[: data.draw(st.integers(1, 300_000))])
    for _ in range(data.draw(st.integers(0, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / name
    path.write_bytes(content)
    try:
        events = read_events(path, repair=data.draw(st.booleans()))
    except NeuvaError as error:
        message = str(error)
    else:
        message = f"{path} {describe(events).count}"
    assert str(path) in message
    assert "\n" not in message


def test_a_truncated_recording_says_so_and_repair_keeps_what_stands_before(tmp_path, caplog):
    whole = read_events(real(FACE))
    for name, keep in ((FACE, 500_000), (GEN3, 1_000_001)):
        path = tmp_path / name
        path.write_bytes(real(name).read_bytes()[:keep])
        with pytest.raises(NeuvaError, match=r"cut off .* after \d+ events: read with repair=True"):
            read_events(path)
        assert len(read_events(path, repair=True)) > 50_000
        assert "cut off" in caplog.text
    np.testing.assert_array_equal(
        read_events(tmp_path / FACE, repair=True).array,
        whole.array[: len(read_events(tmp_path / FACE, repair=True))],
    )
    for keep in (14, 40, 2000):
        (tmp_path / FACE).write_bytes(real(FACE).read_bytes()[:keep])
        with pytest.raises(NeuvaError, match="header is truncated"):
            read_events(tmp_path / FACE, repair=True)


def test_no_event_file_is_one_clear_line(tmp_path):
    with pytest.raises(NeuvaError, match="No such file"):
        read_events(tmp_path / "none.raw")
    with pytest.raises(NeuvaError, match="Is a directory"):
        read_events(tmp_path)
    path = tmp_path / "a.raw"
    path.write_bytes(b"")
    with pytest.raises(NeuvaError, match=r"is empty \(0 bytes\)"):
        read_events(path)
    path.write_bytes(b"hello, no events here")
    with pytest.raises(NeuvaError, match=r"no event file \(starts with b'hello, n'\): read are AEDAT4, EVT2, EVT3"):
        read_events(path)
    path.write_bytes(b"#!AER-DAT2.0\r\n" + bytes(100))
    with pytest.raises(NeuvaError, match="no event file"):
        read_events(path)
    with pytest.raises(NeuvaError, match=r"written as .npz, .h5, .hdf5"):
        write_events(tmp_path / "a.aedat4", Events.empty((4, 4)))


def test_broken_own_files_are_one_clear_line(tmp_path):
    events = Events.from_columns(np.arange(5000), *np.zeros((3, 5000), int), (4, 4))
    for name in ("a.npz", "a.h5"):
        path = tmp_path / name
        write_events(path, events)
        content = path.read_bytes()
        for keep in (9, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:keep])
            with pytest.raises(NeuvaError, match="truncated"):
                read_events(path)
    np.savez(tmp_path / "b.npz", t=np.arange(3))
    with pytest.raises(NeuvaError, match="has no array x"):
        read_events(tmp_path / "b.npz")
    np.savez(tmp_path / "b.npz", t=np.array([{}]), x=0, y=0, p=0, sensor_size=0)
    with pytest.raises(NeuvaError, match="allow_pickle"):
        read_events(tmp_path / "b.npz")
    np.savez(tmp_path / "b.npz", t=[1, 0], x=[0, 9], y=[0, 0], p=[0, 0], sensor_size=[4, 4])
    with pytest.raises(NeuvaError, match=r"b.npz: event 1: t = 0 us runs backwards"):
        read_events(tmp_path / "b.npz")
    assert read_events(tmp_path / "b.npz", repair=True).array.tolist() == [(1, 0, 0, 0)]


def test_another_sensor_size_than_asked_is_an_error(tmp_path):
    write_events(tmp_path / "a.npz", Events.empty((4, 4)))
    with pytest.raises(NeuvaError, match="its sensor is 4x4, asked for 8x8"):
        read_events(tmp_path / "a.npz", sensor_size=(8, 8))


def test_description_by_hand():
    events = Events.from_columns([0, 100, 200, 500_000], [0, 0, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0], (4, 2))
    summary = describe(events)
    assert (summary.count, summary.on_share, summary.start_us, summary.stop_us) == (4, 0.25, 0, 500_000)
    assert (summary.rate, summary.rate_per_pixel, summary.active_share) == (8.0, 1.0, 0.25)
    assert summary.median_interval_us == (100 + 499_900) / 2
    assert summary.duration_us == 500_000
    nothing = describe(Events.empty((4, 2)))
    assert (nothing.count, nothing.rate, nothing.on_share, nothing.median_interval_us) == (0, None, None, None)
    assert nothing.active_share == 0


def test_every_format_has_a_reader_and_a_mark():
    assert all(known.start or known.suffix for known in FORMATS.values())
