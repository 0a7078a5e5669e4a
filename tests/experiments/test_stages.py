"""Stages are done once, and again when what they were made from changes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from experiments.stages import Stages


def run_twice(folder: Path, first: int, second: int, break_it: bool = False) -> list[str]:
    done: list[str] = []

    def job(settings: int) -> None:
        stages = Stages(folder)
        stages.run("make", settings, [], [folder / "made"], lambda: (done.append("make"), (folder / "made").touch()))
        stages.run("use", None, ["make"], [folder / "used"], lambda: (done.append("use"), (folder / "used").touch()))

    job(first)
    if break_it:
        (folder / "used").unlink()
    job(second)
    return done


def test_the_same_settings_are_done_once(tmp_path) -> None:
    assert run_twice(tmp_path, 1, 1) == ["make", "use"]


def test_a_change_is_done_again_with_all_that_builds_on_it(tmp_path) -> None:
    assert run_twice(tmp_path, 1, 2) == ["make", "use", "make", "use"]


def test_a_missing_output_is_made_again(tmp_path) -> None:
    assert run_twice(tmp_path, 1, 1, break_it=True) == ["make", "use", "use"]


def test_a_stopped_stage_is_not_taken_for_done(tmp_path) -> None:
    def stop() -> None:
        (tmp_path / "made").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stages(tmp_path).run("make", 1, [], [tmp_path / "made"], stop)
    assert Stages(tmp_path).run("make", 1, [], [tmp_path / "made"], lambda: None)[0]


def test_a_stopped_stage_goes_on_only_from_the_very_same(tmp_path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    seen = []
    for settings, work in ((1, stop), (1, stop), (2, stop), (1, None), (2, None), (1, None)):
        stages = Stages(tmp_path)
        with contextlib.suppress(KeyboardInterrupt):
            stages.run("make", settings, [], [], work or (lambda: None))
        seen.append(stages.goes_on)
    assert seen == [False, True, False, False, False, False]
