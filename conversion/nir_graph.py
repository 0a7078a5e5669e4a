"""NIR files and graphs as nodes in the order they are worked through, whoever wrote them; loops are refused by name."""

from __future__ import annotations

import heapq
import re
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import nir
from nir.serialization import hdf2dict

from neuva import NeuvaError

RESETS = ("LIF", "CubaLIF", "IF")


class Step(NamedTuple):
    """A node and the names of those that lead to it, whose values are added up."""

    name: str
    node: Any
    before: tuple[str, ...]


def read_graph(path: str | Path) -> nir.NIRGraph:
    """The graph of a .nir file, of nir 1.0.4 and later.

    Later versions give neurons a `v_reset`, which 1.0.4 does not know: it is read all the same, and kept in the node's
    metadata as reset "zero", which is what it says; other values than 0 are refused.

    Raises:
        NeuvaError: if the file cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise NeuvaError(f"{path}: {'is a folder, needed a file' if path.is_dir() else 'no such file'}")
    try:
        with h5py.File(path, "r") as file:
            values = hdf2dict(file["node"])
        _take_resets("", values)
        return nir.dict2NIRNode(values)
    except NeuvaError as error:
        raise NeuvaError(f"{path}: {error}") from error
    except Exception as error:  # nir raises whatever h5py and its assertions raise
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        line = f"it has no {line}" if isinstance(error, KeyError) else line
        raise NeuvaError(f"{path}: not a readable NIR graph ({line}): export it again") from error


def in_order(graph: nir.NIRGraph) -> list[Step]:
    """The nodes from input to output, subgraphs unfolded, each after all that lead to it.

    Where several could be next it is by the numbers in their names, then by name: files keep no order of nodes.

    Raises:
        NeuvaError: names the node at which there is a loop, an end or a gap.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise NeuvaError(f"the file holds a {type(graph).__name__}, needed a graph: export the whole network")
    nodes, edges = _unfolded(graph)
    before: dict[str, list[str]] = {name: [] for name in nodes}
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for source, sink in dict.fromkeys(edges):
        for name in (source, sink):
            if name not in nodes:
                raise NeuvaError(f"an edge names node {name}, which the graph does not have: export it again")
        before[sink].append(source)
        after[source].append(sink)
    left = {name: len(names) for name, names in before.items()}
    ready = [_turn(name) for name in nodes if not left[name]]
    heapq.heapify(ready)
    steps: list[Step] = []
    while ready:
        _, name = heapq.heappop(ready)
        steps.append(Step(name, nodes[name], tuple(before[name])))
        for sink in after[name]:
            left[sink] -= 1
            if not left[sink]:
                heapq.heappush(ready, _turn(sink))
    if len(steps) < len(nodes):
        looped = _in_loop(before, {step.name for step in steps})
        raise NeuvaError(f"node {looped} is in a loop: recurrent connections are not converted: train without them")
    _check_ends(nodes, before, after)
    return steps


def _turn(name: str) -> tuple[list[int], str]:
    return [int(digits) for digits in re.findall(r"\d+", name)], name


def _check_ends(nodes: dict[str, Any], before: dict[str, list[str]], after: dict[str, list[str]]) -> None:
    """All nodes but one input have something before them, and all but one output something behind them."""
    start = _start(nodes)
    for name in nodes:
        if not before[name] and name != start:
            raise NeuvaError(f"node {name} is not reached from the input: connect or remove it")
    ends = [name for name in nodes if not after[name]]
    for name in ends:
        if not isinstance(nodes[name], nir.Output):
            raise NeuvaError(f"node {name} leads nowhere: connect it to the output, or remove it")
    if len(ends) > 1:
        raise NeuvaError(f"the graph ends in {' and '.join(ends)}: needed 1 output; export one of them alone")
    if before[start]:
        raise NeuvaError(f"node {before[start][0]} leads to the input: remove that edge")


def _in_loop(before: dict[str, list[str]], done: set[str]) -> str:
    """A node of a loop: going back from one that is left, the first that comes twice."""
    name = next(each for each in before if each not in done)
    seen: set[str] = set()
    while name not in seen:
        seen.add(name)
        name = next(each for each in before[name] if each not in done)
    return name


def _start(nodes: dict[str, Any]) -> str:
    inputs = [name for name, node in nodes.items() if isinstance(node, nir.Input) and "/" not in name]
    if len(inputs) != 1:
        raise NeuvaError(f"the graph has {len(inputs)} inputs, needed 1")
    return inputs[0]


def _unfolded(graph: nir.NIRGraph, prefix: str = "") -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """All nodes and edges of a graph and its subgraphs; a subgraph's nodes are called subgraph/node."""
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    doors: dict[str, tuple[str, str]] = {}
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            nodes[prefix + name] = node
            continue
        inner, inner_edges = _unfolded(node, f"{prefix}{name}/")
        doors[name] = (_door(prefix + name, node, nir.Input), _door(prefix + name, node, nir.Output))
        nodes |= inner
        edges += inner_edges
    for source, sink in graph.edges:
        first = prefix + (f"{source}/{doors[source][1]}" if source in doors else source)
        second = prefix + (f"{sink}/{doors[sink][0]}" if sink in doors else sink)
        edges.append((first, second))
    return nodes, edges


def _door(where: str, graph: nir.NIRGraph, kind: type) -> str:
    names = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(names) != 1:
        raise NeuvaError(f"subgraph {where} has {len(names)} nodes of kind {kind.__name__}, needed 1")
    return names[0]


def _take_resets(name: str, values: dict[str, Any]) -> None:
    """Turn v_reset into metadata, in place, in all nodes."""
    if values.get("type") in RESETS and "v_reset" in values:
        if (values.pop("v_reset") != 0).any():
            raise NeuvaError(f"node {name}: resets to another value than 0, which no chip here does: train with 0")
        values.setdefault("metadata", {}).setdefault("reset", "zero")
    for key, value in values.get("nodes", {}).items():
        _take_resets(key, value)
