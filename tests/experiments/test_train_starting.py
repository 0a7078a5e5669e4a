"""What a run is begun with, how its last step ends, and what a start that fails leaves as it was."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experiments import train as training
from experiments.config import ChipAwareConfig, DataConfig, TrainConfig
from experiments.train import train
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron
from snn.baselines import ConvGruSpec, Convolution
from snn.training import AffectTraining, Recipe, load_network

CUBA = Neuron(0.3, 0.8)
YARDSTICK = ConvGruSpec("conv_gru", (Convolution(4),), 8, 8, (2, 16, 16))


def configuration(store: Path, steps: int = 8, **recipe: float) -> TrainConfig:
    layers = (LayerSpec("conv", 6, CUBA, (3, 3), (2, 2), (1, 1)), LayerSpec("dense", 32, CUBA))
    return TrainConfig(
        data=DataConfig(store=store, window_steps=40, batch=4),
        network=NetworkSpec("loihi", layers, (2, 16, 16), readout_tau_us=100_000),
        recipe=Recipe(steps=steps, learning_rate=0.01, warm_up=4, **recipe),  # type: ignore[arg-type]
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def scored(folder: Path) -> list[int]:
    """Steps after which a validation was scored."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [int(row["step"]) + 1 for row in csv.DictReader(file) if row.get("val_ccc")]


@pytest.mark.parametrize(
    ("steps", "parts"), [(1, [1]), (16, [2, 4, 6, 8, 10, 12, 14, 16]), (19, [3, 6, 9, 12, 15, 18, 19])]
)
def test_every_part_and_the_last_step_are_scored_and_saved(
    steps: int, parts: list[int], spot_store: Path, tmp_path: Path
) -> None:
    trained = train(configuration(spot_store, steps), tmp_path)
    assert scored(tmp_path) == parts
    assert torch.load(trained.last, weights_only=True)["global_step"] == steps
    assert json.loads((tmp_path / "trained.json").read_text())["val_ccc"] == trained.val_ccc


def test_a_chip_aware_part_shorter_than_the_others_has_a_best(spot_store: Path, tmp_path: Path) -> None:
    chip = ChipAwareConfig(target="loihi2", last=0.1)
    trained = train(configuration(spot_store, 17).model_copy(update={"chip_aware": chip}), tmp_path)
    assert torch.load(trained.best, weights_only=True)["global_step"] == 17
    assert -1 <= trained.val_ccc <= 1


@pytest.mark.parametrize("network", ["spiking", "yardstick"])
def test_half_precision_trains(network: str, spot_store: Path, tmp_path: Path) -> None:
    config = configuration(spot_store).model_copy(update={"precision": "bfloat16"})
    if network == "yardstick":
        config = config.model_copy(update={"network": YARDSTICK})
    trained = train(config, tmp_path / "half")
    weights = load_network(trained.last).state_dict()
    assert {value.dtype for value in weights.values()} == {torch.float32}
    single = train(config.model_copy(update={"precision": "float32"}), tmp_path / "single")
    assert any(not torch.equal(value, weights[key]) for key, value in load_network(single.last).state_dict().items())


def test_a_start_that_fails_leaves_the_earlier_run(spot_store: Path, tmp_path: Path) -> None:
    out, config = tmp_path / "run", configuration(spot_store)
    train(config, out)
    before = contents(out)
    bad = {
        "no such file": {"data": config.data.model_copy(update={"store": tmp_path / "mistyped.h5"})},
        "no such checkpoint": {"start": tmp_path / "mistyped.ckpt"},
        "would be written over|where this run writes": {"start": out / "best.ckpt"},
        "not trained": {
            "network": replace(config.network, layers=(LayerSpec("dense", 4, replace(CUBA, reset="subtract")),))
        },
    }
    for message, change in bad.items():
        with pytest.raises(NeuvaError, match=message):
            train(config.model_copy(update=change), out)
        assert contents(out) == before, message


def test_going_on_needs_nothing_but_the_checkpoint(
    spot_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = train(configuration(spot_store), tmp_path / "source").last
    config, out = configuration(spot_store, 16).model_copy(update={"start": source}), tmp_path / "run"

    def stop(_: str, step: int, steps: int) -> None:
        if (step, steps) == (5, 16):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, out, progress=stop)
    source.unlink()
    monkeypatch.setattr(training, "require_fit", None)
    monkeypatch.setattr(AffectTraining, "fresh", None)
    train(config, out, resume=True)
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 16


def test_a_finished_run_that_was_moved_knows_its_score(spot_store: Path, tmp_path: Path) -> None:
    config = configuration(spot_store)
    trained = train(config, tmp_path / "here")
    moved = (tmp_path / "here").rename(tmp_path / "there")
    again = train(config, moved, resume=True)
    assert (again.val_ccc, again.best) == (trained.val_ccc, moved / "best.ckpt")


def test_a_damaged_checkpoint_is_one_line_and_stays(spot_store: Path, tmp_path: Path) -> None:
    config = configuration(spot_store)
    last = train(config, tmp_path).last
    last.write_bytes(last.read_bytes()[:1000])
    before = contents(tmp_path)
    with pytest.raises(NeuvaError, match=r"last\.ckpt: damaged .*: train without --resume") as caught:
        train(config, tmp_path, resume=True)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before


def test_training_that_diverges_says_when_and_keeps_what_was_saved(spot_store: Path, tmp_path: Path) -> None:
    config = configuration(spot_store, 200, clip_norm=0)
    recipe = replace(config.recipe, learning_rate=1e36)
    with pytest.raises(NeuvaError, match=r"step \d+ of 200: the loss is (nan|inf)|estimates are no finite numbers"):
        train(config.model_copy(update={"recipe": recipe}), tmp_path)
    assert not (tmp_path / "trained.json").exists()


def test_more_processes_than_gpus_are_refused(
    spot_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(NeuvaError, match="devices = 2 on a machine of 1 GPUs"):
        train(configuration(spot_store).model_copy(update={"devices": 2}), tmp_path)
