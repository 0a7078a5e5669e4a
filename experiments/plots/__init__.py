"""Pictures: numpy arrays in, a matplotlib `Figure` out; `png` and `save_png` turn it into a file's bytes."""

from experiments.plots.affect import circumplex, estimate_over_time, traces, traces_under_pictures
from experiments.plots.asynchrony import clocked_beside_events, one_spike_an_event
from experiments.plots.chips import energy_bars, layer_rates, spike_raster
from experiments.plots.confusion import confusion_map
from experiments.plots.images import events_grid, faces_and_events, faces_grid
from experiments.plots.outputs import outputs_over_time
from experiments.plots.stress import load_and_latency
from experiments.plots.style import png, save_png

__all__ = [
    "circumplex",
    "clocked_beside_events",
    "confusion_map",
    "energy_bars",
    "estimate_over_time",
    "events_grid",
    "faces_and_events",
    "faces_grid",
    "layer_rates",
    "load_and_latency",
    "one_spike_an_event",
    "outputs_over_time",
    "png",
    "save_png",
    "spike_raster",
    "traces",
    "traces_under_pictures",
]
