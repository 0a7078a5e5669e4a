"""Speck and DynapCNN: emulators, limits, placement on cores, and sinabs' own simulation as oracle.

clocked.run        steps of dt, spike for spike as sinabs simulates
event_driven.run   one event after the other, as the chip works;  paths.Paths  in which order where branches meet
queueing           how long cores take, where they stall or drop;  camera.seen  the camera layer
sinabs_run.run     sinabs' DynapcnnNetwork itself
recording.run      a board, through the vendor's samna
cores.place        layers to cores;  rules.RULES  the chip's limits;  rates.rates  whether cores keep up with a run
configuration      what is written to each core of a board
"""
