"""The last steps of a run on the chip's grid: when they begin, what checkpoints hold, that a stopped run goes on."""

from __future__ import annotations

from pathlib import Path

import lightning
import pytest
import torch

from conversion import chip_aware
from experiments import pipeline
from experiments.chip_aware import ChipAware
from experiments.config import ChipAwareConfig, DataConfig, TrainConfig
from experiments.train import train
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron
from snn.networks import ValenceArousalNet
from snn.training import AffectTraining, Recipe, load_network

NEURONS = {"loihi2": Neuron(0.3, 0.8), "speck2f": Neuron(low=-1.0, multi_spike=True, width=0.5)}


def configuration(store: Path, target: str, steps: int, last: float | None) -> TrainConfig:
    neuron, family = NEURONS[target], "loihi" if target == "loihi2" else "speck"
    layers = (
        LayerSpec("conv", 6, neuron, (3, 3), (2, 2), (1, 1), learn=("alpha", "beta") if family == "loihi" else ()),
        LayerSpec("dense", 32, neuron),
    )
    encoding = "binary" if family == "loihi" else "counts"
    return TrainConfig(
        data=DataConfig(store=store, window_steps=40, batch=4),
        network=NetworkSpec(family, layers, (2, 16, 16), encoding, readout_tau_us=100_000),  # type: ignore[arg-type]
        recipe=Recipe(steps=steps, learning_rate=0.01, warm_up=4),
        chip_aware=None if last is None else ChipAwareConfig(target=target, last=last),  # type: ignore[arg-type]
    )


def network(path: Path) -> ValenceArousalNet:
    net = load_network(path)
    assert isinstance(net, ValenceArousalNet)
    return net


@pytest.mark.parametrize("target", NEURONS)
def test_checkpoints_hold_plain_networks_on_the_grid(target: str, spot_store: Path, tmp_path: Path) -> None:
    trained = train(configuration(spot_store, target, 16, 0.5), tmp_path)
    for path in (trained.best, trained.last):
        net = network(path)
        program = pipeline.convert(net, target, spot_store).program
        assert program.provenance["calibration_errors"] == [0, 0]  # lowering found the grid, and rounded nothing
        before = {key: value.clone() for key, value in net.state_dict().items()}
        chip_aware.attach(net, target, program.provenance["calibration_scales"])
        chip_aware.remove(net)
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    checkpoint = torch.load(trained.last, weights_only=True)
    state = next(value for key, value in checkpoint["callbacks"].items() if "ChipAware" in key)
    key = "populations.0.synapse.weight"  # below the rounded weights float ones go on, in which small steps add up
    apart = (state["raw"][key] - checkpoint["state_dict"][f"net.{key}"]).abs()
    assert 0 < float(apart.mean()) * state["scales"][0] < 1


@pytest.mark.parametrize("stop", [5, 13])
def test_a_run_stopped_before_or_after_attaching_goes_on_to_the_same_weights(
    stop: int, spot_store: Path, tmp_path: Path
) -> None:
    config = configuration(spot_store, "loihi2", 16, 0.5)
    whole = train(config, tmp_path / "whole")

    def stopped(_: str, step: int, steps: int) -> None:
        if (step, steps) == (stop, 16):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", progress=stopped)
    resumed = train(config, tmp_path / "stopped", resume=True)
    ours, theirs = network(whole.last).state_dict(), network(resumed.last).state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


class Seen(lightning.Callback):
    def __init__(self) -> None:
        self.attached: list[bool] = []
        self.half: list[bool] = []

    def on_train_batch_end(self, trainer, pl_module, *_) -> None:
        self.attached.append(chip_aware.is_attached(pl_module.net))
        self.half.append(pl_module.half_precision)


@pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning")
@pytest.mark.filterwarnings("ignore:.*treespec.*")
@pytest.mark.parametrize(("last", "first"), [(1.0, 0), (0.25, 6), (0.01, 7)])
def test_it_attaches_when_its_share_begins_and_removes_at_the_end(last: float, first: int) -> None:
    config = configuration(Path("none.h5"), "loihi2", 8, last)
    torch.manual_seed(0)
    x = (torch.rand(40, 4, 2, 16, 16) < 0.1).float()
    batch = x, torch.rand(20, 4, 2), torch.ones(20, 4, dtype=torch.bool)
    module = AffectTraining.fresh(config.network, config.recipe, x, half_precision=True)
    seen = Seen()
    trainer = lightning.Trainer(
        max_steps=8,
        callbacks=[ChipAware("loihi2", last), seen],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, torch.utils.data.DataLoader([batch] * 8, batch_size=None))  # type: ignore[arg-type]
    assert seen.attached == [step >= first for step in range(8)]
    assert seen.half == [step < first for step in range(8)]  # bfloat16 would round the chip's sums
    assert not chip_aware.is_attached(module.net)


@pytest.mark.parametrize(("target", "last"), [("tpu", 0.5), ("loihi2", 0.0), ("loihi2", 1.5)])
def test_a_bad_setting_is_refused(target: str, last: float) -> None:
    with pytest.raises(NeuvaError, match="chip_aware"):
        ChipAware(target, last)
