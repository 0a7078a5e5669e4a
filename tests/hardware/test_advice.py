"""The smallest change that fits: found where it is, cut as it says, and none where none helps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware.advice import Advice, advise, connections
from hardware.check import check
from hardware.loihi import emulator
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout, Shape


def neuron(channels: int) -> LoihiNeuron:
    return LoihiNeuron(4095, 0, 60, np.arange(channels, dtype=np.int32))


def conv(name: str, shape: Shape, channels: int, stride: int = 1, groups: int = 1) -> Layer:
    rng = np.random.default_rng(len(name) + channels)
    weight = 2 * rng.integers(-50, 50, (channels, shape[0] // groups, 3, 3))
    out = (channels, (shape[1] - 1) // stride + 1, (shape[2] - 1) // stride + 1)
    link = Connection("conv", weight, (stride, stride), (1, 1), groups=groups)
    return Layer(name, shape, out, link, neuron(channels))


def dense(name: str, shape: Shape, n: int) -> Layer:
    weight = 2 * np.random.default_rng(n).integers(-50, 50, (n, int(np.prod(shape))))
    return Layer(name, shape, (n, 1, 1), Connection("dense", weight), neuron(n))


def program_of(*layers: Layer, target: str = "loihi2", kind="binary") -> ChipProgram:
    n = layers[-1].neurons
    readout = Readout(np.zeros((2, n), np.float32), np.zeros(2, np.float32), 0.5)
    return ChipProgram(target, 1000, InputEncoding(layers[0].in_shape, kind), layers, readout)


def network() -> ChipProgram:
    a = conv("a", (2, 12, 12), 8, 2)
    b = conv("b", a.out_shape, 10)
    return program_of(a, b, dense("fc", b.out_shape, 12))


def widths(program: ChipProgram) -> list[Shape]:
    return [layer.out_shape for layer in program.layers]


@pytest.mark.parametrize("most", [1, 3, 5, 6])
def test_the_largest_number_of_channels_that_fits_is_found(most: int) -> None:
    found = advise(network(), lambda program: program.layers[0].out_shape[0] <= most, most=9)
    assert [advice.change for advice in found] == [f"a: {most} channels instead of 8"]
    kept = 6 * 6 * (most * 18 + 10 * most * 9) + 360 * 12
    assert found[0].lost == pytest.approx(1 - kept / (6 * 6 * (8 * 18 + 10 * 8 * 9) + 360 * 12))


def test_the_change_that_takes_least_comes_first() -> None:
    found = advise(network(), lambda program: sum(layer.neurons for layer in program.layers) <= 400)
    everything = advise(network(), lambda program: sum(layer.neurons for layer in program.layers) <= 400, most=99)
    assert found == everything[:2]
    assert [advice.lost for advice in everything] == sorted(advice.lost for advice in everything)
    assert {advice.change.split(":")[0] for advice in everything} == {"input", "a", "b"}
    assert str(Advice("a: 6 channels instead of 8", 0.2504)) == (
        "a: 6 channels instead of 8 (25% fewer synapses) would fit"
    )


def test_a_program_with_fewer_channels_does_what_the_whole_one_does_without_them() -> None:
    """Against the emulator: the channels taken away, silenced by their consumers' weights in the whole program."""
    whole, seen = network(), []
    advise(whole, lambda program: seen.append(program) or program.layers[0].out_shape[0] < 8)
    cut = next(program for program in seen if widths(program)[0] == (5, 6, 6))
    heard = whole.layers[1].connection.weight.copy()
    heard[:, 5:] = 0
    second = replace(whole.layers[1], connection=replace(whole.layers[1].connection, weight=heard))
    silenced = replace(whole, layers=(whole.layers[0], second, whole.layers[2]))
    inputs = (np.random.default_rng(0).random((20, 2, 12, 12)) < 0.3).astype(np.uint8)
    one, other = (emulator.run(program, inputs).spikes["fc"].dense(20, 1000) for program in (cut, silenced))
    assert 0.1 < one.mean() < 0.9
    np.testing.assert_array_equal(one, other)
    assert (emulator.run(whole, inputs).spikes["fc"].dense(20, 1000) != one).any()


def test_a_larger_stride_shrinks_every_layer_after_it() -> None:
    seen = []
    found = advise(network(), lambda program: seen.append(program) or program.layers[0].connection.stride == (3, 3))
    assert [advice.change for advice in found] == ["a: stride 3 instead of 2"]
    strided = next(program for program in seen if program.layers[0].connection.stride == (3, 3))
    assert widths(strided) == [(8, 4, 4), (10, 4, 4), (12, 1, 1)]
    assert strided.layers[2].connection.weight.shape == (12, 160)


def test_a_smaller_input_is_cut_alike_on_both_sides() -> None:
    program = program_of(conv("a", (2, 6, 12), 4))
    found = advise(program, lambda each: each.input.shape[2] <= 9)
    assert [advice.change for advice in found] == ["input: 9x4 instead of 12x6"]
    flat = program_of(dense("fc", (5000, 1, 1), 8), target="loihi1")
    assert [advice.change for advice in check(flat).advice] == ["input: 4096 values instead of 5000"]


def test_counts_become_binary_at_no_cost() -> None:
    found = check(program_of(conv("a", (2, 8, 8), 4), target="loihi1", kind="counts"))
    assert [str(each) for each in found.advice] == ["input: binary instead of counts would fit"]


def test_where_input_and_size_both_break_rules_both_changes_are_named() -> None:
    both = program_of(dense("fc", (5000, 1, 1), 8), target="loihi1", kind="counts")
    changes = [advice.change for advice in check(both).advice]
    assert changes == ["input: 4096 values instead of 5000 and input: binary instead of counts"]


def test_all_layers_shrink_where_one_is_not_enough() -> None:
    program = network()

    def fits(each: ChipProgram) -> bool:
        return each.layers[0].out_shape[0] <= 6 and each.layers[1].out_shape[0] <= 7

    found = advise(program, fits)
    assert found[0].change == "all layers but the last: 79 % of their channels"


def test_nothing_helps_and_nothing_is_said() -> None:
    assert advise(network(), lambda _: False) == ()
    assert advise(network(), lambda program: connections(program) < 0.04 * connections(network())) == ()


def test_layers_with_groups_and_added_up_are_left_whole() -> None:
    a = conv("a", (4, 8, 8), 4)
    depthwise = conv("b", a.out_shape, 4, groups=4)
    grouped = program_of(a, depthwise, dense("fc", (4, 8, 8), 6))
    seen: list[ChipProgram] = []
    advise(grouped, lambda program: bool(seen.append(program)))
    assert {widths(program)[1][0] for program in seen} == {4}
    added = replace(conv("c", a.out_shape, 4), sources=("a", "b"))
    branches = program_of(a, conv("b", a.out_shape, 4), added)
    seen.clear()
    advise(branches, lambda program: bool(seen.append(program)))
    assert all(widths(program)[0] == widths(program)[1] for program in seen)


def test_a_program_that_fits_gets_no_advice() -> None:
    found = check(network())
    assert found.fits
    assert not found.too_large
    assert found.advice == ()


def test_speck_gets_advice_too() -> None:
    """Loihi's neurons are another finding; the layer's size is judged by Speck's memories."""
    a = conv("a", (2, 128, 128), 32)
    found = check(program_of(a, dense("fc", (32, 128, 128), 2), target="speck2f"))
    assert found.too_large
    assert all(advice.lost > 0 for advice in found.advice)
