"""Training from a configuration: it learns, it stops and goes on with the same result, its checkpoint is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.sample import Sample
from experiments import pipeline
from experiments.config import Augment, ChipAwareConfig, DataConfig, TrainConfig
from experiments.evaluation import evaluate
from experiments.train import train
from hardware.program import ChipProgram
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron
from snn.baselines import ConvGruNet, ConvGruSpec, Convolution
from snn.training import Recipe, load_network

CUBA = Neuron(0.3, 0.8)


def configuration(store: Path, steps: int = 16, seed: int = 0) -> TrainConfig:
    layers = (LayerSpec("conv", 6, CUBA, (3, 3), (2, 2), (1, 1)), LayerSpec("dense", 32, CUBA))
    return TrainConfig(
        data=DataConfig(store=store, window_steps=40, batch=4, augment=Augment(flip=False)),
        network=NetworkSpec("loihi", layers, (2, 16, 16), readout_tau_us=100_000),
        recipe=Recipe(steps=steps, learning_rate=0.01, warm_up=4),
        seed=seed,
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_network(path).state_dict()


def same(left: dict, right: dict) -> bool:
    return all(torch.equal(left[key], right[key]) for key in left)


def test_it_learns_a_moving_spot(spot_store: Path, tmp_path: Path) -> None:
    trained = train(configuration(spot_store, steps=120), tmp_path)
    assert trained.val_ccc > 0.5
    found = evaluate(load_network(trained.best), spot_store, "test")
    assert found.metrics.ccc is not None
    assert found.metrics.ccc > 0.5
    assert (found.region, found.coverage) == (None, None)  # 2 people are too few to calibrate one on
    assert pipeline.training_store(trained.best) == spot_store


def test_the_same_seed_gives_the_same_weights_and_another_does_not(spot_store: Path, tmp_path: Path) -> None:
    runs = [
        train(configuration(spot_store, seed=seed), tmp_path / name).last
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert same(weights(runs[0]), weights(runs[1]))
    assert not same(weights(runs[0]), weights(runs[2]))


def test_a_stopped_run_goes_on_to_the_same_weights(spot_store: Path, tmp_path: Path) -> None:
    config = configuration(spot_store)
    whole = train(config, tmp_path / "whole")

    def stop_at_nine(_: str, step: int, steps: int) -> None:
        if step == 9 and steps == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", progress=stop_at_nine)
    assert (tmp_path / "stopped" / "last.ckpt").exists()
    assert not (tmp_path / "stopped" / "trained.json").exists()
    steps: list[int] = []
    resumed = train(config, tmp_path / "stopped", resume=True, progress=lambda _, step, all_: steps.append(step))
    assert same(weights(whole.last), weights(resumed.last))
    assert len(steps) < 20  # it did not start again


def test_another_configuration_does_not_go_on(spot_store: Path, tmp_path: Path) -> None:
    train(configuration(spot_store), tmp_path)
    with pytest.raises(NeuvaError, match="another configuration"):
        train(configuration(spot_store, seed=5), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("split", "message"), [("train", r"split train has no 2 valid labels"), ("validation", "holds no valid label")]
)
def test_nothing_is_trained_where_nothing_is_scored(
    split: str, message: str, make_spots: Callable[..., Path], tmp_path: Path
) -> None:
    def unlabelled(of: str, sample: Sample) -> Sample:
        return replace(sample, mask=np.arange(len(sample.mask)) < 4 * (of == "train")) if of == split else sample

    store = make_spots(tmp_path / "spots.h5", {"train": 2, "validation": 1}, unlabelled)
    with pytest.raises(NeuvaError, match=message):
        train(configuration(store), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_that_never_vary_do_not_hide_those_that_do(make_spots: Callable[..., Path], tmp_path: Path) -> None:
    def calm(_: str, sample: Sample) -> Sample:
        return replace(sample, labels=sample.labels * np.float32([1, 0]))

    def person(clip: int) -> str:
        return str(clip)

    store = make_spots(tmp_path / "spots.h5", {"train": 4, "validation": 10}, calm, subject=person)
    trained = train(configuration(store, steps=60), tmp_path / "run")
    assert trained.val_ccc > 0.3
    net = load_network(trained.best)
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
    assert evaluate(net, store, "validation").region is None  # residuals on a line give no ellipse


def test_seconds_are_those_of_all_sessions(spot_store: Path, tmp_path: Path) -> None:
    first = train(configuration(spot_store, steps=32), tmp_path)
    assert train(configuration(spot_store, steps=32), tmp_path, resume=True).seconds > 0.8 * first.seconds


def test_a_store_without_the_split_is_refused(spot_store: Path) -> None:
    with pytest.raises(NeuvaError, match="no split"):
        pipeline.spread_clips(None, spot_store, "holdout", 3)  # type: ignore[arg-type]


def test_a_program_brings_a_region_of_its_own(crowd_store: Path, tmp_path: Path) -> None:
    trained = train(configuration(crowd_store, steps=8), tmp_path)
    net = load_network(trained.best)
    program = pipeline.convert(net, "loihi2", crowd_store).program
    program.save(tmp_path / "program.h5")
    loaded = ChipProgram.load(tmp_path / "program.h5")
    assert loaded.region == program.region
    assert loaded.region is not None
    assert loaded.region.groups == 11
    coverage = evaluate(loaded, crowd_store, "validation").coverage
    assert coverage is not None
    assert coverage > 0.8
    assert evaluate(replace(loaded, region=None), crowd_store, "test").coverage is None
    float_region = evaluate(net, crowd_store, "test").region
    assert float_region is not None
    assert float_region.groups == 11


def test_a_network_that_its_chip_cannot_run_is_not_trained(spot_store: Path, tmp_path: Path) -> None:
    config = configuration(spot_store)
    subtracting = replace(CUBA, reset="subtract")
    network = replace(config.network, layers=(replace(config.network.layers[0], neuron=subtracting),))
    with pytest.raises(NeuvaError, match=r"on loihi2, so it is not trained: conv1: Loihi has no reset by subtraction"):
        train(config.model_copy(update={"network": network}), tmp_path)
    integrate = Neuron(0.0, 1.0, low=-1.0, multi_spike=True)
    deep = NetworkSpec("speck", (LayerSpec("dense", 32, integrate),) * 10, (2, 16, 16), "counts")
    with pytest.raises(NeuvaError, match=r"does not fit speck2f, so it is not trained: error .*10 layers.*allowed 9"):
        train(config.model_copy(update={"network": deep}), tmp_path)
    assert not (tmp_path / "last.ckpt").exists()


def test_the_yardstick_trains(spot_store: Path, tmp_path: Path) -> None:
    network = ConvGruSpec("conv_gru", (Convolution(4),), 8, 8, (2, 16, 16))
    trained = train(configuration(spot_store, steps=8).model_copy(update={"network": network}), tmp_path)
    assert isinstance(load_network(trained.best), ConvGruNet)


def test_training_starts_from_the_weights_of_another(spot_store: Path, tmp_path: Path) -> None:
    config = configuration(spot_store, steps=8)
    source = train(config, tmp_path / "source").last
    still = replace(config.recipe, steps=8, learning_rate=1e-12)
    begun = config.model_copy(update={"start": source, "recipe": still})
    left, right = weights(source), weights(train(begun, tmp_path / "begun").last)
    assert all(torch.allclose(left[key], right[key], atol=1e-6) for key in left)
    fresh = weights(train(begun.model_copy(update={"start": None}), tmp_path / "fresh").last)
    assert not torch.allclose(left["populations.0.synapse.weight"], fresh["populations.0.synapse.weight"], atol=1e-3)


def test_only_the_chip_aware_part_can_be_best_and_it_resumes(spot_store: Path, tmp_path: Path) -> None:
    config = configuration(spot_store, steps=16).model_copy(
        update={"chip_aware": ChipAwareConfig(target="loihi2", last=0.5)}
    )
    whole = train(config, tmp_path / "whole")
    assert torch.load(whole.best, weights_only=True)["global_step"] > 8

    def stop_at_thirteen(_: str, step: int, steps: int) -> None:
        if step == 13 and steps == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", progress=stop_at_thirteen)
    assert same(weights(whole.last), weights(train(config, tmp_path / "stopped", resume=True).last))
