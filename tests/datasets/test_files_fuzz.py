"""Damaged files of every format: events or a clear error, never a crash, a hang or more than 2 GB.

`NEUVA_FUZZ=2000 pytest -s tests/datasets/test_files_fuzz.py` tries more inputs and prints the figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datasets.events import EVENT_DTYPE, Events
from datasets.files import FORMATS, write_events

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("NEUVA_REAL_DATA", ROOT / ".." / "shared" / "data"))
COUNT = int(os.environ.get("NEUVA_FUZZ", "40"))
SEED = 1
RECORDINGS = {  # and their sensors' sizes where they do not tell
    "face-dvxplorer.aedat4": (),
    "prophesee-gen3.evt2.raw": (),
    "prophesee-gen41.evt3.raw": (),
    "dvs.es": (),
    "chronocam-car.dat": (304, 240),
    "gesture-dvs128.bin": (128, 128),
}
WRITTEN = {name: known.suffix for name, known in FORMATS.items() if known.write is not None}


def fuzz(file: Path, size: tuple[int, ...] = ()) -> None:
    command = [
        sys.executable,
        str(Path(__file__).with_name("fuzz.py")),
        str(file),
        str(COUNT),
        str(SEED),
        *map(str, size),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=3600
    )
    assert done.returncode == 0, f"the process died ({done.returncode}): {done.stderr[-500:]}"
    figures = json.loads(done.stdout)
    print(f"\n{file.name}: {figures}")  # noqa: T201  the figures of a longer run
    assert not figures["failures"], figures["failures"][:5]
    assert figures["inputs"] == COUNT
    assert sum(figures["outcomes"].values()) == 4 * COUNT


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_damaged_recording(name: str) -> None:
    if not (REAL / name).exists():
        pytest.skip(f"real recording {name} is not there (NEUVA_REAL_DATA)")
    fuzz(REAL / name, RECORDINGS[name])


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", WRITTEN)
def test_a_damaged_file_of_our_own(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    array = np.zeros(3000, EVENT_DTYPE)
    array["t"] = np.sort(rng.integers(0, 2_000_000, len(array)))
    array["x"], array["y"], array["p"] = (rng.integers(0, most, len(array)) for most in (64, 48, 2))
    path = tmp_path / f"written{WRITTEN[name] or '.raw'}"
    write_events(path, Events(array, (64, 48)), format=name)
    fuzz(path, (64, 48) if name == "NPY" else ())


def aedat2() -> bytes:
    rng = np.random.default_rng(0)
    y, x, p = (rng.integers(0, most, 3000) for most in (260, 346, 2))
    records = np.stack([y << 22 | x << 12 | p << 11, np.arange(3000) * 500], axis=1).astype(">u4")
    return b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.Davis346blue\r\n" + records.tobytes()


def text() -> bytes:
    rng = np.random.default_rng(0)
    rows = zip(np.cumsum(rng.random(3000)), *(rng.integers(0, most, 3000) for most in (64, 48, 2)), strict=True)
    return b"64 48\n" + b"".join(b"%.6f %d %d %d\n" % row for row in rows)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "content"), [("jaer.aedat", aedat2()), ("seconds.txt", text())])
def test_a_damaged_file_of_a_kind_that_is_only_read(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    fuzz(tmp_path / name)
