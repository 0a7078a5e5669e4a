"""`neuva bench decode`: events a second read from files, beside the readers of others that are installed.

Every reader gives all events as one or several arrays; ours checks each event too. A reader whose events differ in
number or span is named as wrong and not counted as fastest. Real recordings (NEUVA_REAL_DATA) are repeated to
`COUNT` events where they are there, else events of a random walk are taken; files are read from a warm cache.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.events import Events
from datasets.files import read_events, stream_events, write_events
from experiments.benchmarks.measure import Benchmark, Cell, Table, best_of

REAL = Path(os.environ.get("NEUVA_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
COUNT = 10_000_000
SECONDS = 2.0  # per reader, at least 3 runs
GOAL = 0.7
OURS, STREAMED = "neuva", "neuva, streamed"

Found = tuple[int, int, int]
"""Number of events, first and last time."""
Reader = Callable[[Path], Found]


@dataclass(frozen=True)
class Case:
    """A format: the file's name, the recording it repeats, and who reads it besides us."""

    name: str
    file: str
    recording: str
    peers: tuple[tuple[str, Callable[[], Reader]], ...]


def run(update: Callable[..., None]) -> Benchmark:
    """Write a file of each format and read it with every reader; `update(label, done, total)` shows how far it is."""
    rows: list[list[Cell]] = []
    steps = sum(2 + len(case.peers) for case in CASES)
    done = 0
    with tempfile.TemporaryDirectory(prefix="neuva-decode-") as folder:
        for case in CASES:
            path = Path(folder) / case.file
            truth, source = _write(case, path)
            measured: list[tuple[str, float | None, str]] = []
            for name, reader in ((OURS, _whole), (STREAMED, _streamed), *case.peers):
                update(f"bench decode, {case.name}: {name}", done, steps)
                measured.append((name, *_measure(name, reader, path, truth)))
                done += 1
            rows += _rows(f"{case.name} ({source}, {path.stat().st_size / truth[0]:.1f} bytes an event)", measured)
            path.unlink()
        update("bench decode", done, steps)
    notes = (
        f"{COUNT / 1e6:.0f} million events a file; ratio: to the fastest of the others that is right; "
        f"goal: neuva at {GOAL} or more",
        "neuva reads the whole file into one array and checks every event; streamed: the same in constant memory",
    )
    return Benchmark(
        "decode", [Table("Reading event files", ("file", "reader", "Mev/s", "ratio", "result"), rows, notes)]
    )


def _rows(title: str, measured: list[tuple[str, float | None, str]]) -> Iterator[list[Cell]]:
    rivals = [rate for name, rate, result in measured if rate and result == "right" and name not in (OURS, STREAMED)]
    for number, (name, rate, result) in enumerate(measured):
        ratio = rate / max(rivals) if rate and rivals and result == "right" else None
        yield [title if number == 0 else "", name, rate, ratio, result]


def _measure(name: str, load: Callable[[], Reader], path: Path, truth: Found) -> tuple[float | None, str]:
    """Million events a second (None if it cannot read the file), and what to think of its result."""
    if name not in (OURS, STREAMED) and importlib.util.find_spec(name.partition(" ")[0].replace("-", "_")) is None:
        return None, "not installed"
    try:
        read = load()
        found = read(path)
        rate = truth[0] / best_of(lambda: read(path), seconds=SECONDS) / 1e6
    except Exception as error:  # a guest may fail in any way; that is its result
        return None, f"fails: {' '.join(str(error).split())[:60]}"
    if found == truth:
        return rate, "right"
    return rate, f"wrong: {found[0]:,} events, {(found[2] - found[1]) / 1e6:,.3f} s" + (
        f" instead of {truth[0]:,}, {(truth[2] - truth[1]) / 1e6:,.3f} s"
    )


def _write(case: Case, path: Path) -> tuple[Found, str]:
    """Write a file of about `COUNT` events; what is in it, and where the events come from."""
    events, source = _events(case.recording)
    repeats = -(-COUNT // len(events))
    period = events.t1 - events.t0 + 1
    array = np.tile(events.array, repeats)
    array["t"] += np.repeat(np.arange(repeats) * period - events.t0, len(events))
    long = Events(array, events.sensor_size)
    if path.suffix == ".es":
        import faery  # nobody else here writes this format

        faery.events_stream_from_array(array.view(faery.EVENTS_DTYPE), events.sensor_size).to_file(path)
    else:
        write_events(path, long, format=case.name)
    return (len(long), long.t0, long.t1), source


def _events(recording: str) -> tuple[Events, str]:
    if (REAL / recording).exists():
        size = (304, 240) if recording.endswith(".dat") else None
        return read_events(REAL / recording, sensor_size=size), f"{recording} repeated"
    rng = np.random.default_rng(0)
    count = 1_000_000
    t = np.cumsum(rng.integers(0, 3, count))
    x, y = (np.cumsum(rng.integers(-3, 4, count)) % side for side in (640, 480))
    return Events.from_columns(t, x, y, rng.integers(0, 2, count), (640, 480)), "random walk"


def _found(t: np.ndarray) -> Found:
    return len(t), int(t[0]), int(t[-1])


def _whole() -> Reader:
    def read(path: Path) -> Found:
        return _found(read_events(path).array["t"])

    return read


def _streamed() -> Reader:
    def read(path: Path) -> Found:
        return _spanned(piece.array["t"] for piece in stream_events(path))

    return read


def _spanned(times: Iterator[np.ndarray]) -> Found:
    count, first, last = 0, None, 0
    for t in times:
        if len(t):
            count, first, last = count + len(t), int(t[0]) if first is None else first, int(t[-1])
    return count, first or 0, last


def _faery() -> Reader:
    import faery

    return lambda path: _found(faery.events_stream_from_file(path).to_array()["t"])


def _expelliarmus(encoding: str) -> Callable[[], Reader]:
    def load() -> Reader:
        from expelliarmus import Wizard

        return lambda path: _found(Wizard(encoding=encoding).read(path)["t"])

    return load


def _aedat() -> Reader:
    import aedat

    def read(path: Path) -> Found:
        return _found(np.concatenate([packet["events"] for packet in aedat.Decoder(path) if "events" in packet])["t"])

    return read


def _dv_processing() -> Reader:
    import dv_processing

    def read(path: Path) -> Found:
        recording = dv_processing.io.MonoCameraRecording(str(path))
        batches = iter(recording.getNextEventBatch, None)
        return _spanned(batch.numpy()["timestamp"] for batch in batches)

    return read


def _tonic() -> Reader:
    from tonic.io import read_aedat4

    return lambda path: _found(read_aedat4(str(path))["t"])


def _event_stream() -> Reader:
    import event_stream

    def read(path: Path) -> Found:
        with event_stream.Decoder(str(path)) as decoder:
            return _spanned(packet["t"] for packet in decoder)

    return read


CASES = (
    Case(
        "EVT2",
        "evt2.raw",
        "prophesee-gen3.evt2.raw",
        (("faery", _faery), ("expelliarmus", _expelliarmus("evt2"))),
    ),
    Case(
        "EVT3",
        "evt3.raw",
        "prophesee-gen41.evt3.raw",
        (("faery", _faery), ("expelliarmus", _expelliarmus("evt3"))),
    ),
    Case("DAT", "dat.dat", "chronocam-car.dat", (("faery", _faery), ("expelliarmus", _expelliarmus("dat")))),
    Case(
        "AEDAT4",
        "aedat4.aedat4",
        "face-dvxplorer.aedat4",
        (("faery", _faery), ("aedat", _aedat), ("dv-processing", _dv_processing), ("tonic", _tonic)),
    ),
    Case("Event Stream", "es.es", "dvs.es", (("faery", _faery), ("event_stream", _event_stream))),
)
