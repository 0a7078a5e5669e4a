"""The house rules that no linter holds."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FOLDERS = ("snn", "conversion", "hardware", "datasets", "experiments")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_program_runs_where_there_is_no_torch() -> None:
    """A lab machine has numpy, numba and h5py; blocking torch must not matter to programs, emulators and energy."""
    python(
        "import sys; sys.modules['torch'] = None\n"
        "import hardware.devices, hardware.check, hardware.energy\n"
        "import hardware.loihi.emulator, hardware.loihi.place, hardware.loihi.rules, hardware.loihi.lava\n"
        "import hardware.speck.clocked, hardware.speck.event_driven, hardware.speck.cores, hardware.speck.rules\n"
    )


def test_vendors_are_imported_only_when_asked_for() -> None:
    loaded = python(
        "import sys, experiments.cli, experiments.demo\n"
        "print([name for name in ('samna', 'lava', 'sinabs.backend') if name in sys.modules])"
    )
    assert loaded == "[]"


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_is_too_long_to_read(folder: str) -> None:
    long = {str(path): n for path in (ROOT / folder).rglob("*.py") if (n := len(path.read_text().splitlines())) > 400}
    assert not long


def test_neuva_py_stands_alone() -> None:
    tree = ast.parse((ROOT / "neuva.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in names} & set(FOLDERS)


def test_every_chip_number_has_a_source() -> None:
    for path in (ROOT / "hardware").rglob("*.yaml"):
        for holder, value in numbers(yaml.safe_load(path.read_text())):
            assert "source" in holder, f"{path.name}: {value} has no source beside it"


def numbers(node: object, holder: dict | None = None):
    if isinstance(node, dict):
        for value in node.values():
            yield from numbers(value, {**(holder or {}), **node})
    elif isinstance(node, list):
        for value in node:
            yield from numbers(value, holder)
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield holder or {}, node
