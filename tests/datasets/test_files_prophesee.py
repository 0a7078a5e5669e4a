from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.events import Events
from datasets.files import FORMATS, prophesee, read_events, stream_events, write_events
from neuva import NeuvaError

REAL = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
GEN3, GEN41, CAR = "prophesee-gen3.evt2.raw", "prophesee-gen41.evt3.raw", "chronocam-car.dat"
ON_DISK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SUFFIX = {"EVT2": ".raw", "EVT2.1": ".raw", "EVT3": ".raw", "DAT": ".dat"}
LONGEST_GAP = {"EVT2": 1 << 50, "EVT2.1": 1 << 50, "EVT3": 1 << 40, "DAT": (1 << 31) - 1}


def real(name: str) -> Path:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"real recording {name} is not there (NEUVA_REAL_DATA)")
    return path


def equals(ours: np.ndarray, theirs: np.ndarray, names: str = "txy") -> None:
    for name in names:
        np.testing.assert_array_equal(ours[name], theirs[name])
    np.testing.assert_array_equal(ours["p"], theirs["on" if "on" in theirs.dtype.names else "p"])


def test_evt2_is_what_faery_reads_and_evt3_is_not():
    faery = pytest.importorskip("faery")
    equals(read_events(real(GEN3)).array, faery.events_stream_from_file(real(GEN3)).to_array())
    ours = read_events(real(GEN41)).array
    theirs = faery.events_stream_from_file(real(GEN41)).to_array()
    equals(ours, theirs, "xy")
    late = theirs["t"].astype(np.int64) - ours["t"]
    assert late.min() == 0
    assert late.max() == 11  # it never lets time go back, though TIME_LOW does


def raw(header: bytes, word: str, *words: int) -> bytes:
    return header + b"% geometry 64x32\n% end\n" + b"".join(struct.pack(word, value) for value in words)


def evt3(*words: tuple[int, int]) -> bytes:
    return raw(b"% evt 3.0\n", "<H", *(kind << 12 | value for kind, value in words))


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


def test_evt21_words_by_hand_in_both_orders(tmp_path):
    words = (
        1 << 60 | 1 << 32 | 1,  # before any time: left out
        8 << 60 | 3 << 32,
        1 << 60 | 5 << 54 | 32 << 43 | 7 << 32 | 0x80000001,
        10 << 60,  # a trigger: no event
        0 << 60 | 6 << 54 | 0 << 43 | 8 << 32 | 2,
    )
    path = tmp_path / "hand.raw"
    path.write_bytes(raw(b"% evt 2.1\n", "<Q", *words))
    events = read_events(path)
    assert events.array.tolist() == [(197, 32, 7, 1), (197, 63, 7, 1), (198, 1, 8, 0)]
    assert stream_events(path).format == "EVT2.1"
    swapped = [word >> 32 | (word & 0xFFFFFFFF) << 32 for word in words]
    path.write_bytes(raw(b"% format EVT21;height=32;width=64;endianness=legacy\n", "<Q", *swapped))
    assert read_events(path) == events


def test_evt2_turns_over_after_2_to_34_us(tmp_path):
    path = tmp_path / "hand.raw"
    on = 1 << 28 | 5 << 22 | 2 << 11 | 1
    path.write_bytes(raw(b"% evt 2.0\n", "<I", 8 << 28 | 0xFFFFFFF, on, 8 << 28, on))
    assert read_events(path).array["t"].tolist() == [(1 << 34) - 64 + 5, (1 << 34) + 5]


def evt2(*highs: int) -> bytes:
    words = [word for high in highs for word in (8 << 28 | high, 1 << 28 | 2 << 11 | 1)]
    return raw(b"% evt 2.0\n", "<I", *words)


def evt21(*highs: int) -> bytes:
    words = [word for high in highs for word in (8 << 60 | high << 32, 1 << 60 | 2 << 43 | 1 << 32 | 1)]
    return raw(b"% evt 2.1\n", "<Q", *words)


def evt3_at(*highs: int) -> bytes:
    return evt3(*(word for high in highs for word in ((8, high), (6, 0), (0, 1), (2, 2))))


def dat(*times: int) -> bytes:
    words = (t | 2 << 32 | 1 << 46 for t in times)
    return b"% Version 2\n% Width 64\n% Height 32\n% end\n\x0c\x08" + b"".join(
        struct.pack("<Q", word) for word in words
    )


@pytest.mark.parametrize(
    ("coded", "suffix", "turn", "unit"),
    [
        (evt2, ".raw", 1 << 28, 64),
        (evt21, ".raw", 1 << 28, 64),
        (evt3_at, ".raw", 1 << 12, 4096),
        (dat, ".dat", 1 << 32, 1),
    ],
)
@pytest.mark.parametrize("block", [8, prophesee.BLOCK])
def test_a_clock_goes_on_by_the_shorter_way_round(tmp_path, monkeypatch, coded, suffix, turn, unit, block):
    """Steps back of up to half a turn are jitter, so are those forward of over half a turn; others back are turns."""
    monkeypatch.setattr(prophesee, "BLOCK", block)
    half, path = turn // 2, tmp_path / f"a{suffix}"
    for shown, clock in (
        ([half + 1, turn - 1, 1, turn - 1, 2, 3], [half + 1, turn - 1, turn + 1, turn - 1, turn + 2, turn + 3]),
        ([turn - 1, half - 1, half], [turn - 1, half - 1, half]),
        ([turn - 1, half - 2, half], [turn - 1, turn + half - 2, turn + half]),
        ([1, half + 1, 1], [1, half + 1, 1]),
    ):
        path.write_bytes(coded(*shown))
        times = read_events(path, repair=True).array["t"]
        np.testing.assert_array_equal(times, np.sort(np.array(clock) * unit))


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"% format EVT2;height=720;width=1280\n", (1280, 720)),
        (b"% evt 2.0\n% Width 304\n% Height 240\n", (304, 240)),
        (b"% plugin_name hal_plugin_gen31_fx3\n% evt 2.0\n", (640, 480)),
        (b"% evt 2.0\n", None),
    ],
)
def test_headers_tell_the_sensor(tmp_path, header, size):
    path = tmp_path / "a.raw"
    path.write_bytes(header + struct.pack("<II", 8 << 28 | 3, 1 << 28 | 5 << 22 | 2 << 11 | 1))
    if size is None:
        with pytest.raises(NeuvaError, match="does not tell its sensor size"):
            read_events(path)
    events = read_events(path, sensor_size=size or (10, 10))
    assert events.sensor_size == (size or (10, 10))
    assert events.array.tolist() == [(3 << 6 | 5, 2, 1, 1)]


@st.composite
def streams(draw, name):
    """Events with runs along rows, pauses from none to beyond the format's clock, from any time on."""
    side = 1 << 14 if name == "DAT" else 2048
    width, height = draw(st.integers(1, side)), draw(st.integers(1, side))
    count = draw(st.integers(0, 60))
    pauses = st.sampled_from([0, 0, 0, 0, 1, 63, 64, 4096, 1 << 23, 1 << 24, (1 << 31) - 1, (1 << 34) + 1, 1 << 36])
    start = draw(st.one_of(st.integers(0, 1 << 20), st.integers(-(2**62), 2**62)))
    t = np.cumsum([start, *(draw(pauses) for _ in range(count))])[1:].astype(np.int64)
    x = np.cumsum([draw(st.integers(-1, 13)) for _ in range(count)]) % width
    y = np.array([draw(st.sampled_from([0, 0, 0, height - 1])) for _ in range(count)], np.int64)
    p = np.array([draw(st.sampled_from([0, 1, 1, 1])) for _ in range(count)], np.int64)
    return Events.from_columns(t, x, y, p, (width, height))


def longest_gap(events: Events) -> int:
    return int(np.diff(events.array["t"]).max(initial=0))


@pytest.mark.parametrize("name", SUFFIX)
@ON_DISK
@given(data=st.data())
def test_what_is_written_is_read_again(tmp_path, name, data):
    events = data.draw(streams(name))
    path = tmp_path / f"a{SUFFIX[name]}"
    if longest_gap(events) > LONGEST_GAP[name]:
        with pytest.raises(NeuvaError, match=r"nothing happens for \d+ us .* cut the recording there"):
            write_events(path, events, format=name)
        return
    assert write_events(path, events, format=name) == len(events)
    assert stream_events(path).format == name
    assert read_events(path) == events
    at = data.draw(st.integers(0, len(events)))
    parts = (Events(part, events.sensor_size) for part in np.split(events.array, [at]))
    FORMATS[name].write(path, events.sensor_size, parts)
    assert read_events(path) == events


@pytest.mark.parametrize(("name", "recording"), [("EVT2", GEN3), ("EVT2.1", GEN3), ("EVT3", GEN41), ("DAT", CAR)])
def test_blocks_and_pieces_of_any_size_give_the_same(tmp_path, monkeypatch, name, recording):
    events = read_events(real(recording), sensor_size=(304, 240) if recording == CAR else None)
    events = Events(events.array[:20_000], events.sensor_size)
    path = tmp_path / f"a{SUFFIX[name]}"
    write_events(path, events, format=name)
    monkeypatch.setattr(prophesee, "BLOCK", 1000)
    monkeypatch.setattr(prophesee, "AT_ONCE", 777)
    pieces = list(stream_events(path))
    assert len(pieces) > 2
    assert max(map(len, pieces)) <= 777 + 32
    np.testing.assert_array_equal(np.concatenate([piece.array for piece in pieces]), events.array)
    write_events(path, events, format=name)
    assert read_events(path) == events


@pytest.mark.parametrize(("name", "most"), [("EVT2", 4.02), ("EVT3", 2.62), ("DAT", 8.01)])  # EVT2.1: none
def test_others_read_what_we_write(tmp_path, name, most):
    faery = pytest.importorskip("faery")
    events = read_events(real(GEN41))
    path = tmp_path / f"a{SUFFIX[name]}"
    write_events(path, events, format=name)
    assert path.stat().st_size < most * len(
        events
    )  # EVT3 is smaller than the camera's own, which also has bare vectors
    equals(events.array, faery.events_stream_from_file(path).to_array())


def test_a_start_beyond_the_clock_stands_in_the_header_and_others_see_its_low_bits(tmp_path):
    faery = pytest.importorskip("faery")
    start = (1_605_537_493_718_345 >> 24 << 24) + 7  # faery passes over a first TIME_HIGH in the upper half
    events = Events.from_columns(np.array([0, 5, 1 << 25]) + start, [1, 2, 3], [0, 0, 0], [1, 0, 1], (8, 8))
    path = tmp_path / "a.raw"
    write_events(path, events)
    assert read_events(path) == events
    assert f"% time_offset_us {start - start % (1 << 24)}\n".encode() in path.read_bytes()
    theirs = faery.events_stream_from_file(path).to_array()["t"].astype(np.int64)
    np.testing.assert_array_equal(theirs, events.array["t"] - (start - start % (1 << 24)))
    path.write_bytes(path.read_bytes().replace(b"% time_offset_us ", b"% time_offset_us 999999999999"))
    with pytest.raises(NeuvaError, match=r"time_offset_us 9+\d+ in its header is damaged"):
        read_events(path)


@pytest.mark.parametrize("name", SUFFIX)
def test_what_a_format_cannot_hold_is_an_error_with_a_cure(tmp_path, name):
    path = tmp_path / f"a{SUFFIX[name]}"
    with pytest.raises(NeuvaError, match=r"a sensor of 20000x4 has no room in .* write HDF5"):
        write_events(path, Events.empty((20_000, 4)), format=name)
    far = Events.from_columns(np.array([-(2**63), 2**63 - 1]), [0, 0], [0, 0], [0, 0], (4, 4))
    with pytest.raises(NeuvaError, match=r"for 18446744073709551615 us before t = 9223372036854775807 us"):
        write_events(path, far, format=name)
    assert list(tmp_path.iterdir()) == []


def test_a_cut_off_file_names_the_byte(tmp_path):
    content = real(GEN3).read_bytes()[:100_001]
    path = tmp_path / "cut.raw"
    path.write_bytes(content)
    header = content.index(b"% evt 2.0\n") + 10
    end = len(content) - (len(content) - header) % 4
    with pytest.raises(NeuvaError, match=rf"cut off inside its last record of 4 bytes at byte {end} after \d+ events"):
        read_events(path)
    assert len(read_events(path, repair=True)) > 20_000


def test_only_dat_version_2_with_change_events_is_read(tmp_path):
    path = tmp_path / "a.dat"
    for content in (b"% Version 1\n\x0c\x08", b"% Version 2\n\x0e\x08", b"% Version 2\n\x0c", b"% nothing\n"):
        path.write_bytes(content)
        with pytest.raises(NeuvaError, match="not DAT version 2 with CD events of 8 bytes"):
            read_events(path)
