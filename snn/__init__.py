"""Spiking networks: neurons by their equations, fused kernels, layers over time, networks, losses, training.

Tensors are [T, B, C, H, W]; C = (OFF, ON). This folder knows no chip and no data set.
"""

from snn.networks import LayerSpec, NetworkSpec, Recording, ValenceArousalNet
from snn.neurons import Neuron

__all__ = ["LayerSpec", "NetworkSpec", "Neuron", "Recording", "ValenceArousalNet"]
