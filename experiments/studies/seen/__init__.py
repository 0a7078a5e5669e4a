"""SEEN, emotions from one eye (Zhang et al., SIGGRAPH 2023): trained, scored as published, put on chips."""

from experiments.studies.seen.study import STUDY

__all__ = ["STUDY"]
