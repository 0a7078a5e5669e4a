"""The SEEN study: its protocol by hand, on tiny stores, and whole on a replica of SEE."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from datasets import see
from datasets.events import Events
from datasets.making import make_store
from datasets.sample import Sample
from datasets.see import EMOTIONS, LIGHTINGS
from datasets.store import EventStore, StoreWriter
from experiments.config import read_config
from experiments.studies.catalogue import CONFIGS, study_called
from experiments.studies.runner import run
from experiments.studies.seen import STUDY, chips, drawing, speed, training
from experiments.studies.seen.clips import KINDS, NAME, Clips, prepare, require_clips, resized
from experiments.studies.seen.config import SeenConfig, Size, Training
from experiments.studies.seen.scores import scores
from experiments.studies.seen.tables import WHAT, tables
from experiments.studies.seen.training import train
from experiments.studies.seen.trunk import host_answer, record, trunk
from experiments.studies.study import Inputs
from neuva import NeuvaError
from snn.networks.seen import ABLATIONS, SAMPLINGS, SeenNet, SeenSpec, lif

SIDE = 24
TINY = SeenConfig(
    settings=("E4-S0",),
    deployed="E4-S0",
    network=Size(side=SIDE, channels=(4, 6, 8), hidden=8),
    training=Training(epochs=2, batch=8, lr=0.05),
    normalisation=None,
    runs=2,
    selected_from=1,
)


def silent(*_) -> None:
    """Progress nobody looks at."""


def write(
    path: Path, emotions: dict[str, tuple[str, ...]], dataset: str = "see", arrays=("event_frames", "frames"), short=-1
):
    """A clip for each emotion named of a split; picture k of clip c is of grey 10 c + k, event frames 100 brighter.

    Clip number `short` lacks a frame.
    """
    with StoreWriter(path, dataset=dataset, sensor_size=(SIDE, SIDE), provenance={"split": "disjoint"}) as store:
        for split, names in emotions.items():
            for emotion in names:
                number = len(store.finished)
                n = 6 + number % 3
                grey = (10 * number + np.arange(n, dtype=np.uint8))[:, None, None]
                noise = np.random.default_rng(number).integers(0, 2, (n, SIDE, SIDE), np.uint8)
                pictures = {
                    "frames": (grey * np.ones_like(noise))[number == short :],
                    "event_frames": 100 + grey + noise,
                }
                meta = {
                    "volunteer": f"{split}{number}", "lighting": LIGHTINGS[number % 4], "emotion": emotion,
                }  # fmt: skip
                times, labels = np.arange(n) * 33_333, np.zeros((n, 2), np.float32)
                sample = Sample(Events.empty((SIDE, SIDE)), times, labels, np.zeros(n, bool), meta)
                store.add(f"{split}/{number}", split, sample, {key: pictures[key] for key in arrays})
    return path


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Inputs:
    folder = tmp_path_factory.mktemp("seen")
    store = write(folder / "see.h5", {"train": EMOTIONS[:6], "test": EMOTIONS[:3], "validation": EMOTIONS[:1]})
    inputs = Inputs(store, folder / "out", {})
    inputs.of_job(NAME).mkdir(parents=True)
    told = prepare(TINY, inputs, inputs.of_job(NAME), silent)
    assert told["clips"] == {"train": 6, "test": 3}
    assert told["absent"] == list(EMOTIONS[3:])
    assert told["shared"] == 0
    assert told["synthetic"] is False
    return inputs


def test_random_clips_are_of_their_own_sequence_and_as_sampled(prepared):
    clips = Clips.load(TINY, prepared, "train")
    rows, rng = np.array([4, 0, 4]), np.random.default_rng(0)
    for _ in range(20):
        frames, events = clips.draw(rows, SAMPLINGS["E4-S1"], rng)
        assert frames.shape == events.shape == (3, 4, 3, SIDE, SIDE)
        (mean, deviation), (event_mean, event_deviation) = clips.moments[1], clips.moments[0]
        grey = torch.round(255 * (frames[:, :, 0, 0, 0] * deviation + mean)).int()
        assert (torch.div(grey, 10, rounding_mode="floor") == torch.as_tensor(rows)[:, None]).all()
        assert (grey.diff(dim=1) % 2 == 0).all()  # every second picture, or from the start again
        event = torch.round(255 * (events[:, :, 0, 0, 0] * event_deviation + event_mean)).int() - 100
        assert ((event - grey) * (event - grey - 1) == 0).all()  # the same moments, but for the noise of 0 or 1


def test_pictures_are_resized_as_the_network_wants_them():
    pictures = np.zeros((2, 40, 60), np.uint8)
    pictures[:, :, 30:50] = 200  # the right half of the middle square, columns 10 to 50
    small = resized(pictures, 20)
    assert small.shape == (2, 20, 20)
    assert (small[:, :, :9] == 0).all()
    assert (small[:, :, 11:] == 200).all()


def logits_of(answers: list[list[int]]) -> np.ndarray:
    return np.eye(7)[np.array(answers)]


def test_scores_are_means_of_the_runs_and_no_vote():
    emotion, lighting = np.array([0, 0, 1]), np.array([0, 2, 2])
    found = scores(logits_of([[0, 0, 1], [0, 1, 1], [1, 0, 0]]), emotion, lighting)
    assert found["war"]["mean"] == pytest.approx((1 + 2 / 3 + 1 / 3) / 3)  # a vote, [0, 0, 1], would give 1
    assert found["war"]["sd"] == pytest.approx(1 / 3)
    assert found["recalls"]["angry"] == {
        "mean": pytest.approx(2 / 3),
        "sd": pytest.approx(np.std([1, 0.5, 0.5], ddof=1)),
    }
    assert found["recalls"]["fear"] == {"mean": None, "sd": None}
    assert found["uar"] == {"mean": None, "sd": None}  # five emotions are absent
    assert found["lightings"]["low"]["mean"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert found["lightings"]["hdr"] == {"mean": None, "sd": None}
    assert np.array(found["confusion"])[:2, :2].tolist() == [[4, 2], [1, 2]]
    assert scores(logits_of([[0, 0, 1]]), emotion, lighting)["war"] == {"mean": 1.0, "sd": None}


def test_what_is_no_number_is_not_scored():
    logits = logits_of([[0, 0, 1]])
    logits[0, 1, 4] = np.nan
    with pytest.raises(NeuvaError, match="logits of the test clips: 1 of 21 values are no finite number"):
        scores(logits, np.array([0, 0, 1]), np.zeros(3, int))


def test_a_vote_would_score_otherwise():
    emotion, lighting = np.arange(7), np.zeros(7, int)
    wrong = [
        [(k + (k % 3 == run)) % 7 for k in range(7)] for run in range(3)
    ]  # each sequence wrong in one run of three
    votes = np.array([np.bincount(column, minlength=7).argmax() for column in np.array(wrong).T])
    assert (votes == emotion).all()
    found = scores(logits_of(wrong), emotion, lighting)
    assert (found["war"]["mean"], found["uar"]["mean"]) == pytest.approx((2 / 3, 2 / 3))


def test_training_is_repeatable_and_tells_the_last_epoch(prepared, tmp_path):
    results = [train("E4-S0", "M", TINY, prepared, tmp_path / name, silent) for name in "ab"]
    assert results[0] == results[1]
    first, second = (dict(np.load(tmp_path / name / "answers.npz")) for name in "ab")
    assert first["logits"].shape == (2, 3, 7)
    assert (first["logits"] == second["logits"]).all()
    assert results[0]["last"]["war"] == scores(**first)["war"]


def test_the_best_epoch_on_the_test_clips_stands_beside_the_last_alone(prepared, tmp_path, monkeypatch):
    right, wrong = logits_of([[0, 1, 2]] * 2), logits_of([[6, 6, 2]] * 2)
    epochs = iter([right, wrong])  # of the second epoch and the third
    monkeypatch.setattr(training, "answers", lambda *_: next(epochs))
    config = TINY.model_copy(update={"training": Training(epochs=3, batch=8), "selected_from": 2})
    found = train("E4-S0", "M", config, prepared, tmp_path, silent)
    assert found["last"]["war"]["mean"] == pytest.approx(1 / 3)
    assert found["test_selected"] == {"epoch": 2, "war": 1.0, "uar": None, "rank": 1.0}
    shown = {table.name: table for table in tables(config, {"E4-S0": found})}
    assert shown["recognition"].rows[0][-3] == pytest.approx(100 / 3)
    assert shown["test-selected"].rows[0] == ("E4-S0", pytest.approx(100 / 3), None, 100.0, None, 2)
    assert "of those from 2 on" in shown["test-selected"].note
    assert "no result" in shown["test-selected"].note


def test_moments_are_those_of_all_training_pictures_looked_at_one_by_one(prepared, monkeypatch):
    sizes, count = [], np.bincount
    monkeypatch.setattr(np, "bincount", lambda x, **more: sizes.append(x.size) or count(x, **more))  # copies as int64
    moments = Clips.load(TINY, prepared, "train").moments
    assert set(sizes) == {SIDE**2}
    for found, key in zip(moments, KINDS, strict=True):
        grey = np.load(prepared.of_job(NAME) / f"train-{key}.npy") / 255
        assert found == pytest.approx((grey.mean(), grey.std()))


def test_pictures_that_are_not_as_many_as_their_times_are_refused(tmp_path):
    path = write(tmp_path / "see.h5", {"train": EMOTIONS[:2], "test": EMOTIONS[:2]}, short=3)
    with pytest.raises(NeuvaError, match=r"clip test/3 has 5 frames for 6 times, needed as many, 1 or more"):
        prepare(TINY, Inputs(path, tmp_path, {}), tmp_path, silent)


@pytest.fixture(scope="module")
def firing() -> SeenNet:
    torch.manual_seed(0)
    net = SeenNet(SeenSpec(side=SIDE, channels=(4, 6, 8), hidden=8)).eval()
    with torch.no_grad():
        for name, each in net.named_parameters():
            if name.endswith("weight") and each.ndim > 1:
                each.mul_(3)  # or nothing fires
    return net


def test_what_is_put_on_a_chip_sends_the_very_spikes_of_the_network(firing):
    frames, events = torch.randn(2, 3, 4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    found, chip = record(firing, frames, events), trunk(firing)
    torch.testing.assert_close(found.logits, firing(frames, events))
    torch.testing.assert_close(host_answer(firing, found.hidden), found.logits)
    assert min(found.rates) > 0.01
    for clip in range(3):
        sent = {}
        for biased in (True, False):
            chip.layers[-1].synapse.bias.data = (found.bias[clip] if biased else firing.head.fc1.bias).clone()
            x = found.first[:, clip : clip + 1]
            for layer in chip.layers:
                x, _ = layer(x)
            sent[biased] = x[:, 0, :, 0, 0]
        assert torch.equal(sent[True], found.hidden[:, clip])
        assert not torch.equal(sent[False], found.hidden[:, clip])  # without Js
    seen, _ = lif(firing.spatial(frames)[0].flatten(1)[None])
    torch.testing.assert_close(found.bias, firing.head.fc1(seen[0]))


def test_loihis_integers_answer_as_the_network_does(firing):
    frames, events = torch.randn(2, 6, 4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    found = record(firing, frames, events)
    program = chips.check(chips._program(trunk(firing), "loihi2", found)).program
    told = chips.emulate(firing, program, found)
    assert told["clips"] == 6
    assert told["same"] >= 5
    assert told["mismatch"] < 0.2
    assert 0 < told["joules"]["low"] < told["joules"]["typical"]


def test_synops_are_rate_times_fan_out():
    net = trunk(SeenNet(SeenSpec(side=SIDE, channels=(4, 6, 8), hidden=8)))
    checked = chips.check(chips._speck(net, "speck2f", torch.zeros(4, 1, *net.spec.input_shape)))
    third = 8 * 2 * 2  # what fc1 hears
    assert chips._told(checked, [0, 0, 0.25])["synops"] == pytest.approx(4 * 0.25 * third * 8)
    taps = 6 * 3 - 1  # along a side of 12 places: 6 outputs of 3 taps, of which the first hears padding by one
    assert chips._told(checked, [1, 0, 0])["synops"] == pytest.approx(4 * 4 * 6 * taps**2)


@pytest.mark.parametrize(
    ("emotions", "arrays", "message"),
    [
        ({"train": ("fear",) * 3, "test": EMOTIONS}, ("event_frames", "frames"), "split train show fear, needed 2"),
        ({"train": EMOTIONS, "test": ("fear",)}, ("event_frames", "frames"), "split test show fear, needed 2"),
        ({"train": EMOTIONS}, ("event_frames", "frames"), "no clips to test on"),
        ({"train": EMOTIONS, "test": EMOTIONS}, ("frames",), 'no array "event_frames"'),
        ({"train": EMOTIONS, "test": EMOTIONS}, ("event_frames",), 'no array "frames"'),
        ({"train": (*EMOTIONS, "pride"), "test": EMOTIONS}, ("event_frames", "frames"), "emotion pride, allowed angry"),
    ],
)
def test_a_store_that_will_not_do_is_refused(tmp_path, emotions, arrays, message):
    store = EventStore(write(tmp_path / "see.h5", emotions, arrays=arrays))
    with pytest.raises(NeuvaError, match=message):
        require_clips(store)


def test_a_store_of_another_data_set_is_refused(tmp_path):
    path = write(tmp_path / "other.h5", {"train": EMOTIONS, "test": EMOTIONS}, dataset="nefer")
    with pytest.raises(NeuvaError, match="study seen takes see or synthetic-eyes"):
        STUDY.check(TINY, Inputs(path, tmp_path, {}))


def test_configurations_are_read_and_the_real_ones_are_the_published_values():
    assert read_config(CONFIGS / STUDY.data["see"], SeenConfig) == SeenConfig()
    small = read_config(CONFIGS / STUDY.data["synthetic-eyes"], SeenConfig)
    assert small.settings == SeenConfig().settings
    assert study_called("seen") is STUDY
    every = SeenConfig(ablations="all").trainings()
    assert len(every) == len(set(every)) == 6 + 12 * 3
    with pytest.raises(ValidationError, match="ablation H of E4-S0: hidden 30 must be a multiple of"):
        SeenConfig(ablations=("H",), network=Size(hidden=30))
    with pytest.raises(ValidationError, match="deployed E4-S3 is not among settings"):
        SeenConfig(settings=("E4-S0",))


def test_nothing_done_makes_no_tables_and_every_ablation_is_named():
    assert tables(SeenConfig(), {}) == []
    assert WHAT.keys() == ABLATIONS.keys()


@pytest.fixture
def replica(tmp_path) -> Path:
    """SEE as it is published, tiny: nine volunteers in two splits, three emotions."""
    root, database = tmp_path / "SEE", {}
    for number in range(27):
        volunteer, emotion = number // 3, ("angry", "fear", "surprise")[number % 3]
        name = f"{number}_{volunteer:03d}_man_24_Master_{LIGHTINGS[volunteer % 4]}_{emotion}_6_take{number:03d}"
        rng = np.random.default_rng(number)
        for tree in ("event", "frame"):
            (folder := root / tree / emotion / name).mkdir(parents=True)
            for k in range(6):
                cv2.imwrite(str(folder / f"{k:05d}.jpg"), rng.integers(0, 256, (30, 30), np.uint8))
        database[name] = {"subset": "testing" if number % 4 == 3 else "training"} | {
            "annotations": {"label": emotion, "segment": [0, 6]}
        }
    (root / "emotion.json").write_text(json.dumps({"labels": EMOTIONS, "database": database}))
    return root


def test_the_whole_study_on_a_replica_of_see(replica, tmp_path, monkeypatch):
    monkeypatch.setattr(chips, "SeenSpec", partial(SeenSpec, side=32, channels=(4, 8, 8), hidden=8))
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    store, out = tmp_path / "see.h5", tmp_path / "out"
    make_store(store, see.recipe(replica, split="official"), workers=1)
    config = TINY.model_copy(update={"ablations": ("K",), "ablation_settings": ("E4-S0",)})
    run(STUDY, config, Inputs(store, out, {}))
    results = {each.parent.name: json.loads(each.read_text())["result"] for each in out.glob("jobs/*/result.json")}
    assert results.keys() == {NAME, "E4-S0", "E4-S0-K", "chips", "speed"}
    shown = {table.name: table for table in tables(config, results)}
    assert shown.keys() == {"recognition", "spread", "ablations", "test-selected", "speed", "chips"}
    (row,) = shown["recognition"].rows
    told = dict(zip(shown["recognition"].headings, row, strict=True))
    assert told["setting"] == "E4-S0"
    assert told["happiness"] is told["UAR"] is None
    assert told["WAR"] == pytest.approx(100 * results["E4-S0"]["last"]["war"]["mean"], abs=0.05)
    note = shown["recognition"].note
    assert "split official, 6 of 9 volunteers both trained and tested on" in note
    assert "no test sequence shows disgust, happiness, neutral, sadness, so UAR is undefined" in note
    assert "synthetic" not in note
    assert [row[0] for row in shown["ablations"].rows] == ["K", "M"]
    fits = {(row[1], row[2]): row[3] for row in shown["chips"].rows if row[0].startswith("second")}
    assert fits == {
        ("trained here", "Loihi 2"): "yes", ("trained here", "Speck 2f"): "in size",
        ("published", "Loihi 2"): "yes", ("published", "Speck 2f"): "in size",
    }  # fmt: skip
    assert {path.name for path in out.glob("*.png")} == {"eyes.png", "confusion.png", "emotions.png"}
    assert {"trunk.nir", "trunk-loihi2.h5", "trunk-speck2f.h5"} <= {path.name for path in out.glob("jobs/chips/*")}


def test_eyes_are_drawn_with_the_events_of_their_moment():
    frames, events = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((1, 5, 5), np.uint8), np.full((4, 5, 5), 128)
    events[1, 0, 0], events[2, :2] = 255, 0  # most of the third
    frame, seen = drawing._liveliest(frames, events.astype(np.uint8))
    assert (frame == 2).all()
    assert np.array_equal(seen, events[2])
