"""What is written for `lava_runner.py` must be the program's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.loihi import exchange
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron
from neuva import NeuvaError


def program(bias: int, exponent: int) -> ChipProgram:
    neuron = LoihiNeuron(4095, 0, 5, np.full(1, bias, np.int32), exponent)
    layer = Layer("n", (1, 1, 1), (1, 1, 1), Connection("dense", np.full((1, 1), 2)), neuron)
    return ChipProgram("loihi2", 1000, InputEncoding((1, 1, 1), "binary"), (layer,), None)


@pytest.mark.parametrize(("bias", "exponent"), [(24, 3), (-24, 3), (7, 0)])
def test_a_bias_is_written_as_its_mantissa(tmp_path, bias: int, exponent: int) -> None:
    exchange.write_input(tmp_path / "in.npz", [(program(bias, exponent), np.zeros((3, 1, 1, 1), int))])
    assert np.load(tmp_path / "in.npz")["p0.l0.bias_mant"].tolist() == [bias >> exponent]


@pytest.mark.parametrize("bias", [25, -25])
def test_a_bias_that_its_mantissa_would_change_is_refused(tmp_path, bias: int) -> None:
    with pytest.raises(NeuvaError, match=r"layer n: a bias is no multiple of 2\^3"):
        exchange.write_input(tmp_path / "in.npz", [(program(bias, 3), np.zeros((3, 1, 1, 1), int))])
    assert not list(tmp_path.iterdir())
