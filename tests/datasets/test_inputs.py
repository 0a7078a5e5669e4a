from __future__ import annotations

import os
from pathlib import Path

import pytest

from datasets.inputs import fingerprint, keep_apart
from neuva import NeuvaError


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    (tmp_path / "labels.csv").write_text("labels")
    (tmp_path / "clip" / "below").mkdir(parents=True)
    for name in ("0.png", "1.png", ".DS_Store", "below/2.png"):
        (tmp_path / "clip" / name).write_text(name)
    return [tmp_path / "labels.csv", tmp_path / "clip"]


def later(path: Path) -> None:
    told = path.stat()
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns + 1))


def swapped(one: Path, other: Path) -> None:
    one.rename(one.with_suffix(".x"))
    other.rename(one)
    one.with_suffix(".x").rename(other)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: later(root / "labels.csv"),
        lambda root: later(root / "clip" / "1.png"),
        lambda root: (root / "clip" / "1.png").unlink(),
        lambda root: (root / "clip" / "3.png").touch(),
        lambda root: (root / "clip" / "1.png").rename(root / "clip" / "3.png"),
        lambda root: os.truncate(root / "clip" / "1.png", 3),
        lambda root: (later(root / "clip" / "1.png"), swapped(root / "clip" / "0.png", root / "clip" / "1.png")),
    ],
)
def test_any_change_of_a_file_tells(inputs: list[Path], tmp_path: Path, change) -> None:
    before = fingerprint(inputs)
    assert fingerprint(inputs) == before
    change(tmp_path)
    assert fingerprint(inputs) != before


def test_order_counts_and_hidden_files_do_not(inputs: list[Path], tmp_path: Path) -> None:
    before = fingerprint(inputs)
    later(tmp_path / "clip" / ".DS_Store")
    later(tmp_path / "clip" / "below" / "2.png")
    tmp_path.rename(tmp_path.with_name("moved"))
    moved = [tmp_path.with_name("moved") / each.name for each in inputs]
    assert fingerprint(moved) == before  # a data set may be moved
    assert fingerprint(moved[::-1]) != before
    with pytest.raises(NeuvaError, match=r"labels\.csv: cannot be looked up \(No such file"):
        fingerprint(inputs)


def test_nothing_is_written_over_or_among_the_inputs(inputs: list[Path], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "clip")
    (tmp_path / "table").symlink_to("labels.csv")
    for out in ("labels.csv", "clip/../labels.csv", "table", "clip"):
        with pytest.raises(NeuvaError, match="is one of the command's own inputs: give the output another name"):
            keep_apart(Path(out), inputs)
    for out in ("clip/new.png", "link/0.png"):
        with pytest.raises(NeuvaError, match=r"lies in .*clip, whose files are the command's own inputs"):
            keep_apart(Path(out), inputs)
    for out in ("new.h5", "clip/below/new.h5", "nowhere/new.h5"):
        keep_apart(Path(out), inputs)
