"""Loihi 1 and 2: limits, placement, design rules, the integer emulator, and Lava as its reference.

emulator.run       a program, spike for spike as Lava's bit-accurate models; LoihiEmulator keeps its state
lava.run           Lava itself, in an interpreter of its own (lava_runner.py; exchange.by_hand: on another machine)
place.place        layers to neuro-cores;  rules.RULES  the chip's limits;  chip.load  the numbers, with sources
timing.step_time   how long a step takes, from the core with the most work, where figures are published
"""
