"""The certificate's last level: a board's recordings are found by their input and compared with what came before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from conversion import fidelity, speck
from conversion.device import matched
from hardware import devices
from hardware.origin import input_sha256, stamped
from hardware.program import ChipProgram
from hardware.trace import Trace
from neuva import NeuvaError
from snn import LayerSpec, NetworkSpec, Neuron, ValenceArousalNet
from snn.networks import scale_to_rate

STEPS, DT = 20, 20_000
IF = Neuron(reset="subtract", low=-1.0, multi_spike=True)


def clip(seed: int) -> fidelity.Clip:
    rng = np.random.default_rng(seed)
    events = np.zeros(500, [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int8)])
    events["t"] = np.sort(rng.integers(0, STEPS * DT, len(events)))
    for name, size in (("x", 16), ("y", 16), ("p", 2)):
        events[name] = rng.integers(0, size, len(events))
    x = np.zeros((STEPS, 2, 16, 16), np.int16)
    np.add.at(x, (events["t"] // DT, events["p"], events["y"], events["x"]), 1)
    labels = rng.uniform(-1, 1, (STEPS // 2, 2)).astype(np.float32)
    return fidelity.Clip(f"clip{seed}", x, events, labels, np.ones(STEPS // 2, bool))


@pytest.fixture(scope="module")
def made() -> tuple[ValenceArousalNet, ChipProgram, list[fidelity.Clip]]:
    torch.manual_seed(1)
    layers = (LayerSpec("conv", 4, IF, (3, 3), (2, 2), (1, 1)), LayerSpec("dense", 8, IF))
    net = ValenceArousalNet(NetworkSpec("any", layers, (2, 16, 16), "counts"))
    clips = [clip(seed) for seed in range(3)]
    x = torch.stack([torch.as_tensor(one.x) for one in clips], 1).float()
    scale_to_rate(net, x, 0.15)
    return net.eval(), speck.lower(net, "speck2f", x), clips


def recorded(program: ChipProgram, one: fidelity.Clip) -> Trace:
    """As a board that does just what the event-driven emulator does would be recorded."""
    ran = replace(devices.run_events(program, one.events, STEPS), backend="speck2f")
    ran = replace(ran, notes={"versions": {"samna": "0.48.0"}})
    return stamped(ran, program, input_sha256(one.x, one.events, DT), one.name)


def test_recordings_are_the_last_level(made: tuple) -> None:
    net, program, clips = made
    quiet = recorded(program, clips[2])
    dense = quiet.spikes["dense2"]
    quiet = replace(
        quiet, spikes=quiet.spikes | {"dense2": replace(dense, t=dense.t[3:], neuron=dense.neuron[3:],
                                                        count=dense.count[3:])}
    )  # fmt: skip
    traces = {"two.h5": quiet, "zero.h5": recorded(program, clips[0])}
    figures = fidelity.verify(program, net, clips, vendor_clips=0, device_traces=traces).figures
    pair = figures["fidelity"][-1]
    assert (pair["from"], pair["to"], pair["clips"]) == ("event-driven emulator", "speck2f board", 2)
    missing = {layer["layer"]: layer["spikes_from"] - layer["spikes_to"] for layer in pair["layers"]}
    assert missing == {"conv1": 0, "dense2": int(dense.count[:3].sum())}
    assert {layer["layer"]: layer["first_difference_clip"] for layer in pair["layers"]} == {"conv1": None, "dense2": 1}
    assert figures["metrics"]["speck2f board"]["clips"] == 2
    assert [notes["origin"]["clip"] for notes in figures["board"]] == ["clip0", "clip2"]
    assert figures["versions"]["samna"] == "0.48.0"
    assert (
        figures["verdict"]["reasons"]
        == fidelity.verify(program, net, clips, vendor_clips=0).figures["verdict"]["reasons"]
    )


def test_metrics_are_those_of_the_clips_recorded(made: tuple) -> None:
    net, program, clips = made
    alone = fidelity.verify(program, net, clips[2:], vendor_clips=0).figures["metrics"]["event-driven emulator"]
    traces = {"two.h5": recorded(program, clips[2])}
    figures = fidelity.verify(program, net, clips, vendor_clips=0, device_traces=traces).figures
    assert figures["metrics"]["speck2f board"] == alone


def test_recordings_of_anything_else_are_refused(made: tuple) -> None:
    _, program, clips = made
    one = recorded(program, clips[1])
    with pytest.raises(
        NeuvaError, match=r"one\.h5: is of clip clip1, whose input is that of none of the 1 clips .*--cl"
    ):
        matched({"one.h5": one}, program, clips[:1])
    with pytest.raises(NeuvaError, match=r"again\.h5: a second trace of clip clip1"):
        matched({"one.h5": one, "again.h5": one}, program, clips)
    other = replace(program, reset_every=3)
    with pytest.raises(NeuvaError, match=r"one\.h5: is of another program"):
        matched({"one.h5": one}, other, clips)
    assert matched({}, program, clips) == {}
