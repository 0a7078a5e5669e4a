"""NPZ, NPY and text tables: exact round trips, and tables from other hands."""

from __future__ import annotations

import tracemalloc
import zipfile
from decimal import ROUND_HALF_UP, Decimal, localcontext

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from datasets.events import EVENT_DTYPE, Events
from datasets.files import numpy_files, read_events, stream_events, text, write_events
from datasets.files.digits import format_rows, parse_rows
from datasets.files.records import as_events
from neuva import NeuvaError

ON_DISK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
INT64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def streams(draw):
    width, height = draw(st.integers(1, 2000)), draw(st.integers(1, 32767))
    n = draw(st.integers(0, 50))
    t = draw(arrays(np.int64, n, elements=INT64 if draw(st.booleans()) else st.integers(0, 10_000)))
    x, y, p = (draw(arrays(np.int64, n, elements=st.integers(0, most - 1))) for most in (width, height, 2))
    return Events.from_columns(np.sort(t), x, y, p, (width, height))


@ON_DISK
@given(streams(), st.sampled_from([".npz", ".npy", ".csv", ".CSV"]), st.integers(1, 60))
def test_what_is_written_is_read_again(tmp_path, events, suffix, piece):
    path = tmp_path / f"a{suffix}"
    assert write_events(path, events) == len(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_files, "PIECE", piece)
        patch.setattr(text, "READ", 4 * piece + 100)  # lines that lie across two reads
        assert read_events(path, sensor_size=events.sensor_size) == events
        copy = tmp_path / f"b{suffix}"
        write_events(copy, stream_events(path, sensor_size=events.sensor_size))  # from many pieces
    assert copy.read_bytes() == path.read_bytes() or suffix == ".npz"  # a ZIP file holds the time of day
    assert read_events(copy, sensor_size=events.sensor_size) == events
    for file in (path, copy):
        file.unlink()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_the_sensor_size_is_kept(tmp_path, suffix):
    write_events(tmp_path / f"a{suffix}", Events.empty((346, 260)))
    assert read_events(tmp_path / f"a{suffix}").sensor_size == (346, 260)
    with pytest.raises(NeuvaError, match="its sensor is 346x260, asked for 8x8"):
        read_events(tmp_path / f"a{suffix}", sensor_size=(8, 8))


def test_an_npz_is_what_numpy_reads(tmp_path):
    events = Events.from_columns([1, 2], [3, 4], [5, 6], [0, 1], (346, 260))
    write_events(tmp_path / "a.npz", events)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert {name: file[name].tolist() for name in file} == {
            "t": [1, 2], "x": [3, 4], "y": [5, 6], "p": [0, 1], "sensor_size": [346, 260],
        }  # fmt: skip
    write_events(tmp_path / "a.npy", events)
    assert np.array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), events.array)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (np.zeros(3, np.int64), r"sensor_size is int64 \[3\]; needed: two integers"),
        (np.zeros((2, 2), np.int64), r"sensor_size is .* \[2\]; needed: two integers"),
        (np.zeros(2), r"sensor_size is float64 \[2\]; needed: two integers"),
        (np.array([10**18, 4]), r"its sensor would be 1000000000000000000x4; sides are 1 to 32767"),
    ],
)
def test_an_npz_with_no_sensor_size_says_so(tmp_path, size, message):
    np.savez(tmp_path / "a.npz", t=T, x=X, y=Y, p=P, sensor_size=size)
    with pytest.raises(NeuvaError, match=message):
        read_events(tmp_path / "a.npz")


def test_a_sensor_size_of_a_thousand_million_numbers_is_refused_unread(tmp_path):
    path, count = tmp_path / "a.npz", 1 << 30
    np.savez_compressed(path, t=T, x=X, y=Y, p=P)
    header = {"descr": "|u1", "fortran_order": False, "shape": (count,)}
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file, file.open("sensor_size.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
        member.write(bytes(1 << 24))  # the rest is missing, which is not looked for
    tracemalloc.start()
    with pytest.raises(NeuvaError, match=rf"sensor_size is uint8 \[{count}\]; needed: two integers"):
        read_events(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


T, X, Y, P = np.array([10, 20, 30]), np.array([1, 2, 3]), np.array([4, 5, 6]), np.array([1, 0, 1])
EXPECTED = [(10, 1, 4, 1), (20, 2, 5, 0), (30, 3, 6, 1)]
FIELDS = np.dtype([("x", "<u2"), ("y", "<u2"), ("timestamp", "<f8"), ("polarity", "?"), ("address", "<u4")])


def other_hands() -> dict[str, np.ndarray]:
    named = np.zeros(3, FIELDS)
    named["x"], named["y"], named["timestamp"], named["polarity"] = X, Y, T * 1e-6, P
    return {
        "t x y p": np.stack([T, X, Y, P], axis=1),
        "t x y p in columns": np.array([T, X, Y, P]).T,
        "big-endian": np.stack([T, X, Y, P], axis=1).astype(">i4"),
        "x y p t of -1 and 1": np.stack([X, Y, 2 * P - 1, T], axis=1),
        "microseconds in floats": np.stack([T, X, Y, P], axis=1).astype(np.float32),
        "seconds in columns": np.array([T * 1e-6, X, Y, P]).T,
        "fields, seconds": named,
    }


@pytest.mark.parametrize("name", other_hands())
def test_arrays_from_other_hands(tmp_path, name):
    array = other_hands()[name]
    np.save(tmp_path / "a.npy", array)
    assert read_events(tmp_path / "a.npy", sensor_size=(8, 8)).array.tolist() == EXPECTED
    np.savez_compressed(tmp_path / "a.npz", events=array)
    assert read_events(tmp_path / "a.npz", sensor_size=(8, 8)).array.tolist() == EXPECTED


def test_columns_from_other_hands(tmp_path):
    np.savez(tmp_path / "a.npz", pol=2 * P - 1, ts=T, y=Y, x=X, start="Thursday")
    assert read_events(tmp_path / "a.npz", sensor_size=(8, 8)).array.tolist() == EXPECTED


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{}]), "objects, which are not unpickled"),
        (np.zeros((3, 5)), r"holds float64 \[3, 5\]; needed"),
        (np.zeros(3), r"holds float64 \[3\]; needed"),
        (np.float64(3), r"holds float64 \[\]; needed"),
        (np.zeros((3, 0)), r"holds float64 \[3, 0\]; needed"),
        (np.zeros((3, 4), "S3"), r"t is \|?S3|neither t, x, y, p"),
        (np.full((3, 4), 7), "neither t, x, y, p nor x, y, p, t"),
        (np.zeros(3, [("t", int), ("x", int)]), "has t, x; needed are t, x, y, p: y is missing"),
        (np.array([[0, 1, 2, 1], [1, 1.5, 2, 1]]), "row 1 is no event: .* after 1 events"),
        (np.array([[0, 1, 2, 1], [np.nan, 1, 2, 1]]), "row 1 is no event: .* after 1 events"),
        (np.array([[0, 70000, 2, 1]]), "x = 32767 is outside"),
    ],
)
def test_arrays_that_are_no_events(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(NeuvaError, match=message) as error:
        read_events(tmp_path / "a.npy", sensor_size=(8, 8))
    assert str(tmp_path / "a.npy") in str(error.value)


def test_a_cut_array_keeps_what_stands_before(tmp_path):
    events = Events.from_columns(np.arange(100), *np.zeros((3, 100), int), (4, 4))
    path = tmp_path / "a.npy"
    write_events(path, events)
    start = path.stat().st_size - 100 * EVENT_DTYPE.itemsize
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(NeuvaError, match=rf"cut off at byte {start + 98 * 13} after 98 events.*repair=True"):
        read_events(path, sensor_size=(4, 4))
    assert len(read_events(path, sensor_size=(4, 4), repair=True)) == 98
    write_events(tmp_path / "a.npz", events)
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[:-30])
    with pytest.raises(NeuvaError, match="NPZ file is damaged or truncated"):
        read_events(tmp_path / "a.npz", repair=True)


def read_text(tmp_path, content: str, size=(8, 8), name="a.csv") -> list[tuple[int, ...]]:
    (tmp_path / name).write_bytes(content.encode())
    return read_events(tmp_path / name, sensor_size=size).array.tolist()


@pytest.mark.parametrize(
    "content",
    [
        "10,1,4,1\n20,2,5,0\n30,3,6,1\n",
        "10 1 4 1\r\n20 2 5 0\r\n30 3 6 1",
        "# from a camera\n\nx, y, polarity, timestamp\n1,4,1,10\n2,5,0,20\n\n# pause\n3,6,1,30\n",
        "1,4,1,10\n2,5,0,20\n3,6,1,30\n",
        "0.000010 1 4 1\n0.00002 2 5 0\n3e-5 3 6 1\n",
        "1.000000000000000000e+01\t1.0e+00\t4.\t1\n2e1\t2\t5\t-1\n30\t3\t6\t+1\n",
        "\ufefft,x,y,p\n10,1,4,1\n20,2,5,0\n30,3,6,1\n",  # as spreadsheets write it
        "\ufeff10,1,4,1\n20,2,5,0\n30,3,6,1\n",
        '"t";"name";"x";"y";"p"\n10;a b;1;4;1\n20;;2;5;0\n30;c;3;6;1\n',
    ],
)
def test_text_from_other_hands(tmp_path, content):
    assert read_text(tmp_path, content) == EXPECTED
    assert read_text(tmp_path, content, name="a.txt") == EXPECTED


@pytest.mark.parametrize("end", ["", "\n"])
def test_the_last_line_is_read_wherever_a_read_ends(tmp_path, monkeypatch, end):
    rows = "10,1,4,1\n20,2,5,0\n30,3,6,1" + end
    for read in range(12, len(rows) + 2):
        monkeypatch.setattr(text, "READ", read)
        assert read_text(tmp_path, rows) == EXPECTED


def test_text_with_a_sensor_size_of_many_digits_is_refused(tmp_path):
    many = "9" * 5000
    for content, message in (
        (f"# sensor_size {many}x4\n10,1,4,1\n", "does not tell its sensor size"),
        (f"{many} 4\n0.5 1 4 1\n", "rows of 2 columns without names"),
        ("240 0\n0.5 1 4 1\n", "its sensor would be 240x0"),
    ):
        with pytest.raises(NeuvaError, match=message):
            read_text(tmp_path, content, size=None)


def test_text_tells_its_sensor_size(tmp_path):
    assert read_text(tmp_path, "240 180\n0.5 239 179 1\n", size=None) == [(500_000, 239, 179, 1)]
    with pytest.raises(NeuvaError, match="does not tell its sensor size"):
        read_text(tmp_path, "0.5 239 179 1\n", size=None)


def test_seconds_are_exact_where_floats_are_not(tmp_path):
    # 9,007,199,254.740993 s is not a float64 to the microsecond
    assert read_text(tmp_path, "9007199254.740993 1 1 1\n9007199254.7409944 1 1 1\n") == [
        (9007199254740993, 1, 1, 1), (9007199254740994, 1, 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("10,1,4,1\n20,2,5\n", r"no event in the line b'20,2,5' at byte 9 after 1 events: read with repair=True"),
        ("10,1,4,1\n20,2,5,0,7\n", "no event in the line b'20,2,5,0,7' at byte 9"),
        ("10,1,4,1\n20,2.5,5,0\n", "at byte 9 after 1 events"),
        ("10,1,4,1\n20,nan,5,0\n", "at byte 9 after 1 events"),
        ("9223372036854775808,1,4,1\n", "at byte 0 after 0 events"),
        ("10,1,4,1\n1e300,1,4,1\n", "at byte 9 after 1 events"),
        ("10,1,4,2\n", "neither t, x, y, p nor x, y, p, t: name them"),
        ("10,1,4\n", "rows of 3 columns without names"),
        ("t,x,y\n", "has t, x, y; needed are t, x, y, p: p is missing"),
        ("10,1,70000,1\n", "y = 32767 is outside"),
        ("t,x,y,p\n5,1,1,1\n4,1,1,1\n", "event 1: t = 4 us runs backwards"),
    ],
)
def test_text_that_is_no_event_is_placed(tmp_path, content, message):
    with pytest.raises(NeuvaError, match=message) as error:
        read_text(tmp_path, content)
    assert str(tmp_path / "a.csv") in str(error.value)
    assert "\n" not in str(error.value)


def test_repair_keeps_the_rows_before_a_bad_one(tmp_path):
    (tmp_path / "a.csv").write_text("10,1,4,1\n20,2,5,0\nhello\n30,3,6,1\n")
    assert read_events(tmp_path / "a.csv", sensor_size=(8, 8), repair=True).array.tolist() == EXPECTED[:2]


@given(arrays(np.int64, st.tuples(st.integers(0, 20), st.just(3)), elements=INT64))
@example(np.array([[2**63 - 1, -(2**63), 0]]))
@settings(deadline=None)
def test_digits_there_and_back(rows):
    written = np.empty(rows.size * 21, np.uint8)
    written = written[: format_rows(rows, written)]
    assert written.tobytes().decode() == "".join(",".join(map(str, row)) + "\n" for row in rows.tolist())
    again = np.empty_like(rows)
    assert parse_rows(written, ord(","), np.arange(3), 0, again) == (len(rows), len(written), False)
    np.testing.assert_array_equal(again, rows)


@given(st.decimals(-(10**9), 10**9, allow_nan=False, places=9), st.integers(0, 8))
@settings(deadline=None)
def test_decimals_are_rounded_as_written_down(value, digits_of_exponent):
    written = f"{value.scaleb(-digits_of_exponent):f}e{digits_of_exponent}\n"
    rows = np.empty((1, 1), np.int64)
    data = np.frombuffer(written.encode(), np.uint8)
    assert parse_rows(data, ord(" "), np.arange(1), 6, rows) == (1, len(data), False)
    assert abs(rows[0, 0] - value * 10**6) <= 0.5


@given(st.from_regex(r"-?[0-9]{1,22}(\.[0-9]{0,22})?", fullmatch=True), st.integers(-30, 12), st.sampled_from([0, 6]))
@example("9223372036854775807", -19, 0)  # below one
@example("9223372036854775807", -25, 6)  # rounds to one
@example("1.0000000000000000000001", 0, 0)  # not whole, in a digit beyond 64 bits
@example("-1591420227082.8088946", 0, 6)  # would be rounded by a digit beyond 64 bits
@example("0.9223372036854775809", 19, 0)  # one too many
@settings(deadline=None, max_examples=300)
def test_a_number_is_exact_or_refused(digits, exponent, shift):
    written = f"{digits}e{exponent}\n".encode()
    rows = np.empty((1, 1), np.int64)
    count, _, bad = parse_rows(np.frombuffer(written, np.uint8), ord(" "), np.arange(1), shift, rows)
    with localcontext() as context:
        context.prec = 100
        exact = Decimal(written.decode()) * 10**shift
        rounded = int(exact.to_integral_value(ROUND_HALF_UP))
    assert bad != count
    if count:
        assert rows[0, 0] == rounded
        assert shift or rounded == exact
    elif len(digits) <= 18:  # such are only refused for what they are
        assert not -(2**63) <= rounded < 2**63 or (shift == 0 and rounded != exact)


def test_what_does_not_fit_is_held_at_the_limit_and_does_not_turn_over():
    events = as_events(np.array([2**64 - 1], np.uint64), np.array([65_541]), np.array([-40_000]), np.array([257]))
    assert events.tolist() == [(2**63 - 1, 32767, -32768, 127)]
