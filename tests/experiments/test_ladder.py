"""The ladder: every size we ship fits its chip, and the table of what is trained."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from conversion import loihi, speck
from experiments.config import load_config
from experiments.ladder import HEADINGS, NOTE, RUNGS, YARDSTICK, climb, share_of
from hardware.check import check
from hardware.program import ChipProgram
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, ValenceArousalNet
from snn.baselines import ConvGruSpec, Convolution
from snn.building import build_network
from snn.networks import scale_to_rate
from snn.training import AffectTraining, Recipe

CONFIGS = Path(__file__).parents[2] / "experiments" / "configs"
CUBA = Neuron(0.3, 0.8)
SPIKING = NetworkSpec(
    "loihi", (LayerSpec("conv", 6, CUBA, (3, 3), (2, 2), (1, 1)), LayerSpec("dense", 16, CUBA)), (2, 16, 16)
)
RECURRENT = ConvGruSpec("conv_gru", (Convolution(4),), 8, 6, (2, 16, 16))


@pytest.mark.parametrize(("name", "target"), [(name, target) for name, target in RUNGS.items() if target])
def test_every_size_fits_its_chip(name: str, target: str) -> None:
    torch.manual_seed(0)
    net = ValenceArousalNet(load_config(CONFIGS / f"{name}.yaml").network)  # type: ignore[arg-type]
    x = (torch.rand(4, 1, *net.spec.input_shape) < 0.1).float()
    scale_to_rate(net, x)
    lower = loihi.lower if target == "loihi2" else speck.lower
    checked = check(lower(net, target, x))
    assert checked.fits, list(map(str, checked.findings))


def leave(folder: Path, spec, *, finished: bool = True) -> None:
    """What training leaves in a folder, of a network that has learnt nothing."""
    torch.manual_seed(0)
    module = AffectTraining.fresh(spec, Recipe(steps=1), (torch.rand(40, 2, 2, 16, 16) < 0.2).float())
    folder.mkdir(parents=True)
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}, folder / "best.ckpt")
    if finished:
        (folder / "trained.json").write_text(json.dumps({}))


def test_what_cannot_be_compared_is_refused(crowd_store: Path, tmp_path: Path) -> None:
    with pytest.raises(NeuvaError, match=r"none\.h5"):
        climb(tmp_path / "none.h5", tmp_path, tmp_path / "out")
    leave(tmp_path / YARDSTICK, SPIKING)
    with pytest.raises(NeuvaError, match="holds a spiking network"):
        climb(crowd_store, tmp_path, tmp_path / "out")


def test_the_table_holds_what_is_trained_and_names_what_is_not(crowd_store: Path, tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    leave(runs / "faces-loihi2-tiny", SPIKING)
    leave(runs / "faces-loihi2-small", SPIKING, finished=False)
    leave(runs / YARDSTICK, RECURRENT)
    found = climb(crowd_store, runs, out)
    assert [row.name for row in found.rows] == ["faces-loihi2-tiny", YARDSTICK]
    assert len(found.missing) == len(RUNGS) - 2
    assert (
        f"neuva train experiments/configs/faces-loihi2-small.yaml --out {runs / 'faces-loihi2-small'}" in found.missing
    )
    tiny, yardstick = found.rows
    assert tiny.parameters == sum(p.numel() for p in ValenceArousalNet(SPIKING).parameters())
    assert tiny.share == pytest.approx(tiny.ccc / yardstick.ccc)
    assert yardstick.share == pytest.approx(1)
    assert tiny.chip_ccc is not None
    assert tiny.synops is not None
    assert tiny.synops > 0
    assert (yardstick.chip_ccc, yardstick.synops) == (None, None)
    assert 0 < tiny.coverage <= 1
    assert tiny.chip_area > 0
    assert ChipProgram.load(out / "faces-loihi2-tiny.h5").target == "loihi2"

    paths = found.save(out)
    rows = list(csv.DictReader(paths[0].read_text().splitlines()))
    assert float(rows[0]["chip_ccc"]) == tiny.chip_ccc
    assert rows[1]["synops"] == ""
    text = paths[1].read_text().splitlines()
    assert text[0].count("|") == len(HEADINGS) + 1
    assert sum(line.startswith("- `neuva train") for line in text) == len(found.missing)
    assert NOTE in text


def test_the_note_beside_the_table_is_true() -> None:
    specs = {name: load_config(CONFIGS / f"{name}.yaml").network for name in RUNGS}
    size = {name: sum(p.numel() for p in build_network(spec).parameters()) for name, spec in specs.items()}
    assert size["faces-loihi2-base"] == pytest.approx(size[YARDSTICK], rel=0.05)
    assert size["faces-speck2f-base"] == pytest.approx(size[YARDSTICK] / 4, rel=0.05)
    assert {spec.encoding for name, spec in specs.items() if "speck" in name} == {"counts"}
    assert {spec.encoding for name, spec in specs.items() if "speck" not in name} == {"binary"}


def test_a_share_of_nothing_is_nothing_and_of_no_yardstick_unknown() -> None:
    assert (share_of(0.0, 0.5), share_of(0.2, 0.5)) == (0, 0.4)
    assert (share_of(None, 0.5), share_of(0.2, None), share_of(0.2, 0.0)) == (None,) * 3


def test_a_network_in_the_wrong_folder_is_refused(spot_store: Path, tmp_path: Path) -> None:
    leave(tmp_path / "faces-loihi2-base", RECURRENT)
    with pytest.raises(NeuvaError, match="does not spike"):
        climb(spot_store, tmp_path, tmp_path / "out")


def test_nothing_trained_is_a_table_without_rows(spot_store: Path, tmp_path: Path) -> None:
    found = climb(spot_store, tmp_path, tmp_path / "out")
    assert (found.rows, len(found.missing)) == ((), len(RUNGS))
