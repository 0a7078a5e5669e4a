from __future__ import annotations

import pytest
import yaml

from datasets.simulator import PRESETS, SENSORS, PixelModel, preset
from datasets.simulator.presets import SENSORS_FILE
from neuva import NeuvaError


def test_v2e_presets_are_v2es_own():
    assert PRESETS["v2e"] == PixelModel(
        theta_on=0.2, theta_off=0.2, sigma=0.03, cutoff_hz=300, leak_hz=0.01, shot_hz=0.001, refractory_us=500
    )
    for name in ("ideal", "clean", "noisy", "v2e"):
        assert PRESETS[name].shot_in_bright == 0.25
        assert PRESETS[name].leak_in_bright == 1
        assert PRESETS[name].hot_share == PRESETS[name].surround_px == 0


def test_sensors_have_their_size():
    sizes = {name: sensor.size for name, sensor in SENSORS.items()}
    assert sizes == {"davis346": (346, 260), "dvxplorer": (640, 480), "prophesee-gen4": (1280, 720)}


@pytest.mark.parametrize("name", SENSORS)
def test_every_figure_of_a_sensor_says_where_it_comes_from(name):
    sensor = SENSORS[name]
    assert preset(name) == sensor.model
    assert sensor.size_source
    for setting, figure in sensor.figures.items():
        assert len(figure.source) > 5, setting
        assert getattr(sensor.model, setting) == figure.value
    changed = {field for field in vars(PixelModel()) if getattr(sensor.model, field) != getattr(PixelModel(), field)}
    assert changed <= set(sensor.figures)
    rows = yaml.safe_load(SENSORS_FILE.read_text())[name]["pixel"].values()
    assert all(("source" in row) != ("assumed" in row) for row in rows)


def test_unknown_preset_is_named():
    with pytest.raises(NeuvaError, match=r"choose one of ideal, .*davis346"):
        preset("davis240")
