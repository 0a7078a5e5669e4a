"""Benchmarks: each measures neuva beside the peers that are installed, in one run, and says ratios.

A module here offers ``run(progress) -> Benchmark``, and a line in `experiments/commands/bench.py`.
"""
