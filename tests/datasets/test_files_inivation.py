"""AEDAT2 against jAER's layouts written by hand, AEDAT4 against the libraries."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from datasets.events import Events
from datasets.files import read_events, stream_events, write_events
from neuva import NeuvaError

REAL = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
ON_DISK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DAVIS = "# AEChip: eu.seebetter.ini.chips.davis.Davis346blue"
DVS = "# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128"


def real(name: str) -> Path:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"real recording {name} is not there (NEUVA_REAL_DATA)")
    return path


def aedat2(path: Path, chip: str, records: list[tuple[int, int]], end: str = "") -> Path:
    lines = ["#!AER-DAT2.0", "# This is a raw AE data file", chip, end]
    header = "".join(f"{line}\r\n" for line in lines if line)
    path.write_bytes(header.encode() + np.array(records, ">u4").tobytes())
    return path


def davis(x: int, y: int, p: int) -> int:
    """The address of a pixel counted from the top left."""
    return (259 - y) << 22 | (345 - x) << 12 | p << 11


def test_davis_records_by_hand(tmp_path):
    records = [
        (davis(0, 0, 1), 10),
        (1 << 31 | davis(3, 3, 1), 11),  # a frame's sample
        (0x8000_0C00, 12),  # an inertial sample
        (davis(9, 9, 0) | 1 << 10, 13),  # an external input
        (davis(345, 259, 0), (1 << 32) - 1),
        (davis(7, 120, 1), 5),  # the clock has turned over
    ]
    for end in ("", "#End Of ASCII Header"):
        events = read_events(aedat2(tmp_path / "a.aedat", DAVIS, records, end))
        assert events.sensor_size == (346, 260)
        expected = [(10, 0, 0, 1), ((1 << 32) - 1, 345, 259, 0), ((1 << 32) + 5, 7, 120, 1)]
        assert events.array.tolist() == expected


def test_jitter_about_the_turn_of_the_clock_is_no_second_turn(tmp_path):
    turn = 1 << 32
    times = [turn - 3, turn - 1, turn + 1, turn - 1, turn + 2]
    path = aedat2(tmp_path / "a.aedat", DAVIS, [(davis(1, 1, 1), t % turn) for t in times])
    assert read_events(path, repair=True).array["t"].tolist() == sorted(times)


def test_dvs128_records_by_hand(tmp_path):
    # x, y from the top left: both are counted the other way in the address, and 0 is ON
    address = (127 - 20) << 8 | (127 - 3) << 1 | 0
    records = [(address, 1), (address | 1, 2), (0x8000, 3)]
    for chip in (DVS, ""):
        events = read_events(aedat2(tmp_path / "a.aedat", chip, records))
        assert events.sensor_size == (128, 128)
        assert events.array.tolist() == [(1, 3, 20, 1), (2, 3, 20, 0)]


def test_davis346_is_what_tonic_reads(tmp_path):
    read_davis_346 = pytest.importorskip("tonic.io").read_davis_346
    rng = np.random.default_rng(0)
    x, y, p = (rng.integers(0, most, 500) for most in (346, 260, 2))
    records = [(davis(*each), 3 * row) for row, each in enumerate(zip(x.tolist(), y.tolist(), p.tolist(), strict=True))]
    path = aedat2(tmp_path / "a.aedat", DAVIS + "\r\n# created Thu\r\n#End of Preferences", records)
    events = read_events(path)
    np.testing.assert_array_equal([events.array[name] for name in "xyp"], [x, y, p])
    try:
        _, _, theirs = read_davis_346(str(path))
    except Exception as error:
        pytest.skip(f"tonic does not read this header ({error})")
    for name in "xyp":
        np.testing.assert_array_equal(events.array[name], theirs[name])


def test_a_record_that_begins_like_a_comment_is_no_header(tmp_path):
    first = ord("#") << 24
    events = read_events(aedat2(tmp_path / "a.aedat", DAVIS, [(first, 0x0A0A0A0A), (davis(1, 1, 1), 0x0A0A0A0B)]))
    assert len(events) == 2
    assert (int(events.array["y"][0]), int(events.array["t"][0])) == (259 - (first >> 22), 0x0A0A0A0A)


def test_aedat2_of_an_unknown_camera_or_cut_off_says_so(tmp_path):
    path = aedat2(tmp_path / "a.aedat", "# AEChip: com.sec.dvs.SecDvs640Gen2", [(0, 0)])
    with pytest.raises(NeuvaError, match=r"its camera is com.sec.dvs.SecDvs640Gen2; known are dvs128"):
        read_events(path)
    with pytest.raises(NeuvaError, match='no line "# AEChip'):
        read_events(aedat2(path, "", [(davis(1, 1, 1), 0)]))
    aedat2(path, DAVIS, [(davis(1, 1, 1), 5)] * 3)
    length = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(NeuvaError, match=rf"inside a record of 8 bytes at byte {length - 8} after 2 events.*repair"):
        read_events(path)
    assert len(read_events(path, repair=True)) == 2


@st.composite
def streams(draw):
    width, height = draw(st.integers(1, 32767)), draw(st.integers(1, 2000))
    n = draw(st.integers(0, 50))
    far = draw(st.booleans())
    t = draw(arrays(np.int64, n, elements=st.integers(0, 2**63 - 1 if far else 100)))
    x, y, p = (draw(arrays(np.int64, n, elements=st.integers(0, most - 1))) for most in (width, height, 2))
    return Events.from_columns(np.sort(t), x, y, p, (width, height))


@ON_DISK
@given(streams())
def test_aedat4_is_read_as_it_was_written(tmp_path, events):
    assert write_events(tmp_path / "a.aedat4", events) == len(events)
    assert read_events(tmp_path / "a.aedat4") == events


def test_aedat4_of_many_packets_is_read_by_other_libraries(tmp_path):
    rng = np.random.default_rng(0)
    n = 200_000
    t = np.sort(rng.integers(0, n, n))
    events = Events.from_columns(t, rng.integers(0, 346, n), rng.integers(0, 260, n), rng.integers(0, 2, n), (346, 260))
    path = tmp_path / "a.aedat4"
    write_events(path, events)
    assert read_events(path) == events
    faery = pytest.importorskip("faery")
    assert faery.events_stream_from_file(path).to_array().tobytes() == events.array.tobytes()
    dv = pytest.importorskip("dv_processing")
    recording = dv.io.MonoCameraRecording(str(path))
    assert recording.getEventResolution() == (346, 260)
    theirs = []
    while (batch := recording.getNextEventBatch()) is not None:
        theirs.append(batch.numpy())
    whole = np.concatenate(theirs)
    for ours, other in (("t", "timestamp"), ("x", "x"), ("y", "y"), ("p", "polarity")):
        np.testing.assert_array_equal(events.array[ours], whole[other])


def test_aedat4_refuses_times_before_zero(tmp_path):
    with pytest.raises(NeuvaError, match="the events begin at -5 us: choose HDF5"):
        write_events(tmp_path / "a.aedat4", Events.from_columns([-5], [0], [0], [1], (4, 4)))
    assert not list(tmp_path.iterdir())


def test_the_face_has_its_known_facts_in_pieces():
    stream = stream_events(real("face-dvxplorer.aedat4"))
    pieces = list(stream)
    assert (stream.format, stream.sensor_size) == ("AEDAT4", (320, 240))
    assert sum(map(len, pieces)) == 111_954
    assert sum(int(piece.array["p"].sum()) for piece in pieces) == 55_023
    assert (pieces[0].t0, pieces[-1].t1) == (1605537493718345, 1605537494308262)


def test_a_damaged_packet_is_placed_and_what_stands_before_kept(tmp_path):
    content = bytearray(real("face-dvxplorer.aedat4").read_bytes())
    whole = read_events(real("face-dvxplorer.aedat4"))
    path = tmp_path / "a.aedat4"
    for size in (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff"):  # 2 GB, and less than nothing
        damaged = bytes(content[:494_094]) + size + bytes(content[494_098:])
        path.write_bytes(damaged)
        with pytest.raises(NeuvaError, match="a packet is damaged or cut off at byte 494090 after 59065 events"):
            read_events(path)
        np.testing.assert_array_equal(read_events(path, repair=True).array, whole.array[:59_065])


def test_aedat4_cut_off_between_two_packets_says_so(tmp_path):
    content = real("face-dvxplorer.aedat4").read_bytes()
    whole = read_events(real("face-dvxplorer.aedat4"))
    path = tmp_path / "a.aedat4"
    for cut in (494_090, 494_092, 494_098, 494_200):  # at a packet, in its head, in its events
        path.write_bytes(content[:cut])
        with pytest.raises(NeuvaError, match="a packet is damaged or cut off at byte 494090 after 59065 events"):
            read_events(path)
        np.testing.assert_array_equal(read_events(path, repair=True).array, whole.array[:59_065])
