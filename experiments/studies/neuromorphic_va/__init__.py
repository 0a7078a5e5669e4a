"""Valence and arousal a frame from simulated events (arXiv 2401.16058), and emotions from them without training."""

from experiments.studies.neuromorphic_va.stages import STUDY

__all__ = ["STUDY"]
