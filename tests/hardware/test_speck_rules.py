"""Limits, placement and what the emulators refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli import app, main
from hardware.camera import Camera
from hardware.check import check
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout, SpeckNeuron
from hardware.rules import findings
from hardware.speck import cores, rules
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


def program(*layers: Layer, target: str = "speck2f", host: bool = True) -> ChipProgram:
    outputs = int(np.prod(layers[-1].sent_shape))
    readout = Readout(np.zeros((2, outputs)), np.zeros(2), 0.5) if host else None
    return ChipProgram(target, 10_000, InputEncoding(layers[0].in_shape, "counts"), layers, readout)


def small(**changes: Any) -> ChipProgram:
    return program(layer((2, 8, 8), 4, stride=(8, 8), **changes))


def broken(chip_program: ChipProgram) -> dict[str, str]:
    return {finding.rule: str(finding) for finding in findings(chip_program, RULES)}


def test_a_program_within_all_limits_breaks_no_rule() -> None:
    assert broken(small()) == {}


def heard_by(source: str, listeners: int) -> ChipProgram:
    """Layer a, and others of its size that hear one source."""
    names = [f"b{k}" for k in range(listeners)]
    others = [layer((4, 8, 8), 4, name=name, sources=(source,)) for name in names]
    last = layer((4, 8, 8), 1, name="last", stride=(8, 8), sources=tuple(names))
    return program(layer((4, 8, 8), 4, sources=("input",)), *others, last)


def dense(inputs: int, outputs: int, *sources: str) -> Layer:
    link = Connection("dense", np.ones((outputs, inputs), np.int8))
    own = SpeckNeuron(100, -100, "subtract", np.zeros(outputs, int))
    return Layer("dense", (inputs, 1, 1), (outputs, 1, 1), link, own, sources=sources)


def unlike() -> ChipProgram:
    """A dense layer that hears 4 features of 4 x 4 and 16 of 2 x 2."""
    first = layer((2, 8, 8), 4, name="a", stride=(2, 2))
    second = layer((2, 8, 8), 16, name="b", stride=(4, 4), sources=("input",))
    return program(first, second, dense(64, 2, "a", "b"))


wide = np.full((4, 2, 3, 3), 128)
CASES = [
    ("input_side", program(layer((2, 129, 8), 1, stride=(8, 8)))),
    ("map_side", program(layer((2, 65, 8), 1))),
    ("features", program(layer((1, 1, 1), 1025, 1))),
    ("square_kernel", small(link={"weight": np.ones((4, 2, 3, 2), np.int8)}, out_shape=(4, 1, 2))),
    ("kernel_side", program(layer((1, 32, 32), 4, 17, stride=(8, 8)))),
    ("stride", program(layer((2, 8, 8), 4, stride=(3, 8)))),
    ("padding", program(layer((2, 8, 8), 4, stride=(8, 8), padding=(1, 8)))),
    ("no_groups", small(link={"groups": 2, "weight": np.ones((4, 1, 3, 3), np.int8)})),
    ("no_dilation", small(link={"dilation": (2, 2)})),
    ("pool", program(layer((2, 9, 9), 4, stride=(2, 2), pool=3))),
    ("speck_neurons", program(replace(layer((2, 8, 8), 4), neuron=LoihiNeuron(0, 0, 1, np.zeros(4, int))))),
    ("weight_bits", small(link={"weight": wide})),
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
    ("two_destinations", heard_by("a", 3)),
    ("two_destinations", heard_by("input", 2)),
    ("same_maps", unlike()),
    ("camera_layer", replace(small(), camera=Camera((24, 24), pool=(3, 3)))),
    ("camera_layer", replace(small(), camera=Camera((256, 8), crop=((0, 8), (0, 8))))),
    ("readout_spacing", program(layer((2, 8, 8), 4, stride=(8, 8)), host=False)),
]


@pytest.mark.parametrize(("rule", "chip_program"), CASES)
def test_each_rule_finds_its_fault(rule: str, chip_program: ChipProgram) -> None:
    found = broken(chip_program)
    assert rule in found
    assert "\n" not in found[rule]


@pytest.mark.parametrize(("rule", "chip_program"), CASES)
def test_each_rule_as_the_user_sees_it(rule: str, chip_program: ChipProgram, tmp_path: Path) -> None:
    (finding, *_) = (each for each in findings(chip_program, RULES) if each.rule == rule)
    chip_program.save(tmp_path / "chip.h5")
    done = CliRunner().invoke(app, ["check", str(tmp_path / "chip.h5")])
    assert isinstance(done.exception, SystemExit | None), done.exception
    fits = all(each.severity == "warning" for each in findings(chip_program, RULES))
    assert done.exit_code == (0 if fits else 2)
    shown = " ".join(done.output.split())
    assert f"{finding.severity} {rule} at {finding.where}: {finding.measured}, allowed {finding.limit}: " in shown
    assert ("does not fit" in shown) == (not fits)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["last"], "layer b0 hears last, which is no layer before it"),  # a loop
        (["b0"], "layer b0 hears b0, which is no layer before it"),
        (["a", "narrow"], "layer b0 hears narrow, which is no layer before it: known are input, a"),
        (["a", "input"], "layer b0 takes (4, 8, 8) but is given (2, 8, 8)"),
    ],
)
def test_graphs_that_no_program_holds_are_refused_in_one_line(
    sources: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    path = tmp_path / "chip.h5"
    chain = [layer((4, 8, 8), 4, name="b0"), layer((4, 8, 8), 1, name="last", stride=(8, 8))]
    program(layer((2, 8, 8), 4), *chain).save(path)
    with h5py.File(path, "r+") as file:
        file["layers/01"].attrs["sources"] = json.dumps(sources)
    monkeypatch.setattr("sys.argv", ["neuva", "check", str(path)])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_every_rule_is_tested() -> None:
    assert {rule for rule, _ in CASES} == {rule.__name__ for rule in RULES}


def test_two_destinations_are_allowed_and_three_named() -> None:
    assert "two_destinations" not in broken(heard_by("a", 2))
    assert "layer a: 3 destinations (b0, b1, b2), allowed 2" in broken(heard_by("a", 3))["two_destinations"]
    assert broken(heard_by("input", 2))["two_destinations"].startswith("warning two_destinations at input: 3 dest")


def test_a_weight_above_the_threshold_means_another_thing_for_each_reset() -> None:
    late, fewer = (
        small(neuron={"threshold": 1, "reset": reset}, link=_weights(4, 2)) for reset in ("subtract", "zero")
    )
    assert "spikes that come late" in broken(late)["weight_below_threshold"]
    assert "fewer spikes than a clocked run" in broken(fewer)["weight_below_threshold"]
    assert "weight_below_threshold" not in broken(small(neuron={"threshold": 2}, link=_weights(4, 2)))


@pytest.mark.parametrize(("chip", "spaced"), [("speck2e", True), ("speck2f", True), ("dynapcnn", False)])
def test_the_read_out_of_two_chips_hears_every_fourth_feature(chip: str, spaced: bool) -> None:
    outputs = program(layer((2, 8, 8), 4, stride=(8, 8)), target=chip, host=False)
    assert ("readout_spacing" in broken(outputs)) == spaced


@pytest.mark.parametrize(
    "chip_program",
    [
        program(layer((2, 128, 128), 4, stride=(2, 2))),
        program(layer((1, 32, 32), 4, 16, stride=(8, 8), padding=(7, 7))),
        program(layer((2, 64, 64), 16)),
        program(layer((64, 4, 4), 64, stride=(4, 4), link={"weight": np.full((64, 64, 3, 3), -128, np.int16)})),
        small(neuron={"threshold": (1 << 15) - 1, "low": -(1 << 15)}),
        small(neuron={"threshold": 1}),
        replace(small(), camera=Camera((128, 128), crop=((0, 8), (0, 8)), pool=(4, 1))),
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


def crowd(count: int, last: int = 8) -> ChipProgram:
    """Layers that only the five cores with the largest neuron memories can hold, the last with other features."""
    features = [8] * (count - 1) + [last]
    return program(*(layer((8, 64, 64), number, name=f"l{k}") for k, number in enumerate(features)))


def test_too_many_layers_for_the_cores_that_can_hold_them() -> None:
    message = broken(crowd(6))["cores_suffice"]
    assert "6 layers that only cores 0, 1, 2, 3, 4 can hold, allowed 5 layers there: drop or merge 1" in message
    placement, uses = cores.place(crowd(6))  # the sixth is left out
    assert sorted(part.core for part in placement) == [0, 1, 2, 3, 4]
    assert all(use.use["neuron words"] in {(32768, 32768), (32768, 65536)} for use in uses)


def test_the_advice_for_a_crowd_is_enough_and_one_less_is_not() -> None:
    assert check(crowd(6)).advice[0].change == "l5: 4 channels instead of 8"
    assert check(crowd(6, last=4)).fits
    assert not check(crowd(6, last=5)).fits
    assert check(crowd(5)).advice == ()


@pytest.mark.parametrize("seed", range(30))
def test_the_smallest_change_of_a_layer_is_enough_and_one_less_is_not(seed: int) -> None:
    rng, chip = np.random.default_rng(seed), load("speck2f")
    side, features = int(rng.choice([8, 16, 32, 64])), int(rng.integers(100, 1025))
    (size,) = cores.sizes(program(layer((int(rng.choice([8, 40, 64])), side, side), features, int(rng.choice([1, 3])))))
    named = cores.smallest_change(size, chip.cores)
    number = int(named.split()[0])

    def fits(count: int) -> bool:
        return any(size.memory(count).fits(core) for core in chip.cores)

    assert fits(number)
    assert number == features or not fits(number + 1)


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
        (small(link={"groups": 2, "weight": np.ones((4, 1, 3, 3), int)}), "groups 2"),
        (small(neuron={"threshold": 0}), "threshold 0"),
        (small(neuron={"low": 1}), "lower bound 1"),
        (
            program(replace(layer((2, 8, 8), 4), connection=Connection("dense", np.ones((256, 128), int)))),
            r"is dense and gives \(4, 8, 8\), allowed \(256, 1, 1\)",
        ),
    ],
)
def test_layers_that_are_none_are_refused(bad: ChipProgram, message: str) -> None:
    with pytest.raises(NeuvaError, match=message):
        synapses(bad)


def test_a_layer_gets_the_smallest_core_that_holds_it() -> None:
    placed, _ = cores.place(program(layer((2, 8, 8), 4)))
    there = load("speck2f").cores
    assert sum(there[placed[0].core]) == min(map(sum, there))


def test_the_read_out_is_named_where_the_program_has_one() -> None:
    many = program(layer((2, 4, 4), 4))
    for readout in (None, Readout(np.zeros((2, 64), np.float32), np.zeros(2, np.float32), 0.5)):
        (found,) = rules.readout_classes(replace(many, readout=readout))
        assert ("as the program's read-out does" in found.cure) == (readout is not None)
