"""`neuva convert` of lava-dl's `.net` files: integers in, a placed program out, and options that do not suit."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.commands import chip
from experiments.pipeline import load_model
from hardware.program import ChipProgram
from neuva import NeuvaError


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A strided convolution that does not tell its input's size."""
    path = tmp_path / "network.net"
    with h5py.File(path, "w") as file:
        layer = file.create_group("layer/0")
        layer.create_dataset("type", (1,), "S10", [b"conv"])
        layer["shape"], layer["weight"] = np.array([3, 4, 6]), np.full((3, 2, 2, 2), 20.0, np.float32)
        layer["stride"], layer["padding"], layer["dilation"], layer["groups"] = (2, 2), (0, 0), (1, 1), 1
        constants = {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1, "gradedSpike": False}
        for key, value in constants.items():
            layer[f"neuron/{key}"] = value
    return path


def test_a_net_file_becomes_a_placed_program(net: Path, capsys: pytest.CaptureFixture) -> None:
    out = net.with_name("chip.h5")
    chip.convert(net, "loihi1", out, dt_us=500, input_shape="2,9,12", reset_every=40)
    program = ChipProgram.load(out)
    assert (program.target, program.dt_us, program.reset_every) == ("loihi1", 500, 40)
    assert program.input.shape == (2, 9, 12)
    assert len(program.placement) == 1
    assert f"{out}: loihi1, 1 layer on 1 core" in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"input_shape": "2,9,12"}, "does not say how long a step lasts"),
        ({"dt_us": 1000}, "give the input's shape"),
        ({"dt_us": 1000, "input_shape": "2,9,14"}, "layer conv0: .*allowed"),
        ({"dt_us": 1000, "input_shape": "2,9"}, "--input-shape 2,9: give three numbers"),
        ({"dt_us": 1000, "input_shape": "2,9,0"}, "give three numbers"),
        ({"dt_us": 1000, "input_shape": "2,9,-12"}, "give three numbers"),
        ({"dt_us": 1000, "encoding": "binary"}, "holds integers already"),
        ({"dt_us": 1000, "data": Path("faces.h5")}, "holds integers already"),
    ],
)
def test_options_that_do_not_suit_are_refused(options: dict, said: str, net: Path) -> None:
    with pytest.raises(NeuvaError, match=said):
        chip.convert(net, "loihi2", net.with_name("chip.h5"), **options)
    assert not net.with_name("chip.h5").exists()


@pytest.mark.parametrize("options", [{"input_shape": "2,9,12"}, {"reset_every": 3}])
def test_what_is_for_net_files_is_refused_for_others(options: dict, tmp_path: Path) -> None:
    with pytest.raises(NeuvaError, match=r"are for \.net files"):
        chip.convert(tmp_path / "network.nir", "loihi2", tmp_path / "chip.h5", **options)


def test_a_program_is_not_written_under_another_formats_name(net: Path) -> None:
    with pytest.raises(NeuvaError, match=r"q\.nir: a program is an \.h5 file: name it q\.h5"):
        chip.convert(net, "loihi2", net.with_name("q.nir"), dt_us=1000, input_shape="2,9,12")
    assert not net.with_name("q.nir").exists()


def test_a_step_of_no_time_and_a_net_as_reference_are_refused(net: Path) -> None:
    given = [str(net), "--target", "loihi2", "--out", str(net.with_name("c.h5")), "--dt-us", "0"]
    assert CliRunner().invoke(app, ["convert", *given]).exit_code == 2
    with pytest.raises(NeuvaError, match=r"\.nir file, or, to convert, a \.net"):
        load_model(net)
