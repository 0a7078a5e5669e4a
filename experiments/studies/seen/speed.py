"""The job that measures how fast the trained networks answer on this machine."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch

from experiments.benchmarks.measure import best_of
from experiments.studies.seen.config import FULL, SeenConfig
from experiments.studies.seen.training import trained
from experiments.studies.study import Inputs, Progress

SECONDS = 1.0
"""Each network is timed for so long at least."""
CPUINFO = Path("/proc/cpuinfo")


def speed(config: SeenConfig, inputs: Inputs, _: Path, progress: Progress) -> dict[str, Any]:
    """The job: seconds of one clip of every setting, the shortest of several runs, on one processor's one thread."""
    rows = {}
    for done, setting in enumerate(config.settings, 1):
        net = trained(config, inputs, setting, FULL)
        clip = torch.zeros(1, net.spec.duration, 3, net.spec.side, net.spec.side)
        with torch.inference_mode():
            rows[setting] = best_of(lambda net=net, clip=clip: net(clip, clip), seconds=SECONDS)  # type: ignore[misc]
        progress("timing", done, len(config.settings))
    return {"seconds": rows, "machine": machine()}


def machine() -> str:
    """The processor's name, where the system tells it."""
    names = [line.partition(":")[2].strip() for line in _lines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _lines() -> list[str]:
    return CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.is_file() else []
