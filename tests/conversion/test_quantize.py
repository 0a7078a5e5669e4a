"""Number formats: every value lands on the chip's grid, at the nearest place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from conversion import quantize

weights = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-3, 3))
scales = st.floats(0.5, 2000)


@given(weights, scales)
def test_loihi_weights_are_even_and_in_range(weight: np.ndarray, scale: float) -> None:
    words = quantize.loihi_weight(weight, scale)
    assert np.all(words % 2 == 0)
    assert words.min() >= -256
    assert words.max() <= 254
    inside = np.abs(weight * scale) <= 254
    assert np.all(np.abs(words - weight * scale)[inside] <= 1)


@given(weights, scales)
def test_speck_weights_round_half_to_even_within_eight_bits(weight: np.ndarray, scale: float) -> None:
    words = quantize.speck_weight(weight, scale)
    assert words.min() >= -128
    assert words.max() <= 127
    inside = np.abs(weight * scale) <= 127
    assert np.all(np.abs(words - weight * scale)[inside] <= 0.5)


def test_known_values() -> None:
    assert quantize.loihi_weight(np.array([100.9, 101.1, -101.1, 300, -300]), 1).tolist() == [100, 102, -102, 254, -256]
    assert quantize.speck_weight(np.array([0.5, 1.5, -200]), 1).tolist() == [0, 2, -128]


@given(st.floats(0, 1))
def test_decays_are_within_half_a_step_of_the_grid(decay: float) -> None:
    assert 0 <= quantize.loihi_du(decay) <= 4095
    assert abs((4095 - quantize.loihi_du(decay)) / 4096 - decay) <= 1 / 4096
    assert abs((4096 - quantize.loihi_dv(decay)) / 4096 - decay) <= 1 / 4096


def test_no_current_memory_is_du_4095_and_the_plus_one_matters() -> None:
    assert quantize.loihi_du(0.0) == 4095
    assert quantize.loihi_du(0.5) == 2047  # without the +1 it would be 2048
    assert quantize.loihi_dv(0.5) == 2048


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=8), st.floats(1, 500))
def test_bias_mantissas_fit_thirteen_bits(bias: list[float], scale: float) -> None:
    words, exponent = quantize.loihi_bias(np.array(bias), scale)
    assert np.all(np.abs(words >> exponent) <= 4096)
    assert np.all((words >> exponent) << exponent == words)


@pytest.mark.parametrize(("scale", "threshold"), [(507.3, 1.0), (12.4, 0.3), (0.2, 1.0)])
def test_whole_threshold_makes_it_whole(scale: float, threshold: float) -> None:
    exact = quantize.whole_threshold(scale, threshold) * threshold
    assert exact == pytest.approx(round(exact))
    assert exact >= 1
