"""`neuva check` as a user reads it, 80 columns wide: one program that fits and three that do not, from their files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from experiments.chip_fit import require_fit
from experiments.cli import app
from experiments.commands import options
from hardware.check import check
from hardware.loihi import emulator
from hardware.program import ChipProgram, Connection, InputEncoding, Layer, LoihiNeuron, Readout, Shape
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, ValenceArousalNet


def neuron(channels: int, **constants) -> LoihiNeuron:
    return LoihiNeuron(**{"du": 4095, "dv": 0, "vth": 100, "bias": np.zeros(channels, np.int32)} | constants)


def conv(name: str, shape: Shape, channels: int, stride: int = 1) -> Layer:
    out = (channels, (shape[1] - 1) // stride + 1, (shape[2] - 1) // stride + 1)
    link = Connection("conv", np.full((channels, shape[0], 3, 3), 2), (stride, stride), (1, 1))
    return Layer(name, shape, out, link, neuron(channels))


def dense(name: str, shape: Shape, n: int) -> Layer:
    return Layer(name, shape, (n, 1, 1), Connection("dense", np.full((n, int(np.prod(shape))), 2)), neuron(n))


def program_of(*layers: Layer, target: str = "loihi2") -> ChipProgram:
    n = layers[-1].neurons
    readout = Readout(np.zeros((2, n), np.float32), np.zeros(2, np.float32), 0.5)
    return ChipProgram(target, 1000, InputEncoding(layers[0].in_shape, "binary"), layers, readout)


def small(target: str = "loihi2") -> ChipProgram:
    first = conv("conv1", (2, 32, 32), 16, 2)
    return program_of(first, dense("fc", first.out_shape, 32), target=target)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`neuva check` of a program on a terminal of 80 columns: the result and its words on one line."""
    monkeypatch.setattr(options.console, "width", 80)

    def run(program: ChipProgram, *arguments: object) -> tuple[Result, str]:
        program.save(tmp_path / "chip.h5")
        result = CliRunner().invoke(app, ["check", str(tmp_path / "chip.h5"), *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        if "--json" not in arguments:
            assert all(len(line) <= 80 for line in result.output.splitlines())
        return result, " ".join(result.output.split())

    return run


def test_a_program_that_fits(run) -> None:
    result, said = run(small("loihi1"))
    assert result.exit_code == 0
    assert said.endswith(" fits")
    assert "advice" not in said
    head, row = re.search(r"(neurons.*load)", said).group(1), re.search(r"fc *│.*", result.output).group(0)
    assert all(word in head for word in ("of 1,024", "of 131,072", "of 4,096"))
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["fc", "1", "32", "131,072", "4,096", "32", "100%"]
    assert "fullest: core 0 (conv1), 100% of its neurons" in said
    assert "packing assumed: one layer a core; a convolution's kernels once a core" in said
    low, high = (131_072 * 3.5 + 32 * 5.3 + 113) / 1000, (131_072 * 4.0 + 32 * 44.8 + 1800) / 1000
    assert f"every neuron spikes: {low:,.1f} to {high:,.1f} us, core 4: 131,072 synaptic operations" in said
    assert "Davies et al. 2018, table 2" in said


def test_an_unknown_time_is_called_so(run) -> None:
    result, said = run(small())
    assert result.exit_code == 0
    assert "time of a step (of 1,000 us in the program): unknown" in said
    assert "every neuron spikes: core 1: 131,072 synaptic operations, 32 neuron updates" in said
    assert "arXiv:2601.10035" in said
    assert " us, core" not in said


def test_a_trace_adds_what_a_step_really_took(run, tmp_path: Path) -> None:
    assert len(json.loads(run(small("loihi1"), "--json")[0].output)["step_time"]["timings"]) == 2
    program = check(small("loihi1")).program
    emulator.run(program, np.ones((5, 2, 32, 32), np.uint8)).save(tmp_path / "trace.h5")
    _, said = run(program, "--trace", tmp_path / "trace.h5")
    assert re.search(r"measured, mean step: [\d,.]+ to [\d,.]+ us, core \d+: ", said)


def test_a_program_of_too_many_cores(run) -> None:
    first = conv("conv1", (2, 128, 128), 64)
    second = conv("conv2", first.out_shape, 64)
    third = conv("conv3", second.out_shape, 32, 4)
    result, said = run(program_of(first, second, third, dense("fc", third.out_shape, 16)))
    assert result.exit_code == 2
    assert said.endswith(" does not fit")
    cores = int(re.search(r"error cores_available at placement: (\d+) cores", said).group(1))
    assert cores > 256
    rows = re.findall(r"│?(?:conv\d|fc) *│ *(\d+)│", result.output)
    assert len(rows) == 4
    assert sum(map(int, rows)) == cores
    assert "of several cores of a layer what the fullest uses; --json lists all" in said
    assert f"would fill {-(-cores // 120)} chips" in said
    assert "advice: conv1: stride 2 instead of 1 (75% fewer synapses) would fit" in said


def test_a_dense_layer_beyond_a_core(run) -> None:
    first = conv("conv1", (2, 64, 64), 8, 2)
    program = program_of(first, dense("fc", first.out_shape, 16), target="loihi1")
    result, said = run(program)
    assert result.exit_code == 2
    assert "error layers_fit_cores at layer fc: one neuron takes 8192 axons in, allowed 4096 a core: give it" in said
    assert "advice: conv1: 4 channels instead of 8 (50% fewer synapses) would fit" in said
    figures = json.loads(run(program, "--json")[0].output)
    assert figures["fits"] is False
    assert figures["advice"][0]["change"]
    assert all(0 < each["synapses_lost"] < 1 for each in figures["advice"])
    assert [each["rule"] for each in figures["findings"] if each["severity"] == "error"] == ["layers_fit_cores"]


def test_constants_off_the_grid_are_all_told(run) -> None:
    program = small()
    layer = program.layers[0]
    odd = layer.connection.weight.copy()
    odd[0, 0] = -3
    off = replace(layer, connection=replace(layer.connection, weight=odd), neuron=neuron(16, du=4096, vth=131072))
    result, said = run(replace(program, layers=(off, program.layers[1])))
    assert result.exit_code == 2
    assert "error weights_on_8_bit_grid at layer conv1: 9 of 288 weights off the grid, such as -3" in said
    assert "error decays_12_bit at layer conv1: du 4096, allowed 0..4095: bring du into its range" in said
    assert "error threshold_17_bit at layer conv1: vth 131072, allowed 0..131071" in said
    assert "advice" not in said


def test_a_program_beyond_help_is_told_so(run) -> None:
    first = conv("conv1", (2, 32, 32), 256)
    second = conv("conv2", first.out_shape, 256)
    _, said = run(program_of(first, second, dense("fc", second.out_shape, 64), target="loihi1"))
    assert "advice: no change of one layer or of all makes it fit" in said


def test_training_is_refused_with_the_advice() -> None:
    lif = Neuron(0.5, 0.9)
    layers = (LayerSpec("conv", 8, lif, (3, 3), (2, 2), (1, 1)), LayerSpec("dense", 8, lif))
    net = ValenceArousalNet(NetworkSpec("any", layers, (2, 64, 64), "binary")).eval()
    x = (torch.rand(4 * net.spec.every, 2, 2, 64, 64) < 0.05).float()
    with pytest.raises(NeuvaError, match=r"does not fit loihi1, .*layers_fit_cores.*; conv1: 4 channels instead of 8"):
        require_fit(net, "loihi1", x)
