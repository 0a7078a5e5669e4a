"""Reads damaged copies of one event file in a process of its own, and says in JSON how that went.

    python fuzz.py FILE COUNT SEED [WIDTH HEIGHT]

A reader may give events or a NeuvaError; anything else is a failure: another exception, more than 2 GB, more than
10 s, and a crash, which ends this process (the line on standard error names the last input tried).
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np

from datasets.files import describe, read_events, stream_events
from neuva import NeuvaError

MEMORY = 2 << 30
SECONDS = 10


def damaged(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """What was done, and the damaged bytes: cut, bits flipped, a block overwritten, removed or doubled."""
    kind = str(rng.choice(["cut", "flip", "flip in the head", "overwrite", "remove", "double", "garbage"]))
    content = np.frombuffer(data, np.uint8).copy()
    start = int(rng.integers(len(content)))
    length = int(min(len(content) - start, 1 + rng.geometric(1 / 64)))
    if kind == "cut":
        content = content[:start]
    elif kind.startswith("flip"):
        reach = len(content) if kind == "flip" else min(len(content), 512)
        places = rng.integers(reach, size=1 + rng.geometric(0.2))
        content[places] ^= (1 << rng.integers(8, size=len(places))).astype(np.uint8)
    elif kind == "overwrite":
        content[start : start + length] = rng.choice([0, 0xFF, 0x7F, 0x80])
    elif kind == "remove":
        content = np.delete(content, slice(start, start + length))
    elif kind == "double":
        content = np.insert(content, start, content[start : start + length])
    else:
        content[start : start + length] = rng.integers(256, size=length)
    return kind, content.tobytes()


Size = tuple[int, int] | None


def attempt(path: Path, size: Size) -> list[str]:
    """The outcomes of reading a file whole, with repair, as a stream, and of describing it."""
    outcomes = []
    ways = (
        lambda: read_events(path, sensor_size=size),
        lambda: read_events(path, sensor_size=size, repair=True),
        lambda: list(stream_events(path, sensor_size=size)),
        lambda: describe(stream_events(path, sensor_size=size)),
    )
    for read in ways:
        try:
            read()
            outcomes.append("read")
        except NeuvaError as error:
            named = path.name in str(error) and "\n" not in str(error)
            outcomes.append("refused" if named else f"FAILED: the error does not name the file: {error}")
        except BaseException as error:
            outcomes.append(f"FAILED: {type(error).__name__}: {error}")
    return outcomes


def main(file: Path, count: int, seed: int, size: Size) -> None:
    """Try `count` damaged copies; number i depends on (seed, i) alone."""
    data = file.read_bytes()
    describe(stream_events(file, sensor_size=size))  # compiled and loaded before memory is limited
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    outcomes: dict[str, int] = {}
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"damaged{file.suffix}"
        for number in range(count):
            kind, content = damaged(data, np.random.default_rng([seed, number]))
            path.write_bytes(content)
            sys.stderr.write(f"{file.name}: input {number} ({kind})\n")
            signal.alarm(SECONDS)
            for outcome in attempt(path, size):
                outcomes[outcome[:7]] = outcomes.get(outcome[:7], 0) + 1
                if outcome.startswith("FAILED"):
                    failures.append(f"input {number} ({kind}): {outcome}")
            signal.alarm(0)
    status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with the parent's
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    sys.stdout.write(json.dumps({"inputs": count, "outcomes": outcomes, "failures": failures, "peak_mb": round(peak)}))


if __name__ == "__main__":
    sides = [int(side) for side in sys.argv[4:]]
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), (sides[0], sides[1]) if sides else None)
