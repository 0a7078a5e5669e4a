"""Videos cut into windows and joined again, and the files that the challenge takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.studies.mae_tcn_transformer.submission import write_submission
from experiments.studies.mae_tcn_transformer.windows import Windows
from neuva import NeuvaError


@pytest.mark.parametrize(
    ("n", "starts"),
    [
        (0, []),
        (1, [0]),
        (199, [0]),
        (200, [0]),  # floor(200 / 200) + 1 = 2, of which the second would be empty
        (201, [0, 200]),
        (300, [0, 200]),
        (700, [0, 200, 400, 600]),
    ],
)
def test_windows_begin_where_the_paper_says(n: int, starts: list[int]) -> None:
    assert Windows().starts(n).tolist() == starts
    if n and n % 200:
        assert len(starts) == n // 200 + 1


def test_a_video_by_hand() -> None:
    windows = Windows(4, 3)
    cut = windows.cut(np.arange(1, 6), filler=-1)
    assert cut.tolist() == [[1, 2, 3, 4], [4, 5, -1, -1]]
    assert windows.mask(5).tolist() == [[True] * 4, [True, True, False, False]]
    said = np.array([[10.0, 20, 30, 40], [60, 70, 1e9, 1e9]])
    assert windows.join(said, 5).tolist() == [10, 20, 30, 50, 70]


def test_the_tail_is_kept_and_a_short_video_is_one_window() -> None:
    rows = np.arange(250 * 3, dtype=np.float32).reshape(250, 3)
    cut = Windows().cut(rows)
    assert cut.shape == (2, 300, 3)
    assert cut.dtype == np.float32
    assert np.array_equal(cut[0, :250], rows)
    assert np.array_equal(cut[1, :50], rows[200:])
    assert not cut[0, 250:].any()
    assert Windows().mask(250).sum(1).tolist() == [250, 50]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Windows, int]:
    length = draw(st.integers(1, 12))
    return Windows(length, draw(st.integers(1, length))), draw(st.integers(0, 60))


@given(cases())
def test_what_is_cut_is_joined_again_and_every_frame_is_in_a_window(case: tuple[Windows, int]) -> None:
    windows, n = case
    rows = np.random.default_rng(n).integers(-100, 100, (n, 2)).astype(np.float32)
    cut, mask = windows.cut(rows, filler=np.nan), windows.mask(n)
    assert np.array_equal(np.isfinite(cut).all(-1), mask)
    assert np.allclose(windows.join(cut, n), rows)  # padding, not a number, goes nowhere
    numbers = windows.cut(np.arange(n), filler=-1)
    assert set(numbers[mask].tolist()) == set(range(n))
    assert (np.diff(mask.astype(int), axis=1) <= 0).all()  # padding comes last
    assert mask.any(1).all()


@given(cases())
def test_overlaps_count_alike(case: tuple[Windows, int]) -> None:
    """The mean of the numbers of a frame's windows, one frame after the other."""
    windows, n = case
    starts = windows.starts(n)
    said = np.repeat(np.arange(len(starts), dtype=float)[:, None], windows.length, 1)
    expected = [np.mean([k for k, s in enumerate(starts) if s <= t < s + windows.length]) for t in range(n)]
    assert np.allclose(windows.join(said, n), expected)


def test_windows_that_leave_frames_out_or_are_of_another_video_are_refused() -> None:
    with pytest.raises(NeuvaError, match=r"stride = 5 must be in 1\.\.length = 4"):
        Windows(4, 5)
    with pytest.raises(NeuvaError):
        Windows(4, 0)
    with pytest.raises(NeuvaError, match="are not the 2 of 4"):
        Windows(4, 3).join(np.zeros((3, 4)), 5)


def test_files_of_the_three_tasks_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "predictions.txt"
    write_submission(path, "valence_arousal", {"a": np.array([[0.5, -1.5]]), "b_left": np.array([[0, 1], [-0.25, 0]])})
    assert path.read_bytes() == (
        b"image_location,valence,arousal\n"
        b"a/00001.jpg,0.500000,-1.000000\n"
        b"b_left/00001.jpg,0.000000,1.000000\n"
        b"b_left/00002.jpg,-0.250000,0.000000\n"
    )
    write_submission(path, "expression", {"a": np.array([7, 0], np.int8)})
    assert path.read_text() == (
        "image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\na/00001.jpg,7\na/00002.jpg,0\n"
    )
    write_submission(path, "action_units", {"a": np.arange(12)[None] % 2})
    assert path.read_text() == (
        "image_location,AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26\na/00001.jpg,0,1,0,1,0,1,0,1,0,1,0,1\n"
    )
    assert [each.name for each in tmp_path.iterdir()] == ["predictions.txt"]


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        ("valence_arousal", np.array([[0, np.nan]])),
        ("valence_arousal", np.zeros((2, 8))),
        ("expression", np.array([0, 8])),
        ("expression", np.zeros((2, 8))),
        ("action_units", np.full((1, 12), 0.5)),
        ("action_units", np.full((1, 12), -1)),
    ],
)
def test_what_is_no_estimate_is_refused_and_the_file_stays(tmp_path: Path, task: str, rows: np.ndarray) -> None:
    path = tmp_path / "predictions.txt"
    path.write_text("before")
    with pytest.raises(NeuvaError, match="clip"):
        write_submission(path, task, {"clip": rows})  # type: ignore[arg-type]
    assert path.read_text() == "before"


def test_what_is_written_is_read_by_our_reader_of_annotations(tmp_path: Path) -> None:
    """Without its first column it is an annotation file."""
    from datasets.aff_wild2.annotations import read_action_units, read_expression, read_valence_arousal

    rng = np.random.default_rng(0)
    va, classes, units = rng.uniform(-1, 1, (4, 2)), rng.integers(0, 8, 4), rng.integers(0, 2, (4, 12))

    def written(task: str, rows: np.ndarray) -> Path:
        path = tmp_path / f"{task}.txt"
        write_submission(path, task, {"clip": rows})  # type: ignore[arg-type]
        path.write_text("\n".join(line.split(",", 1)[1] for line in path.read_text().splitlines()))
        return path

    assert np.allclose(read_valence_arousal(written("valence_arousal", va))[0], va, atol=1e-6)
    assert np.array_equal(read_expression(written("expression", classes)), classes)
    assert np.array_equal(read_action_units(written("action_units", units)), units)
