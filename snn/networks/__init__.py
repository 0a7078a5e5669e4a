"""Networks that chips can run."""

from snn.networks.rates import scale_to_rate
from snn.networks.valence_arousal import AFFECT, LayerSpec, NetworkSpec, Recording, ValenceArousalNet

__all__ = ["AFFECT", "LayerSpec", "NetworkSpec", "Recording", "ValenceArousalNet", "scale_to_rate"]
