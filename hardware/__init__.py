"""What runs on a chip: programs, traces, design rules, emulators, vendors' simulators and devices, energy.

Pure numpy at import: a program can be loaded and emulated on a lab machine that has no torch.
"""

from hardware.program import ChipProgram
from hardware.trace import Trace

__all__ = ["ChipProgram", "Trace"]
