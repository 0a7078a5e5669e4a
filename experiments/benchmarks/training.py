"""A training step's time and memory: the same synapses with each library's LIF neuron between them.

On the GPU if there is one, where bfloat16 (autocast) is measured beside float32. Every measurement runs in a
process of its own, so that one library's memory is not another's:

    python -m experiments.benchmarks.training WORKLOAD PEER float32|bfloat16
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from experiments.benchmarks.measure import Benchmark, Cell, Table, best_of
from experiments.benchmarks.training_peers import OTHER_SURROGATE, PEERS, installed, relu
from neuva import NeuvaError
from snn.kernels.spike_conv import convolve
from snn.memory import keep_heap

FLOOR = "convolutions with ReLU"
SPARSE = "neuva, its convolutions too"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Workload:
    """Input [T, B, ...] and the synapses it goes through, each followed by a population."""

    title: str
    steps: int
    batch: int
    dense: int = 0

    def synapses(self) -> list[nn.Module]:
        """Synapses with the same weights each time, strong enough for their neurons to fire."""
        torch.manual_seed(0)
        if self.dense:
            return [_strong(nn.Linear(self.dense, self.dense))]
        sizes = ((2, 16), (16, 32), (32, 64))
        convolutions = [nn.Conv2d(a, b, 3, 2, 1).to(memory_format=torch.channels_last) for a, b in sizes]  # type: ignore[call-overload]
        return [_strong(synapse) for synapse in (*convolutions, nn.Linear(64 * 8 * 8, 64))]

    def input(self) -> torch.Tensor:
        """Spikes on 5 % of the pixels, a tenth for the dense layer."""
        torch.manual_seed(1)
        shape = (self.dense,) if self.dense else (2, 64, 64)
        return (torch.rand(self.steps, self.batch, *shape) < (0.1 if self.dense else 0.05)).float()


@torch.no_grad()
def _strong(synapse: nn.Module) -> nn.Module:
    synapse.weight.mul_(4)  # type: ignore[operator]
    return synapse


WORKLOADS = {
    "a": Workload("(a) 3 strided convolutions and a dense layer, B=8, T=20, 2x64x64", 20, 8),
    "b": Workload("(b) one Linear(2048, 2048), B=16, T=500", 500, 16, dense=2048),
    "c": Workload("(c) as (a), T=300", 300, 8),
}


class Network(nn.Module):
    """The workload's synapses with one library's neurons after each; all steps in one call of a synapse."""

    def __init__(self, workload: Workload, peer: str) -> None:
        super().__init__()
        make = relu if peer == FLOOR else PEERS["neuva" if peer == SPARSE else peer]
        self.convolve = convolve if peer == SPARSE else _dense
        self.synapses = nn.ModuleList(workload.synapses())
        self.fires = [make() for _ in self.synapses]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Spikes of the last population, [T, B, N]."""
        for synapse, fire in zip(self.synapses, self.fires, strict=True):
            folded = x.flatten(0, 1)
            if isinstance(synapse, nn.Conv2d):
                current = self.convolve(synapse, folded).unflatten(0, x.shape[:2])
                x = fire(current.movedim(2, -1)).movedim(-1, 2)
            else:
                current = synapse(folded.flatten(1)).unflatten(0, x.shape[:2])
                x = fire(current)
        return x


def _dense(synapse: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    return synapse(x.contiguous(memory_format=torch.channels_last))


def measure(workload: str, peer: str, precision: str) -> dict[str, float]:
    """Seconds of the fastest step (forward and backward), and megabytes it took at its peak."""
    with torch.device(DEVICE):
        net, x = Network(WORKLOADS[workload], peer), WORKLOADS[workload].input()
    before = _peak()
    keep_heap()

    def step() -> None:
        net.zero_grad()
        _run(net, x, precision).sum().backward()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    seconds = best_of(step, seconds=8, least=4)
    return {"seconds": seconds, "megabytes": _peak() - before}


def _run(net: Network, x: torch.Tensor, precision: str) -> torch.Tensor:
    with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16"):
        return net(x)


def _peak() -> float:
    """Most memory taken so far, in megabytes: by tensors on a GPU, by the process on a CPU."""
    if DEVICE == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(update: Callable[[int, int], None]) -> Benchmark:
    """Each workload with each peer, after comparing their spikes and gradients."""
    peers = [*([SPARSE] if DEVICE == "cpu" else []), *installed()]
    runs = [(name, precision) for name in WORKLOADS for precision in _precisions()]
    total, done, tables = len(runs) * (len(peers) + 1), 0, []
    for name, precision in runs:
        found = {}
        for peer in (FLOOR, *peers):
            found[peer] = _in_a_process(name, peer, precision)
            done += 1
            update(done, total)
        floor, ours = found[FLOOR], found["neuva"]
        rows: list[list[Cell]] = [
            [
                peer,
                figures["seconds"] * 1e3,
                figures["seconds"] / floor["seconds"],
                figures["seconds"] / ours["seconds"],
                figures["megabytes"],
                "" if peer == FLOOR else figures["agrees"],
            ]
            for peer, figures in found.items()
        ]
        columns = ("neurons", "ms a step", "of the floor", "of neuva", "MB", "same as neuva")
        tables.append(Table(f"{WORKLOADS[name].title}, {precision}", columns, rows))
    missing = [peer for peer in PEERS if peer not in peers]
    notes = [
        "same synapses, weights and input for all; forward and backward of the spikes' sum; shortest of several steps",
        *([f'"{SPARSE}": convolutions that skip what is zero, as its networks have them'] if SPARSE in peers else []),
        _device(),
        *([f"not installed: {', '.join(missing)}"] if missing else []),
    ]
    tables[-1] = Table(tables[-1].title, tables[-1].columns, tables[-1].rows, notes)
    return Benchmark("training", tables)


def _precisions() -> tuple[str, ...]:
    return ("float32", "bfloat16") if DEVICE == "cuda" else ("float32",)


def _device() -> str:
    if DEVICE == "cuda":
        return f"{torch.cuda.get_device_name()}, synchronised after each step; MB: peak memory of tensors"
    return f"{torch.get_num_threads()} threads; MB: growth of the process's peak memory"


def _in_a_process(workload: str, peer: str, precision: str) -> dict:
    command = [sys.executable, "-W", "ignore", "-m", "experiments.benchmarks.training", workload, peer, precision]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NeuvaError(f"benchmark of {peer}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def agreement(peer: str, precision: str) -> str:
    """How the peer's spikes and weight gradients compare with neuva's on a shorter workload (a)."""
    workload = Workload("", steps=10, batch=2)
    with torch.device(DEVICE):
        x, nets = workload.input(), [Network(workload, name) for name in ("neuva", peer)]
    outputs = [_run(net, x, precision) for net in nets]
    for output in outputs:
        (output * torch.linspace(0, 1, output.numel(), device=DEVICE).view_as(output)).sum().backward()
    different = int((outputs[0] != outputs[1]).sum())
    text = "spikes" if different == 0 else f"spikes but {different} of {outputs[0].numel()}"
    if peer in OTHER_SURROGATE:
        return f"{text}; other surrogate"
    worst = max(
        float((ours.grad - theirs.grad).norm() / ours.grad.norm())
        for ours, theirs in zip(nets[0].parameters(), nets[1].parameters(), strict=True)
        if ours.grad is not None and theirs.grad is not None
    )
    return f"{text} and gradients" if worst == 0 else f"{text}, gradients to {worst:.0e}"


if __name__ == "__main__":
    name, peer, precision = sys.argv[1:]
    figures: dict = measure(name, peer, precision)
    if peer != FLOOR:
        figures["agrees"] = agreement(peer, precision)
    sys.stdout.write(json.dumps(figures))
