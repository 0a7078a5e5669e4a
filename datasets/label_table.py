"""A CSV table of valence and arousal over time, one row a label of a file; see `datasets.folder`."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from neuva import NeuvaError

TIMES = ("time_us", "time_s")
NEEDED = ("file", "valence", "arousal")
OPTIONAL = ("valid", "subject", "split")
VALID = {"1": True, "true": True, "0": False, "false": False}
LATEST_US = 1 << 62
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, eq=False)
class Labelled:
    """The labels of one file, in order of time.

    file: as the table names it. line: of its first row. times: int64 [N], us. labels: float32 [N, 2], valence and
    arousal, 0 where not valid. mask: bool [N]. subject, split: None where the table has no such column.
    """

    file: str
    line: int
    times: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    subject: str | None
    split: str | None


@dataclass(frozen=True)
class _Row:
    line: int
    file: str
    time: int
    label: tuple[float, float]
    valid: bool
    subject: str | None
    split: str | None


def read_labels(path: Path) -> list[Labelled]:
    """The table's files, sorted by name.

    Raises:
        NeuvaError: names the line that breaks a rule.
    """
    files: dict[str, list[_Row]] = {}
    for row in _rows(path):
        files.setdefault(row.file, []).append(row)
    if not files:
        raise NeuvaError(f"{path}: has no rows: give at least one label")
    return [_labelled(path, file, rows) for file, rows in sorted(files.items())]


def _labelled(path: Path, file: str, rows: list[_Row]) -> Labelled:
    first = rows[0]
    for row in rows[1:]:
        for what in ("subject", "split"):
            one, other = getattr(first, what), getattr(row, what)
            if one != other:
                raise NeuvaError(
                    f"{path}: {file} has {what} {one} in line {first.line} and {other} in line {row.line}: "
                    "a recording belongs to one"
                )
    rows = sorted(rows, key=lambda row: row.time)
    for before, row in itertools.pairwise(rows):
        if before.time == row.time:
            raise NeuvaError(
                f"{path}: {file} has two labels at {row.time} us, in lines {before.line} and {row.line}: keep one"
            )
    return Labelled(
        file,
        first.line,
        np.array([row.time for row in rows], np.int64),
        np.array([row.label for row in rows], np.float32),
        np.array([row.valid for row in rows], bool),
        first.subject,
        first.split,
    )


def _rows(path: Path) -> list[_Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NeuvaError(f"{path}: cannot be read as a table ({error}): give a CSV file of labels in UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[_Row] = []
    header: tuple[str, ...] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header(path, cells)
                continue
            where = f"{path}: line {reader.line_num}"
            if len(cells) != len(header):
                raise NeuvaError(f"{where} has {len(cells)} cells, the header {len(header)}: mend the row")
            by_name = dict(zip(header, (cell.strip() for cell in cells), strict=True))
            rows.append(_row(where, reader.line_num, by_name))
    except csv.Error as error:
        raise NeuvaError(f"{path}: line {reader.line_num}: {error}: save it as CSV with commas") from error
    return rows


def _header(path: Path, cells: list[str]) -> tuple[str, ...]:
    header = tuple(cell.strip().lower() for cell in cells)
    known = (*NEEDED, *TIMES, *OPTIONAL)
    strange = [name for name in header if name not in known]
    missing = [name for name in NEEDED if name not in header]
    twice = sorted({name for name in header if header.count(name) > 1})
    clocks = [name for name in TIMES if name in header]
    for wrong, found in (("unknown columns", strange), ("no column", missing), ("twice", twice)):
        if found:
            raise NeuvaError(f"{path}: header has {wrong} {_shown(', '.join(found))}; allowed are {', '.join(known)}")
    if len(clocks) != 1:
        raise NeuvaError(f"{path}: header has {' and '.join(clocks) or 'no time'}: give one of {' or '.join(TIMES)}")
    return header


def _row(where: str, line: int, cells: Mapping[str, str]) -> _Row:
    for name in ("file", "subject", "split"):
        if cells.get(name) == "":
            raise NeuvaError(f"{where}: {name} is empty: fill it in")
    split = cells.get("split")
    if split is not None and not _SPLIT.fullmatch(split):
        raise NeuvaError(f"{where}: split is {_shown(split)}: needed a plain name such as train")
    valid = VALID.get(cells.get("valid", "1").lower())
    if valid is None:
        raise NeuvaError(f"{where}: valid is {_shown(cells['valid'])}: needed 1, 0, true or false")
    label = (_affect(where, "valence", cells), _affect(where, "arousal", cells)) if valid else (0.0, 0.0)
    return _Row(line, _file(where, cells["file"]), _time(where, cells), label, valid, cells.get("subject"), split)


def _file(where: str, name: str) -> str:
    if not name.isprintable() or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise NeuvaError(f"{where}: file is {_shown(name)}: needed a path below the folder, such as anna/smile.raw")
    return PurePosixPath(name).as_posix()


def _affect(where: str, name: str, cells: Mapping[str, str]) -> float:
    value = _number(cells[name])
    if value is None or abs(value) > 1:
        raise NeuvaError(f"{where}: {name} is {_shown(cells[name])}: needed a number in [-1, 1], or valid 0")
    return value


def _time(where: str, cells: Mapping[str, str]) -> int:
    if "time_us" in cells:
        digits = re.fullmatch(r"[+-]?[0-9]{1,19}", cells["time_us"])
        time, cell, needed = int(digits[0]) if digits else None, cells["time_us"], "whole microseconds"
    else:
        seconds = _number(cells["time_s"])
        time, cell, needed = None if seconds is None else round(seconds * 1e6), cells["time_s"], "seconds"
    if time is None or abs(time) > LATEST_US:
        raise NeuvaError(f"{where}: time is {_shown(cell)}: needed {needed}")
    return time


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _shown(text: str) -> str:
    """For a message of one line."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")
