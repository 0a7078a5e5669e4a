"""From a trained network to what a chip runs: NIR graph, integers, chip programs, and the proof of their fidelity."""
