"""Configurations: every one we ship is valid, and a bad one is named by its path."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from experiments.config import load_config
from neuva import NeuvaError

CONFIGS = sorted((Path(__file__).parents[2] / "experiments" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    config = load_config(path)
    assert config.network.every * config.network.dt_us == 40_000


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("recipe", "stepps"), 3, "recipe.stepps: Unexpected keyword argument"),
        (("recipe", "steps"), "many", "recipe.steps"),
        (("network", "layers", 0, "kernell"), [3, 3], r"network\.layers\.0\.kernell"),
        (("data", "batch"), 0, "data.batch"),
        (("network", "layers", 0, "neuron", "alpha"), 2.0, "decays alpha 2.0"),
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
