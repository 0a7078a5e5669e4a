"""Stages of a long job that are done once: a stage is skipped while what it was made from has not changed."""

from __future__ import annotations

import functools
import hashlib
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuva import atomic_path

ROOT = Path(__file__).parents[1]
FOLDERS = ("snn", "conversion", "hardware", "datasets", "experiments")


class Stages:
    """A folder's record of finished stages.

    A stage is skipped if its outputs exist and the record holds its key: a hash over neuva's own code, the stage's
    settings, and which making of the stages it builds on it used. So a change of code, of settings, or a stage made
    again, makes all that builds on it again.

    Attributes:
        goes_on: whether the stage at work was begun before, from the very same, and stopped: what is there is its own.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "stages.json"
        self._record = _read(self._path)
        self._asked: list[str] = []
        self.goes_on = False

    @property
    def seconds(self) -> float:
        """What the stages asked for so far took when they were done."""
        return sum(float(self._record[name]["seconds"]) for name in self._asked)

    def run(
        self, name: str, settings: Any, after: list[str], outputs: list[Path], work: Callable[[], Any]
    ) -> tuple[bool, float]:
        """Do `work` unless it is done; gives (whether it was done now, the seconds it took when it was done).

        Args:
            settings: plain values (JSON) that the stage depends on. after: names of the stages it builds on.
        """
        text = json.dumps([code_hash(), settings, [self._record[stage]["made"] for stage in after]], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        known = self._record.get(name, {})
        fresh = known.get("key") != key or not all(output.exists() for output in outputs)
        if fresh:
            self.goes_on = known.get("begun") == key
            self._keep(name, {"begun": key})
            started = time.perf_counter()
            work()
            seconds = time.perf_counter() - started
            self._keep(name, {"key": key, "made": uuid.uuid4().hex, "seconds": seconds})
        self._asked.append(name)
        return fresh, float(self._record[name]["seconds"])

    def _keep(self, name: str, known: dict[str, Any]) -> None:
        self._record[name] = known
        with atomic_path(self._path) as temporary:
            temporary.write_text(json.dumps(self._record, indent=2))


@functools.cache
def code_hash() -> str:
    """SHA-256 over all of neuva's code and tables."""
    digest = hashlib.sha256()
    files = [ROOT / "neuva.py"]
    for folder in FOLDERS:
        files += sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yaml", ".html"))
    for path in files:
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """The record, or an empty one where there is none or it is damaged: then everything is done again."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return {}
