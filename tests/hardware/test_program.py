"""Programs without a read-out, with other outputs, with merges: what is kept in the file, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout
from hardware.trace import apply_readout
from neuva import NeuvaError


def layer(name: str, sources: tuple[str, ...] = (), channels: int = 2) -> Layer:
    neuron = LoihiNeuron(4095, 4095, 1, np.zeros(channels, np.int32))
    weight = np.full((channels, 2, 1, 1), 2, np.int32)
    return Layer(name, (2, 3, 3), (channels, 3, 3), Connection("conv", weight), neuron, sources=sources)


def program(*layers: Layer, readout: Readout | None = None, reset_every: int = 0) -> ChipProgram:
    return ChipProgram(
        "loihi2", 1000, InputEncoding((2, 3, 3), "binary"), layers, readout, (), {}, reset_every=reset_every
    )


def readout(names: tuple[str, ...], inputs: int = 18) -> Readout:
    return Readout(np.ones((len(names), inputs), np.float32), np.zeros(len(names), np.float32), 0.5, 2, names)


def test_a_program_without_readout_and_with_resets_comes_back_from_its_file(tmp_path) -> None:
    saved = program(layer("a"), layer("b", ("input", "a")), reset_every=7)
    saved.save(tmp_path / "p.h5")
    loaded = ChipProgram.load(tmp_path / "p.h5")
    assert loaded.readout is None
    assert loaded.every == 1
    assert loaded.reset_every == 7
    assert loaded.layers[1].sources == ("input", "a")
    assert loaded.sha256() == saved.sha256()


def test_named_outputs_come_back_and_are_not_clipped(tmp_path) -> None:
    program(layer("a"), readout=readout(("cat", "dog", "owl"))).save(tmp_path / "p.h5")
    loaded = ChipProgram.load(tmp_path / "p.h5").readout
    assert loaded is not None
    assert loaded.names == ("cat", "dog", "owl")
    times, y = apply_readout(loaded, np.ones((4, 18)), 1000)
    assert times.tolist() == [2000, 4000]
    np.testing.assert_allclose(y[:, 0], [27, 33.75])  # 18 (1 + 1/2), 18 (1 + 1/2 + 1/4 + 1/8)


def test_valence_and_arousal_are_clipped() -> None:
    assert apply_readout(readout(("valence", "arousal")), np.ones((2, 18)), 1000)[1].tolist() == [[1, 1]]


def test_without_readout_there_are_no_outputs() -> None:
    times, y = apply_readout(None, np.ones((4, 18)), 1000)
    assert (len(times), y.shape) == (0, (0, 0))


def test_what_is_computed_has_another_hash() -> None:
    plain = program(layer("a"), layer("b"))
    others = [
        program(layer("a"), layer("b"), reset_every=3),
        program(layer("a"), layer("b", ("input",))),
        program(layer("a"), layer("b"), readout=readout(("x",))),
    ]
    assert len({one.sha256() for one in (plain, *others)}) == 4


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda: program(layer("a", ("b",)), layer("b")), "layer a hears b, which is no layer before it"),
        (lambda: program(layer("a"), layer("a")), "two layers are called a"),
        (lambda: program(layer("a", channels=4), layer("b", ("input", "a"))), r"layer b takes \(2, 3, 3\)"),
        (lambda: program(layer("a"), reset_every=-1), "a reset every -1 steps"),
        (lambda: program(layer("a"), readout=readout(("x",), 17)), "read-out takes 17 spikes but is given 18"),
        (lambda: program(layer("a"), readout=replace(readout(("x",)), names=("x", "y"))), "2 names"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(broken, told: str) -> None:
    with pytest.raises(NeuvaError, match=told):
        broken()
