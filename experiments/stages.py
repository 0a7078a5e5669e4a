"""Stages of a long job that are done once: a stage is skipped while what it was made from has not changed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuva import __version__, atomic_path


class Stages:
    """A folder's record of finished stages.

    A stage's key is a hash over neuva's version, its settings and the keys of the stages it builds on; it is skipped if the record
    holds that key and its outputs exist.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "stages.json"
        self._record: dict[str, dict[str, Any]] = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._keys: dict[str, str] = {}

    @property
    def seconds(self) -> float:
        """What the stages asked for so far took when they were done."""
        return sum(float(self._record[name]["seconds"]) for name in self._keys)

    def run(
        self, name: str, settings: Any, after: list[str], outputs: list[Path], work: Callable[[], Any]
    ) -> tuple[bool, float]:
        """Do `work` unless it is done; gives (whether it was done now, the seconds it took when it was done)."""
        text = json.dumps([__version__, settings, [self._keys[stage] for stage in after]], sort_keys=True, default=str)
        key = self._keys[name] = hashlib.sha256(text.encode()).hexdigest()
        known = self._record.get(name, {})
        if known.get("key") == key and all(output.exists() for output in outputs):
            return False, float(known["seconds"])
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        self._record[name] = {"key": key, "seconds": seconds}
        with atomic_path(self._path) as temporary:
            temporary.write_text(json.dumps(self._record, indent=2))
        return True, seconds
