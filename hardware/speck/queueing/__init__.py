"""How long Speck's cores take: a queue and a worker for each, with times that are data (timing.yaml).

Timing    how long a core works and how many events wait        timing.py
Queue     how a run is to be timed; QueueReport what came out    report.py
Server    one core's queue                                       server.py
"""

from hardware.speck.queueing.report import CoreLoad, Latency, Queue, QueueReport
from hardware.speck.queueing.server import Server
from hardware.speck.queueing.timing import Timing

__all__ = ["CoreLoad", "Latency", "Queue", "QueueReport", "Server", "Timing"]
