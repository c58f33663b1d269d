"""How many processes or threads make sense here."""

import os

# Each worker of a loader holds two batches ahead: 16 of them feed any GPU, more would only take memory.
_MOST_WORKERS = 16

# How often a waiting thread of GNU's OpenMP looks for work before it sleeps (its default is 300,000).
_SPINS = 7_000


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def loader_workers(processes: int) -> int:
    """How many workers the training loader of each of ``processes`` on this machine has: its share of the cores."""
    return min(max(cores() // processes, 1), _MOST_WORKERS)


def spin_little() -> None:
    """Lets OpenMP's threads sleep soon when they wait for work, as PyTorch's do between operations on the CPU.

    By default they spin for milliseconds, which is no faster alone, and slower beside another busy process. It sets
    ``GOMP_SPINCOUNT`` for this process and those that it starts, and has to be called before PyTorch is imported; what
    the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPINS))
