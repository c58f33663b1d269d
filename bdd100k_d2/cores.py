"""How many processes or threads make sense here."""

import os

# Each worker of a loader holds two batches ahead: 16 of them feed any GPU, more would only take memory.
_MOST_WORKERS = 16


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def loader_workers(processes: int) -> int:
    """How many workers the training loader of each of ``processes`` on this machine has: its share of the cores."""
    return min(max(cores() // processes, 1), _MOST_WORKERS)
