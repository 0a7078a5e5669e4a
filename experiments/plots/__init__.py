"""Pictures: numpy arrays in, a matplotlib `Figure` out; `png` and `save_png` turn it into a file's bytes."""

from experiments.plots.affect import circumplex, estimate_over_time, traces
from experiments.plots.chips import energy_bars, layer_rates, spike_raster
from experiments.plots.images import events_grid, faces_and_events
from experiments.plots.style import png, save_png

__all__ = [
    "circumplex",
    "energy_bars",
    "estimate_over_time",
    "events_grid",
    "faces_and_events",
    "layer_rates",
    "png",
    "save_png",
    "spike_raster",
    "traces",
]
