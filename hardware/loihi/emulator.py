"""Integer emulator of Loihi: spike for spike, u for u and v for v what Lava's bit-accurate models give.

Time. On the chip each layer hears of a spike one step after it was sent, so layer l (1, 2, ...) answers step k of
the input in step k + l. A layer with a bias integrates, and may spike, in the l steps before its input arrives; the
layers after it hear those spikes too. Shifting by l takes the delay out and leaves exactly that prelude: layer l
runs l steps on what the layer before sent in its own prelude (one silent step, then its l - 1 steps), and from there
every layer's step k follows from the step k of the layer before. Without biases the prelude changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import config as numba_config

from hardware.loihi.activity import Activity
from hardware.loihi.population import Population, Result, State
from hardware.program import ChipProgram, CoreSlice, Layer, LoihiNeuron, Shape
from hardware.trace import CoreCounts, Spikes, Trace, apply_readout
from neuva import NeuvaError

PAYLOAD_MAX = (1 << 23) - 1  # a graded spike's payload, as Lava's 24-bit signed ports carry it


@dataclass(frozen=True)
class Fed:
    """What one stretch of input gave: per layer spikes (with "input"), optional u and v, counts, overflows."""

    steps: int
    spikes: dict[str, Spikes]
    counts: tuple[CoreCounts, ...]
    u: dict[str, np.ndarray] = field(default_factory=dict)
    v: dict[str, np.ndarray] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


class LoihiEmulator:
    """A program on an emulated chip that keeps its state between stretches of input.

    Args:
        program: for a chip of the Loihi family.
        strict: raise where u wraps or v is clipped, instead of counting it.
        like_lava: follow Lava's CPU models where they leave the chip: Conv neither puts its weights on the 8-bit
            grid nor applies weight_exp (lava#803) and keeps its sum in 24 bits, all sums wrap at 32 bits, and u
            wraps only once, so it can leave its 24 bits. (Of a sum in Conv beyond 32 bits Lava makes what the
            processor's conversion from float gives; that is not followed.)

    Raises:
        NeuvaError: if the program is of another family, pools or branches, has a layer whose sizes do not fit
            together, or a constant beyond its register.
    """

    def __init__(self, program: ChipProgram, *, strict: bool = False, like_lava: bool = False) -> None:
        self.program = program
        self.strict = strict
        self._populations: list[Population] = []
        before, shape = "input", program.input.shape
        for layer in program.layers:
            check_layer(layer, program.target)
            if layer.sources not in ((), (before,)):
                raise NeuvaError(
                    f"layer {layer.name} hears {', '.join(layer.sources)}, allowed {before}, the layer before: "
                    "the emulator runs networks without branches"
                )
            population = Population(layer, shape, like_lava=like_lava, reset_every=program.reset_every)
            self._populations.append(population)
            before, shape = layer.name, layer.sent_shape
        self.reset()

    def another(self) -> LoihiEmulator:
        """A chip with the same program, sharing its weights, with a state of its own: zero."""
        chip = copy(self)
        chip.reset()
        return chip

    def reset(self) -> None:
        """Zero state, then each layer's steps before its input arrives (see the module's docstring)."""
        self._states: list[State] = []
        heard = Activity.silent(1)
        for population in self._populations:
            state = population.zero_state(heard.steps)
            heard = population.run(state, heard).activity.after_silence()
            self._states.append(state)

    def feed(self, spikes: np.ndarray, *, record_state: bool = False) -> Fed:
        """Run on the next steps of input, state kept.

        Args:
            spikes: integers [T, C, H, W]; 0 or 1, or payloads where the program's input is "counts".
            record_state: keep u and v of every neuron and step.

        Raises:
            NeuvaError: if the shape or the values do not suit the program; with `strict`, at an overflow.
        """
        spikes = check_input(spikes, self.program)
        steps, dt_us = len(spikes), self.program.dt_us
        activity = Activity.of_dense(spikes)
        fed = Fed(steps, {"input": activity.spikes(self.program.input.shape, dt_us)}, ())
        counts: list[CoreCounts] = []
        for layer, population, state in zip(self.program.layers, self._populations, self._states, strict=True):
            result = population.run(state, activity, record_state=record_state)
            activity = result.activity
            fed.spikes[layer.name] = activity.spikes(layer.out_shape, dt_us)
            if record_state:
                fed.u[layer.name] = result.u
                fed.v[layer.name] = result.v
            if result.wraps or result.clips:
                self._note_overflow(layer, result.wraps, result.clips, fed.notes)
            counts.extend(self._per_core(layer, result))
        return Fed(steps, fed.spikes, tuple(counts), fed.u, fed.v, fed.notes)

    def _note_overflow(self, layer: Layer, wraps: int, clips: int, notes: dict[str, Any]) -> None:
        if self.strict:
            raise NeuvaError(
                f"layer {layer.name}: u left its 24 bits {wraps} times and v was clipped {clips} times, allowed 0: "
                "scale the layer's weights, bias and threshold down"
            )
        notes.setdefault("overflows", {})[layer.name] = {"u_wraps": wraps, "v_clips": clips}

    def _per_core(self, layer: Layer, result: Result) -> list[CoreCounts]:
        """What the layer did, summed over its slices; unplaced, one slice on core -1."""
        steps, spikes = result.activity.steps, result.activity.per_row(layer.out_shape)
        updates = np.full(layer.out_shape[:2], steps * layer.out_shape[2], np.int64)
        parts = [part for part in self.program.placement if part.layer == layer.name]
        parts = parts or [CoreSlice(-1, layer.name, 0, layer.out_shape[0], 0, layer.out_shape[1])]

        def total(counts: np.ndarray, part: CoreSlice) -> int:
            return int(counts[part.c0 : part.c1, part.y0 : part.y1].sum())

        return [
            CoreCounts(part.core, layer.name, total(result.synops, part), total(updates, part), total(spikes, part))
            for part in parts
        ]


def run(
    program: ChipProgram,
    input_spikes: np.ndarray,
    *,
    record_state: bool = False,
    strict: bool = False,
    like_lava: bool = False,
) -> Trace:
    """One clip from zero state: what the chip gives, with the pipeline's delay taken out.

    Counts are those of the clip's T steps in each layer; the steps before a layer's input arrives are left out.
    A synaptic operation is a spike times each synapse it reaches, zero weights included, borders exact.

    Args:
        program: for a chip of the Loihi family.
        input_spikes: integers [T, C, H, W].
        record_state: keep u and v of every neuron and step.
        strict: see `LoihiEmulator`.
        like_lava: see `LoihiEmulator`.

    Raises:
        NeuvaError: see `LoihiEmulator`.
    """
    return _trace(LoihiEmulator(program, strict=strict, like_lava=like_lava), input_spikes, record_state)


def run_many(
    program: ChipProgram,
    clips: Sequence[np.ndarray],
    *,
    record_state: bool = False,
    strict: bool = False,
    like_lava: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Trace]:
    """Clips side by side, each from zero state: the traces that `run` gives one after the other.

    A chip each on as many threads as NUMBA_NUM_THREADS says (the cores, unless set); they share the weights, and
    the kernels run without Python's lock.

    Args:
        program: see `run`.
        clips: integers [T, C, H, W] each; lengths may differ.
        record_state: see `run`.
        strict: see `LoihiEmulator`.
        like_lava: see `LoihiEmulator`.
        progress: called with (clips done, clips in all).

    Raises:
        NeuvaError: see `LoihiEmulator`.
    """
    chip = LoihiEmulator(program, strict=strict, like_lava=like_lava)
    with ThreadPoolExecutor(numba_config.NUMBA_NUM_THREADS) as threads:  # type: ignore[attr-defined]
        traces = []
        for trace in threads.map(lambda clip: _trace(chip.another(), clip, record_state), clips):
            traces.append(trace)
            progress(len(traces), len(clips))
        return traces


def _trace(chip: LoihiEmulator, clip: np.ndarray, record_state: bool) -> Trace:
    """What a chip in zero state makes of a clip."""
    program, fed = chip.program, chip.feed(clip, record_state=record_state)
    last = program.layers[-1]
    sent = fed.spikes[last.name].dense(fed.steps, program.dt_us).reshape(fed.steps, last.neurons)
    times, va = apply_readout(program.readout, sent, program.dt_us)
    return Trace(
        target=program.target,
        backend="emulator",
        dt_us=program.dt_us,
        duration_us=fed.steps * program.dt_us,
        times=times,
        va=va,
        spikes=fed.spikes,
        counts=fed.counts,
        latency_steps=len(program.layers),
        u=fed.u,
        v=fed.v,
        notes=fed.notes,
    )


def check_layer(layer: Layer, target: str) -> LoihiNeuron:
    """The layer's neurons, which must be Loihi's, without pooling.

    Raises:
        NeuvaError: if not.
    """
    if not isinstance(layer.neuron, LoihiNeuron):
        raise NeuvaError(f"layer {layer.name} of a program for {target} has Speck's neurons: convert it for Loihi")
    if layer.pool != 1:
        raise NeuvaError(f"layer {layer.name} pools by {layer.pool}, Loihi has no pooling: lower it as a convolution")
    return layer.neuron


def check_input(spikes: np.ndarray, program: ChipProgram) -> np.ndarray:
    """Input spikes that suit a program: integers [T, C, H, W], 0 or 1 ("binary") or payloads from 0 on ("counts").

    Raises:
        NeuvaError: if they do not.
    """
    shape: Shape = program.input.shape
    if spikes.ndim != 4 or spikes.shape[1:] != shape or not np.issubdtype(spikes.dtype, np.integer):
        raise NeuvaError(f"input is {spikes.dtype} {list(spikes.shape)}, the program takes integers {['T', *shape]}")
    most = 1 if program.input.kind == "binary" else PAYLOAD_MAX
    if spikes.size and (spikes.min() < 0 or spikes.max() > most):
        raise NeuvaError(f"input holds {spikes.min()}..{spikes.max()}, a {program.input.kind} input holds 0..{most}")
    return spikes
