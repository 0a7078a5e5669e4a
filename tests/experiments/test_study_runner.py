"""Studies are run once, whoever is killed; their folder tells all, what is measured apart from what is published."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster

from datasets import cluster
from datasets.store.lock import only_writer
from experiments.studies import jobs
from experiments.studies.arrays import new_array
from experiments.studies.fitting import seeded
from experiments.studies.results import Report
from experiments.studies.runner import run
from experiments.studies.study import Inputs, Job, Picture, Progress, Table
from neuva import NeuvaError
from tests.experiments.fake_study import FAKE, FakeConfig, write_fake

SOON = 60
OTHER_KEY = "finished jobs of another store, configuration or code: name another --out, or give --again to do them "


@pytest.fixture(autouse=True)
def code(monkeypatch) -> None:
    """The same for a whole test, whatever is edited meanwhile."""
    monkeypatch.setattr("experiments.studies.provenance.code_hash", lambda: "code")
    monkeypatch.setattr("experiments.studies.runner.code_hash", lambda: "code")


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
    assert told["made_with"]["torch"] == [torch.__version__]
    assert {"neuva", "Python", "transformers", "machine", "device"} < told["made_with"].keys()
    assert told["mixture"] == ""
    assert set(told["hashes"]) == {"code", "configuration", "data"}
    assert all(seconds > 0 for seconds in told["seconds"].values())
    for each in (report, Report.load(inputs.out)):
        assert json.loads(json.dumps(each.to_dict())) == told
    assert list(csv.reader((inputs.out / "scores.csv").read_text().splitlines())) == [
        ["data", "job", "score", "letters"],
        ["fake-eyes (drawn)", "job0", "0.0", "4"],
        ["fake-eyes (drawn)", "job1", "0.5", "4"],
        ["fake-eyes (drawn)", "job2", "1.0", "4"],
        ["fake-eyes (drawn)", "together", "3.0", "8"],
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
        assert "made up" in ours  # the note
        assert "made up" not in theirs
    assert {table.origin for table in report.tables} == {"measured", "published"}
    assert (inputs.out / "published-table-1.csv").read_text().count("SEEN E") == 6
    assert (inputs.out / "published-table-1.csv").read_text().splitlines()[-1].startswith("published,SEEN E13-S0,")
    assert "83.6" not in (inputs.out / "scores.csv").read_text()


def test_only_drawn_faces_have_a_banner(inputs, tmp_path):
    assert run(FAKE, FakeConfig(), inputs).banner == (
        "Synthetic faces, drawn by neuva: nothing measured here is a result on see."
    )
    filmed = Inputs(write_fake(tmp_path / "real.h5", "see", synthetic=False), tmp_path / "real", {})
    assert run(FAKE, FakeConfig(), filmed).banner == ""
    assert "Synthetic" not in (filmed.out / "index.html").read_text()
    assert (filmed.out / "scores.csv").read_text().splitlines()[1] == "see,job0,0.0,4"
    both = Inputs(inputs.store, tmp_path / "both", {"more": filmed.store})
    assert run(FAKE, FakeConfig(), both).banner.endswith("nothing measured here is a result on see or more.")


def test_jobs_are_done_again_exactly_if_what_they_were_made_from_changes(inputs, tmp_path, monkeypatch):
    def done_now(config: FakeConfig, given: Inputs = inputs) -> bool:
        before = {file: file.stat().st_mtime_ns for file in given.out.glob("jobs/*/result.json")}
        run(FAKE, config, given, again=True)
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
    for module in ("provenance", "runner"):
        monkeypatch.setattr(f"experiments.studies.{module}.code_hash", lambda: "other code")
    assert done_now(config)
    assert not done_now(config)
    other = Inputs(write_fake(tmp_path / "other.h5"), inputs.out, {})
    assert done_now(config, other)
    (inputs.of_job("job1") / "result.json").write_text("{ a damaged file")
    run(FAKE, config, other)
    assert times(inputs) == {"job0": 1, "job1": 2, "job2": 1}


def test_finished_jobs_of_another_key_are_not_removed_unasked(inputs, tmp_path):
    run(FAKE, FakeConfig(), inputs)
    kept = {file: file.read_bytes() for file in inputs.out.rglob("*") if file.is_file()}
    other = replace(inputs, store=write_fake(tmp_path / "other.h5"))
    for config, given in ((FakeConfig(seed=8), inputs), (FakeConfig(), other)):
        with pytest.raises(NeuvaError, match=f"out: holds 4 {OTHER_KEY}anew"):
            run(FAKE, config, given)
    assert {file: file.read_bytes() for file in inputs.out.rglob("*") if file.is_file()} == kept
    with pytest.raises(NeuvaError, match="job job1: not with me"):
        run(FAKE, FakeConfig(refuse="job1"), inputs, again=True)
    assert finished(inputs) == ["job0", "job2", "together"]  # those beside it are done all the same
    with pytest.raises(NeuvaError, match="holds 1 finished jobs"):  # nor those that are left of the first
        run(FAKE, FakeConfig(refuse="job1"), inputs)


def one_hangs_on_more(config: FakeConfig, inputs: Inputs) -> list[list[Job]]:
    first, last = FAKE.stages(config, inputs)
    return [first, last, [replace(first[0], name="of-more", extra=("more",))]] if inputs.extra else [first, last]


def test_another_store_concerns_the_jobs_that_hang_on_it_alone(inputs, tmp_path):
    study = replace(FAKE, stages=one_hangs_on_more)
    run(study, FakeConfig(), inputs)
    more = [replace(inputs, extra={"more": write_fake(tmp_path / f"{name}.h5")}) for name in "ab"]
    run(study, FakeConfig(), more[0])
    with pytest.raises(NeuvaError, match="holds 1 finished jobs"):
        run(study, FakeConfig(), more[1])
    run(study, FakeConfig(), more[1], again=True)
    assert times(inputs) == {"job0": 1, "job1": 1, "job2": 1}


def test_no_page_of_other_data_stays_and_what_others_put_there_does(inputs):
    run(FAKE, FakeConfig(), inputs)
    for name in ("mine.png", "mine.csv"):
        (inputs.out / name).touch()
    with pytest.raises(NeuvaError, match="job job0: not with me"):
        run(FAKE, FakeConfig(refuse="job0"), inputs, again=True)
    left = {path.name for path in inputs.out.iterdir()}
    assert left == {"jobs", "pictures", "results.json", "mine.png", "mine.csv"}
    assert not list((inputs.out / "pictures").iterdir())


def test_a_job_that_another_process_still_does_is_refused(inputs):
    with (
        only_writer(inputs.of_job("job1")),
        pytest.raises(NeuvaError, match=r"job job1: .*another run is making it: wait for it, or end it"),
    ):
        run(FAKE, FakeConfig(), inputs)
    assert finished(inputs) == ["job0", "job2"]
    run(FAKE, FakeConfig(), inputs)
    assert finished(inputs) == ["job0", "job1", "job2", "together"]


def full(folder: Path, progress: Progress) -> dict[str, float]:
    new_array(folder / "a.npy", np.uint8, (2**60,))
    return {}


def cut(folder: Path, progress: Progress) -> dict[str, float]:
    raise OSError("200000 requested and 0 written")  # as numpy does where there is no room


def broken(folder: Path, progress: Progress) -> dict[str, float]:
    raise OSError(errno.EIO, "Input/output error")


def test_a_full_disk_is_told_plainly(tmp_path, monkeypatch):
    message = "job big: .*big: the disk is full: free some space, and go on"
    with pytest.raises(NeuvaError, match=message):
        jobs.do(Job("big", full), "key", tmp_path / "big", lambda *_: None)
    with pytest.raises(OSError, match="200000 requested"):
        jobs.do(Job("big", cut), "key", tmp_path / "big", lambda *_: None)
    monkeypatch.setattr(jobs, "LEAST", 2**60)
    with pytest.raises(NeuvaError, match=message):
        jobs.do(Job("big", cut), "key", tmp_path / "big", lambda *_: None)
    monkeypatch.undo()
    with pytest.raises(OSError, match="Input/output"):
        jobs.do(Job("big", broken), "key", tmp_path / "big", lambda *_: None)


def undrawn(*_: object) -> list[Picture]:
    raise NeuvaError("no pencil")


def test_tables_are_there_though_drawing_fails(inputs):
    with pytest.raises(NeuvaError, match="no pencil"):
        run(replace(FAKE, pictures=undrawn), FakeConfig(), inputs)
    assert {"scores.csv", "published-table-1.csv", "tables.md"} < {path.name for path in inputs.out.iterdir()}


def test_jobs_made_with_other_versions_are_told(inputs):
    run(FAKE, FakeConfig(), inputs)
    path = inputs.of_job("job1") / "result.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "made_with": {**kept["made_with"], "torch": "1.0"}}))
    told = run(FAKE, FakeConfig(), inputs)
    assert told.made_with["torch"] == ["1.0", kept["made_with"]["torch"]]
    assert told.mixture.startswith(f"Jobs were made with more than one of: torch 1.0 and {kept['made_with']['torch']}.")
    for name in ("index.html", "tables.md"):
        assert told.mixture in (inputs.out / name).read_text()


def drawn(folder: Path, progress: Progress) -> dict[str, list[float]]:
    """What torch draws, while others may draw too."""
    seeded(0)
    numbers = []
    for _ in range(4):
        numbers.append(torch.rand(1).item())
        time.sleep(0.005)
    return {"numbers": numbers}


def test_threads_of_one_process_do_not_disturb_each_other(tmp_path):
    def do(number: int) -> dict[str, list[float]]:
        return jobs.do(Job(f"job{number}", drawn), "key", tmp_path / str(number), lambda *_: None).result

    alone = do(0)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(do, range(1, 5))) == [alone] * 4


def test_half_files_of_a_killed_job_go_and_whole_ones_stay(tmp_path):
    def do(key: str) -> list[str]:
        jobs.do(Job("job", lambda *_: {}), key, tmp_path / "job", lambda *_: None)
        return sorted(path.name for path in (tmp_path / "job").rglob("*"))

    do("key")
    for name in (".0.npy.x3.npy", "0.npy", "deep/.1.npy.y.npy"):
        path = tmp_path / "job" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert do("key") == ["0.npy", "deep", "key"]
    assert do("other") == ["key"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of threads, which the child does not use
def test_a_run_killed_goes_on_and_two_at_a_time_are_refused(inputs, tmp_path):
    (stop := tmp_path / "stop").touch()
    config = FakeConfig(stop=str(stop))
    child = os.fork()
    if not child:
        try:
            run(FAKE, config, inputs)
        finally:
            os._exit(1)
    try:
        deadline = time.monotonic() + SOON
        while times(inputs) != {"job0": 1, "job1": 1}:
            assert time.monotonic() < deadline
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
            time.sleep(0.02)
        with pytest.raises(NeuvaError, match=r"out: another run is making it: wait"):
            run(FAKE, config, inputs)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    half = Report.load(inputs.out)
    assert half.progress == "1 of 4 jobs done: not finished"
    assert [row[0] for row in half.of("measured")[0].rows] == ["job0"]
    assert not (inputs.out / "index.html").exists()
    stop.unlink()
    report = run(FAKE, config, inputs)
    assert times(inputs) == {"job0": 1, "job1": 2, "job2": 1}  # what was finished is not done again
    assert report.progress.startswith("4 jobs")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Of a cluster whose one worker is in this process, so that it imports nothing, and has two threads."""
    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as found:
        yield found.scheduler_address


def test_an_array_has_its_place_on_disk_before_it_is_filled(tmp_path):
    path = tmp_path / "a.npy"
    array = new_array(path, np.uint16, (1000, 1000))
    assert path.stat().st_blocks * 512 >= 2_000_000
    array[:] = 3
    array.flush()
    assert np.array_equal(np.load(path), np.full((1000, 1000), 3, np.uint16))


def stage_after_stage(config: FakeConfig, inputs: Inputs) -> list[list[Job]]:
    first, last = FAKE.stages(config, inputs)
    return [first, [*last, replace(last[0], name="also")]]


def test_one_set_of_workers_does_all_stages_and_tells_every_failure(inputs, scheduler, monkeypatch):
    study, asked = replace(FAKE, stages=stage_after_stage), []
    monkeypatch.setattr(cluster, "own", lambda count: asked.append(count) or Client(scheduler, set_as_default=False))
    run(study, FakeConfig(), inputs, workers=2)
    assert asked == [2]
    seen = []
    with pytest.raises(NeuvaError, match=r"^job job1: not with me: try another; job job2: not with me: try another$"):
        run(
            study, FakeConfig(refuse="job1 job2"), inputs, workers=2, again=True,
            progress=lambda *told: seen.append(told),
        )  # fmt: skip
    assert {told for told in seen if told[1] == "failed"} == {("job1", "failed", 1, 1), ("job2", "failed", 1, 1)}
    assert Report.load(inputs.out).progress == "1 of 5 jobs done: not finished"


def test_pictures_of_a_run_that_was_stopped_are_not_forgotten(inputs):
    run(FAKE, FakeConfig(), inputs)
    with pytest.raises(NeuvaError, match="no pencil"):
        run(replace(FAKE, pictures=undrawn), FakeConfig(), inputs)
    run(FAKE, FakeConfig(seed=8, jobs=1), inputs, again=True)
    assert Report.load(inputs.out).pictures == ["pictures/one.png"]
    older = json.loads((inputs.out / "results.json").read_text())
    del older["pictures"]
    (inputs.out / "results.json").write_text(json.dumps(older))
    assert Report.load(inputs.out).pictures == ()


def test_workers_give_the_same_as_none_and_must_run_the_same_code(inputs, store, tmp_path, scheduler, monkeypatch):
    alone, seen, asked = run(FAKE, FakeConfig(), inputs), [], []
    beside, own = (Inputs(store, tmp_path / name, {}) for name in ("beside", "own"))
    report = run(FAKE, FakeConfig(), beside, scheduler=scheduler, progress=lambda *told: seen.append(told))
    assert report.of("measured") == alone.of("measured")
    assert ("job1", "working", 1, 2) in seen  # told by its worker
    assert [told for told in seen if not told[0]] == [("", "seen", done, 4) for done in range(5)]
    monkeypatch.setattr(cluster, "own", lambda count: asked.append(count) or Client(scheduler, set_as_default=False))
    assert run(FAKE, FakeConfig(), own, workers=2).of("measured") == alone.of("measured")
    assert asked == [2]
    monkeypatch.setattr("experiments.studies.runner.code_hash", lambda: "another")
    with pytest.raises(NeuvaError, match="its worker runs neuva's code another, the study is of code: bring the same"):
        run(FAKE, FakeConfig(seed=8), beside, scheduler=scheduler, again=True)


def test_an_error_names_its_job_and_keeps_the_others(inputs):
    with pytest.raises(NeuvaError, match=r"^job job1: not with me: try another$"):
        run(FAKE, FakeConfig(refuse="job1"), inputs)
    assert finished(inputs) == ["job0", "job2"]
    assert Report.load(inputs.out).progress == "2 of 4 jobs done: not finished"
    with pytest.raises(ZeroDivisionError) as caught:
        run(FAKE, FakeConfig(refuse="fault2"), inputs, again=True)
    assert caught.value.__notes__ == ["while doing job job2"]
    with pytest.raises(NeuvaError, match=r"^job job0: its result is no JSON \(.*\): give None for what is unde"):
        run(FAKE, FakeConfig(spoilt=True), inputs, again=True)
    with pytest.raises(NeuvaError, match="table scores, job0, score: inf: give None for what is undefined"):
        run(replace(FAKE, tables=endless), FakeConfig(), inputs, again=True)
    assert run(FAKE, FakeConfig(give=None), inputs, again=True).of("measured")[0].rows[1] == ("job1", None, 4)
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
