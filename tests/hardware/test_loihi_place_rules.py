"""Chips' tables, placement within every limit, and one program that breaks each design rule."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.energy.fanout import fanout
from hardware.loihi import axons, chip, emulator, place, rules
from hardware.loihi.axons import Part
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
            span = isinstance(value, tuple) and value[0] <= value[1]
            assert value is None or isinstance(value, int) or span
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


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 24), st.sampled_from([1, 2, 4]), st.integers(1, 3), st.booleans())
def test_any_two_layers_are_placed_within_all_limits_or_told(
    channels: int, side: int, groups: int, stride: int, first: bool
) -> None:
    before = conv("a", (2, side, side + 3), channels * groups, 1)
    after = conv("b", before.out_shape, 16 * groups, stride, groups)
    program = program_of(before, after, target="loihi1" if first else "loihi2")
    placement, uses = place.place(program)
    found = findings(dataclasses.replace(program, placement=placement), rules.RULES)
    broken = [finding for finding in found if finding.severity == "error"]
    assert {finding.rule for finding in broken} <= {"cores_available", "layers_fit_cores"}
    assert not any(finding.measured == "on no core" for finding in broken)
    assert all(use.load <= 1 for use in uses)
    missing = {layer.name for layer in program.layers} - {part.layer for part in placement}
    assert missing == {finding.where.split()[1] for finding in broken if finding.rule == "layers_fit_cores"}


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
        assert axons.hearings(program)["c"].fan_in(Part(c0, c1, y0, y1)) == reaching


@st.composite
def convolutions(draw: st.DrawFn) -> Layer:
    """Any geometry that leaves something of the map."""
    groups = draw(st.integers(1, 3))
    channels, count = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 3))
    pairs = [draw(st.tuples(st.integers(low, high), st.integers(low, high))) for low, high in ((1, 3), (1, 3), (0, 2))]
    kernel, stride, padding = pairs
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    sides = draw(st.tuples(st.integers(5, 9), st.integers(5, 9)))
    spans = zip(sides, kernel, stride, padding, dilation, strict=True)
    out = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in spans]
    link = Connection("conv", np.full((count, channels // groups, *kernel), 2), stride, padding, dilation, groups)
    return Layer("c", (channels, *sides), (count, out[0], out[1]), link, neuron(count))


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.data())
def test_fan_in_and_synapses_are_those_of_every_pair_counted(layer: Layer, data: st.DataObject) -> None:
    """Pairs of an output and an input, one by one: the loops that define a convolution."""
    (channels, height, width), (count, rows, columns), link = layer.in_shape, layer.out_shape, layer.connection
    c0, y0 = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, rows - 1))
    c1, y1 = data.draw(st.integers(c0 + 1, count)), data.draw(st.integers(y0 + 1, rows))
    each, (k_y, k_x) = channels // link.groups, link.weight.shape[2:]
    heard = [
        (c // (count // link.groups) * each + i, y, x)
        for c, o_y, o_x in itertools.product(range(c0, c1), range(y0, y1), range(columns))
        for i, t_y, t_x in itertools.product(range(each), range(k_y), range(k_x))
        if 0 <= (y := o_y * link.stride[0] - link.padding[0] + t_y * link.dilation[0]) < height
        and 0 <= (x := o_x * link.stride[1] - link.padding[1] + t_x * link.dilation[1]) < width
    ]
    hearing = axons.hearings(program_of(layer))["c"]
    assert hearing.fan_in(Part(c0, c1, y0, y1)) == len(set(heard))
    assert hearing.synapses(Part(c0, c1, y0, y1)) == len(heard)


@pytest.mark.parametrize("kind", ["conv", "dense"])
def test_fan_out_counts_the_slices_that_hear_each_neuron(kind: str) -> None:
    """Against the emulator: neurons spike one at a time, and each slice of the next layer shows whether it heard."""
    rng = np.random.default_rng(4)
    if kind == "conv":
        link = Connection("conv", np.full((4, 2, 2, 3), 2), (3, 2), (1, 0), (2, 1), 2)
        second = Layer("b", (4, 8, 10), (4, 3, 4), link, neuron(4))
    else:
        second = dataclasses.replace(dense("b", (4, 8, 10), 12), out_shape=(4, 3, 1), neuron=neuron(4))
    first = Layer("a", (1, 8, 10), (4, 8, 10), Connection("conv", np.full((4, 1, 1, 1), 2)), neuron(4))
    program = program_of(first, second)
    parts = [Part(0, 1, 0, 2), Part(0, 1, 2, 3), Part(1, 3, 0, 3), Part(3, 4, 0, 1), Part(3, 4, 1, 3)]
    there = place.destinations(program, first, axons.hearings(program), {"a": [], "b": parts})
    inputs = np.eye(4 * 8 * 10, dtype=np.uint8).reshape(-1, 4, 8, 10)
    u = emulator.run(program_of(second), inputs, record_state=True).u["b"]
    reached = np.stack([np.any(u[:, c0:c1, y0:y1] != 0, axis=(1, 2, 3)) for c0, c1, y0, y1 in parts])
    edges = reached.sum(axis=0).reshape(4, 8, 10)
    for _ in range(12):
        c0, y0 = int(rng.integers(4)), int(rng.integers(8))
        c1, y1 = int(rng.integers(c0 + 1, 5)), int(rng.integers(y0 + 1, 9))
        assert there.fan_out(Part(c0, c1, y0, y1)) == edges[c0:c1, y0:y1].sum()


def test_synapses_are_what_the_energy_model_counts_borders_exact() -> None:
    link = Connection("conv", np.full((6, 2, 2, 3), 2), (3, 2), (1, 2), (2, 1), 2)
    layer = Layer("c", (4, 8, 9), (6, 3, 6), link, neuron(6))
    hearing = axons.hearings(program_of(layer))["c"]
    whole = hearing.synapses(Part(0, 6, 0, 3))
    assert whole == fanout(layer, (4, 8, 9)).sum()
    assert whole == sum(hearing.synapses(part) for part in (Part(0, 2, 0, 3), Part(2, 6, 0, 1), Part(2, 6, 1, 3)))
    assert whole < layer.neurons * 2 * 2 * 3  # with the borders counted in full


def test_axons_out_split_a_layer_that_neurons_and_memory_do_not() -> None:
    """1,024 neurons heard by 8 cores need 8,192 axons, of which a Loihi 1 core has 4,096."""
    program = program_of(dense("a", (16, 1, 1), 1024), dense("b", (1024, 1, 1), 1024), target="loihi1")
    _, uses = place.place(program)
    first = [use for use in uses if use.layers == ("a",)]
    assert [use.use["axons out"] for use in first] == [(4096, 4096)] * 2
    assert sum(use.layers == ("b",) for use in uses) == 8
    alone, _ = place.place(program_of(dense("a", (16, 1, 1), 1024), target="loihi1"))
    assert len(alone) == 1


def test_each_source_of_a_layer_has_axons_of_its_own() -> None:
    first = conv("a", (2, 8, 8), 2, 1)
    second = conv("b", (2, 8, 8), 2, 1)
    both = dataclasses.replace(conv("c", (2, 8, 8), 4, 1), sources=("a", "b"))
    program = program_of(first, second, both)
    _, uses = place.place(program)
    assert [use.use["axons in"][0] for use in uses] == [128, 128, 256]
    assert [use.use["axons out"][0] for use in uses] == [256, 128, 256]  # a is heard by b and c


@pytest.mark.parametrize(
    ("layer", "measured"),
    [
        (dense("fc", (5000, 1, 1), 8), {"one neuron takes 5000 axons in"}),
        (conv("c", (64, 40, 64), 8, 1), {"one row of one channel takes 12288 axons in"}),  # its border row: 8192
        (
            dense("fc", (2, 300, 300), 8),
            {"one neuron takes 180000 axons in", "one neuron takes 180000 memory bytes"},
        ),
    ],
)
def test_a_layer_no_core_can_take_is_a_finding_for_each_resource(layer: Layer, measured: set[str]) -> None:
    channels, height, width = layer.in_shape
    program = program_of(conv("first", (1, height, width), channels, 1), layer, target="loihi1")
    placement, uses = place.place(program)
    assert layer.name not in {part.layer for part in placement}
    assert {use.layers for use in uses} <= {("first",)}
    placed = dataclasses.replace(program, placement=placement)
    found = [each for each in findings(placed, rules.RULES) if each.where == f"layer {layer.name}"]
    assert {each.measured for each in found if each.severity == "error"} == measured
    assert {each.rule for each in found if each.severity == "error"} == {"layers_fit_cores"}
    assert all("fewer inputs" in each.cure for each in found)


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


def test_a_layer_left_out_of_a_placement_is_found() -> None:
    program = network()
    placement = tuple(part for part in place.place(program)[0] if part.layer != "c2")
    (found,) = findings(dataclasses.replace(program, placement=placement), rules.RULES)
    assert (found.rule, found.where, found.measured) == ("layers_fit_cores", "layer c2", "on no core")


def test_core_resources_are_counted_over_all_slices_of_a_core() -> None:
    program = network("loihi1")
    placement, _ = place.place(program)
    crowded = tuple(dataclasses.replace(part, core=part.core // 2) for part in placement)
    found = findings(dataclasses.replace(program, placement=crowded), [rules.core_resources])
    assert {"neurons", "axons in"} <= {finding.measured.split(maxsplit=1)[1] for finding in found}


def test_speck_layers_and_pooling_are_found() -> None:
    layer = SMALL.layers[0]
    pooled = dataclasses.replace(layer, pool=2)
    readout = Readout(np.zeros((2, 16), np.float32), np.zeros(2, np.float32), 0.5)
    program = dataclasses.replace(SMALL, layers=(pooled,), readout=readout)
    assert [finding.measured for finding in findings(program, rules.RULES)] == ["pooling by 2"]


@pytest.mark.parametrize(("du", "fewest"), [(4095, 656), (2047, 328)])
def test_the_drive_that_could_wrap_u_is_the_least_that_does(du: int, fewest: int) -> None:
    """2^23 / (200 << 6) = 655.4 inputs in one step, half as many a step where half of u stays; on the emulator."""
    program = program_of(dense("fc", (700, 1, 1), 2))
    link = Connection("dense", np.full((2, 700), 200))
    strong = dataclasses.replace(program.layers[0], connection=link, neuron=neuron(2, du=du, vth=131071))
    program = dataclasses.replace(program, layers=(strong,), placement=place.place(program)[0])
    (found,) = findings(program, rules.RULES)
    assert (found.rule, found.severity) == ("drive_within_24_bits", "warning")
    assert f"if {fewest} of a neuron's 700 inputs" in found.measured
    for count, wraps in ((fewest - 1, False), (fewest, True)):
        spikes = np.zeros((60, 700, 1, 1), np.uint8)
        spikes[:, :count] = 1
        overflows = emulator.run(program, spikes).notes.get("overflows", {"fc": {"u_wraps": 0}})
        assert (overflows["fc"]["u_wraps"] > 0) == wraps


def test_a_drive_of_mixed_signs_counts_the_strongest_of_one_sign() -> None:
    program = program_of(dense("fc", (700, 1, 1), 1))
    weight = np.where(np.arange(700) % 2, -250, 100)[None]
    link = Connection("dense", weight, weight_exp=1)
    strong = dataclasses.replace(program.layers[0], connection=link)
    (found,) = findings(dataclasses.replace(program, layers=(strong,)), [rules.drive_within_24_bits])
    assert f"if {-(-(2**23) // (250 << 7))} of" in found.measured
