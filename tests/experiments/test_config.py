"""Configurations: every one we ship is valid, and a bad one is named by its path."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from experiments.config import TrainConfig, load_config
from neuva import NeuvaError
from snn.baselines import ConvGruSpec

CONFIGS = sorted((Path(__file__).parents[2] / "experiments" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    config = load_config(path)
    assert config.network.every * config.network.dt_us == 40_000


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("recipe", "stepps"), 3, r"bad\.yaml: recipe\.stepps: unknown key: did you mean steps\?$"),
        (("recipe", "steps"), "many", "recipe.steps"),
        (
            ("network", "layers", 0, "kernell"),
            [3, 3],
            r"network\.layers\.0\.kernell: unknown .* mean kernel\?$",
        ),
        (("data", "batch"), 0, "data.batch"),
        (("sed",), 1, r"bad\.yaml: sed: unknown key: did you mean seed\?$"),
        (("data", "augment"), {"zoom": 2}, r"data\.augment\.zoom: unknown key: there are flip, shift, .*, polarity$"),
        (("data", "store"), None, r"bad\.yaml: data\.store: Input is not a valid path"),
        (("network", "layers", 0, "neuron", "alpha"), 2.0, r"bad\.yaml: network\.layers\.0\.neuron: decays alpha 2\.0"),
        (("network", "every"), 0, r"bad\.yaml: network: .*every = 0"),
        (("network", "dt_us"), 0, r"bad\.yaml: network: dt_us = 0"),
        (("network", "readout_tau_us"), 0, r"bad\.yaml: network: .*readout_tau_us = 0 must be at least 1"),
        (("network", "input_shape"), [1, 64, 64], r"bad\.yaml: network\.input_shape .*2 channels"),
        (("network", "outputs"), ["valence"], r"bad\.yaml: network: .*outputs are valence and arousal"),
        (("network", "layers"), [], r"bad\.yaml: network: takes at least one layer"),
        (("network", "layers", 0, "stride"), [0, 0], r"layers\.0.*stride = \(0, 0\) must be at least 1"),
        (("network", "layers", 0, "padding"), [-1, -1], r"layers\.0.*padding = \(-1, -1\) must be at least 0"),
        (("network", "layers", 0, "pool"), 0, r"layers\.0.*pool = 0 must be at least 1"),
        (("network", "layers", 0, "neuron", "threshold"), float("nan"), r"layers\.0\.neuron: threshold nan"),
        (("recipe", "mse_share"), 5, r"recipe: recipe\.mse_share = 5\.0 must be at most 1"),
        (("recipe", "learning_rate"), float("nan"), r"recipe: recipe\.learning_rate = nan must be finite"),
        (("seed",), 2**32, r"bad\.yaml: seed: "),
        (("recipe", "steps"), 0, r"bad\.yaml: recipe: recipe\.steps = 0"),
        (("recipe", "start_rate"), 0, r"recipe: .*start_rate = 0"),
        (("recipe", "rate_limit"), -1, r"recipe: recipe\.rate_limit = -1"),
        (
            ("recipe", "checkpoint_steps"),
            3,
            r"bad\.yaml: recipe\.checkpoint_steps = 3 must be a multiple of network\.every = 2",
        ),
    ],
)
def test_a_bad_key_is_named_by_its_path(where, value, message, tmp_path) -> None:
    values = yaml.safe_load(CONFIGS[0].read_text())
    place = values
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(NeuvaError, match=message):
        load_config(path)


@pytest.mark.parametrize("content", ["", "{", "just words", "\x00"])
def test_what_is_no_configuration_is_one_clear_line(content: str, tmp_path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(NeuvaError, match=r"bad\.yaml") as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "what"),
    [("", "is empty"), ("# seed: 1", "is empty"), ("- seed", "holds no keys with values"), ("{}", "data: is missing")],
)
def test_a_file_that_says_nothing_is_told_so(content: str, what: str, tmp_path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(NeuvaError, match=rf"bad\.yaml: {what}"):
        load_config(path)


def test_augmentation_chip_and_start_are_read(tmp_path) -> None:
    values = yaml.safe_load((CONFIGS[0].parent / "faces-loihi2.yaml").read_text())
    values["data"]["augment"] = {"shift": 0.03, "rotate": 5}
    values |= {"chip_aware": {"target": "loihi1"}, "start": "runs/other/best.ckpt", "devices": 2}
    path = tmp_path / "good.yaml"
    path.write_text(yaml.safe_dump(values))
    config = load_config(path)
    assert (config.data.augment.shift, config.data.augment.flip, config.data.augment.noise_hz) == (0.03, True, 0)
    assert config.chip_aware is not None
    assert config.chip_aware.last == 0.25
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config
    values["chip_aware"] = {"target": "speck2f"}
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(NeuvaError, match="speck2f on a network for loihi"):
        load_config(path)


def test_the_yardstick_is_a_network_too_but_no_chip_runs_it(tmp_path) -> None:
    network = {"kind": "conv_gru", "convolutions": [{"channels": 4}], "dense": 8, "hidden": 8}
    values = {"data": {"store": "runs/faces.h5"}, "network": network}
    path = tmp_path / "gru.yaml"
    path.write_text(yaml.safe_dump(values))
    assert isinstance(load_config(path).network, ConvGruSpec)
    path.write_text(yaml.safe_dump({**values, "chip_aware": {"target": "loihi2"}}))
    with pytest.raises(NeuvaError, match="a network for no chip"):
        load_config(path)
    path.write_text(yaml.safe_dump({**values, "network": {**network, "foo": 3}}))
    with pytest.raises(NeuvaError, match=r"network\.foo: unknown key: there are kind, convolutions, [^;]*every$"):
        load_config(path)
    path.write_text(yaml.safe_dump({**values, "network": {**network, "hiden": 3}}))
    with pytest.raises(NeuvaError, match=r"network\.hiden: unknown key: did you mean hidden\?$"):
        load_config(path)
