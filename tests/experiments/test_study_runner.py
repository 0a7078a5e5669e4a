"""Studies are run once, whoever is killed; their folder tells all, what is measured apart from what is published."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.studies.results import Report
from experiments.studies.runner import run
from experiments.studies.study import Inputs, Job, Table
from neuva import NeuvaError
from tests.experiments.fake_study import FAKE, FakeConfig, write_fake

ROOT = Path(__file__).parents[2]
SOON = 60


@pytest.fixture(autouse=True)
def code(monkeypatch) -> None:
    """The same for all processes of a test, whatever is edited meanwhile."""
    monkeypatch.setattr("experiments.studies.provenance.code_hash", lambda: "code")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return write_fake(tmp_path_factory.mktemp("store") / "fake.h5")


@pytest.fixture
def inputs(store, tmp_path) -> Inputs:
    return Inputs(store, tmp_path / "out", {})


def times(inputs: Inputs) -> dict[str, int]:
    """How often each job was done in its folder."""
    files = sorted((inputs.out / "jobs").glob("job*/times"))
    return {file.parent.name: len(file.read_text().splitlines()) for file in files}


def finished(inputs: Inputs) -> list[str]:
    return sorted(file.parent.name for file in (inputs.out / "jobs").glob("*/result.json"))


def test_results_folder_tells_all(inputs):
    seen = []
    report = run(FAKE, FakeConfig(), inputs, progress=lambda *told: seen.append(told))
    assert finished(inputs) == ["job0", "job1", "job2", "together"]
    assert seen[0] == ("", "seen", 0, 4)
    assert ("job1", "working", 1, 2) in seen
    assert seen[-1] == ("", "seen", 4, 4)
    told = json.loads((inputs.out / "results.json").read_text())
    assert told["configuration"] == FakeConfig().model_dump(mode="json")
    assert told["seeds"] == {"seed": 7}
    assert told["dataset"] == "fake-eyes"
    assert {"neuva", "Python", "torch", "transformers"} <= told["versions"].keys()
    assert set(told["hashes"]) == {"code", "configuration", "data"}
    assert all(seconds > 0 for seconds in told["seconds"].values())
    for each in (report, Report.load(inputs.out)):
        assert json.loads(json.dumps(each.to_dict())) == told
    assert list(csv.reader((inputs.out / "scores.csv").read_text().splitlines())) == [
        ["job", "score", "letters"],
        ["job0", "0.0", "4"],
        ["job1", "0.5", "4"],
        ["job2", "1.0", "4"],
        ["together", "3.0", "8"],
    ]
    page = (inputs.out / "index.html").read_text()
    assert "synthetic: nothing &lt;to&gt; see" in page
    assert "data:image/png;base64," in page
    assert "<strong>3.0</strong>" in page
    assert "<strong>1.0</strong>" not in page
    assert "src=" not in page.replace('src="data:image/png;base64', "")


def test_what_is_published_stands_apart_from_what_is_measured(inputs):
    report = run(FAKE, FakeConfig(), inputs)
    for text in ((inputs.out / "tables.md").read_text(), (inputs.out / "index.html").read_text()):
        ours, _, theirs = text.partition("Published by others")
        assert "Scores" in ours
        assert "Scores" not in theirs
        assert "SEEN E4-S3" in theirs
        assert "SEEN E4-S3" not in ours
        assert "Source: SEEN, SIGGRAPH 2023" in theirs
        assert "Synthetic faces" in ours
        assert "no" in ours
    assert {table.origin for table in report.tables} == {"measured", "published"}
    assert (inputs.out / "published-table-1.csv").read_text().count("SEEN E") == 6
    assert "83.6" not in (inputs.out / "scores.csv").read_text()


def test_only_drawn_faces_have_a_banner(inputs, tmp_path):
    assert run(FAKE, FakeConfig(), inputs).banner == (
        "Synthetic faces, drawn by neuva: nothing measured here is a result on see."
    )
    filmed = Inputs(write_fake(tmp_path / "real.h5", "see", synthetic=False), tmp_path / "real", {})
    assert run(FAKE, FakeConfig(), filmed).banner == ""
    assert "Synthetic" not in (filmed.out / "index.html").read_text()


def test_jobs_are_done_again_exactly_if_what_they_were_made_from_changes(inputs, tmp_path, monkeypatch):
    def done_now(config: FakeConfig, given: Inputs = inputs) -> bool:
        before = {file: file.stat().st_mtime_ns for file in given.out.glob("jobs/*/result.json")}
        run(FAKE, config, given)
        after = {file: file.stat().st_mtime_ns for file in given.out.glob("jobs/*/result.json")}
        assert set(times(given).values()) == {1}  # a job begun from something else finds an empty folder
        changed = {file for file in after if before.get(file) != after[file]}
        assert changed in (set(), set(after))
        return bool(changed)

    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"1")
    config = FakeConfig(weights=weights)
    assert done_now(config)
    assert not done_now(config)
    assert done_now(FakeConfig(weights=weights, seed=8))
    assert done_now(config)
    weights.write_bytes(b"22")
    assert done_now(config)
    monkeypatch.setattr("experiments.studies.provenance.code_hash", lambda: "other code")
    assert done_now(config)
    assert not done_now(config)
    other = Inputs(write_fake(tmp_path / "other.h5"), inputs.out, {})
    assert done_now(config, other)
    assert done_now(config, replace(other, extra={"more": other.store}))
    (inputs.of_job("job1") / "result.json").write_text("{ a damaged file")
    run(FAKE, config, replace(other, extra={"more": other.store}))
    assert times(inputs) == {"job0": 1, "job1": 2, "job2": 1}


RUNS = """
import sys
from pathlib import Path
from experiments.studies import provenance, runner
from experiments.studies.study import Inputs
from tests.experiments.fake_study import FAKE, FakeConfig

if __name__ == "__main__":
    provenance.code_hash = lambda: "code"
    runner.run(FAKE, FakeConfig(stop=sys.argv[3]), Inputs(Path(sys.argv[1]), Path(sys.argv[2]), {}))
"""


def test_a_run_killed_goes_on_and_two_at_a_time_are_refused(inputs, tmp_path):
    script, stop = tmp_path / "runs.py", tmp_path / "stop"
    script.write_text(RUNS)
    stop.touch()
    config = FakeConfig(stop=str(stop))
    command = [sys.executable, script, inputs.store, inputs.out, stop]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True)
    try:
        deadline = time.monotonic() + SOON
        while times(inputs) != {"job0": 1, "job1": 1}:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        with pytest.raises(NeuvaError, match=r"out: another run is making it: wait"):
            run(FAKE, config, inputs)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    half = Report.load(inputs.out)
    assert half.progress == "1 of 4 jobs done: not finished"
    assert [row[0] for row in half.of("measured")[0].rows] == ["job0"]
    assert not (inputs.out / "index.html").exists()
    stop.unlink()
    report = run(FAKE, config, inputs)
    assert times(inputs) == {"job0": 1, "job1": 2, "job2": 1}  # what was finished is not done again
    assert report.progress.startswith("4 jobs")


def test_two_workers_give_the_same_as_none(inputs, store, tmp_path):
    alone, seen = run(FAKE, FakeConfig(), inputs), []
    other = Inputs(store, tmp_path / "beside", {})
    report = run(FAKE, FakeConfig(), other, workers=2, progress=lambda *told: seen.append(told))
    assert report.of("measured") == alone.of("measured")
    kept = [json.loads((other.of_job(f"job{number}") / "result.json").read_text()) for number in range(3)]
    assert os.getpid() not in (processes := {each["result"]["process"] for each in kept})
    assert len(processes) == 2
    assert ("job1", "working", 1, 2) in seen  # told by its worker
    assert [told for told in seen if not told[0]] == [("", "seen", done, 4) for done in range(5)]


def test_an_error_names_its_job_and_keeps_the_others(inputs):
    with pytest.raises(NeuvaError, match=r"^job job1: not with me: try another$"):
        run(FAKE, FakeConfig(refuse="job1"), inputs)
    assert finished(inputs) == ["job0"]
    assert Report.load(inputs.out).progress == "1 of 4 jobs done: not finished"
    with pytest.raises(ZeroDivisionError) as caught:
        run(FAKE, FakeConfig(refuse="fault2"), inputs)
    assert caught.value.__notes__ == ["while doing job job2"]
    with pytest.raises(NeuvaError, match=r"^job job0: its result is no JSON \(.*\): give None for what is unde"):
        run(FAKE, FakeConfig(spoilt=True), inputs)
    with pytest.raises(NeuvaError, match="table scores, job0, score: inf: give None for what is undefined"):
        run(replace(FAKE, tables=endless), FakeConfig(), inputs)
    assert run(FAKE, FakeConfig(give=None), inputs).of("measured")[0].rows[1] == ("job1", None, 4)
    assert "| job1 | - | 4 |" in (inputs.out / "tables.md").read_text()


def endless(config: FakeConfig, results: dict) -> list[Table]:
    rows = tuple((name, float("inf")) for name in results)
    return [Table("scores", "Scores", ("job", "score"), rows)]


def twice(config: FakeConfig, inputs: Inputs) -> list[list[Job]]:
    first = FAKE.stages(config, inputs)[0]
    return [first, first[:1]]


def two_tables(config: FakeConfig, results: object) -> list[Table]:
    return [Table("same", "One", ("a",), ()), Table("same", "Two", ("a",), ())]


def test_what_is_refused(inputs, tmp_path):
    other = write_fake(tmp_path / "other.h5", "afew-va")
    with pytest.raises(
        NeuvaError,
        match=r"other\.h5: a store of afew-va; study seen takes see or fake-eyes: make one with `neuva data make see` ",
    ):
        run(FAKE, FakeConfig(), replace(inputs, store=other))
    with pytest.raises(NeuvaError, match="there are no frames: make the store again"):
        run(FAKE, FakeConfig(jobs=0), inputs)
    assert not inputs.out.exists()
    with pytest.raises(NeuvaError, match='job "job0": 2 are called so'):
        run(replace(FAKE, stages=twice), FakeConfig(), inputs)
    with pytest.raises(NeuvaError, match="two have one name"):
        run(replace(FAKE, tables=two_tables), FakeConfig(), inputs)
    run(FAKE, FakeConfig(), inputs)
    with pytest.raises(NeuvaError, match=r"out: holds study seen: name another folder for mine"):
        run(replace(FAKE, name="mine"), FakeConfig(), inputs)
    assert finished(inputs) == ["job0", "job1", "job2", "together"]
