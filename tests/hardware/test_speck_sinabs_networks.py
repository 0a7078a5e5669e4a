"""Random networks with branches and merges against sinabs: memory, assignment, configuration, every spike.

NEUVA_FUZZ=200 runs as many of them; the default is fewer.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import lru_cache
from math import prod

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from hardware.program import ChipProgram, Connection, CoreSlice, InputEncoding, Layer, Shape, SpeckNeuron
from hardware.rules import findings
from hardware.speck import clocked, cores, sinabs_run
from hardware.speck.chip import load
from hardware.speck.configuration import layer_configurations
from hardware.speck.rules import RULES
from hardware.trace import Trace
from neuva import NeuvaError

pytest.importorskip("sinabs")
DT, STEPS = 10_000, 6
NETWORKS = range(int(os.environ.get("NEUVA_FUZZ", "40")))
MEMORY_RULES = {"kernel_memory", "neuron_memory", "bias_memory", "fits_a_core", "cores_suffice"}


class Draw:
    """A random network, layer by layer, within all limits but those of memory.

    By turns small, with maps and features that strain single cores, and with many layers that want the same cores.
    Each layer hears one or more of the populations drawn before it, none of which is heard by more than two.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.small, self.crowd = seed % 2 == 0, seed % 6 == 5
        self.features = [1, 3, 8, 17] if self.small else [8] if self.crowd else [4, 16, 32, 60]
        self.layers: list[Layer] = []
        side = int(self.rng.choice([8, 12, 16, 21] if self.small else [64] if self.crowd else [32, 64, 128]))
        self.sent: dict[str, Shape] = {"input": (int(self.rng.integers(1, 3)), side, side)}
        self.hearers = {"input": 0}

    def program(self) -> ChipProgram:
        count = int(self.rng.integers(6 if self.crowd else 1 if self.small else 4, 10))
        for index in range(count):
            sources = self.sources()
            shape = self.sent[sources[0]]
            last = index == count - 1 and shape[1] == shape[2] <= 16
            self.add(
                self.dense(index, shape) if last and self.often(0.6) else self.conv(index, shape, len(sources)), sources
            )
        return ChipProgram("speck2f", DT, InputEncoding(self.sent["input"], "counts"), tuple(self.layers), None)

    def sources(self) -> tuple[str, ...]:
        """The newest population, or an older one, and others of its shape that still have a destination free."""
        free = [name for name, hearers in self.hearers.items() if hearers < 2]
        first = free[-1] if self.often(0.8) else str(self.rng.choice(free))
        alike = [name for name in free if name not in (first, "input") and self.sent[name] == self.sent[first]]
        if first == "input":  # sinabs has no network that adds something to the input
            alike = []
        return (first, *(name for name in alike if self.often(0.8)))

    def add(self, layer: Layer, sources: tuple[str, ...]) -> None:
        newest = list(self.sent)[-1]
        self.layers.append(replace(layer, sources=() if sources == (newest,) and self.often(0.5) else sources))
        self.sent[layer.name], self.hearers[layer.name] = layer.sent_shape, 0
        for name in sources:
            self.hearers[name] += 1

    def conv(self, index: int, shape: Shape, fan_in: int) -> Layer:
        rng, small_side = self.rng, min(shape[1:])
        kernel = int(rng.choice([k for k in ((1, 3) if self.crowd else (1, 2, 3, 4, 5, 7, 16)) if k <= small_side]))
        same = kernel in (1, 3, 5) and shape[1] <= 64 and self.often(0.9 if self.crowd else 0.5)  # fit to be added up
        most = min(kernel, 8)
        padding = (kernel // 2,) * 2 if same else tuple(int(p) for p in rng.integers(0, most, 2))
        needed = 1 if shape[1] <= 64 else 2
        choices = [s for s in (1, 2, 4, 8) if s >= needed and s <= max(needed, small_side)]
        often_small = [0.5 / len(choices) + 0.5 * (s == choices[0]) for s in choices]
        stride = (1, 1) if same else tuple(int(s) for s in rng.choice(choices, 2, p=often_small))
        features = shape[0] if same and shape[0] > 2 and self.often(0.8) else int(rng.choice(self.features))
        rows, columns = ((shape[i + 1] + 2 * padding[i] - kernel) // stride[i] + 1 for i in (0, 1))
        pool = (
            1
            if same and self.often(1.0 if self.crowd else 0.8)
            else int(rng.choice([p for p in (1, 2, 4) if p <= min(rows, columns)]))
        )
        neuron = self.neuron(features)
        weight = self.weights((features, shape[0], kernel, kernel), neuron.threshold, prod(stride) / fan_in)
        connection = Connection("conv", weight, stride, padding)
        return Layer(f"conv{index}", shape, (features, rows, columns), connection, neuron, pool)

    def dense(self, index: int, shape: Shape) -> Layer:
        outputs, inputs = int(self.rng.integers(1, 20)), prod(shape)
        neuron = self.neuron(outputs)
        connection = Connection("dense", self.weights((outputs, inputs), neuron.threshold, prod(shape[1:])))
        return Layer(f"dense{index}", (inputs, 1, 1), (outputs, 1, 1), connection, neuron)

    def weights(self, shape: tuple[int, ...], threshold: int, share: float) -> np.ndarray:
        """That make about as many spikes of each spike, so that deep layers are neither silent nor flooded.

        share: positions of the input for each of the map, divided by the sources.
        """
        mean, spread = threshold * share * shape[1] / prod(shape), threshold / (prod(shape[1:]) ** 0.5)
        drawn = self.rng.normal(min(mean, 90), np.clip(2 * spread, 2, 40), shape)
        return np.clip(np.rint(drawn), -128, 127).astype(np.int8)

    def neuron(self, features: int) -> SpeckNeuron:
        bias = self.rng.integers(-15, 60, features) * self.often(0.4)
        reset = "subtract" if self.often(0.5) else "zero"
        return SpeckNeuron(int(self.rng.integers(40, 500)), -int(self.rng.integers(0, 900)), reset, bias)

    def often(self, share: float) -> bool:
        return bool(self.rng.random() < share)


@lru_cache
def drawn(seed: int) -> ChipProgram:
    return Draw(seed).program()


@lru_cache
def emulated(seed: int) -> Trace:
    return trace(drawn(seed))


def trace(program: ChipProgram) -> Trace:
    return clocked.run(program, clip(program))


def clip(program: ChipProgram) -> np.ndarray:
    rate = 0.02 if program.input.shape[1] > 21 else 0.15
    return np.random.default_rng(1).poisson(rate, (STEPS, *program.input.shape))


def squared(program: ChipProgram) -> bool:
    return all(size.kernel[0] == size.kernel[1] for size in cores.sizes(program))


def placed(program: ChipProgram) -> ChipProgram:
    return replace(program, placement=cores.place(program)[0])


@pytest.mark.parametrize("seed", NETWORKS)
def test_every_spike_equals_sinabs(seed: int) -> None:
    program = drawn(seed)
    ours, theirs = emulated(seed), sinabs_run.run(program, clip(program))
    for name, sent in theirs.spikes.items():
        np.testing.assert_array_equal(ours.spikes[name].t, sent.t, err_msg=f"{name} {seed}")
        np.testing.assert_array_equal(ours.spikes[name].neuron, sent.neuron, err_msg=f"{name} {seed}")
        np.testing.assert_array_equal(ours.spikes[name].count, sent.count, err_msg=f"{name} {seed}")
    assert ours.counts == theirs.counts


@pytest.mark.parametrize("seed", NETWORKS)
def test_memory_figures_equal_sinabs(seed: int) -> None:
    program = drawn(seed)
    ours = [size.memory()._asdict() for size in cores.sizes(program)]
    assert {key: [words[key] for words in ours] for key in ours[0]} == sinabs_run.memory_summary(program)


@pytest.mark.parametrize("seed", NETWORKS)
def test_cores_are_assigned_exactly_when_sinabs_assigns_them(seed: int) -> None:
    program = drawn(seed)
    sizes, chip = cores.sizes(program), load("speck2f")
    placement, uses = cores.place(program)
    taken = {part.core for part in placement}
    assert len(taken) == len(placement) == most_that_can_be_placed(program)
    assert all(
        size.memory().fits(chip.cores[part.core])
        for size in sizes
        for part in placement
        if part.layer == size.layer.name
    )
    assert all(use.load <= 1 for use in uses)
    complete = len(placement) == len(sizes)
    assert complete == (sinabs_run.core_mapping(program) is not None)
    assert complete == (not {finding.rule for finding in findings(program, RULES)} & MEMORY_RULES)


def most_that_can_be_placed(program: ChipProgram) -> int:
    """By scipy's maximum matching."""
    chip = load("speck2f")
    fits = [[size.memory().fits(core) for core in chip.cores] for size in cores.sizes(program)]
    return int((maximum_bipartite_matching(csr_array(np.array(fits, dtype=int)), perm_type="column") >= 0).sum())


@pytest.mark.parametrize("seed", NETWORKS)
def test_configuration_of_each_core_equals_sinabs(seed: int) -> None:
    program = drawn(seed)
    order = np.random.default_rng(seed).permutation(9)
    slices = [CoreSlice(int(core), layer.name, 0, 0, 0, 0) for core, layer in zip(order, program.layers, strict=False)]
    program = replace(program, placement=tuple(slices))
    ours, theirs = layer_configurations(program), sinabs_run.layer_configurations(program)
    for config in ours.values():
        config["destinations"].sort(key=lambda destination: destination["layer"])
    assert ours == theirs


def test_the_networks_cover_what_they_should() -> None:
    programs = [drawn(seed) for seed in NETWORKS]
    layers = [layer for program in programs for layer in program.layers]
    assert {layer.neuron.reset for layer in layers} == {"subtract", "zero"}
    assert {layer.pool for layer in layers} == {1, 2, 4}
    assert {layer.connection.kind for layer in layers} == {"conv", "dense"}
    assert {side for layer in layers for side in layer.connection.stride} == {1, 2, 4, 8}
    assert {side for layer in layers for side in layer.connection.padding} == set(range(8))
    assert {len(program.layers) for program in programs} == set(range(1, 10))
    branches = [max(map(len, cores.destinations(program).values())) for program in programs]
    merges = [max(map(len, program.sources)) for program in programs]
    assert set(branches) == {1, 2}
    assert sum(branch == 2 for branch in branches) > len(programs) / 4
    assert {1, 2, 3} <= set(merges)
    fit = [len(placed(program).placement) == len(program.layers) for program in programs]
    assert len(fit) / 5 < sum(fit) < len(fit) * 4 / 5
    crowded = [broken_rules(program) & MEMORY_RULES == {"cores_suffice"} for program in programs]
    assert sum(crowded) > 1
    traces = [emulated(seed) for seed in NETWORKS]
    spiking = [sent.total > 0 for run in traces for sent in run.spikes.values()]
    assert sum(spiking) > 0.7 * len(spiking)
    assert (
        sum(
            (run.spikes[program.layers[-1].name].count > 1).any() for run, program in zip(traces, programs, strict=True)
        )
        > 9
    )
    oracles = [sinabs_run.run(program, clip(program)[:1]).notes["sinabs"] for program in programs[:20]]
    assert oracles.count("DynapcnnNetwork") > 15


def broken_rules(program: ChipProgram) -> set[str]:
    return {finding.rule for finding in findings(program, RULES)}


def by_hand(*layers: Layer) -> ChipProgram:
    return ChipProgram("speck2f", DT, InputEncoding((2, 6, 6), "counts"), layers, None)


def same_size(name: str, *sources: str, kernel: tuple[int, int] = (3, 3), pool: int = 1) -> Layer:
    rng = np.random.default_rng(len(name))
    padding = (kernel[0] // 2, kernel[1] // 2)
    connection = Connection("conv", rng.integers(-40, 80, (2, 2, *kernel)).astype(np.int8), (1, 1), padding)
    own = SpeckNeuron(90, -200, "subtract", np.zeros(2, int))
    return Layer(name, (2, 6, 6), (2, 6, 6), connection, own, pool, sources)


@pytest.mark.parametrize(
    "program",
    [
        by_hand(same_size("a"), same_size("bb", "a", "input")),  # sinabs traces no merge with the input
        by_hand(same_size("a"), same_size("bb", "input"), same_size("ccc", "input"), same_size("dd", "a", "bb", "ccc")),
        by_hand(same_size("a"), same_size("bb", kernel=(1, 3))),
    ],
)
def test_what_sinabs_has_no_network_for_equals_its_layers(program: ChipProgram) -> None:
    ours, theirs = trace(program), sinabs_run.run(program, clip(program))
    assert theirs.notes["sinabs"] == "layers"
    assert ours.spikes[program.layers[-1].name].total > 0
    for layer in program.layers:
        dense = [run.spikes[layer.name].dense(STEPS, DT) for run in (ours, theirs)]
        np.testing.assert_array_equal(*dense)
    assert ours.counts == theirs.counts


def test_a_wrong_merge_does_not_match() -> None:
    merged = by_hand(same_size("a"), same_size("bb"), same_size("ccc", "a", "bb"))
    alone = by_hand(same_size("a"), same_size("bb"), same_size("ccc", "bb"))
    right, wrong = (sinabs_run.run(program, clip(program)).spikes["ccc"] for program in (merged, alone))
    assert right.total != wrong.total
    assert trace(merged).spikes["ccc"].total == right.total


def test_states_are_set_to_zero_every_so_many_steps() -> None:
    once = by_hand(same_size("a"), same_size("bb"))
    often = replace(once, reset_every=4)
    ours, theirs = trace(often), sinabs_run.run(often, clip(often))
    np.testing.assert_array_equal(ours.spikes["bb"].dense(STEPS, DT), theirs.spikes["bb"].dense(STEPS, DT))
    assert ours.spikes["bb"].total != trace(once).spikes["bb"].total


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"placement": ()}, "layers a, bb have no core"),
        ({"layers": (same_size("a"), same_size("bb", kernel=(1, 3)))}, "bb has a kernel of 3x1"),
    ],
)
def test_what_cannot_be_written_to_cores_is_refused(change: dict, message: str) -> None:
    program = replace(placed(by_hand(same_size("a"), same_size("bb"))), **change)
    with pytest.raises(NeuvaError, match=message):
        layer_configurations(program)


def test_a_configuration_in_closed_form() -> None:
    program = by_hand(same_size("a", pool=2), same_size("bb", "input"), replace(same_size("c", "bb"), sources=("bb",)))
    configurations = layer_configurations(placed(program))
    core = {part.layer: part.core for part in placed(program).placement}
    first, second = configurations[core["a"]], configurations[core["bb"]]
    assert first["destinations"] == []
    assert second["destinations"] == [{"layer": core["c"], "enable": True, "pooling": 1}]
    assert second["dimensions"]["input_shape"] == {"size": {"x": 6, "y": 6}, "feature_count": 2}
    weight = program.layers[1].connection.weight
    assert second["weights"][1][0][2][0] == weight[1, 0, 0, 2]  # x before y
    assert np.shape(second["neurons_initial_value"]) == (2, 6, 6)
    assert not np.any(second["neurons_initial_value"])
    assert (second["threshold_high"], second["threshold_low"], second["return_to_zero"]) == (90, -200, False)
