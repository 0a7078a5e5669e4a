"""`neuva study`: what is asked for is run with the store's own configuration, and can be looked at again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import UsageError, app
from experiments.config import read_config
from experiments.studies.catalogue import CONFIGS, STUDIES, study_called
from experiments.studies.provenance import with_whole_paths
from neuva import NeuvaError
from tests.experiments.fake_study import FAKE, write_fake


def neuva(*arguments: object) -> str:
    """What the command prints; raises what it raises."""
    return CliRunner().invoke(
        app, [str(each) for each in arguments], catch_exceptions=False, standalone_mode=False
    ).stdout  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A working folder in which every study is the fake one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("experiments.commands.study.study_called", lambda name: FAKE)
    monkeypatch.setattr("experiments.commands.study.CONFIGS", tmp_path)
    (tmp_path / "seen-eyes.yaml").write_text("jobs: 2\n")
    write_fake(tmp_path / "fake.h5")
    return tmp_path


def test_a_study_runs_with_its_stores_configuration_and_is_shown_again(place):
    printed = neuva("study", "seen", "--data", "fake.h5")
    assert "Synthetic faces, drawn by neuva: nothing measured here is a result on see." in printed
    ours, _, theirs = printed.partition("published: ")
    assert "Scores (measured)" in ours
    assert "SEEN E4-S3" in theirs
    assert "SEEN E4-S3" not in ours
    assert str(place / "runs" / "seen-eyes" / "index.html") in printed
    assert (place / "runs" / "seen-eyes" / "scores.csv").exists()
    for where in ("seen-eyes", "runs/seen-eyes", place / "runs" / "seen-eyes"):
        again = neuva("study", "show", where)
        assert "job1" in again
        assert "job2" not in again  # the configuration asks for two
    told = json.loads(neuva("study", "show", "seen-eyes", "--json"))
    assert told["banner"].startswith("Synthetic faces")
    assert told["stores"] == {"data": str(place / "fake.h5")}


def test_a_configuration_and_a_folder_of_ones_own_and_a_further_store(place):
    (place / "mine.yaml").write_text("jobs: 1\n")
    neuva("study", "neuromorphic-va", "--data", "fake.h5", "--nefer", "fake.h5", "--config", "mine.yaml", "--out", "x")
    told = json.loads((place / "x" / "results.json").read_text())
    assert list(told["seconds"]) == ["job0", "together"]
    assert told["stores"].keys() == {"data", "nefer"}


def test_paths_of_a_configuration_are_told_from_the_root(place):
    (place / "w.pt").touch()
    (place / "mine.yaml").write_text("weights: w.pt\n")
    neuva("study", "seen", "--data", "fake.h5", "--config", "mine.yaml", "--out", "x")
    told = json.loads((place / "x" / "results.json").read_text())
    assert told["configuration"]["weights"] == str(place.resolve() / "w.pt")


def test_other_data_in_the_same_folder_is_refused_until_told_again(place):
    neuva("study", "seen", "--data", "fake.h5")
    write_fake(place / "other.h5")
    with pytest.raises(NeuvaError, match="seen-eyes: holds 3 finished jobs of another store, configuration or code"):
        neuva("study", "seen", "--data", "other.h5")
    neuva("study", "seen", "--data", "other.h5", "--again")
    assert json.loads(neuva("study", "show", "seen-eyes", "--json"))["stores"] == {"data": str(place / "other.h5")}


def test_what_is_refused(place):
    (place / "bad.yaml").write_text("jobbs: 1\n")
    with pytest.raises(NeuvaError, match=r"bad\.yaml: jobbs: "):
        neuva("study", "seen", "--data", "fake.h5", "--config", "bad.yaml")
    with pytest.raises(NeuvaError, match="leave out --workers"):
        neuva("study", "seen", "--data", "fake.h5", "--workers", 2, "--scheduler", "tcp://127.0.0.1:1")
    write_fake(place / "other.h5", "nefer")
    with pytest.raises(NeuvaError, match=r"other\.h5: a store of nefer; study seen takes see or fake-eyes"):
        neuva("study", "seen", "--data", "other.h5")
    with pytest.raises(NeuvaError, match=r"none\.h5: no such file"):
        neuva("study", "seen", "--data", "none.h5")
    with pytest.raises(NeuvaError, match="nothing: no results of a study there: run one"):
        neuva("study", "show", "nothing")
    (place / "results.json").write_text('{"study": 1}')
    with pytest.raises(NeuvaError, match=r"results\.json: no results of a study"):
        neuva("study", "show", ".")
    with pytest.raises(UsageError, match="No such option"):
        neuva("study", "seen", "--data", "fake.h5", "--nefer", "fake.h5")


def test_the_list_names_all_with_their_configurations():
    told = json.loads(neuva("study", "list", "--json"))
    assert told.keys() == STUDIES.keys()
    assert all(Path(path).exists() for each in told.values() for path in each["data"].values())
    assert all(name in neuva("study", "list") for name in STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_the_catalogue_says_what_the_study_says_and_its_configurations_are_valid(name):
    study = study_called(name)
    assert (study.name, study.what, dict(study.extra)) == (name, STUDIES[name].what, dict(STUDIES[name].extra))
    assert len(study.data) == 2
    for file in study.data.values():
        read = read_config(CONFIGS / file, study.config)
        assert with_whole_paths(read) == read


def test_a_study_that_is_not_there():
    with pytest.raises(NeuvaError, match='study "nothing" is not known: choose one of neuromorphic-va, seen, '):
        study_called("nothing")
