"""Conventional networks to measure the spiking ones by."""

from snn.baselines.conv_gru import ConvGruNet, ConvGruSpec, Convolution

__all__ = ["ConvGruNet", "ConvGruSpec", "Convolution"]
