from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.events import EVENT_DTYPE, Events
from datasets.files import (
    FORMATS,
    WRITTEN,
    EventStream,
    describe,
    read_events,
    stream,
    stream_events,
    write_events,
)
from datasets.files.format import Damage
from experiments.watching import WatchedStream
from neuva import NeuvaError

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("NEUVA_REAL_DATA", ROOT / ".." / "shared" / "data"))
FACE, GEN3, GEN41 = "face-dvxplorer.aedat4", "prophesee-gen3.evt2.raw", "prophesee-gen41.evt3.raw"


def real(name: str) -> Path:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"real recording {name} is not there (NEUVA_REAL_DATA)")
    return path


def events_of(*rows: tuple[int, int, int, int]) -> np.ndarray:
    return np.array(list(rows), EVENT_DTYPE)


def opened(*pieces: np.ndarray, repair: bool = False, damage: str = "") -> EventStream:
    """A stream of these pieces, as if they stood in this file, on a sensor of 8x8."""

    def read():
        yield from pieces
        if damage:
            raise Damage(damage, 77)

    return EventStream(Path(__file__), "EVT3", (8, 8), read(), repair)


def whole(events: EventStream) -> np.ndarray:
    return np.concatenate([np.empty(0, EVENT_DTYPE), *(piece.array for piece in events)])


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
def test_real_recordings_give_their_known_facts_whole_and_streamed(name, size, told, count, start, stop, on):
    asked = None if told else size
    events = read_events(real(name), sensor_size=asked)
    assert (len(events), events.sensor_size) == (count, size)
    if start is not None:
        assert (events.t0, events.t1) == (start, stop)
    if on is not None:
        assert int(events.array["p"].sum()) == on
    streamed = stream_events(real(name), sensor_size=asked)
    assert (streamed.path, streamed.sensor_size, name in str(streamed.path)) == (real(name), size, True)
    np.testing.assert_array_equal(whole(streamed), events.array)
    for repaired in (
        read_events(real(name), sensor_size=asked, repair=True).array,
        whole(stream_events(real(name), sensor_size=asked, repair=True)),
    ):
        np.testing.assert_array_equal(repaired, events.array)


def test_a_stream_is_checked_across_its_pieces_and_read_once():
    good = opened(events_of((1, 0, 0, 0), (5, 7, 7, 1)), events_of(), events_of((5, 1, 1, 1)))
    assert [len(piece) for piece in good] == [2, 1]
    with pytest.raises(NeuvaError, match=r"test_files.py: this stream has been read: open it again with stream_events"):
        iter(good)
    for late, message in (
        ((4, 0, 0, 0), r"t = 4 us runs backwards \(before it 5\)"),
        ((6, 8, 0, 0), r"x = 8 is outside"),
    ):
        stray = (events_of((1, 0, 0, 0), (5, 7, 7, 1)), events_of(late))
        for read in (list, EventStream.whole):
            with pytest.raises(NeuvaError, match=rf"test_files.py: event 2: {message}.*: read with repair=True"):
                read(opened(*stray))


def test_damage_names_the_byte_and_repair_keeps_what_stands_before(caplog):
    piece = events_of((1, 0, 0, 0), (5, 7, 7, 1))
    for read in (whole, lambda events: events.whole().array):
        with pytest.raises(
            NeuvaError, match=r"test_files.py: rust at byte 77 after 2 events: read with repair=True to"
        ):
            read(opened(piece, damage="rust"))
        caplog.clear()
        assert read(opened(piece, damage="rust", repair=True)).tolist() == piece.tolist()
        assert caplog.messages == [f"{__file__}: rust at byte 77 after 2 events"]


def test_repair_of_a_stream_sorts_within_its_window_and_of_a_whole_file_altogether(caplog, monkeypatch):
    late = stream.WINDOW
    pieces = (
        events_of((0, 0, 0, 0), (late + 50, 1, 0, 0)),  # 0 is given out: it lies a window before the newest
        events_of((40, 2, 0, 0), (2 * late, 3, 0, 0), (2 * late, 9, 0, 0)),  # 40 is late, but sorted in
        events_of((39, 4, 0, 0), (3 * late, 5, 0, 0)),  # too late: what came after it is given out
    )
    given = whole(opened(*pieces, repair=True))
    assert given["x"].tolist() == [0, 2, 1, 3, 5]
    message = f"{__file__}: repaired: 2 events outside the sensor or over 100000 us late dropped, 1 steps back"
    assert caplog.messages[0].startswith(message)
    assert opened(*pieces, repair=True).whole().array["x"].tolist() == [0, 4, 2, 1, 3, 5]
    monkeypatch.setattr(stream, "MOST_HELD", 1)  # a clock that stands still must not fill the memory
    assert len(whole(opened(*[events_of((7, 0, 0, 0))] * 9, repair=True))) == 9


def test_a_stray_late_time_leaves_the_rest_sorted():
    pieces = [[0, 1000, 2000], [900, 2000, 3000], [2900, 4000], [3900, 5000]]
    arrays = [events_of(*((t, 0, 0, 0) for t in times)) for times in pieces]
    stray = events_of((10**15, 0, 0, 0))
    for place in range(4):
        strewn = [np.concatenate([array, stray]) if row == place else array for row, array in enumerate(arrays)]
        assert whole(opened(*strewn, repair=True))["t"].tolist() == [
            *sorted(t for times in pieces for t in times),
            10**15,
        ]


def test_what_does_not_fit_into_memory_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(stream, "FIRST_ROOM", 1 << 60)
    monkeypatch.setattr(Path, "stat", lambda _: os.stat_result([0] * 6 + [1 << 60] + [0] * 3))
    with pytest.raises(NeuvaError, match=r"test_files.py: its events do not fit into memory: read it piece by piece"):
        opened().whole()


def test_a_file_far_larger_than_its_events_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.raw"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no place on the disk
    pieces = [events_of(*((10 * row + t, 0, 0, 0) for t in range(9))) for row in range(9)]
    for room in (stream.FIRST_ROOM, 5):
        monkeypatch.setattr(stream, "FIRST_ROOM", room)
        read = EventStream(path, "EVT3", (8, 8), iter(pieces), False).whole()
        np.testing.assert_array_equal(read.array, np.concatenate(pieces))


@pytest.mark.parametrize(
    "geometry", ["60000x60000", "0x0", "32768x4", "4x32768", "1234567890123456789x4", "4x" + "9" * 5000]
)
def test_a_sensor_that_cannot_be_is_refused(tmp_path, geometry):
    path = tmp_path / "a.raw"
    path.write_bytes(f"% evt 3.0\n% geometry {geometry}\n% end\n".encode() + bytes(4))
    with pytest.raises(NeuvaError, match=r"a.raw: (its sensor would be .*; sides are 1 to 32767|does not tell)"):
        describe(stream_events(path))
    path.write_bytes(b"% evt 3.0\n% end\n" + bytes(4))
    with pytest.raises(NeuvaError, match=r"its sensor would be 0x40000; sides are 1 to 32767: ask for its true size"):
        read_events(path, sensor_size=(0, 40000))


def test_a_sensor_too_large_to_be_described_is_one_clear_line(tmp_path):
    write_events(tmp_path / "a.npz", Events.empty((32767, 32767)))
    with pytest.raises(NeuvaError, match=r"a.npz: a sensor of 32767x32767 has 1073676289 pixels; described are at"):
        describe(stream_events(tmp_path / "a.npz"))
    with pytest.raises(NeuvaError, match=r"^a sensor of 32767x32767"):
        describe(Events.empty((32767, 32767)))


def test_a_watched_stream_is_read_whole_too():
    rows = events_of((1, 0, 0, 0), (5, 7, 7, 1))
    for read in (whole, lambda events: events.whole().array):
        told: list[int] = []
        watched = WatchedStream(opened(rows), told.append)
        assert read(watched).tolist() == rows.tolist()
        assert told == [2]


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-1, 8), st.integers(0, 7), st.integers(0, 2))))
def test_repair_gives_a_valid_stream_of_whatever_comes(rows):
    array = events_of(*rows)
    pieces = np.array_split(array, 3) if len(array) else [array]
    given = whole(opened(*pieces, repair=True))
    Events(given, (8, 8))
    altogether = opened(*pieces, repair=True).whole().array
    assert (
        altogether.tolist()
        == Events.from_columns(*(array[name] for name in "txyp"), (8, 8), repair=True).array.tolist()
    )
    assert set(given.tolist()) <= set(altogether.tolist())


@pytest.mark.parametrize("suffix", WRITTEN)
def test_every_format_that_is_written_gives_the_events_back(tmp_path, suffix):
    rng = np.random.default_rng(0)
    events = Events.from_columns(
        np.cumsum(rng.integers(0, 9, 500)), *rng.integers(0, 60, (2, 500)), rng.integers(0, 2, 500), (64, 60)
    )
    path = tmp_path / f"events{suffix.upper()}"
    assert write_events(path, events) == 500
    assert stream_events(path, sensor_size=events.sensor_size).format == WRITTEN[suffix]
    assert read_events(path, sensor_size=events.sensor_size) == events
    copy = tmp_path / "copy.raw"
    assert write_events(copy, stream_events(path, sensor_size=events.sensor_size), format="evt2") == 500
    assert (read_events(copy), stream_events(copy).format) == (events, "EVT2")
    assert sorted(tmp_path.iterdir()) == sorted([path, copy])
    assert write_events(path, Events.empty((64, 60))) == 0
    assert len(read_events(path, sensor_size=(64, 60))) == 0


def test_what_cannot_be_written_leaves_what_stood_there(tmp_path):
    path = tmp_path / "a.raw"
    events = Events(events_of((1, 0, 0, 0), (5, 7, 7, 1)), (8, 8))
    write_events(path, events)
    with pytest.raises(NeuvaError, match="is the file that is read: write to another one"):
        write_events(tmp_path / "." / "a.raw", stream_events(path))
    with pytest.raises(NeuvaError, match="rust at byte 77"):
        write_events(path, opened(events.array, damage="rust"))
    assert read_events(path) == events
    with pytest.raises(NeuvaError, match=r"b.mat: events are written as .aedat4, .raw, .dat, .h5"):
        write_events(tmp_path / "b.mat", events)
    with pytest.raises(NeuvaError, match='"Event Stream" is no format that is written: choose one of AEDAT4, EVT2'):
        write_events(path, events, format="Event Stream")
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_clear_line_and_leaves_what_stood_there(tmp_path):
    path = tmp_path / "a.raw"
    events = Events(np.zeros(1_000_000, EVENT_DTYPE), (8, 8))
    write_events(path, Events.empty((8, 8)))
    code = (
        "import resource, signal, sys, numpy as np\n"
        "from datasets.files import write_events; from datasets.events import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "write_events(sys.argv[1], Events(np.zeros(1_000_000, EVENT_DTYPE), (8, 8)), format='DAT')\n"
    )
    done = python(code, str(path))
    assert done.returncode == 1
    assert "NeuvaError: " in done.stderr
    assert "a.raw: cannot be written (File too large): choose another place" in done.stderr
    assert len(read_events(path)) == 0
    assert list(tmp_path.iterdir()) == [path]
    assert write_events(path, events) == 1_000_000


def test_no_event_file_is_one_clear_line(tmp_path):
    with pytest.raises(NeuvaError, match="No such file"):
        read_events(tmp_path / "none.raw")
    with pytest.raises(NeuvaError, match="Is a directory"):
        stream_events(tmp_path)
    path = tmp_path / "a.raw"
    path.write_bytes(b"")
    with pytest.raises(NeuvaError, match=r"is empty \(0 bytes\)"):
        read_events(path)
    path.write_bytes(b"hello, no events here")
    with pytest.raises(NeuvaError, match=r"no event file \(starts with b'hello, n'\): read are AEDAT2, AEDAT4, EVT2"):
        read_events(path)
    video = path.rename(tmp_path / "a.MP4")
    with pytest.raises(
        NeuvaError, match=r"a\.MP4: is a video: make events of it first, `neuva simulate .*a\.MP4 a\.h5`"
    ):
        read_events(video)


def test_another_sensor_size_than_asked_is_an_error(tmp_path):
    write_events(tmp_path / "a.raw", Events.empty((4, 4)))
    for read in (read_events, stream_events):
        with pytest.raises(NeuvaError, match="its sensor is 4x4, asked for 8x8"):
            read(tmp_path / "a.raw", sensor_size=(8, 8))


def test_every_format_has_a_reader_and_a_mark():
    assert all(known.start or known.suffix for known in FORMATS.values())
    assert set(WRITTEN.values()) <= {name for name, known in FORMATS.items() if known.write is not None}


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own, whose memory and limits are its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


def test_a_long_file_passes_in_constant_memory(tmp_path):
    """10 million events are 130 MB whole; streamed and converted they take a third of it at most."""
    count, size = 10_000_000, (640, 480)

    def pieces(many: int):
        for start in range(0, many, 1 << 20):
            array = np.zeros(min(1 << 20, many - start), EVENT_DTYPE)
            array["t"] = np.arange(start, start + len(array)) // 8
            array["x"] = np.arange(len(array)) % 640
            yield Events(array, size)

    for name, many in (("short.raw", 1 << 20), ("long.raw", count)):
        FORMATS["EVT3"].write(tmp_path / name, size, pieces(many))
    code = (
        "import sys; from datasets.files import *; from pathlib import Path\n"
        "folder = Path(sys.argv[1]); peaks = []\n"
        "for name in ('short', 'long'):\n"
        "    assert write_events(folder / 'copy.raw', stream_events(folder / f'{name}.raw'), format='EVT2') > 0\n"
        "    assert sum(map(len, stream_events(folder / f'{name}.raw', repair=True))) > 0\n"
        "    status = Path('/proc/self/status').read_text()\n"  # ru_maxrss would begin with the parent's
        "    peaks.append(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
        "print(*peaks)\n"
    )
    done = python(code, str(tmp_path))
    short, long = map(int, done.stdout.split())
    assert long - short < 45, done.stderr
    assert long < 1000
