"""The whole study on tiny stores: who trains and who is scored, what is refused, tables, pictures, submissions."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

from datasets import aff_wild2
from datasets.aff_wild2.annotations import ACTION_UNITS
from datasets.making import make_store
from datasets.sample import Sample
from datasets.store import EventStore, StoreWriter
from datasets.synthetic_videos import VideosSpec, videos
from experiments.studies.catalogue import CONFIGS, STUDIES
from experiments.studies.fitting import read_weights
from experiments.studies.jobs import do
from experiments.studies.mae_tcn_transformer import STUDY
from experiments.studies.mae_tcn_transformer.checks import check
from experiments.studies.mae_tcn_transformer.clips import ClipLabels, encoder_clips, parts, read_clips, splits
from experiments.studies.mae_tcn_transformer.config import StudyConfig
from experiments.studies.mae_tcn_transformer.estimates import ClipEstimates, read_estimates, write_estimates
from experiments.studies.mae_tcn_transformer.jobs import _write
from experiments.studies.mae_tcn_transformer.sequences import decide, estimate, score
from experiments.studies.mae_tcn_transformer.tables import tables
from experiments.studies.runner import run
from experiments.studies.study import Inputs
from neuva import NeuvaError
from snn.baselines.sequence import SequenceNet
from tests.datasets.test_aff_wild2 import AU, EXPR, VA, annotate, draw

TINY = {"side": 16, "patch": 8, "width": 8, "depth": 1, "heads": 2}
TINY |= {"decoder_width": 8, "decoder_depth": 1, "decoder_heads": 2}
SMALL = {"channels": [4], "kernel": 3, "width": 8, "heads": 2, "layers": 1}
ONCE = {"epochs": 1, "batch": 8}


def configured(**changes: Any) -> StudyConfig:
    values: dict[str, Any] = {
        "folds": 0,
        "encoder_of": "each split",
        "encoder": {"network": TINY, "every": 2, "pretraining": ONCE, "fine_tuning": ONCE},
        "sound": {"bands": 8},
        "windows": {"length": 10, "stride": 6},
        "sequence": SMALL,
        "tasks": {
            "valence_arousal": {"modalities": ["faces", "sound"], "training": ONCE},
            "expression": {"modalities": ["faces"], "training": ONCE},
            "action_units": {"modalities": ["faces"], "training": ONCE},
        },
    }
    return StudyConfig.model_validate(values | changes)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "videos.h5"
    make_store(path, videos(VideosSpec(videos=(4, 2), seconds=(1.0, 0.6))), workers=1)
    return path


@pytest.fixture(scope="module")
def done(store, tmp_path_factory) -> tuple[Any, Inputs]:
    inputs = Inputs(store, tmp_path_factory.mktemp("study"), {})
    return run(STUDY, configured(), inputs), inputs


def test_the_study_runs_to_its_end(done):
    report, inputs = done
    measured = {table.name: table for table in report.of("measured")}
    assert list(measured) == ["valence-arousal", "expression", "action-units", "encoders"]
    assert [row[:2] for row in measured["valence-arousal"].rows] == [("official", 2)]
    assert all("no result on Aff-Wild2" in table.note for table in measured.values())
    assert "no scored frame shows" in measured["action-units"].note
    assert measured["action-units"].rows[0][3 + 2 + ACTION_UNITS.index("AU24")] is None
    assert report.synthetic
    for name in ("traces.png", "expressions.png", "action-units.png"):
        assert cv2.imread(str(inputs.out / name)).shape[2] == 3
    assert not list(inputs.out.rglob("*.pkl"))


def test_submissions_hold_every_frame_of_the_scored_videos(done):
    _, inputs = done
    lines = (inputs.of_job("valence-arousal-official") / "submission.txt").read_text().splitlines()
    assert lines[0] == "image_location,valence,arousal"
    assert [line.split(",")[0] for line in lines[1:]] == [
        f"validation-{video:03d}/{k:05d}.jpg" for video, n in ((0, 25), (1, 15)) for k in range(1, n + 1)
    ]
    units = (inputs.of_job("action-units-official") / "submission.txt").read_text().splitlines()
    assert set("".join(line.split(",", 1)[1] for line in units[1:])) <= set("01,")


def test_estimates_are_scored_as_they_are_kept(done):
    report, inputs = done
    kept = read_estimates(inputs.of_job("valence-arousal-official"))
    assert [clip.name for clip in kept] == ["validation-000", "validation-001"]
    assert all(np.abs(clip.estimate).max() <= 1 for clip in kept)
    row = report.of("measured")[0].rows[0]
    assert row[2] == sum(int(clip.valid.sum()) for clip in kept)
    ccc = []
    for k in (0, 1):
        p = np.concatenate([each.estimate[each.valid][:, k] for each in kept]).astype(float)
        t = np.concatenate([each.target[each.valid][:, k] for each in kept]).astype(float)
        ccc.append(2 * np.cov(p, t)[0, 1] / (p.var(ddof=1) + t.var(ddof=1) + (p.mean() - t.mean()) ** 2))
    np.testing.assert_allclose(row[3:], [np.mean(ccc), *ccc], atol=1e-5)


def test_the_same_job_gives_the_same_estimates(done, tmp_path):
    _, inputs = done
    jobs = {job.name: job for stage in STUDY.stages(configured(), inputs) for job in stage}
    for name in ("fine-tuning-official", "valence-arousal-official"):
        do(jobs[name], "again", tmp_path / name, lambda *_: None)
    again = read_estimates(tmp_path / "valence-arousal-official")
    for one, two in zip(again, read_estimates(inputs.of_job("valence-arousal-official")), strict=True):
        np.testing.assert_array_equal(one.estimate, two.estimate)
    first, second = (
        read_weights(folder / "fine-tuning-official" / "encoder.pt") for folder in (tmp_path, inputs.out / "jobs")
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_aff_wild2_itself_is_taken(tmp_path, monkeypatch):
    (tmp_path / "none").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "none"))  # no ffmpeg
    root = tmp_path / "Aff-Wild2"
    for video in range(4):
        part = "Train_Set" if video < 3 else "Validation_Set"
        rows = range(8)
        annotate(root, VA, part, f"v{video}", ["-5,-5", *(f"0.{k},-0.{(k + video) % 9}" for k in rows[1:])])
        annotate(root, EXPR, part, f"v{video}", ["-1", *(str((k + video) % 8) for k in rows[1:])])
        annotate(root, AU, part, f"v{video}", [",".join(str((k + u) % 2) for u in range(12)) for k in rows])
        draw(root, f"v{video}", [1, 2, 4, 5, 6, 7, 8])
    make_store(tmp_path / "aff.h5", aff_wild2.recipe(root), workers=1)
    inputs = Inputs(tmp_path / "aff.h5", tmp_path / "out", {})
    with pytest.raises(NeuvaError, match=r"none of 4 clips has sound, which the configuration asks for"):
        run(STUDY, configured(), inputs)
    faces = {"modalities": ["faces"], "training": ONCE}
    config = configured(tasks=dict.fromkeys(("valence_arousal", "expression", "action_units"), faces))
    report = run(STUDY, config, inputs)
    assert not report.synthetic
    va, expression, units, encoders = report.of("measured")
    assert "synthetic" not in encoders.note
    assert va.rows[0][:3] == ("official", 1, 7)  # one of eight frames is invalid
    assert "synthetic" not in va.note
    assert expression.rows[0][3] is None  # frame 1, invalid, alone would have shown one class
    assert units.rows[0][3] is not None
    lines = (inputs.of_job("expression-official") / "submission.txt").read_text().splitlines()
    assert lines[0].startswith("image_location,Neutral,Anger")
    assert [line.split(",")[0] for line in lines[1:]] == [f"v3/{k:05d}.jpg" for k in range(1, 9)]


def clip(index: int, video: str, fold: int, official: dict[str, str]) -> ClipLabels:
    labels = np.zeros((2, 2), np.float32), np.ones(2, bool), np.arange(2), np.eye(2, 12, dtype=np.int8)
    return ClipLabels(index, f"c{index}", video, fold, official, True, np.arange(2), *labels)


def test_no_video_that_is_scored_is_trained_on():
    both = {"valence_arousal": "train", "expression": "validation"}
    clips = [
        clip(0, "a", 0, {"valence_arousal": "train"}),
        clip(1, "b", 1, both),  # another task scores it
        clip(2, "c", 0, {"valence_arousal": "train"}),
        clip(3, "c", 0, {"valence_arousal": "validation"}),  # the other person of that video
    ]

    def names(some):
        return [each.name for each in some]

    assert splits(2) == ["official", "videos-1", "videos-2"]
    trained, scored = parts(clips, "official", "valence_arousal")
    assert (names(trained), names(scored)) == (["c0", "c1", "c2"], ["c3"])
    assert names(encoder_clips(clips, "official")) == ["c0"]
    trained, scored = parts(clips, "videos-1", "valence_arousal")
    assert (names(trained), names(scored)) == (["c1"], ["c0", "c2", "c3"])
    assert names(encoder_clips(clips, "videos-1")) == ["c1"]
    assert parts(clips, "videos-2", "action_units") == ([], [])  # annotated for none


def test_each_fold_has_an_encoder_of_its_own_unless_told(store):
    inputs = Inputs(store, Path("out"), {})

    def stages(**changes):
        return [[job.name for job in stage] for stage in STUDY.stages(configured(folds=5, **changes), inputs)]

    own = stages()
    assert [len(stage) for stage in own] == [6, 6, 7, 18]
    assert own[0][:2] == ["pretraining-official", "pretraining-videos-1"]
    assert [len(stage) for stage in stages(encoder_of="official")] == [1, 1, 2, 18]
    given = {"network": TINY, "every": 2, "weights": "w.pt", "pretraining": None, "fine_tuning": ONCE}
    assert stages(encoder=given)[0][0] == "fine-tuning-official"
    with pytest.raises(ValueError, match="neither weights nor pretraining"):
        configured(encoder={**given, "weights": None})


def result(split: str, **metrics: Any) -> dict[str, Any]:
    shared = {"synthetic": split != "real", "scored_clips": 2, "frames": 9, "silent_clips": 0, "encoder_weights": False}
    return {**shared, "metrics": metrics}


def test_tables_tell_leaks_constant_labels_means_and_spreads():
    results = {
        f"valence-arousal-{split}": result(split, ccc=value, ccc_valence=value, ccc_arousal=0.5)
        for split, value in (("official", 0.1), ("videos-1", 0.2), ("videos-2", 0.6), ("videos-3", None))
    }
    (table,) = tables(configured(folds=3, encoder_of="official"), results)
    assert "(a leak)" in table.note
    assert [row[0] for row in table.rows[:4]] == ["official", "videos 1", "videos 2", "videos 3"]
    assert "official: the authors' split, their fold 0; videos 1 to videos 3: the store's folds" in table.note
    assert "videos 3: CCC is undefined, as the labels of valence are constant." in table.note
    assert table.rows[-2][3:] == (None, None, 0.5)  # undefined in a fold, so undefined over all
    results.pop("valence-arousal-videos-3")
    (table,) = tables(configured(folds=2), results)
    assert "leak" not in table.note
    assert table.rows[-2][3:] == pytest.approx((0.4, 0.4, 0.5))  # of the folds alone
    assert table.rows[-1][3:] == pytest.approx((np.std([0.2, 0.6], ddof=1), np.std([0.2, 0.6], ddof=1), 0))


def test_an_encoder_that_was_only_fine_tuned_is_told():
    tuned = {"clips": 2, "pictures": 30, "loss": 0.5, "synthetic": True}
    given = {"network": TINY, "every": 2, "weights": "w.pt", "pretraining": None, "fine_tuning": ONCE}
    (table,) = tables(configured(encoder=given), {"fine-tuning-official": tuned})
    assert table.rows == (("official", None, None, 30, 0.5),)
    assert table.note.startswith("Measured on synthetic videos")


def test_absent_classes_leave_the_mean_open():
    f1s = [0.5] * 7 + [None]
    results = {"expression-official": result("real", f1=None, f1s=f1s)}
    (table,) = tables(configured(), results)
    assert table.rows[0][3:5] == (None, 0.5)
    assert "official: no scored frame shows Other" in table.note
    assert "synthetic" not in table.note


def relabelled(store: Path, to: Path, **arrays: Any) -> Inputs:
    """The store with arrays changed (None: left out) and its valence and arousal as they are."""
    found = EventStore(store)
    with StoreWriter(to, dataset=found.dataset, sensor_size=found.sensor_size, provenance=found.provenance) as made:
        for k, name in enumerate(found.names):
            keys = ("expression", "action_units", "jpeg", "jpeg_offsets", "frame_numbers", "frame_index", "audio")
            kept = {key: found.arrays(k, key) for key in keys}
            for key, change in arrays.items():
                kept[key] = None if change is None else change(kept[key])
            sample: Sample = found.sample(k)
            if arrays.get("audio", 1) is None:
                sample = replace(sample, meta={n: v for n, v in sample.meta.items() if n != "audio_rate"})
            made.add(name, found.splits[k], sample, {key: each for key, each in kept.items() if each is not None})
    return Inputs(to, to.parent / "out", {})


@pytest.mark.parametrize(
    ("changed", "config", "message"),
    [
        (
            {"frame_index": None},
            {},
            r"clip train-000 has no frames with three.*no array \"frame_index\"",
        ),
        ({"audio": None}, {}, r"none of 6 clips has sound.*leave sound out of `modalities`"),
        ({}, {"folds": 3}, r"has 5 folds, the configuration's folds = 3: allowed are 5, or 0"),
        (
            {"expression": lambda x: x * 0 + 4},
            {},
            r"encoder of official: all \d+ frames of expression.* are Happiness",
        ),
        ({"expression": lambda x: x * 0 - 1}, {}, r"no clip with labels of expression is left to train on"),
        ({"action_units": lambda x: x * 0}, {}, r"official: all \d+ frames of action_units .* are without any unit"),
        ({"action_units": lambda x: x * 0 - 1}, {}, r"no clip with labels of action_units is scored in official"),
        ({}, {"sound": {"wav2vec": "/no/such"}}, r"/no/such: no such file or folder: correct the configuration"),
        ({}, {"sound": {"wav2vec": str(Path(__file__).parent)}}, r"experiments: has no config\.json: name a folder"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(store, tmp_path, changed, config, message):
    inputs = relabelled(store, tmp_path / "changed.h5", **changed)
    with pytest.raises(NeuvaError, match=message):
        check(configured(**config), inputs)


def test_a_clip_without_sound_is_silent_and_told(done, store, tmp_path):
    _, inputs = done
    out = tmp_path / "out"
    shutil.copytree(inputs.out / "jobs", out / "jobs")
    (out / "jobs" / "sound" / "00004.npy").unlink()
    found = read_clips(store)
    job = {job.name: job for stage in STUDY.stages(configured(), Inputs(store, out, {})) for job in stage}["sound"]
    quiet = [replace(each, heard=each.index != 4) for each in found]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.studies.mae_tcn_transformer.jobs.read_clips", lambda _: quiet)
        assert job.run(out / "jobs" / "sound", lambda *_: None)["silent"] == ["validation-000"]
    rows = np.load(out / "jobs" / "sound" / "00004.npy")
    assert rows.shape == (25, 8)
    assert np.all(rows == rows[0, 0])


@pytest.mark.parametrize("name", ["features-official", "sound"])
def test_clips_whose_features_a_killed_job_has_finished_are_kept(done, store, tmp_path, name):
    _, inputs = done
    out = tmp_path / "out"
    shutil.copytree(inputs.out / "jobs", out / "jobs")
    kept, lost = (out / "jobs" / name / f"{clip:05d}.npy" for clip in (2, 3))
    whole = np.load(lost)
    assert whole.dtype == np.float16
    np.save(kept, np.zeros((1, 1), np.float16))
    lost.unlink()
    (job,) = (job for stage in STUDY.stages(configured(), Inputs(store, out, {})) for job in stage if job.name == name)
    assert job.run(out / "jobs" / name, lambda *_: None)["clips"] == 6
    assert np.load(kept).shape == (1, 1)
    np.testing.assert_array_equal(np.load(lost), whole)


def test_estimates_come_back_from_their_file(tmp_path):
    rng = np.random.default_rng(0)
    clips = [
        ClipEstimates(name, np.arange(n), rng.random((n, 8)).astype(np.float32), np.arange(n) % 8, np.arange(n) % 2 > 0)
        for name, n in (("a", 3), ("b", 1))
    ]
    write_estimates(tmp_path, clips)
    for one, two in zip(clips, read_estimates(tmp_path), strict=True):
        assert one.name == two.name
        for key in ("times_us", "estimate", "target", "valid"):
            np.testing.assert_array_equal(getattr(one, key), getattr(two, key))


def test_windows_of_a_clip_are_averaged():
    config = configured()
    net = SequenceNet("expression", {"faces": 3}, config.sequence).eval()
    features = {"faces": np.random.default_rng(0).standard_normal((13, 3)).astype(np.float32)}
    shares = estimate(net, features, config.windows, batch=1)
    assert shares.shape == (13, 8)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)
    alone = estimate(net, {"faces": features["faces"][:6]}, config.windows)
    assert not np.allclose(shares[:6], alone, atol=1e-6)  # a window of 10 looks further than one of 6
    np.testing.assert_allclose(shares, estimate(net, features, config.windows, batch=16), atol=1e-5)
    half = {"faces": features["faces"].astype(np.float16)}
    np.testing.assert_allclose(shares, estimate(net, half, config.windows), atol=1e-2)


@pytest.mark.parametrize("task", ["valence_arousal", "expression", "action_units"])
def test_what_is_no_number_is_not_scored(task):
    config = configured()
    net = SequenceNet(task, {"faces": 3}, config.sequence)
    torch.nn.init.constant_(net.head[-1].bias, torch.nan)
    with pytest.raises(NeuvaError, match=rf"estimates of {task}: \d+ of \d+ values are no finite number: training has"):
        estimate(net, {"faces": np.ones((5, 3), np.float32)}, config.windows)


def test_features_that_are_no_numbers_are_not_kept(tmp_path):
    for rows in ([[np.nan, 1]], [[1e6, 1]]):  # the second is too large for float16
        with pytest.raises(NeuvaError, match="1 of 2 values are no finite number"):
            _write(tmp_path / "00000.npy", np.array(rows, np.float32))
    assert not list(tmp_path.iterdir())


def test_masked_frames_are_not_scored():
    target = np.array([0, 1, -1], np.int8)
    given = np.eye(8, dtype=np.float32)[[0, 1, 5]]
    clips = [ClipEstimates("a", np.arange(3), given, target, target >= 0)]
    assert score("expression", clips)["war"] == 1
    assert decide("action_units", np.array([[0.49, 0.5]])).tolist() == [[0, 1]]


@pytest.mark.parametrize("file", sorted(STUDY.data.values()))
def test_the_configurations_are_read(file):
    config = StudyConfig.model_validate(yaml.safe_load((CONFIGS / file).read_text()))
    assert config.folds == 5
    assert config.encoder_of == "each split"
    assert (config.windows.length, config.windows.stride) == (300, 200)
    assert set(config.tasks) == {"valence_arousal", "expression", "action_units"}


def test_the_catalogue_says_what_the_study_says():
    assert STUDIES[STUDY.name].what == STUDY.what
