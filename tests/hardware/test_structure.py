"""Programs that could not be computed on any chip: refused when made, and alike when read from an edited file."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from hardware.loihi.weights import on_grid
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron
from neuva import NeuvaError

WEIGHT = np.full((4, 1, 3, 2), 2, np.int32)
LINK = Connection("conv", WEIGHT, (2, 1), (1, 0), (1, 2), 2)
NEURON = LoihiNeuron(4095, 0, 5, np.zeros(4, np.int32))
CONV = Layer("a", (2, 9, 8), (4, 5, 6), LINK, NEURON)
DENSE = Layer(
    "b", (4, 5, 6), (3, 1, 1), Connection("dense", np.ones((3, 120), np.int32)), replace(NEURON, bias=np.zeros(3, int))
)


def program(*layers: Layer, **changes) -> ChipProgram:
    return ChipProgram("loihi2", 1000, InputEncoding((2, 9, 8), "binary"), layers or (CONV, DENSE), None, **changes)


LINKS = [
    ({"weight": WEIGHT * 1.5}, "weight is float64"),
    ({"weight": WEIGHT * np.nan}, "weight is float64"),
    ({"weight": WEIGHT.astype(np.int64) + 2**33}, "weight holds 8589934594, allowed -2147483648"),
    ({"weight": WEIGHT[0]}, r"weight is int32 \[1, 3, 2\], allowed integers of 4 axes"),
    ({"weight": WEIGHT[:0]}, "weight is int32"),
    ({"weight": "x"}, "weight is str"),
    ({"weight": WEIGHT[:, :, :, :1]}, r"\[4, 1, 5, 6\], allowed \[4, 1, 5, 8\]"),
    ({"weight": WEIGHT[:2]}, r"\[2, 1, 5, 6\], allowed \[4, 1, 5, 6\]"),
    ({"stride": (0, 0)}, "stride"),
    ({"stride": (-1, 1)}, "stride"),
    ({"stride": (1,)}, "stride"),
    ({"stride": (1, 1)}, r"\[4, 1, 5, 6\], allowed \[4, 1, 9, 6\]"),
    ({"dilation": (1, 0)}, "dilation"),
    ({"padding": (-1, 0)}, "padding"),
    ({"groups": 0}, "0 groups"),
    ({"groups": 4}, "4 groups do not divide 2 and 4"),
]


@pytest.mark.parametrize(("change", "told"), LINKS)
def test_synapses_that_cannot_be_computed_are_refused(change: dict, told: str) -> None:
    program(CONV)
    with pytest.raises(NeuvaError, match=f"layer a: .*{told}"):
        program(replace(CONV, connection=replace(LINK, **change)))


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (
            lambda: program(replace(CONV, neuron=replace(NEURON, bias=np.zeros(3, int)))),
            r"bias is \[3\], allowed \[4\]",
        ),
        (lambda: program(replace(CONV, neuron=replace(NEURON, bias=np.full(4, 2**40)))), "bias holds 1099511627776"),
        (lambda: program(replace(CONV, neuron=replace(NEURON, bias=np.zeros(4)))), "bias is float64"),
        (lambda: program(replace(CONV, pool=0)), "pools by 0"),
        (lambda: program(replace(CONV, out_shape=(4, 5, 60))), r"\[4, 1, 5, 60\], allowed \[4, 1, 5, 6\]"),
        (lambda: program(replace(CONV, out_shape=(0, 0, 0))), r"out_shape: shape \(0, 0, 0\)"),
        (lambda: program(replace(CONV, out_shape=(4, 2**20, 6))), "16,777,216 multiplied"),
        (lambda: program(CONV, replace(DENSE, connection=Connection("dense", np.ones((3, 9), int)))), r"\[3, 120\]"),
        (lambda: program(provenance=[]), "provenance is a list"),
        (
            lambda: replace(program(), input=InputEncoding((2**31, 2000, 2000), "binary")),
            r"input: shape \(2147483648, 2000, 2000\), allowed",
        ),
    ],
)
def test_parts_that_cannot_be_computed_are_refused(broken, told: str) -> None:
    with pytest.raises(NeuvaError, match=told):
        broken()


def test_an_edited_file_is_refused_in_one_line_that_names_it(tmp_path) -> None:
    path = tmp_path / "p.h5"
    program().save(path)
    with h5py.File(path, "r+") as file:
        file["layers/00/connection"].attrs["stride"] = [0, 0]
    with pytest.raises(NeuvaError) as caught:
        ChipProgram.load(path)
    assert (
        str(caught.value) == f"{path}: layer a: stride (0, 0), allowed two numbers (y, x) from 1 on: convert it again"
    )


def test_weights_beyond_32_bits_are_clipped_before_they_are_cast() -> None:
    assert on_grid(np.array([2**33 + 6, -(2**40), 7])).tolist() == [254, -256, 6]
    assert on_grid(np.array([2**33 + 6, 7])).tolist() == [255, 7]
    assert on_grid(np.array([-(2**33) - 6, 0])).tolist() == [-255, 0]
