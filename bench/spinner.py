"""Keeps one core from sleeping (processes.stay_awake). usage: spinner.py CORE. Pins itself, lowers itself to SCHED_IDLE,
the class that runs only where nothing else wants to, and turns until it is killed or its parent is gone."""

import os
import sys

ROUNDS = 1_000_000  # between two looks at the parent: some ten milliseconds

parent = os.getppid()
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
print("awake", flush=True)
while os.getppid() == parent:
    for _ in range(ROUNDS):
        pass
