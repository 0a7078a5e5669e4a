"""Text tables of events: CSV, and the space-separated files of the rpg data sets (t in seconds, x, y, p).

Read: columns separated by comma, semicolon, tab or spaces, named by a header in any order or, without one, t, x, y, p
or x, y, p, t; lines that start with "#" are comments. t is in seconds if the first rows have a fraction, else in
microseconds. The sensor size is read from our comment "# sensor_size WIDTHxHEIGHT" or from a first row of width and
height alone. Numbers are exact: none goes through floating point, and one with too many digits is refused.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path

import numpy as np

from datasets.events import Events
from datasets.files.columns import find_columns, find_order
from datasets.files.digits import format_rows, parse_rows
from datasets.files.format import Damage, Format, Recording
from datasets.files.records import as_events
from neuva import NeuvaError

HEAD = 1 << 16  # bytes by which a table is known
READ = 1 << 22
WRITTEN = 1 << 16  # rows at once
SHORTEST = len(b"0,0,0,0\n")
LONGEST = 21  # a 64-bit number and what follows it
MICROSECONDS = 6  # seconds are shifted by so many places
SIZE = re.compile(rb"# ?sensor_size (\d{1,9})x(\d{1,9})\s*$")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """What the first lines of a text file tell.

    sensor_size: where they tell it. start: byte of the first row. separator: of columns; a space for any run of blanks.
    header: the columns' names, empty where there is no header. rows: the first ones, as text.
    """

    sensor_size: tuple[int, int] | None
    start: int
    separator: str
    header: list[str]
    rows: list[list[str]]


def open_file(path: Path) -> Recording:
    """A table of events.

    Raises:
        NeuvaError: if its columns are not known.
    """
    table = _look(path)
    if table.header:
        places = find_columns(path, table.header)
    elif not table.rows:
        return Recording(table.sensor_size, iter(()))
    elif len(table.rows[0]) == 4:
        places = find_order(path, [np.array(column, np.float64) for column in zip(*table.rows, strict=True)])
    else:
        raise NeuvaError(f"{path}: rows of {len(table.rows[0])} columns without names: name t, x, y, p in a header")
    roles = np.full(len(table.header or table.rows[0]), -1)
    roles[places] = np.arange(4)
    times = [row[places[0]] for row in table.rows if len(row) == len(roles)]
    seconds = any(NUMBER.fullmatch(t) and float(t) % 1 for t in times)
    return Recording(table.sensor_size, _pieces(path, table, roles, MICROSECONDS if seconds else 0))


def _look(path: Path) -> Table:
    with path.open("rb") as file:
        head = file.read(HEAD)
    lines = head.splitlines(keepends=True)
    if len(head) == HEAD:
        lines.pop()  # half a line
    starts = np.cumsum([0, *map(len, lines)]).tolist()
    if lines and lines[0].startswith(BOM_UTF8):  # spreadsheets write it
        lines[0], starts[0] = lines[0].removeprefix(BOM_UTF8), len(BOM_UTF8)
    sizes = [told for line in lines if (told := SIZE.match(line))]
    size = (int(sizes[0][1]), int(sizes[0][2])) if sizes else None
    placed = [(start, line.strip()) for start, line in zip(starts, lines, strict=False)]
    placed = [(start, line) for start, line in placed if line and not line.startswith(b"#")]
    if placed and re.fullmatch(rb"\d{1,9}\s+\d{1,9}", placed[0][1]):
        width, height = placed.pop(0)[1].split()
        size = int(width), int(height)
    separator = next((each for each in ",;\t" if placed and each.encode() in placed[0][1]), " ")
    table = [_cells(line, separator) for _, line in placed]
    header = table[0] if table and not _is_numbers(table[0]) else []
    first = 1 if header else 0
    start = placed[first][0] if len(placed) > first else starts[-1]
    rows = list(takewhile(lambda row: bool(header) or (_is_numbers(row) and len(row) == len(table[0])), table[first:]))
    return Table(size, start, separator, header, rows)


def _is_numbers(row: list[str]) -> bool:
    return all(NUMBER.fullmatch(cell) for cell in row)


def _cells(line: bytes, separator: str) -> list[str]:
    text = line.decode("ascii", "replace")
    return [cell.strip() for cell in text.split(None if separator == " " else separator)]


def _pieces(path: Path, table: Table, roles: np.ndarray, shift: int) -> Iterator[np.ndarray]:
    rest, offset = b"", table.start
    with path.open("rb") as file:
        file.seek(table.start)
        for read in chain(iter(lambda: file.read(READ), b""), [b"\n"]):  # the last line may lack it
            data = rest + read
            rows = np.empty((len(data) // SHORTEST + 1, 4), np.int64)
            count, used, bad = parse_rows(np.frombuffer(data, np.uint8), ord(table.separator), roles, shift, rows)
            rest, offset = data[used:], offset + used
            if count:
                t, x, y, p = rows[:count].T
                yield as_events(t, x, y, np.where(p == -1, 0, p))
            if bad or len(rest) >= READ:
                raise Damage(f"no event in the line {rest[:40].splitlines()[0]!r}", offset)


def write_csv(path: Path, sensor_size: tuple[int, int], pieces: Iterator[Events]) -> None:
    """Columns t (us), x, y, p with a header, and the sensor size in a comment."""
    with path.open("wb") as file:
        file.write(f"# sensor_size {sensor_size[0]}x{sensor_size[1]}\nt,x,y,p\n".encode())
        for piece in pieces:
            for first in range(0, len(piece), WRITTEN):
                array = piece.array[first : first + WRITTEN]
                columns = np.stack([array[name].astype(np.int64) for name in "txyp"], axis=1)
                text = np.empty(columns.size * LONGEST, np.uint8)
                file.write(text[: format_rows(columns, text)].data)


CSV = Format(open_file, suffix=".csv", write=write_csv)
TEXT = Format(open_file, suffix=".txt")
