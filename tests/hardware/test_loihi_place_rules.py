"""Chips' tables, placement within every limit, and one program that breaks each design rule."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.loihi import chip, emulator, place, rules
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout, Shape
from hardware.rules import findings
from neuva import NeuvaError


def neuron(channels: int, **constants) -> LoihiNeuron:
    return LoihiNeuron(**{"du": 4095, "dv": 0, "vth": 100, "bias": np.zeros(channels, np.int32)} | constants)


def conv(name: str, shape: Shape, channels: int, stride: int = 2, groups: int = 1, **constants) -> Layer:
    out = (channels, (shape[1] - 1) // stride + 1, (shape[2] - 1) // stride + 1)
    link = Connection("conv", np.full((channels, shape[0] // groups, 3, 3), 2), (stride,) * 2, (1, 1), groups=groups)
    return Layer(name, shape, out, link, neuron(channels, **constants))


def dense(name: str, shape: Shape, n: int) -> Layer:
    return Layer(name, shape, (n, 1, 1), Connection("dense", np.full((n, int(np.prod(shape))), 2)), neuron(n))


def program_of(*layers: Layer, target: str = "loihi2", kind="binary") -> ChipProgram:
    n = layers[-1].neurons
    readout = Readout(np.zeros((2, n), np.float32), np.zeros(2, np.float32), 0.5)
    return ChipProgram(target, 1000, InputEncoding(layers[0].in_shape, kind), layers, readout)


def network(target: str = "loihi2") -> ChipProgram:
    first = conv("c1", (2, 64, 64), 32)
    second = conv("c2", first.out_shape, 64)
    third = conv("c3", second.out_shape, 64)
    return program_of(first, second, third, dense("fc", third.out_shape, 64), target=target)


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
def test_every_number_of_a_chip_has_its_source(name: str) -> None:
    table = chip.load(name)
    assert table.name == name
    for item in dataclasses.fields(table):
        if item.name not in ("name", "sources"):
            value = getattr(table, item.name)
            assert value is None or isinstance(value, int)
            assert len(table.sources[item.name]) > 15


def test_an_unknown_chip_is_refused() -> None:
    with pytest.raises(NeuvaError, match=r"loihi3 .*loihi1, loihi2"):
        chip.load("loihi3")


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_the_network_is_placed_within_all_limits(target: str) -> None:
    program = network(target)
    placement, uses = place.place(program)
    placed = dataclasses.replace(program, placement=placement)
    assert [str(finding) for finding in findings(placed, rules.RULES) if finding.severity == "error"] == []
    assert [use.core for use in uses] == list(range(len(placement)))
    assert max(use.load for use in uses) <= 1
    assert sum(use.use["neurons"][0] for use in uses) == sum(layer.neurons for layer in program.layers)
    fewest = sum(-(-layer.neurons // chip.load(target).neurons_per_core) for layer in program.layers)
    assert fewest <= len(placement) <= 2 * fewest


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 40), st.sampled_from([1, 2, 4]), st.integers(1, 2), st.booleans())
def test_any_conv_is_covered_once_and_fits(channels: int, side: int, groups: int, stride: int, first: bool) -> None:
    layer = conv("c", (4, side, side + 3), channels * groups, stride, groups)
    program = program_of(layer, target="loihi1" if first else "loihi2")
    placement, uses = place.place(program)
    placed = dataclasses.replace(program, placement=placement)
    broken = {finding.rule for finding in findings(placed, rules.RULES) if finding.severity == "error"}
    assert broken <= {"cores_available"}
    assert all(use.load <= 1 for use in uses)


def test_fan_in_counts_the_inputs_that_reach_a_slice() -> None:
    """Against the emulator: spikes of the inputs one at a time, counted where they land on the slice."""
    rng = np.random.default_rng(3)
    link = Connection("conv", np.full((4, 2, 2, 3), 2), (3, 2), (1, 0), (2, 1), 2)
    layer = Layer("c", (4, 8, 9), (4, 3, 4), link, neuron(4))
    program = program_of(layer)
    inputs = np.eye(4 * 8 * 9, dtype=np.uint8).reshape(-1, 4, 8, 9)
    for _ in range(12):
        c0, y0 = int(rng.integers(4)), int(rng.integers(3))
        c1, y1 = int(rng.integers(c0 + 1, 5)), int(rng.integers(y0 + 1, 4))
        u = emulator.run(program, inputs, record_state=True).u["c"][:, c0:c1, y0:y1]
        reaching = int(np.any(u != 0, axis=(1, 2, 3)).sum())
        assert place.fan_in(layer, (4, 8, 9), (c0, c1), (y0, y1)) == reaching


def test_a_layer_no_core_can_take_is_an_error_with_the_numbers() -> None:
    program = program_of(dense("fc", (5000, 1, 1), 8), target="loihi1")
    with pytest.raises(
        NeuvaError, match="layer fc: one row of one channel takes 5000 fan-in axons, loihi1 allows 4096"
    ):
        place.place(program)


def _placed(**changes) -> ChipProgram:
    program = program_of(conv("c", (2, 8, 8), 4))
    program = dataclasses.replace(program, placement=place.place(program)[0])
    layer = program.layers[0]
    link = {key: changes.pop(key) for key in ("weight", "weight_exp") if key in changes}
    cell = {key: changes.pop(key) for key in ("du", "dv", "vth", "bias", "bias_exp") if key in changes}
    layer = dataclasses.replace(
        layer,
        connection=dataclasses.replace(layer.connection, **link),
        neuron=dataclasses.replace(layer.neuron, **cell),
    )
    return dataclasses.replace(program, layers=(layer,), **changes)


SMALL = _placed()
PART = SMALL.placement[0]


@pytest.mark.parametrize(
    ("rule", "program", "measured"),
    [
        ("weights_on_8_bit_grid", _placed(weight=np.tile([3, -2], 36).reshape(4, 2, 3, 3)), "36 of 72"),
        ("weights_on_8_bit_grid", _placed(weight=np.full((4, 2, 3, 3), 256)), "256"),
        ("weight_exp_4_bit", _placed(weight_exp=8), "weight_exp 8"),
        ("decays_12_bit", _placed(du=4096), "du 4096"),
        ("decays_12_bit", _placed(dv=-1), "dv -1"),
        ("threshold_17_bit", _placed(vth=131072), "vth 131072"),
        ("bias_13_bit_mantissa", _placed(bias=np.array([4096, 0, 0, 0])), "4096"),
        ("bias_13_bit_mantissa", _placed(bias=np.array([8, 0, 0, 12]), bias_exp=3), "12"),
        ("bias_13_bit_mantissa", _placed(bias_exp=8), "bias_exp 8"),
        (
            "spikes_fit_payload",
            dataclasses.replace(SMALL, target="loihi1", input=InputEncoding((2, 8, 8), "counts")),
            "counts",
        ),
        ("every_neuron_placed_once", _placed(placement=(dataclasses.replace(PART, c1=3),)), "0 to 1"),
        ("every_neuron_placed_once", _placed(placement=(PART, PART)), "2 to 2"),
        ("every_neuron_placed_once", _placed(placement=(PART, dataclasses.replace(PART, layer="x"))), "layer x"),
        ("cores_available", _placed(placement=(dataclasses.replace(PART, core=500),)), "500"),
    ],
)
def test_each_rule_finds_its_breach_and_only_that(rule: str, program: ChipProgram, measured: str) -> None:
    assert findings(SMALL, rules.RULES) == []
    found = [finding for finding in findings(program, rules.RULES) if finding.severity == "error"]
    assert [finding.rule for finding in found] == [rule]
    assert measured in found[0].measured
    assert found[0].where
    assert found[0].cure


def test_core_resources_are_counted_over_all_slices_of_a_core() -> None:
    program = network("loihi1")
    placement, _ = place.place(program)
    crowded = tuple(dataclasses.replace(part, core=part.core // 2) for part in placement)
    found = findings(dataclasses.replace(program, placement=crowded), [rules.core_resources])
    assert {"neurons", "axons"} <= {finding.measured.split()[-1] for finding in found}


def test_speck_layers_and_pooling_are_found() -> None:
    layer = SMALL.layers[0]
    pooled = dataclasses.replace(layer, pool=2)
    readout = Readout(np.zeros((2, 16), np.float32), np.zeros(2, np.float32), 0.5)
    program = dataclasses.replace(SMALL, layers=(pooled,), readout=readout)
    assert [finding.measured for finding in findings(program, rules.RULES)] == ["pooling by 2"]


def test_a_drive_that_could_wrap_u_is_a_warning() -> None:
    program = program_of(dense("fc", (700, 1, 1), 2))
    strong = dataclasses.replace(program.layers[0], connection=Connection("dense", np.full((2, 700), 200)))
    program = dataclasses.replace(program, layers=(strong,))
    found = findings(program, rules.RULES)
    assert [(finding.rule, finding.severity) for finding in found] == [("drive_within_24_bits", "warning")]
