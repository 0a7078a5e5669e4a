"""A samna that has no board: it runs the event-driven emulator on the events it is given, on a clock that jumps.

Its names are those sinabs 3.1.3 uses (backend/dynapcnn: io.py, config_builder.py, chips/, dynapcnn_network.py; its
notebooks on power and leak). What was configured is what runs: the program's integers are read back from it.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from hardware.program import ChipProgram, Connection, InputEncoding, Layer, SpeckNeuron
from hardware.speck import event_driven

RAIL_WATTS = (1e-4, 2e-4, 3e-4, 4e-4, 5e-4)
JITTER_US = 3


class Clock:
    """Stands in for the module `time`: sleeping takes no time."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


class Event:
    """Any kind of event; attributes are set one by one, as on samna's."""

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


class Spike(Event): ...


class WriteNeuronValue(Event): ...


class ReadNeuronValue(Event): ...


class NeuronValue(Event): ...


class Destination(SimpleNamespace):
    def __init__(self) -> None:
        super().__init__(layer=0, enable=False, pooling=1)


class CnnLayer:
    """One core; only what the vendor's class has can be set, as there."""

    KEYS = ("dimensions", "weights", "biases", "leak_enable", "return_to_zero", "threshold_high", "threshold_low",
            "monitor_enable", "neurons_initial_value")  # fmt: skip

    def __init__(self) -> None:
        vars(self).update(dict.fromkeys(self.KEYS), destinations=[Destination(), Destination()])

    def __setattr__(self, key: str, value: Any) -> None:
        if key not in self.KEYS:
            raise AttributeError(key)
        vars(self)[key] = value


class SpeckConfiguration:
    def __init__(self) -> None:
        self.cnn_layers = [CnnLayer() for _ in range(9)]
        self.dvs_layer = SimpleNamespace(pass_sensor_events=True, monitor_enable=False)

    def plain(self) -> dict:
        """All there is, to compare with another's."""
        layers = [vars(each) | {"destinations": [vars(d) for d in each.destinations]} for each in self.cnn_layers]
        return {"dvs": vars(self.dvs_layer), "cores": layers}


class Buffer:
    def __init__(self) -> None:
        self.events: list[Any] = []
        self.board: Device | None = None
        self.pending: list[Device] = []

    def write(self, events: list[Any]) -> None:
        assert self.board is not None, "not connected"
        self.board.take(events)

    def get_events(self) -> list[Any]:
        while self.pending:
            self.events += self.pending.pop().answer()
        taken, self.events = self.events, []
        return taken


class Graph:
    def sequential(self, nodes: list[Any]) -> None:
        self.source, self.sink = nodes

    def start(self) -> None:
        if isinstance(self.sink, Device):
            self.source.board = self.sink
        elif self.source == "spikes":
            self.device.output = self.sink
        else:
            self.device.power_output = self.sink

    def stop(self) -> None:
        self.device.stopped += 1


class Device:
    """The board, its model, stop watch, clocks and power monitor in one. `log` keeps the order of what was asked."""

    def __init__(self, clock: Clock, stuck: dict[tuple[int, int], int] | None = None) -> None:
        self.clock, self.log, self.stopped = clock, [], 0
        self.memory: dict[tuple[int, int], int] = {(core, 5): 77 for core in range(9)} | (stuck or {})
        self.stuck = stuck or {}
        self.configuration: SpeckConfiguration | None = None
        self.received: list[Spike] = []
        self.output, self.power_output, self.rail_watts = Buffer(), Buffer(), RAIL_WATTS
        self.slow_hz, self.leaking, self.leaked_s, self.leak_start, self.watch_start = 0, False, 0.0, 0.0, 0.0

    def get_model(self) -> Device:
        return self

    get_stop_watch = get_io_module = get_sink_node = get_model

    def get_source_node(self) -> str:
        return "spikes"

    def get_power_monitor(self) -> PowerMonitor:
        return PowerMonitor(self)

    def apply_configuration(self, configuration: SpeckConfiguration) -> None:
        self.log.append("configure")
        self.configuration = configuration

    def reset(self) -> None:
        self.log.append("reset")

    def start(self) -> None:
        self.log.append("start")
        self.watch_start = self.clock.now

    def stop(self) -> None:
        self.log.append("stop")

    def set_slow_clk_rate(self, hertz: int) -> None:
        assert isinstance(hertz, int)
        self.slow_hz = hertz

    def set_slow_clk(self, on: bool) -> None:
        self.log.append(f"leak {on}")
        if self.leaking and not on:
            self.leaked_s = self.clock.now - self.leak_start
        self.leaking, self.leak_start = on, self.clock.now

    def take(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, WriteNeuronValue):
                self.memory[event.layer, event.address] = self.stuck.get((event.layer, event.address), 0)
            elif isinstance(event, ReadNeuronValue):
                place = (event.layer, event.address)
                value = self.memory.get(place, 9)
                self.output.events.append(NeuronValue(layer=place[0], address=place[1], neuron_state=value))
        spikes = [event for event in events if isinstance(event, Spike)]
        if spikes:
            self.received += spikes
            self.output.pending = [self]

    def answer(self) -> list[Any]:
        """Spikes of all monitored cores as the emulator has them, a few microseconds late and never in order."""
        program, order = self.programmed()
        lead = min(200_000, self.received[0].timestamp)
        rows = np.array([(e.timestamp - lead, e.feature, e.y, e.x) for e in self.received], np.int64)
        emulator = event_driven.EventEmulator(program)
        fed = emulator.feed(rows, int(rows[-1, 0]) + 1)
        rng, answers = np.random.default_rng(0), []
        for core in order:
            assert self.configuration is not None
            if self.configuration.cnn_layers[core].monitor_enable:
                for t, feature, y, x in fed.spikes[f"core{core}"].tolist():
                    late = int(rng.integers(JITTER_US + 1))
                    answers.append(Spike(timestamp=t + lead + late, layer=core, feature=feature, y=y, x=x))
        rng.shuffle(answers)  # type: ignore[arg-type]
        return answers

    def programmed(self) -> tuple[ChipProgram, list[int]]:
        """The program that was written to the cores, a chain, and its cores in order."""
        assert self.configuration is not None
        core, order, layers = self.received[0].layer, [], []
        while True:
            order.append(core)
            now = self.configuration.cnn_layers[core]
            dims, hearers = now.dimensions, [d for d in now.destinations if d.enable]
            pool = hearers[0].pooling if hearers else 1
            sides = [
                (dims[key]["feature_count"], *(dims[key]["size"][axis] for axis in "yx"))
                for key in ("input_shape", "output_shape")
            ]
            weight = np.array(now.weights, np.int32).transpose(0, 1, 3, 2)
            stride, padding = ((dims[key]["y"], dims[key]["x"]) for key in ("stride", "padding"))
            neuron = SpeckNeuron(
                now.threshold_high,
                now.threshold_low,
                "zero" if now.return_to_zero else "subtract",
                np.array(now.biases) * now.leak_enable,
            )
            assert not np.array(now.neurons_initial_value).any()
            layers.append(
                Layer(f"core{core}", sides[0], sides[1], Connection("conv", weight, stride, padding), neuron, pool)
            )
            if not hearers:
                break
            core = hearers[0].layer
        dt_us = 1_000_000 // self.slow_hz if self.slow_hz else 10**9
        return ChipProgram("speck2f", dt_us, InputEncoding(layers[0].in_shape, "counts"), tuple(layers), None), order


class PowerMonitor:
    """All rails of `board`, each a tenth of its first power more a second."""

    def __init__(self, board: Device) -> None:
        self.board = board

    def get_source_node(self) -> str:
        return "power"

    def start_auto_power_measurement(self, hertz: float) -> None:
        self.hertz = hertz

    def stop_auto_power_measurement(self) -> None:
        seconds = np.arange(int((self.board.clock.now - self.board.watch_start) * self.hertz)) / self.hertz
        self.board.power_output.events += [
            Event(timestamp=round(second * 1e6), channel=channel, value=watts * (1 + 0.1 * second))
            for second in seconds.tolist()
            for channel, watts in enumerate(self.board.rail_watts)
        ]


def fake_samna(
    clock: Clock, boards: tuple[str, ...] = ("Speck2fDevKit",), stuck: dict[tuple[int, int], int] | None = None
) -> ModuleType:
    """The module; its board is `board`, its refusal of a configuration `refusal`."""
    samna: Any = ModuleType("samna")
    samna.__version__ = "0.48.0"
    samna.board, samna.closed, samna.refusal = Device(clock, stuck), [], ""
    samna.device = SimpleNamespace(
        get_all_devices=lambda: [SimpleNamespace(device_type_name=name) for name in boards],
        open_device=lambda _info: samna.board,
        close_device=samna.closed.append,
    )

    class BoundGraph(Graph):
        device = samna.board

    samna.graph = SimpleNamespace(EventFilterGraph=BoundGraph)
    samna.BasicSourceNode_speck2f_event_input_event = Buffer
    samna.BasicSinkNode_speck2f_event_output_event = Buffer
    samna.BasicSinkNode_unifirm_modules_events_measurement = Buffer
    samna.speck2f = SimpleNamespace(
        configuration=SimpleNamespace(SpeckConfiguration=SpeckConfiguration),
        validate_configuration=lambda _configuration: (not samna.refusal, samna.refusal),
        event=SimpleNamespace(
            Spike=Spike, WriteNeuronValue=WriteNeuronValue, ReadNeuronValue=ReadNeuronValue, NeuronValue=NeuronValue
        ),
    )
    return samna
