"""Speck and DynapCNN: emulators, limits, placement on cores, and sinabs' own simulation as oracle.

clocked.run        steps of dt, spike for spike as sinabs simulates
event_driven.run   one event after the other, as the chip works
sinabs_run.run     sinabs' DynapcnnNetwork itself
cores.place        layers to cores;  rules.RULES  the chip's limits
"""
