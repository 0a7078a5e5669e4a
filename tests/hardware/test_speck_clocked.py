"""Clocked emulator: merges and resets in closed form and against a plain loop; wrong variants must not match."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware.program import ChipProgram, Connection, InputEncoding, Layer, SpeckNeuron
from hardware.speck import clocked, sinabs_run

DT = 1000


def merging(seed: int) -> ChipProgram:
    """input -> a -> b; a, b, input -> join."""
    rng = np.random.default_rng(seed)

    def layer(name: str, *heard: str) -> Layer:
        weight = rng.integers(-60, 128, (2, 2, 3, 3)).astype(np.int8)
        own = SpeckNeuron(90, -60, "subtract", rng.integers(-9, 20, 2))
        return Layer(name, (2, 5, 4), (2, 5, 4), Connection("conv", weight, (1, 1), (1, 1)), own, 1, heard)

    layers = (layer("a", "input"), layer("b", "a"), layer("join", "a", "b", "input"))
    return ChipProgram("speck2f", DT, InputEncoding((2, 5, 4), "counts"), layers, None)


def clip(seed: int, steps: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).poisson(0.3, (steps, 2, 5, 4))


def reference(chip: ChipProgram, counts: np.ndarray, wrong: str = "") -> np.ndarray:
    """Spikes of the last layer [T, C, H, W], dense and step by step."""
    v = {layer.name: np.zeros(layer.out_shape, np.int64) for layer in chip.layers}
    out = []
    for step, frame in enumerate(counts):
        if chip.reset_every and step % chip.reset_every == 0 and wrong != "never reset":
            v = {name: np.zeros_like(state) for name, state in v.items()}
        sent = {"input": frame.astype(np.int64)}
        for layer in chip.layers:
            heard = sum(sent[name] for name in layer.sources)
            heard = np.minimum(heard, 1) if wrong == "merged spikes join" else heard
            heard = sent[layer.sources[0]] if wrong == "the first source alone" else heard
            padded = np.pad(heard, ((0, 0), (1, 1), (1, 1)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
            state = v[layer.name] + np.einsum("chwyx,fcyx->fhw", windows, layer.connection.weight.astype(np.int64))
            state += layer.neuron.bias[:, None, None]
            number = np.maximum(state, 0) // layer.neuron.threshold
            v[layer.name] = np.maximum(state - number * layer.neuron.threshold, layer.neuron.low)
            sent[layer.name] = number
        out.append(sent[chip.layers[-1].name])
    return np.stack(out)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("resets", [0, 4])
def test_merged_counts_add_up_and_resets_clear_the_states(seed: int, resets: int) -> None:
    chip, counts = replace(merging(seed), reset_every=resets), clip(seed)
    trace = clocked.run(chip, counts)
    np.testing.assert_array_equal(trace.spikes["join"].dense(9, DT), reference(chip, counts))
    assert trace.counts[2].synops == sum(
        int((np.pad(np.ones((5, 4)), 1)[y : y + 5, x : x + 4] * each).sum()) * 2
        for name in ("a", "b", "input")
        for each in (trace.spikes[name].dense(9, DT),)
        for y in range(3)
        for x in range(3)
    )


@pytest.mark.parametrize("wrong", ["never reset", "merged spikes join", "the first source alone"])
def test_wrong_variants_do_not_match(wrong: str) -> None:
    chip, counts = replace(merging(1), reset_every=4), clip(1)
    found = clocked.run(chip, counts).spikes["join"].dense(9, DT)
    assert (found != reference(chip, counts, wrong)).any()


@pytest.mark.parametrize("seed", range(3))
def test_merges_equal_sinabs(seed: int) -> None:
    pytest.importorskip("sinabs")
    chip, counts = merging(seed), clip(seed)
    ours, theirs = clocked.run(chip, counts), sinabs_run.run(chip, counts)
    for name in ("a", "b", "join"):
        np.testing.assert_array_equal(ours.spikes[name].dense(9, DT), theirs.spikes[name].dense(9, DT))
    assert ours.counts == theirs.counts
