"""Networks that chips can run."""

from snn.networks.valence_arousal import LayerSpec, NetworkSpec, Recording, ValenceArousalNet, scale_to_rate

__all__ = ["LayerSpec", "NetworkSpec", "Recording", "ValenceArousalNet", "scale_to_rate"]
