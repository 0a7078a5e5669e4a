"""Networks of snnTorch, norse and sinabs, through their own exporters and a file, against those libraries' own runs.

`pytest tests/conversion/test_nir_frameworks.py -s -k table` prints the table of docs/networks-of-others.md.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import torch
from torch import nn

from conversion import loihi
from conversion.fitting import fit_neurons
from conversion.nir_import import Reading, load_nir
from hardware import devices
from neuva import NeuvaError
from snn.networks import Recording, ValenceArousalNet

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of their own use of torch
    norse = pytest.importorskip("norse.torch")
    sinabs = pytest.importorskip("sinabs")
    sl, activation = pytest.importorskip("sinabs.layers"), pytest.importorskip("sinabs.activation")
    sinabs_nir, export_nir = pytest.importorskip("sinabs.nir"), pytest.importorskip("snntorch.export_nir")
    snntorch = pytest.importorskip("snntorch")

STEPS, CLIPS, SIDE, RATE = 60, 3, 16, 0.04
SAMPLE = torch.zeros(1, 2, SIDE, SIDE)
Spikes = list[torch.Tensor]


@dataclass
class Framework:
    """A network of another library, its own run (spikes [T, B, ...] per spiking layer), and its file.

    at_float: share of its spikes that our float network must send in the same step.
    """

    net: nn.Module
    run: Callable[[nn.Module, torch.Tensor], Spikes]
    write: Callable[[nn.Module, Path], None]
    reading: Reading
    at_float: float


def stack(neuron: Callable[[], nn.Module]) -> list[nn.Module]:
    torch.manual_seed(2)
    return [
        nn.Conv2d(2, 6, 5, 2, 2),
        neuron(),
        nn.Conv2d(6, 8, 3, 2, 1, groups=2),
        neuron(),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 10),
        neuron(),
    ]


def of_snntorch(reset: str) -> Framework:
    net = nn.Sequential(*stack(lambda: snntorch.Leaky(beta=0.9, init_hidden=True, reset_mechanism=reset)))

    def run(net: nn.Module, x: torch.Tensor) -> Spikes:
        for layer in net:
            if isinstance(layer, snntorch.Leaky):
                layer.reset_mem()
        return hooked(net, snntorch.Leaky, lambda: [net(step) for step in x])

    # the file says reset to zero whatever the network does
    reading = Reading(1000, "binary", 1e-4, reset=None if reset == "zero" else "subtract")
    return Framework(net, run, write_snntorch, reading, 0.999 if reset == "zero" else 0.2)


def write_snntorch(net: nn.Module, path: Path) -> None:
    """As with nir 1.0.6, whose v_reset this exporter needs and the installed 1.0.4 has not: it is put into the file."""
    resets = {}

    def lif(v_reset: np.ndarray, **constants: np.ndarray) -> nir.LIF:
        node = plain(**constants)
        resets[id(node)] = v_reset
        return node

    plain, export_nir.nir.LIF = nir.LIF, lif
    try:
        graph = export_nir.export_to_nir(net, SAMPLE, ignore_dims=[0])
    finally:
        export_nir.nir.LIF = plain
    nir.write(path, graph)
    with h5py.File(path, "a") as file:
        for name, node in graph.nodes.items():
            if id(node) in resets:
                file[f"node/nodes/{name}/v_reset"] = resets[id(node)]


def of_norse() -> Framework:
    net = norse.SequentialState(*stack(lambda: norse.LIFBoxCell(norse.LIFBoxParameters(torch.tensor(100.0)))))

    def run(net: nn.Module, x: torch.Tensor) -> Spikes:
        def steps() -> None:
            state = None
            for step in x:
                _, state = net(step, state)

        return hooked(net, norse.LIFBoxCell, steps)

    def write(net: nn.Module, path: Path) -> None:
        graph = norse.to_nir(net, SAMPLE, dt=1)  # with another dt its time constants are dt times too small
        graph.nodes["input"] = nir.Input(np.array([2, SIDE, SIDE]))  # it counts the batch in
        graph.nodes["4"] = nir.Flatten(np.array([8, 4, 4]), 0, -1)  # it leaves Flatten out
        graph.infer_types()  # else its convolutions cannot be written
        nir.write(path, graph)

    return Framework(net, run, write, Reading(1000, "binary", 1e-3, reset="zero"), 0.999)


def of_sinabs(neuron: Callable[[], nn.Module], reading: Reading, at_float: float) -> Framework:
    net = nn.Sequential(*stack(neuron))

    def run(net: nn.Module, x: torch.Tensor) -> Spikes:
        sinabs.reset_states(net)
        kind = (sl.IAFSqueeze, sl.LIFSqueeze)
        found = hooked(net, kind, lambda: net(x.transpose(0, 1).flatten(0, 1)))  # (batch, time) as one axis
        return [s[0].unflatten(0, (x.shape[1], x.shape[0])).transpose(0, 1) for s in found]

    def write(net: nn.Module, path: Path) -> None:
        sinabs.reset_states(net)
        with torch.no_grad():
            for layer in net:
                if hasattr(layer, "batch_size"):
                    layer.batch_size = 1
            graph = sinabs_nir.to_nir(net, SAMPLE)
        graph.infer_types()  # else its convolutions cannot be written
        nir.write(path, graph)

    return Framework(net, run, write, reading, at_float)


HARD = {"reset_fn": activation.MembraneReset(), "spike_fn": activation.SingleSpike}
FRAMEWORKS: dict[str, Callable[[], Framework]] = {
    "snnTorch Leaky, reset to zero": lambda: of_snntorch("zero"),
    "snnTorch Leaky as it is (by subtraction)": lambda: of_snntorch("subtract"),
    "norse LIFBoxCell as it is (to zero)": of_norse,
    "sinabs IAF, reset to zero, one spike": lambda: of_sinabs(
        lambda: sl.IAFSqueeze(batch_size=CLIPS, **HARD), Reading(1000, "binary", reset="zero"), 0.999
    ),
    "sinabs IAF as it is (by subtraction)": lambda: of_sinabs(
        lambda: sl.IAFSqueeze(batch_size=CLIPS), Reading(1000, "binary"), 0.2
    ),
    "sinabs LIF, reset to zero, one spike": lambda: of_sinabs(
        lambda: sl.LIFSqueeze(tau_mem=10.0, batch_size=CLIPS, **HARD),
        Reading(1000, "binary", 10 * (1 - np.exp(-0.1)), "zero"),
        0.999,
    ),
}


def hooked(net: nn.Module, kinds: type | tuple[type, ...], run: Callable[[], object]) -> Spikes:
    """What the modules of these kinds gave while `run` ran, one after the other."""
    layers = [layer for layer in net.modules() if isinstance(layer, kinds)]
    found: list[list[torch.Tensor]] = [[] for _ in layers]
    hooks = [
        layer.register_forward_hook(
            lambda _m, _i, out, into=into: into.append(out[0] if isinstance(out, tuple) else out)
        )
        for layer, into in zip(layers, found, strict=True)
    ]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return [torch.stack(each).detach() for each in found]


def spikes() -> torch.Tensor:
    """Blobs that move: [T, B, 2, SIDE, SIDE]."""
    generator = torch.Generator().manual_seed(4)
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    clips = []
    for clip in range(CLIPS):
        t = torch.arange(STEPS)[:, None, None] * (0.1 + 0.05 * clip)
        blob = torch.exp(-((y - 8 - 5 * torch.cos(t)) ** 2 + (x - 8 - 5 * torch.sin(t)) ** 2) / 8)
        chance = torch.stack([blob, blob.flip(-1)], 1) * 0.5 + 0.02
        clips.append((torch.rand(chance.shape, generator=generator) < chance).float())
    return torch.stack(clips, 1)


@torch.no_grad()
def scale_to_rate(made: Framework, x: torch.Tensor) -> None:
    """Scale weights layer by layer until `RATE` of the neurons fire in a step of the library's own run."""
    for index, synapse in enumerate(layer for layer in made.net if isinstance(layer, nn.Conv2d | nn.Linear)):
        start, low, high, factor = [p.clone() for p in synapse.parameters()], 0.0, float("inf"), 1.0
        for _ in range(10):
            for parameter, value in zip(synapse.parameters(), start, strict=True):
                parameter.copy_(value * factor)
            quiet = float(made.run(made.net, x)[index].mean()) < RATE
            low, high = (factor, high) if quiet else (low, factor)
            factor = factor * 2 if high == float("inf") else (low + high) / 2


def same(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Share of the spikes of both that the other sends in the same step."""
    ours, theirs = ours.flatten(), theirs.flatten()
    return float(2 * torch.minimum(ours, theirs).sum() / (ours.sum() + theirs.sum()))


def correlation(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Pearson's of the neurons' mean rates, over all neurons and clips."""
    return float(np.corrcoef(ours.mean(0).flatten(), theirs.mean(0).flatten())[0, 1])


@dataclass
class Compared:
    """The library's spikes, our float network's and the emulator's, [T, B, neurons] per layer."""

    made: Framework
    path: Path
    theirs: Spikes
    floats: Spikes
    chip: Spikes


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], Compared]:
    """Each framework's network with the biases that torch gives a layer, and without."""
    folder = tmp_path_factory.mktemp("nir")
    return {
        (name, biased): compare(make(), biased, folder / f"{index}-{biased}.nir")
        for index, (name, make) in enumerate(FRAMEWORKS.items())
        for biased in (False, True)
    }


def compare(made: Framework, biased: bool, path: Path) -> Compared:
    x = spikes()
    if not biased:
        for layer in made.net:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.zeros_(layer.bias)
    scale_to_rate(made, x)
    theirs = made.run(made.net, x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own
        made.write(made.net, path)
    net = load_nir(path, made.reading)
    return Compared(made, path, flat(theirs), flat(float_run(net, x)), flat(chip_run(net, x)))


def flat(found: Spikes) -> Spikes:
    return [each.flatten(2).float() for each in found]


def float_run(net: ValenceArousalNet, x: torch.Tensor) -> Spikes:
    recording = Recording()
    with torch.no_grad():
        net(x, recording)
    return list(recording.spikes.values())


def chip_run(net: ValenceArousalNet, x: torch.Tensor) -> Spikes:
    program = loihi.lower(fit_neurons(net, "loihi")[0], "loihi2", x)
    traces = [devices.run(program, x[:, clip].numpy().astype(np.uint8), "emulator") for clip in range(x.shape[1])]
    return [
        torch.stack([torch.as_tensor(t.spikes[layer.name].dense(len(x), program.dt_us)) for t in traces], 1)
        for layer in program.layers
    ]


All = dict[tuple[str, bool], Compared]


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_float_network_is_the_librarys(name: str, biased: bool, compared: All) -> None:
    one = compared[name, biased]
    for ours, theirs in zip(one.floats, one.theirs, strict=True):
        assert 0.01 < theirs.mean() < 0.1
        assert same(ours, theirs) >= one.made.at_float


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_chip_fires_at_the_librarys_rates(name: str, biased: bool, compared: All) -> None:
    one = compared[name, biased]
    for ours, theirs in zip(one.chip, one.theirs, strict=True):
        assert correlation(ours, theirs) > 0.9


@pytest.mark.parametrize("name", [name for name, make in FRAMEWORKS.items() if make().at_float > 0.9])
def test_without_biases_the_chip_fires_in_the_same_steps(name: str, compared: All) -> None:
    one = compared[name, False]
    first, second, third = (same(ours, theirs) for ours, theirs in zip(one.chip, one.theirs, strict=True))
    assert first > 0.95
    assert second > 0.9
    assert third > 0.4  # ten neurons that hear all of the differences before them


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("snnTorch Leaky, reset to zero", {"graph_step": 2e-4}),
        ("snnTorch Leaky, reset to zero", {"reset": "subtract"}),
        ("norse LIFBoxCell as it is (to zero)", {"graph_step": 0.5e-3}),
        ("norse LIFBoxCell as it is (to zero)", {"reset": None}),
    ],
)
def test_a_graph_read_wrongly_would_be_noticed(name: str, wrong: dict, compared: All) -> None:
    one = compared[name, False]
    net = load_nir(one.path, replace(one.made.reading, **wrong))
    assert min(same(a, b) for a, b in zip(flat(float_run(net, spikes())), one.theirs, strict=True)) < 0.8


def test_norses_own_dt_is_noticed_and_the_cure_named(compared: All) -> None:
    """Its exporter multiplies time constants with dt, so that they come out shorter than a step."""
    one = compared["norse LIFBoxCell as it is (to zero)", False]
    with pytest.raises(NeuvaError, match=r"shorter than a step.*--graph-step.*norse for 1e-6"):
        load_nir(one.path, replace(one.made.reading, graph_step=1))


def test_table(compared: All) -> None:
    """The figures that the documentation shows, a cell's three for the three layers."""
    lines = []
    for name in FRAMEWORKS:
        plain, biased = compared[name, False], compared[name, True]
        columns = [
            [f"{same(a, b):.0%}" for a, b in zip(plain.floats, plain.theirs, strict=True)],
            [f"{same(a, b):.0%}" for a, b in zip(plain.chip, plain.theirs, strict=True)],
            [f"{correlation(a, b):.3f}" for a, b in zip(plain.chip, plain.theirs, strict=True)],
            [f"{same(a, b):.0%}" for a, b in zip(biased.chip, biased.theirs, strict=True)],
            [f"{correlation(a, b):.3f}" for a, b in zip(biased.chip, biased.theirs, strict=True)],
        ]
        lines.append(f"| {name} | {' | '.join(' '.join(column) for column in columns)} |")
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert len(lines) == len(FRAMEWORKS)
