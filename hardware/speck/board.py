"""A Speck board through samna, the vendor's device library: opened, configured, cleared, played to, closed.

samna's names and their order of use are those of sinabs 3.1.3 (backend/dynapcnn: io.py, config_builder.py, chips/,
dynapcnn_network.py) and of its documentation's notebooks "Power Monitoring" and "How To Leak The Neurons On The
Devkit", https://sinabs.readthedocs.io. samna is imported here alone, and only when a board is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from hardware.power import Power
from hardware.speck.samna_guard import real_samna
from neuva import NeuvaError, require

BOARDS = {"speck2e": ("Speck2eDevKit", "Speck2eTestBoard"), "speck2f": ("Speck2fDevKit", "Speck2fModuleDevKit")}
"""Per chip, what samna calls the boards that carry it (sinabs 3.1.3, io.py)."""
RAILS = ("IO", "RAM", "LOGIC", "pixel digital", "pixel analogue")
"""The power monitor's channels in order ("Power Monitoring")."""
POWER_HZ = 100.0
LEAD_US = 200_000
"""From the start of the board's clock to the start of the run: events are on the board before they are due."""
SETTLE_S, POLL_S, LONGEST_DRAIN_S = 1.0, 0.1, 10.0


@dataclass(frozen=True)
class Heard:
    """What a board gave. spikes: int64 [N, 5] of (t, core, feature, y, x), t in microseconds since the run's start."""

    spikes: np.ndarray
    power: Power


@contextmanager
def open_board(chip: str) -> Iterator[Board]:
    """The first board with this chip that is plugged in; closed whatever happens.

    Raises:
        NeuvaError: if no such board can be driven, samna is missing, no board is there, or samna reports an error.
    """
    if chip not in BOARDS:
        raise NeuvaError(f"{chip}: samna drives boards with {' or '.join(BOARDS)}: convert for one of these")
    samna = _samna(chip)
    try:
        with ExitStack() as undo:
            yield Board(samna, chip, undo)
    except NeuvaError:
        raise
    except Exception as error:  # whatever the vendor's library throws
        raise NeuvaError(f"{chip} board: samna reports {error}: unplug the board, plug it in and try again") from error


class Board:
    """An open board; see `open_board`. What closes it is put on `undo`."""

    def __init__(self, samna: ModuleType, chip: str, undo: ExitStack) -> None:
        self._samna, self._chip, self._undo = samna, chip, undo
        self._vendor = getattr(samna, chip)  # what belongs to the chip: configuration, kinds of events
        self.name, self._device = self._open()
        self._power_monitor = self._device.get_power_monitor()
        self._input = getattr(samna, f"BasicSourceNode_{chip}_event_input_event")()
        self._output = getattr(samna, f"BasicSinkNode_{chip}_event_output_event")()
        self._power = samna.BasicSinkNode_unifirm_modules_events_measurement()
        model = self._device.get_model()
        self._connect(self._input, model.get_sink_node())
        self._connect(model.get_source_node(), self._output)
        self._connect(self._power_monitor.get_source_node(), self._power)

    @property
    def version(self) -> str:
        """samna's."""
        return str(getattr(self._samna, "__version__", "unknown"))

    def configure(self, cores: Mapping[int, dict[str, Any]]) -> None:
        """Write the cores' configurations (hardware.speck.configuration), all spikes monitored, the camera shut off.

        Raises:
            NeuvaError: if samna finds the configuration invalid.
        """
        configuration = self._vendor.configuration.SpeckConfiguration()
        configuration.dvs_layer.pass_sensor_events = False
        for core, values in cores.items():
            target = configuration.cnn_layers[core]
            for key, value in (values | {"monitor_enable": True}).items():
                if key != "destinations":
                    setattr(target, key, value)
            for slot, destination in enumerate(values["destinations"]):
                for key, value in destination.items():
                    setattr(target.destinations[slot], key, value)
        valid, message = self._vendor.validate_configuration(configuration)
        if not valid:
            raise NeuvaError(f"{self._chip} board: samna refuses the configuration ({message}): see `neuva check`")
        self._device.get_model().apply_configuration(configuration)
        time.sleep(SETTLE_S)

    def clear(self, words: Mapping[int, int]) -> int:
        """Zero the neuron memory, word by word, and read it back; core -> words.

        The configuration's initial states are no certain thing (sinabs issue 148).

        Returns:
            How many words were read back; a board that answers for fewer than it was asked for is believed.

        Raises:
            NeuvaError: if a word read back is not zero.
        """
        places = [(core, address) for core, count in words.items() for address in range(count)]
        event = self._vendor.event
        self._input.write([_made(event.WriteNeuronValue(), layer=c, address=a, neuron_state=0) for c, a in places])
        self._drain()
        self._input.write([_made(event.ReadNeuronValue(), layer=c, address=a) for c, a in places])
        read = [answer for answer in self._drain() if hasattr(answer, "neuron_state")]
        left = [answer for answer in read if answer.neuron_state]
        if left:
            raise NeuvaError(
                f"{self._chip} board: {len(left)} neuron states are not 0 after they were cleared (core "
                f"{left[0].layer}, word {left[0].address}: {left[0].neuron_state}): cut its power and try again"
            )
        return len(read)

    def play(self, events: np.ndarray, duration_us: int, leak_hz: int | None) -> Heard:
        """Play events in real time and listen until `duration_us` is over and no more spikes come.

        Args:
            events: int64 [N, 5] of (t, core, channel, y, x), t sorted, in microseconds since the run's start.
            leak_hz: rate of the clock at whose ticks biases are added; None: it stands still. It is switched on as
                the run starts and off as it ends, by this computer's clock (milliseconds), phase unknown.
        """
        kind = self._vendor.event.Spike
        sent = [
            _made(kind(), timestamp=t + LEAD_US, layer=core, feature=channel, y=y, x=x)
            for t, core, channel, y, x in events.tolist()
        ]
        watch, clocks = self._device.get_stop_watch(), self._device.get_io_module()
        self._output.get_events()  # what lies there is of before
        self._power.get_events()
        watch.reset()
        watch.start()
        self._power_monitor.start_auto_power_measurement(POWER_HZ)
        self._input.write(sent)
        time.sleep(LEAD_US * 1e-6)
        if leak_hz is not None:
            clocks.set_slow_clk_rate(leak_hz)
            clocks.set_slow_clk(True)
        heard, end = [], time.monotonic() + duration_us * 1e-6
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, POLL_S))
            heard.extend(self._output.get_events())
        if leak_hz is not None:
            clocks.set_slow_clk(False)
        heard.extend(self._drain())
        self._power_monitor.stop_auto_power_measurement()
        watch.stop()
        rows = [(e.timestamp - LEAD_US, e.layer, e.feature, e.y, e.x) for e in heard if isinstance(e, kind)]
        return Heard(np.array(rows, np.int64).reshape(-1, 5), _power(self._power.get_events()))

    def _drain(self) -> list[Any]:
        """What the board still sends, until it falls silent."""
        drained: list[Any] = []
        for _ in range(round(LONGEST_DRAIN_S / POLL_S)):
            time.sleep(POLL_S)
            new = self._output.get_events()
            if not new:
                break
            drained.extend(new)
        return drained

    def _open(self) -> tuple[str, Any]:
        found = self._samna.device.get_all_devices()
        mine = [info for info in found if info.device_type_name in BOARDS[self._chip]]
        if not mine:
            there = ", ".join(info.device_type_name for info in found) or "none"
            raise NeuvaError(
                f"{self._chip}: no board found, boards there: {there}: plug in a {' or '.join(BOARDS[self._chip])}"
            )
        device = self._samna.device.open_device(mine[0])
        if device is None:
            raise NeuvaError(f"{self._chip}: the board cannot be opened: end the program that uses it")
        self._undo.callback(self._samna.device.close_device, device)
        return mine[0].device_type_name, device

    def _connect(self, source: Any, sink: Any) -> None:
        graph = self._samna.graph.EventFilterGraph()
        graph.sequential([source, sink])
        graph.start()
        self._undo.callback(graph.stop)


def _samna(chip: str) -> ModuleType:
    if not real_samna():
        raise NeuvaError(
            f"{chip}: driving a board needs samna, the vendor's device library, which is not installed (the package "
            "index's stub is not it): install it as SynSense's Samna documentation says, or run `--on emulator-events`"
        )
    return require("samna", "install it as SynSense's Samna documentation says")


def _made(event: Any, **values: int) -> Any:
    for key, value in values.items():
        setattr(event, key, value)
    return event


def _power(samples: list[Any]) -> Power:
    return Power(
        RAILS,
        np.array([sample.timestamp - LEAD_US for sample in samples], np.int64),
        np.array([sample.channel for sample in samples], np.int8),
        np.array([sample.value for sample in samples], np.float64),
    )
