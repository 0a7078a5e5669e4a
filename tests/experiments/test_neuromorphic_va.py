"""The study of neuromorphic valence and arousal: what networks see, folds, emotions, and all of it on tiny stores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from datasets.afew_va import recipe as afew_va
from datasets.events import EVENT_DTYPE, Events
from datasets.making import make_store
from datasets.nefer import recipe as nefer
from datasets.sample import Sample
from datasets.store import EventStore, StoreWriter
from experiments.clips import Cut, EventClip
from experiments.config import read_config
from experiments.studies.fitting import save_weights
from experiments.studies.neuromorphic_va import STUDY, pictures
from experiments.studies.neuromorphic_va.clips import ClipSet, event_pictures, face_picture, folds_of, make_clips
from experiments.studies.neuromorphic_va.config import NeuromorphicVa, Training
from experiments.studies.neuromorphic_va.emotions import _score, all_estimates, clip_stretches, expression_stretches
from experiments.studies.neuromorphic_va.models import SpikingEstimator, build
from experiments.studies.neuromorphic_va.prototypes import wheel
from experiments.studies.neuromorphic_va.training import Windows, load, train
from experiments.studies.neuromorphic_va.variants import View, main_variant, variants
from experiments.studies.runner import run
from experiments.studies.study import Inputs
from neuva import NeuvaError
from snn.metrics import affect_metrics
from tests.datasets.test_afew_va import write_clip
from tests.datasets.test_nefer import CLIPS, evt3, head_events, write_lists

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs" / "studies"
SIDE, FRAMES = 16, 12
NAMES = ["neutral", "happiness", "fear"]
RESNET = {"stem": 4, "widths": [4, 4], "depths": [1, 1]}
TINY = {
    "folds": 2,
    "pictures": {"side": 16, "shown": 16},
    "training": {"epochs": 1, "batch": 2, "window": 4},
    "models": {"resnet": {"kind": "resnet", "backbone": RESNET}},
}
NETWORK = {
    "target": "loihi",
    "input_shape": [2, 16, 16],
    "dt_us": 20_000,
    "every": 2,
    "layers": [{"kind": "conv", "channels": 4, "kernel": [3, 3], "stride": [2, 2], "neuron": {"beta": 0.9}}],
}


def config(**changes) -> NeuromorphicVa:
    return NeuromorphicVa.model_validate({**TINY, **changes})


def silent(*_) -> None:
    pass


def random_events(seed: int, frames: int = FRAMES) -> Events:
    rng = np.random.default_rng(seed)
    array = np.zeros(300, EVENT_DTYPE)
    array["t"] = np.sort(rng.integers(0, frames * 40_000, len(array)))
    for name, top in (("x", SIDE), ("y", SIDE), ("p", 2)):
        array[name] = rng.integers(0, top, len(array))
    return Events(array, (SIDE, SIDE))


def write_faces(
    path: Path, clips: int = 4, labels=None, dataset: str = "synthetic-faces", arrays=("frames",), mask=None, start_us=0
) -> Path:
    """Clips of 12 frames; every subject has two of them."""
    with StoreWriter(path, dataset=dataset, sensor_size=(SIDE, SIDE), provenance={}) as store:
        for k in range(clips):
            rng = np.random.default_rng(k)
            times = 40_000 * np.arange(1, FRAMES + 1)
            va = rng.uniform(-1, 1, (FRAMES, 2)).astype(np.float32) if labels is None else labels(k)
            valid = np.ones(FRAMES, bool) if mask is None else mask(k)
            meta = {"start_us": start_us, "subject": str(k // 2), "synthetic": True, "expressions": NAMES}
            expression = np.repeat([1, 0, 2], [6, 1, 5])
            given = {"frames": rng.integers(0, 255, (FRAMES, SIDE, SIDE)).astype(np.uint8), "expression": expression}
            kept = {name: array for name, array in given.items() if name in (*arrays, "expression")}
            store.add(f"c{k}", "train", Sample(random_events(k), times, va, valid, meta), kept)
    return path


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces") / "faces.h5")


@pytest.fixture(scope="module")
def clips(faces, tmp_path_factory) -> ClipSet:
    folder = tmp_path_factory.mktemp("clips")
    make_clips(faces, config(), View("binary", SIDE, 8), folder, silent)
    return ClipSet.read(folder)


def event_clip(events: Events) -> EventClip:
    times, labels = 40_000 * np.arange(1, FRAMES + 1), np.zeros((FRAMES, 2), np.float32)
    sample = Sample(events, times, labels, np.ones(FRAMES, bool), {"start_us": 0})
    return EventClip.of("c", sample, Cut((2, SIDE, SIDE), "binary", 40_000, 1))


def binary(events: Events, bits: int, weight) -> np.ndarray:
    """The definition, pixel by pixel."""
    dt_us, frames = 40_000 // bits, np.zeros((FRAMES, 1, SIDE, SIDE), np.int64)
    for k in range(FRAMES):
        for i in range(bits):
            start = k * 40_000 + i * dt_us
            for event in events.array:
                if start <= event["t"] < start + dt_us:
                    frames[k, 0, event["y"], event["x"]] |= 1 << weight(i)
    return frames


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_binary_pictures_are_the_bits_of_a_frame(bits):
    events = random_events(bits)
    seen = event_pictures(event_clip(events), 40_000, View("binary", SIDE, bits))
    assert seen.dtype == (np.uint16 if bits > 8 else np.uint8)
    assert np.array_equal(seen, binary(events, bits, lambda i: i))
    first_weighs_most = binary(events, bits, lambda i: bits - 1 - i)
    assert np.array_equal(seen, first_weighs_most) == (bits == 1)


def test_spikes_are_the_frames_steps_one_after_the_other():
    events = random_events(3)
    seen = event_pictures(event_clip(events), 40_000, View("spikes", SIDE, 2))
    assert seen.shape == (FRAMES, 4, SIDE, SIDE)
    wanted = np.zeros_like(seen)
    for event in events.array:
        frame, step = divmod(int(event["t"]) // 20_000, 2)
        wanted[frame, 2 * step + event["p"], event["y"], event["x"]] = 1
    assert np.array_equal(seen, wanted)


def test_a_spiking_network_gets_its_steps_in_their_order():
    net = SpikingEstimator(config(models={"s": {"kind": "spiking", "network": NETWORK}}).models["s"].network)
    x = torch.arange(3 * 4).reshape(1, 3, 4, 1, 1).expand(2, -1, -1, 16, 16).float()
    steps = net.steps(x)
    assert steps.shape == (6, 2, 2, 16, 16)
    assert steps[:, 0, :, 0, 0].flatten().tolist() == list(range(12))
    assert net(x.clamp(0, 1)).shape == (2, 3, 2)


@pytest.mark.parametrize("side", [16, 8, 32])
def test_a_face_is_cut_where_its_box_is(side):
    frame = np.zeros((64, 80), np.uint8)
    frame[20:36, 30:46] = 200
    frame[20:28, 30:38] = 100
    cut = face_picture(frame, np.array([38.0, 28.0, 16.0]), side)  # the square's own box
    quarter = side // 4
    assert cut.shape == (side, side)
    assert (cut[quarter, quarter], cut[quarter, -quarter], cut[-quarter, quarter]) == (100, 200, 200)
    assert face_picture(frame, np.array([8.0, 8.0, 32.0]), side)[0, 0] == 0  # outside the picture
    noise = np.random.default_rng(0).integers(0, 255, (64, 80)).astype(np.uint8)
    assert np.array_equal(
        face_picture(noise, np.array([38.0, 28.0, side]), side), noise[28 - side // 2 :, 38 - side // 2 :][:side, :side]
    )


def test_grey_frames_are_those_of_the_labels(faces, tmp_path):
    make_clips(faces, config(), View("grey", SIDE), tmp_path, silent)
    read, store = ClipSet.read(tmp_path), EventStore(faces)
    for clip, name in enumerate(read.names):
        index = store.names.index(name)
        assert np.array_equal(read.pictures[read.rows(clip)][:, 0], store.arrays(index, "frames"))
        assert np.array_equal(read.labels[read.rows(clip)], store.labels(index)[1])
        assert np.array_equal(read.times[read.rows(clip)], store.labels(index)[0])


def test_folds_keep_people_together(faces):
    store = EventStore(faces)
    folds = folds_of(store, config())
    assert sorted(folds) == [0, 1, 2, 3]
    assert folds[0] == folds[1] != folds[2] == folds[3]
    assert len(folds_of(store, config(clips_at_most=3))) == 3
    with pytest.raises(NeuvaError, match="folds = 3, but the 4 clips taken show 2 people"):
        folds_of(store, config(folds=3))


def test_a_store_without_all_of_its_folds_is_refused(tmp_path):
    with StoreWriter(tmp_path / "a.h5", dataset="afew-va", sensor_size=(SIDE, SIDE), provenance={}) as store:
        for fold in (0, 2):
            times, labels = np.array([40_000]), np.zeros((1, 2), np.float32)
            store.add(f"c{fold}", f"fold{fold}", Sample(random_events(0), times, labels, np.ones(1, bool), {}))
    with pytest.raises(NeuvaError, match=r"has clips of folds \[0, 2\], needed are 0 to 4"):
        folds_of(EventStore(tmp_path / "a.h5"), config(folds=5))


def windows(clips: ClipSet, window: int, flip: bool = False) -> Windows:
    rows = np.flatnonzero(clips.folds[clips.clip_of] == 0)
    return Windows(clips, rows, 255, Training(batch=64, window=window, flip=flip), torch.Generator().manual_seed(1))


def test_windows_are_stretches_of_the_clips_to_train_on(clips):
    x, labels, mask = windows(clips, window=5).draw()
    assert x.shape == (64, 5, 1, SIDE, SIDE)
    assert mask.all()
    starts = set()
    for k in range(64):
        row = int(np.flatnonzero((clips.labels == labels[k, 0].numpy()).all(1))[0])
        assert clips.folds[clips.clip_of[row]] == 0
        assert clips.clip_of[row] == clips.clip_of[row + 4]
        assert np.array_equal(labels[k], clips.labels[row : row + 5])
        assert np.allclose(x[k], clips.pictures[row : row + 5] / 255)
        starts.add(row - clips.bounds[clips.clip_of[row]])
    assert starts == set(range(FRAMES - 4))  # the last window too


def test_what_lies_behind_a_short_clip_is_masked(clips):
    x, _, mask = windows(clips, window=FRAMES + 3).draw()
    assert mask.sum(1).tolist() == [FRAMES] * 64
    assert torch.equal(x[:, -1], x[:, FRAMES - 1])


def test_half_of_the_windows_are_mirrored(clips):
    plain, mirrored = windows(clips, 5).draw()[0], windows(clips, 5, flip=True).draw()[0]
    turned = [not torch.equal(a, b) and torch.equal(a.flip(-1), b) for a, b in zip(plain, mirrored, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(plain, mirrored, strict=True)]
    assert all(t or s for t, s in zip(turned, same, strict=True))
    assert 16 < sum(turned) < 48


def test_prototypes_are_the_published_ratings():
    assert wheel().names == ("Disgust", "Contempt", "Happiness", "Fear", "Anger", "Surprise", "Sadness")
    assert wheel().places[2].tolist() == pytest.approx([(8.48 - 5) / 4, (6.5 - 5) / 4])
    assert np.array_equal(wheel().nearest(wheel().places), np.arange(7))
    assert wheel().names[int(wheel().nearest(np.array([[0.2, 0.3]]))[0])] == "Surprise"
    assert wheel().numbers(["Fear", "None"]).tolist() == [3, -1]
    assert "10.3758/s13428-012-0314-x" in wheel().source


def test_emotions_that_are_none_are_left_out():
    score = _score(np.array([2, 2, 3, 0]), np.array([2, 3, 3, -1]), 1)
    assert (score["clips"], score["left_out"]) == (3, 1)
    assert score["war"] == pytest.approx(2 / 3)
    assert score["majority"] == pytest.approx(2 / 3)
    assert score["uar"] is None  # five emotions are never labelled
    assert score["confusion"][3] == (0, 0, 1, 1, 0, 0, 0)
    assert _score(np.array([1]), np.array([-1]), 1)["war"] is None


def test_runs_of_an_expression_are_clips(faces, clips):
    found = list(expression_stretches(EventStore(faces), clips))
    assert [(s.rows.start, s.rows.stop, s.emotions["drawn"]) for s in found[:3]] == [
        (0, 6, "Happiness"),
        (7, 12, "Fear"),  # one neutral frame before it is too short
        (12, 18, "Happiness"),
    ]
    assert len(found) == 8


def test_training_is_repeatable_kept_and_tested_on_the_other_fold(faces, clips, tmp_path):
    tiny, folder = config(), tmp_path / "jobs" / "clips"
    make_clips(faces, tiny, View("binary", SIDE, 8), folder, silent)
    variant, inputs = main_variant(tiny, "resnet"), Inputs(faces, tmp_path, {})
    results = [train(tiny, variant, fold, folder, inputs.of_job(variant.of_fold(fold)), silent) for fold in (0, 1)]
    assert train(tiny, variant, 0, folder, tmp_path / "again", silent) == results[0]
    estimates = all_estimates(tiny, variant, inputs, clips)
    within = clips.folds[clips.clip_of] == 0
    assert results[0]["rmse_valence"] == affect_metrics(estimates[within], clips.labels[within]).rmse_valence
    net = load(tiny, variant, inputs.of_job(variant.of_fold(1))).eval()  # knows fold 0, is tested on fold 1
    clip = int(np.flatnonzero(clips.folds == 1)[0])
    x = torch.from_numpy(clips.pictures[clips.rows(clip)].astype(np.float32) / 255)[None]
    assert np.allclose(net(x)[0].detach().clamp(-1, 1), estimates[clips.rows(clip)], atol=1e-6)


def test_networks_see_pictures_of_the_size_they_ask_for():
    vit = {"kind": "vit", "backbone": {"picture": 24, "patch": 8, "width": 8, "layers": 1, "heads": 2, "mlp": 8}}
    pictures = {"side": 16, "shown": 24}
    net = build(config(pictures=pictures, models={"vit": vit}).models["vit"], 24)
    assert net(torch.rand(1, 2, 1, 16, 16)).shape == (1, 2, 2)


def test_weights_of_a_file_are_where_training_begins(tmp_path):
    from safetensors.torch import save_file

    plain = build(config().models["resnet"], 16)
    save_file({f"resnet.{k}": v for k, v in plain.net.backbone.net.state_dict().items()}, tmp_path / "w.safetensors")
    named = {"kind": "resnet", "backbone": RESNET, "weights": tmp_path / "w.safetensors"}
    filled = build(config(models={"resnet": named}).models["resnet"], 16)
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(filled.net.backbone.eval()(x), plain.net.backbone.eval()(x))
    with pytest.raises(NeuvaError, match="no such file of weights"):
        build(config(models={"r": {**named, "weights": "missing.pt"}}).models["r"], 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grey": ["vgg"]}, "grey: vgg is none of the models resnet"),
        ({"bit_depth": {"model": "resnet", "bits": [3]}}, "a frame of 40000 us has no 3 whole steps"),
        ({"models": {"v": {"kind": "vit"}}}, "models.v: takes pictures of 224, shown are 16"),
        (
            {"models": {"s": {"kind": "spiking", "network": {**NETWORK, "every": 1}}}},
            "models.s: an estimate each 20000 us, a frame each 40000 us",
        ),
        ({"models": {"s": {"kind": "spiking", "network": NETWORK}}, "grey": ["s"]}, "grey: s spikes"),
        *(
            ({"models": {"s": {"kind": "spiking", "network": {**NETWORK, **other}}}}, r"needed are two polarities of")
            for other in (
                {"encoding": "counts"},
                {"input_shape": [1, 16, 16]},
                {"input_shape": [2, 16, 8]},
                {"outputs": ["a"]},
            )
        ),
        ({"models": {}}, "at least 1 item"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def check(store: Path, tmp_path: Path, **changes) -> None:
    extra = {"nefer": changes.pop("nefer")} if "nefer" in changes else {}
    STUDY.check(config(**changes), Inputs(store, tmp_path / "out", extra))


def test_stores_that_lack_something_are_refused(faces, tmp_path):
    check(faces, tmp_path, grey=["resnet"])
    still = write_faces(tmp_path / "still.h5", labels=lambda k: np.full((FRAMES, 2), 0.5, np.float32))
    with pytest.raises(NeuvaError, match="without fold 0: valence is the same in all 24 labelled frames"):
        check(still, tmp_path)
    bare = write_faces(tmp_path / "bare.h5", arrays=())
    check(bare, tmp_path)
    with pytest.raises(NeuvaError, match='no array "frames"'):
        check(bare, tmp_path, grey=["resnet"])
    with pytest.raises(NeuvaError, match="a store of synthetic-faces; --nefer takes one made by"):
        check(faces, tmp_path, nefer=faces)
    other = write_faces(tmp_path / "other.h5", dataset="see")
    with pytest.raises(NeuvaError, match="a store of see; study neuromorphic-va takes afew-va or synthetic-faces"):
        run(STUDY, config(), Inputs(other, tmp_path / "out", {}))


def test_folds_that_cannot_be_tested_or_trained_without_are_refused(tmp_path):
    def some(k: int) -> np.ndarray:
        return np.random.default_rng(k).uniform(-1, 1, (FRAMES, 2)).astype(np.float32)

    def first_frame(clip: int) -> np.ndarray:
        """Valid before the first picture alone, where no frame ends."""
        return np.arange(FRAMES) < (1 if clip < 2 else FRAMES)

    silent_fold = write_faces(tmp_path / "silent.h5", mask=first_frame, start_us=40_000)
    fold = folds_of(EventStore(silent_fold), config())[0]
    with pytest.raises(NeuvaError, match=f"fold {fold} has no frame with a valid label"):
        check(silent_fold, tmp_path)
    half = write_faces(tmp_path / "half.h5", labels=lambda k: np.zeros((FRAMES, 2), np.float32) if k < 2 else some(k))
    other = 1 - folds_of(EventStore(half), config())[0]
    with pytest.raises(NeuvaError, match=rf"half.h5, without fold {other}: valence is the same in all 24"):
        check(half, tmp_path)


def test_weights_are_looked_at_before_anything_runs(faces, tmp_path):
    named = {"kind": "resnet", "backbone": RESNET, "weights": tmp_path / "w.pt"}
    with pytest.raises(NeuvaError, match="no such file of weights"):
        check(faces, tmp_path, models={**TINY["models"], "r": named})
    save_weights(tmp_path / "w.pt", {"else": torch.zeros(1)})
    with pytest.raises(NeuvaError, match=r"w.pt: lacks"):
        check(faces, tmp_path, models={**TINY["models"], "r": named})


def test_labels_constant_in_a_fold_are_undefined_and_said_so(tmp_path):
    def labels(k: int) -> np.ndarray:
        return np.full((FRAMES, 2), 0.5) if k < 2 else np.random.default_rng(k).uniform(-1, 1, (FRAMES, 2))

    store = write_faces(tmp_path / "half.h5", labels=lambda k: labels(k).astype(np.float32))
    tiny = config()
    still = folds_of(EventStore(store), tiny)[0]
    make_clips(store, tiny, View("binary", SIDE, 8), tmp_path / "clips", silent)
    variant = main_variant(tiny, "resnet")
    result = train(tiny, variant, still, tmp_path / "clips", tmp_path / "job", silent)
    assert result["ccc_valence"] is None
    table = next(t for t in STUDY.tables(tiny, {variant.of_fold(still): result}) if t.name == "folds")
    assert f"undefined where labels or estimates are constant: fold {still}." in table.note
    assert table.rows[0][table.headings.index("CCC V")] is None
    with pytest.raises(NeuvaError, match=f"without fold {1 - still}: valence is the same in all 24"):
        train(tiny, variant, 1 - still, tmp_path / "clips", tmp_path / "job2", silent)


def test_jobs_are_done_once_for_each_thing_seen():
    both = config(bit_depth={"model": "resnet", "bits": [4, 8]}, grey=["resnet"])
    assert [variant.name for variant in variants(both)] == ["resnet-binary8", "resnet-binary4", "resnet-grey"]


@pytest.fixture
def titles(monkeypatch) -> dict[str, str]:
    """The title of every picture that is drawn, by its file's name."""
    found, save = {}, pictures.save_png

    def noting(figure, path: Path) -> None:
        found[path.name] = figure.get_suptitle()
        save(figure, path)

    monkeypatch.setattr(pictures, "save_png", noting)
    return found


def test_the_stand_in_gives_every_table_and_picture(faces, tmp_path, titles):
    models = {**TINY["models"], "spiking": {"kind": "spiking", "network": NETWORK}}
    tiny = config(
        models=models, bit_depth={"model": "resnet", "bits": [4, 8]}, grey=["resnet"], zero_shot=["resnet", "spiking"]
    )
    report = run(STUDY, tiny, Inputs(faces, tmp_path, {}))
    measured = {table.name: table for table in report.of("measured")}
    assert list(measured)[:5] == ["models", "folds", "bit-depth", "input", "zero-shot"]
    assert {row[:2] for row in measured["models"].rows} == {("resnet", "events, 8 bit"), ("spiking", "events, 2 steps")}
    assert len(measured["folds"].rows) == 4 * 3
    assert all(
        table.note.endswith("Synthetic faces: no result on a published data set.") for table in measured.values()
    )
    assert [row[3:5] for row in measured["zero-shot"].rows] == [(8, 0), (8, 0)]
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == {"wheel-resnet.png", "wheel-spiking.png", "traces.png", "bit-depth.png"} == set(titles)
    assert all(title.endswith("(synthetic faces)") for title in titles.values())
    pooled = json.loads((tmp_path / "jobs" / "resnet-binary8-pooled" / "result.json").read_text())["result"]
    assert pooled["estimates"] == 4 * FRAMES
    assert "Synthetic faces" in (tmp_path / "index.html").read_text()


@pytest.fixture(scope="module")
def emotions(tmp_path_factory) -> Path:
    """A store of NEFER."""
    root = tmp_path_factory.mktemp("nefer")
    write_lists(root / "nefer")
    for user, named in CLIPS.items():
        (root / "nefer" / "event_raw" / user).mkdir(parents=True)
        for number, (clip, *_) in enumerate(named):
            file = root / "nefer" / "event_raw" / user / f"{clip}.raw"
            file.write_bytes(evt3(head_events(number, t0=5_000)))
    make_store(root / "nefer.h5", nefer(root / "nefer"), workers=1)
    return root / "nefer.h5"


def test_afew_va_and_nefer_from_their_folders_to_tables(tmp_path, emotions, titles):
    for number in range(1, 6):
        write_clip(tmp_path / "afew" / f"{number:03d}", f"Actor {number % 5}", frames=6 + number)
    make_store(tmp_path / "afew.h5", afew_va(tmp_path / "afew"), workers=1)
    tiny = config(folds=5, zero_shot=["resnet"], grey=["resnet"])
    assert len(folds_of(EventStore(emotions), config(clips_at_most=1))) == 4  # NEFER is taken whole
    report = run(STUDY, tiny, Inputs(tmp_path / "afew.h5", tmp_path / "out", {"nefer": emotions}))
    measured = {table.name: table for table in report.of("measured")}
    frames = sum(6 + number - 1 for number in range(1, 6))  # none before the first picture
    assert [row[3] for row in measured["models"].rows] == [frames]
    assert not any("synthetic" in f"{table.title} {table.note}".lower() for table in measured.values())
    assert not any("synthetic" in title for title in titles.values())
    counted = {row[1:3]: row[3:5] for row in measured["zero-shot"].rows}  # clips and left out
    assert counted[("expected", "all")] == (4, 0)
    assert counted[("expected", "validation")] == (2, 0)
    assert counted[("reported", "validation")] == (1, 1)  # one clip is reported as None
    chance = [row[-2:] for row in measured["zero-shot"].rows if row[1:3] == ("expected", "all")]
    assert chance == [(pytest.approx(1 / 7), 0.5)]
    confusion = measured["confusion-resnet-expected"]
    assert sum(sum(row[1:]) for row in confusion.rows) == 5 * 4  # an answer of each fold's network
    read = {name: (tmp_path / "out" / f"{name}.csv").read_text().splitlines()[1] for name in measured}
    assert read["models"].startswith("afew-va,")
    assert all(read[name].startswith("nefer,") for name in ("zero-shot", confusion.name))
    split = {
        s.split
        for s in clip_stretches(EventStore(emotions), ClipSet.read(tmp_path / "out" / "jobs" / "nefer-binary8-16"))
    }
    assert split == {"train", "validation"}


def test_networks_trained_on_drawn_faces_say_so_on_nefer(faces, emotions, tmp_path, titles):
    tiny, inputs = config(zero_shot=["resnet"]), Inputs(faces, tmp_path, {"nefer": emotions})
    clips, training, last = STUDY.stages(tiny, inputs)
    results = {}
    for job in [*clips, *training, *(each for each in last if each.name == "zero-shot-resnet")]:
        inputs.of_job(job.name).mkdir(parents=True)
        results[job.name] = job.run(inputs.of_job(job.name), silent)
    measured = {table.name: table for table in STUDY.tables(tiny, results)}
    assert list(measured) == ["folds", "zero-shot", "confusion-resnet-expected", "confusion-resnet-reported"]
    assert measured["folds"].note.endswith("= 0. Synthetic faces: no result on a published data set.")
    said = "networks trained on synthetic faces"
    assert measured["zero-shot"].title.endswith(f"NEFER, zero-shot, {said}")
    for name in list(measured)[1:]:
        assert measured[name].note.endswith(f"{said.capitalize()}: no result on a published data set.")
    assert pictures._wheel(inputs, "resnet", results).caption.startswith(f"{said.capitalize()}. ")
    assert titles["wheel-resnet.png"].endswith(f"({said})")


def test_two_processes_give_the_figures_of_one(faces, tmp_path):
    spiking = {"kind": "spiking", "network": NETWORK}
    tiny = config(models={**TINY["models"], "spiking": spiking}, zero_shot=["spiking"])
    alone, beside = (
        run(STUDY, tiny, Inputs(faces, tmp_path / str(workers), {}), workers=workers).of("measured")
        for workers in (1, 2)
    )
    assert alone == beside


@pytest.mark.parametrize("dataset", STUDY.data)
def test_the_configurations_are_whole(dataset):
    path = CONFIGS / STUDY.data[dataset]
    read = read_config(path, NeuromorphicVa)
    assert {model.kind for model in read.models.values()} == {
        "vit", "resnet", "resnet-fusion", "resnet-lstm", "ic3d", "r3d", "spiking"
    }  # fmt: skip
    assert read.bit_depth is not None
    assert read.bit_depth.bits == (1, 2, 4, 8, 16)
    assert yaml.safe_load(path.read_text())["zero_shot"]
