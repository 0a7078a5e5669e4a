"""Event Stream against faery, which writes it; N-MNIST's records by hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.files import event_stream, read_events, records
from neuva import NeuvaError

REAL = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
ATIS = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("exposure", "?"), ("polarity", "?")])
ON_DISK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def real(name: str) -> Path:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"real recording {name} is not there (NEUVA_REAL_DATA)")
    return path


@st.composite
def steps(draw):
    """Times between events with many at the limits of one byte, and pixels."""
    step = st.sampled_from([0, 1, 62, 63, 64, 126, 127, 128, 254, 1000])
    event = st.tuples(step, st.integers(0, 345), st.integers(0, 259), st.booleans(), st.booleans())
    return draw(st.lists(event, min_size=1, max_size=30))


@ON_DISK
@given(steps(), st.sampled_from(["dvs", "atis"]), st.integers(1, 40))
def test_what_faery_writes_is_read(tmp_path, given_steps, kind, read):
    faery = pytest.importorskip("faery")
    array = np.zeros(len(given_steps), faery.EVENTS_DTYPE if kind == "dvs" else ATIS)
    expected = []
    times = np.cumsum([step for step, *_ in given_steps]).tolist()
    for row, (t, (_, x, y, p, exposure)) in enumerate(zip(times, given_steps, strict=True)):
        array[row] = (t, x, y, p) if kind == "dvs" else (t, x, y, exposure, p)
        if kind == "dvs" or not exposure:
            expected.append((t, x, 259 - y, int(p)))  # the file counts y from the bottom
    path = tmp_path / "a.es"
    with faery.es.Encoder(path, kind, False, (346, 260)) as encoder:
        encoder.write(array)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_stream, "READ", read)  # events that lie across two reads
        events = read_events(path)
    assert events.sensor_size == (346, 260)
    assert events.array.tolist() == expected


def test_the_real_recording_has_its_known_facts_and_is_what_faery_reads():
    faery = pytest.importorskip("faery")
    events = read_events(real("dvs.es"))
    assert (len(events), events.sensor_size, events.t0, events.t1) == (473_225, (320, 240), 0, 999_000)
    assert events.array.tobytes() == faery.events_stream_from_file(real("dvs.es")).to_array().tobytes()


def header(version: int = 2, kind: int = 1) -> bytes:
    return b"Event Stream" + bytes([version, 0, 0, kind]) + np.array([346, 260], "<u2").tobytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header()[:19], "header is truncated"),
        (header(version=1), "version 1; read is 2"),
        (header(kind=4), "holds colour events"),
        (header() + bytes(7), "cut off inside an event of 5 bytes at byte 25 after 1 events.*repair=True"),
        (header() + bytes([0, 0, 2, 0, 0]), r"event 0: x = 512 is outside 0..345"),
        (header() + bytes([0, 5, 0x80, 0, 0]), r"event 0: x = 32767 is outside"),  # 32773 must not turn over
        (header() + bytes([0, 0, 0, 5, 1]), r"event 0: y = -1 is outside"),
    ],
)
def test_damage_is_told(tmp_path, content, message):
    path = tmp_path / "a.es"
    path.write_bytes(content)
    with pytest.raises(NeuvaError, match=message):
        read_events(path)


def test_an_event_stream_without_events_is_empty(tmp_path):
    path = tmp_path / "a.es"
    path.write_bytes(header() + b"\xff\xfe\xff")
    assert len(read_events(path)) == 0


def record(t: int, x: int, y: int, p: int) -> bytes:
    return bytes([x, y, p << 7 | t >> 16, t >> 8 & 0xFF, t & 0xFF])


def test_nmnist_records_by_hand(tmp_path):
    path = tmp_path / "a.bin"
    end = (1 << 23) - 1
    path.write_bytes(
        record(5, 1, 2, 1) + record(7, 0, 240, 0) + record(8, 3, 4, 0) + record(end, 5, 6, 1) + record(2, 7, 8, 0)
    )
    events = read_events(path, sensor_size=(34, 34))
    late = 1 << 13  # row 240 is no event: the clock has overflown
    expected = [(5, 1, 2, 1), (8 + late, 3, 4, 0), (end + late, 5, 6, 1), ((1 << 23) + 2 + late, 7, 8, 0)]
    assert events.array.tolist() == expected
    with pytest.raises(NeuvaError, match="does not tell its sensor size"):
        read_events(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(NeuvaError, match="cut off inside a record of 5 bytes at byte 20 after 3 events"):
        read_events(path, sensor_size=(34, 34))


def test_nmnist_overflows_and_turns_are_carried_from_piece_to_piece(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    half, turn, late = 1 << 22, 1 << 23, 1 << 13
    times = [5, 8, half, turn - 1, 1, turn - 1, half + 9, 2]  # in the middle: jitter about the turn
    path.write_bytes(record(0, 0, 240, 0) + b"".join(record(t, 1, 1, 1) for t in times))
    clock = [5, 8, half, turn - 1, turn + 1, turn - 1, half + 9, turn + 2]  # the step back by half a turn is none
    for piece in (1, 2, 3, 100):
        monkeypatch.setattr(records, "PIECE", piece)
        events = read_events(path, sensor_size=(34, 34), repair=True)
        assert events.array["t"].tolist() == sorted(t + late for t in clock)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([10, 107, 4], [10, 107, 132]),  # a silence in the first turn is no jitter: turn 128
        ([120, 2, 125, 3], [120, 130, 125, 131]),
        ([100, 36], [100, 36]),  # exactly half a turn back
        ([100, 35], [100, 163]),
        ([100, 2, 66, 131 - 128, 68], [100, 130, 194, 131, 68]),
    ],
)
def test_a_clock_goes_on_by_the_shorter_way_round(times, expected):
    assert records.without_turns(np.array(times), 128, None).tolist() == expected
    last, given = None, []
    for t in times:
        last = int(records.without_turns(np.array([t]), 128, last)[0])
        given.append(last)
    assert given == expected


@pytest.mark.parametrize(
    ("name", "size", "count"), [("gesture-dvs128.bin", (128, 128), 63_471), ("nmnist-digit.bin", (34, 34), 4_325)]
)
def test_real_records_are_what_tonic_reads(name, size, count):
    events = read_events(real(name), sensor_size=size)
    assert len(events) == count
    read_mnist_file = pytest.importorskip("tonic.io").read_mnist_file
    theirs = read_mnist_file(str(real(name)), np.dtype([("x", int), ("y", int), ("t", int), ("p", int)]))
    for column in "txyp":
        np.testing.assert_array_equal(events.array[column], theirs[column])
