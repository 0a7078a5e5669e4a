"""Traces and programs as files: they come back whole, and what is none is refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout
from hardware.trace import CoreCounts, Spikes, Trace, apply_readout
from neuva import NeuvaError


def trace() -> Trace:
    rng = np.random.default_rng(0)
    spikes = {name: Spikes.from_dense(rng.integers(0, 2, (6, 2, 3, 3)), 1000) for name in ("input", "conv1")}
    return Trace(
        target="loihi2",
        backend="emulator",
        dt_us=1000,
        duration_us=6000,
        times=np.array([2000, 4000, 6000]),
        va=rng.uniform(-1, 1, (3, 2)).astype(np.float32),
        spikes=spikes,
        counts=(CoreCounts(0, "conv1", 10, 20, 30),),
        latency_steps=1,
        u={"conv1": rng.integers(-9, 9, (6, 2, 3, 3)).astype(np.int32)},
        notes={"wraps": {"conv1": 2}},
    )


def program() -> ChipProgram:
    link = Connection("dense", np.arange(6, dtype=np.int32).reshape(2, 3) * 2)
    layer = Layer("dense1", (3, 1, 1), (2, 1, 1), link, LoihiNeuron(4095, 0, 5, np.zeros(2, np.int32)))
    readout = Readout(np.ones((2, 2), np.float32), np.zeros(2, np.float32), 0.5, 2)
    return ChipProgram("loihi2", 20_000, InputEncoding((3, 1, 1), "binary"), (layer,), readout)


def test_a_trace_comes_back_whole(tmp_path) -> None:
    ours = trace()
    ours.save(tmp_path / "trace.h5")
    back = Trace.load(tmp_path / "trace.h5")
    assert (back.target, back.backend, back.latency_steps, back.duration_us) == ("loihi2", "emulator", 1, 6000)
    assert (back.counts, back.notes) == (ours.counts, ours.notes)
    assert np.array_equal(back.va, ours.va)
    assert np.array_equal(back.u["conv1"], ours.u["conv1"])
    for name, spikes in ours.spikes.items():
        assert np.array_equal(back.spikes[name].dense(6, 1000), spikes.dense(6, 1000))


def test_dense_and_sparse_spikes_are_the_same() -> None:
    dense = np.random.default_rng(1).integers(0, 3, (7, 2, 4, 5))
    assert np.array_equal(Spikes.from_dense(dense, 500).dense(7, 500), dense)
    assert Spikes.from_dense(dense, 500).total == dense.sum()


def test_readout_by_hand() -> None:
    readout = Readout(np.array([[1.0], [-1.0]], np.float32), np.array([0.0, 0.5], np.float32), 0.5, every=2)
    times, va = apply_readout(readout, np.array([[0.2], [0.2], [0.0], [4.0]]), 1000)
    assert times.tolist() == [2000, 4000]
    assert va[0].tolist() == pytest.approx([0.3, 0.2])  # 0.2 + 0.1, and 0.5 - 0.3
    assert va[1].tolist() == pytest.approx([1.0, -1.0])  # clipped


@pytest.mark.parametrize("content", [b"", b"no trace", b"\x89HDF\r\n\x1a\n" + b"\0" * 99])
def test_what_is_no_trace_or_program_is_refused(content: bytes, tmp_path) -> None:
    path = tmp_path / "bad.h5"
    path.write_bytes(content)
    for kind in (Trace, ChipProgram):
        with pytest.raises(NeuvaError, match=r"bad\.h5"):
            kind.load(path)


@pytest.mark.parametrize("kind", ["trace", "program"])
def test_flipped_bits_never_end_in_a_traceback(kind: str, tmp_path) -> None:
    path = tmp_path / "file.h5"
    (trace() if kind == "trace" else program()).save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(whole)
        broken[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            (Trace if kind == "trace" else ChipProgram).load(path)
        except NeuvaError as error:
            assert "file.h5" in str(error)  # noqa: PT017  most flips do no harm, so it may as well load


def test_another_schema_is_refused(tmp_path) -> None:
    program().save(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        file.attrs["schema"] = 0
    with pytest.raises(NeuvaError, match="schema 0, this neuva reads 1"):
        ChipProgram.load(tmp_path / "old.h5")


def test_the_hash_is_of_what_is_computed() -> None:
    ours, other = program(), program()
    assert ours.sha256() == other.sha256()
    other.layers[0].connection.weight[0, 0] += 2
    assert ours.sha256() != other.sha256()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"target": "loihi9"}, "target"), ({"dt_us": 0}, "dt 0 us"), ({"layers": ()}, "0 layers")],
)
def test_an_impossible_program_is_refused(change: dict, message: str) -> None:
    with pytest.raises(NeuvaError, match=message):
        ChipProgram(**{**vars(program()), **change})
