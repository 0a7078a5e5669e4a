from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("tonic")

from experiments.benchmarks import representations
from neuva import NeuvaError


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few events, nothing timed, and none of Tonic's slow ways."""
    monkeypatch.setattr(representations, "EVENTS", 5000)
    monkeypatch.setattr(representations, "best_of", lambda work, **settings: 0.001)
    kept = [contest for contest in representations.CONTESTS if "temporal" not in contest.name]
    monkeypatch.setattr(representations, "CONTESTS", kept)


def test_each_row_has_both_speeds_and_their_ratio():
    seen = []
    (table,) = representations.run(lambda done, total: seen.append((done, total))).tables
    assert seen[-1] == (len(table.rows), len(table.rows))
    assert all(len(row) == len(table.columns) == 7 for row in table.rows)
    assert table.rows[0][1:4] == pytest.approx([5, 5, 1])
    assert [row[0] for row in table.rows if row[2] is None] == [
        "event spike tensor, 20 ms",
        "surface of active events, 20 ms",
    ]


def test_what_is_not_the_same_is_not_timed(monkeypatch):
    frames = representations.CONTESTS[0]
    wrong = replace(frames, theirs=lambda events: frames.ours(events) + 1)
    monkeypatch.setattr(representations, "CONTESTS", [wrong])
    with pytest.raises(NeuvaError, match="is not Tonic's"):
        representations.run(lambda *done: None)
