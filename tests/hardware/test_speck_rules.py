"""Limits, placement and what the emulators refuse."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout, SpeckNeuron
from hardware.rules import findings
from hardware.speck import cores
from hardware.speck.chip import load
from hardware.speck.rules import RULES
from hardware.speck.synapses import synapses
from neuva import NeuvaError


def layer(in_shape: tuple[int, int, int], features: int, kernel: int = 3, *, name: str = "a", **changes: Any) -> Layer:
    stride, padding = changes.pop("stride", (1, 1)), changes.pop("padding", (kernel // 2, kernel // 2))
    sides = [(in_shape[i + 1] + 2 * padding[i] - kernel) // stride[i] + 1 for i in (0, 1)]
    link = Connection("conv", np.ones((features, in_shape[0], kernel, kernel), np.int8), stride, padding)
    link = replace(link, **changes.pop("link", {}))
    own = replace(SpeckNeuron(100, -100, "subtract", np.zeros(features, int)), **changes.pop("neuron", {}))
    return replace(Layer(name, in_shape, (features, *sides), link, own), **changes)


def program(*layers: Layer, target: str = "speck2f") -> ChipProgram:
    outputs = int(np.prod(layers[-1].sent_shape))
    return ChipProgram(
        target,
        10_000,
        InputEncoding(layers[0].in_shape, "counts"),
        layers,
        Readout(np.zeros((2, outputs)), np.zeros(2), 0.5),
    )


def small(**changes: Any) -> ChipProgram:
    return program(layer((2, 8, 8), 4, stride=(8, 8), **changes))


def broken(chip_program: ChipProgram) -> dict[str, str]:
    return {finding.rule: str(finding) for finding in findings(chip_program, RULES)}


def test_a_program_within_all_limits_breaks_no_rule() -> None:
    assert broken(small()) == {}


wide = np.full((4, 2, 3, 3), 128)
big = np.ones((8, 512), np.int8)


@pytest.mark.parametrize(
    ("rule", "chip_program"),
    [
        ("input_side", program(layer((2, 129, 8), 1, stride=(8, 8)))),
        ("map_side", program(layer((2, 65, 8), 1))),
        ("features", program(layer((1, 1, 1), 1025, 1))),
        ("square_kernel", small(link={"weight": np.ones((4, 2, 3, 2), np.int8)})),
        ("kernel_side", program(layer((1, 32, 32), 4, 17, stride=(8, 8)))),
        ("stride", program(layer((2, 8, 8), 4, stride=(3, 8)))),
        ("padding", program(layer((2, 8, 8), 4, stride=(8, 8), padding=(1, 8)))),
        ("no_groups", small(link={"groups": 2})),
        ("no_dilation", small(link={"dilation": (2, 2)})),
        ("pool", program(layer((2, 9, 9), 4, stride=(2, 2), pool=3))),
        ("speck_neurons", program(replace(layer((2, 8, 8), 4), neuron=LoihiNeuron(0, 0, 1, np.zeros(4, int))))),
        ("weight_bits", small(link={"weight": wide})),
        ("weight_bits", small(link={"weight": np.ones((4, 2, 3, 3))})),
        ("bias_bits", small(neuron={"bias": np.full(4, -129)})),
        ("threshold_bits", small(neuron={"threshold": 1 << 15})),
        ("threshold_bits", small(neuron={"low": -(1 << 15) - 1})),
        ("threshold_bits", small(neuron={"threshold": 0})),
        ("weight_below_threshold", small(neuron={"threshold": 0})),
        ("leak_clock", small(neuron={"bias": np.array([1, 0, 0, 0])})),
        ("readout_classes", program(layer((2, 8, 8), 16, stride=(8, 8)))),
        ("kernel_memory", program(layer((64, 8, 8), 128, stride=(8, 8)))),
        ("neuron_memory", program(layer((2, 64, 64), 17))),
        ("bias_memory", program(layer((1, 1, 1), 1025, 1, neuron={"bias": np.ones(1025, int)}))),
        ("fits_a_core", program(layer((64, 32, 32), 64))),
        ("cores_suffice", program(*(layer((8, 64, 64), 8, name=f"l{k}") for k in range(6)))),
    ],
)
def test_each_rule_finds_its_fault(rule: str, chip_program: ChipProgram) -> None:
    found = broken(chip_program)
    assert rule in found
    assert f" {rule} at layer" in found[rule]
    assert "\n" not in found[rule]


def test_every_rule_is_tested() -> None:
    mark = test_each_rule_finds_its_fault.pytestmark[0]  # type: ignore[attr-defined]
    assert {case[0] for case in mark.args[1]} == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize(
    "chip_program",
    [
        program(layer((2, 128, 128), 4, stride=(2, 2))),
        program(layer((1, 32, 32), 4, 16, stride=(8, 8), padding=(7, 7))),
        program(layer((2, 64, 64), 16)),
        program(layer((64, 4, 4), 64, stride=(4, 4), link={"weight": np.full((64, 64, 3, 3), -128, np.int16)})),
        small(neuron={"threshold": (1 << 15) - 1, "low": -(1 << 15)}),
        small(neuron={"threshold": 1}),
        program(*(layer((4, 64, 64), 4, name=f"l{k}") for k in range(9))),
    ],
)
def test_the_limits_themselves_are_allowed(chip_program: ChipProgram) -> None:
    assert [found for found in findings(chip_program, RULES) if found.severity == "error"] == []


def test_warnings_do_not_stop_a_program() -> None:
    chatty = program(layer((2, 8, 8), 16, neuron={"threshold": 1, "bias": np.ones(16, int)}, link=_weights(16, 100)))
    assert {f.rule for f in findings(chatty, RULES) if f.severity == "warning"} == {
        "weight_below_threshold",
        "leak_clock",
        "readout_classes",
    }


def _weights(features: int, value: int) -> dict[str, Any]:
    return {"weight": np.full((features, 2, 3, 3), value, np.int8)}


def test_memory_in_closed_form() -> None:
    (size,) = cores.sizes(program(layer((16, 64, 64), 32)))
    assert size.memory() == (16 * 16 * 32, 32 * 64 * 64, 0)  # the documentation's own example
    (odd,) = cores.sizes(program(layer((3, 20, 9), 5, stride=(1, 2), neuron={"bias": np.ones(5, int)})))
    assert odd.memory() == (3 * 16 * 8, 5 * 32 * 8, 5)


def test_the_smallest_change_named_is_enough_and_one_more_is_not() -> None:
    (size,) = cores.sizes(program(layer((2, 64, 64), 17)))
    assert "16 features instead of 17" in broken(program(layer((2, 64, 64), 17)))["neuron_memory"]
    assert cores.misfits([size], load("speck2f")) != []
    assert cores.misfits(cores.sizes(program(layer((2, 64, 64), 16))), load("speck2f")) == []


def test_too_many_layers_for_the_cores_that_can_hold_them() -> None:
    crowd = program(*(layer((8, 64, 64), 8, name=f"l{k}") for k in range(6)))
    message = broken(crowd)["cores_suffice"]
    assert "6 layers that only cores 0, 1, 2, 3, 4 can hold" in message
    assert "4 features instead of 8" in message
    placement, uses = cores.place(crowd)  # the sixth is left out
    assert sorted(part.core for part in placement) == [0, 1, 2, 3, 4]
    assert all(use.use["neuron words"] in {(32768, 32768), (32768, 65536)} for use in uses)


def test_matching_finds_a_way_whenever_brute_force_does() -> None:
    rng, found = np.random.default_rng(0), set()
    for _ in range(60):
        wishes = [sorted(rng.choice(5, rng.integers(1, 3), replace=False).tolist()) for _ in range(4)]
        possible = any(
            all(core in wish for core, wish in zip(way, wishes, strict=True)) for way in permutations(range(5), 4)
        )
        taken, crowd = cores._match(wishes)
        assert (not crowd) == possible == (-1 not in taken)
        if crowd:
            assert len(crowd) > len({core for index in crowd for core in wishes[index]})
        found.add(possible)
    assert found == {True, False}


def test_chips_are_read_with_a_source_beside_each_number() -> None:
    assert load("speck2e").cores == load("speck2f").cores == load("dynapcnn").cores
    assert len(load("speck2f").cores) == 9
    with pytest.raises(NeuvaError, match="loihi2 is no chip of the Speck family"):
        load("loihi2")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (program(replace(layer((2, 8, 8), 4), neuron=LoihiNeuron(0, 0, 1, np.zeros(4, int)))), "Loihi's neurons"),
        (small(link={"groups": 2}), "groups 2"),
        (small(link={"weight": np.ones((4, 2, 3, 3))}), "no integers"),
        (small(link={"weight": np.ones((4, 3, 3, 3), int)}), "receives"),
        (small(neuron={"bias": np.zeros(3, int)}), "biases"),
        (small(neuron={"threshold": 0}), "threshold 0"),
        (small(neuron={"low": 1}), "lower bound 1"),
        (small(link={"stride": (4, 4)}), "declares"),
        (program(replace(layer((2, 8, 8), 4), connection=Connection("dense", np.ones((4, 9), int)))), "128 inputs"),
    ],
)
def test_layers_that_are_none_are_refused(bad: ChipProgram, message: str) -> None:
    with pytest.raises(NeuvaError, match=message):
        synapses(bad)
