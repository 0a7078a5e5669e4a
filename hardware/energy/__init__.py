"""What a run costs: exact counts of a trace times intervals of energy, and the conventional network beside it.

energy(traces, program)     joules per estimate and watts, split by kind, layer and core
baseline(program)           the same network with dense 8-bit multiply-accumulates
activity(traces, program)   NeuroBench's figures: sparsity, effective operations, footprint

The figures are in the YAML files, low, typical and high, each with its source or the assumption behind it.
"""

from hardware.energy.activity import Activity, LayerActivity, activity
from hardware.energy.baseline import Baseline, LayerMacs, baseline, break_even
from hardware.energy.interval import Interval
from hardware.energy.model import energy
from hardware.energy.report import EnergyReport, Part, Split
from hardware.energy.table import EnergyTable, Figure

__all__ = [
    "Activity",
    "Baseline",
    "EnergyReport",
    "EnergyTable",
    "Figure",
    "Interval",
    "LayerActivity",
    "LayerMacs",
    "Part",
    "Split",
    "activity",
    "baseline",
    "break_even",
    "energy",
]
