"""Work on several processes or threads: how many make sense, a function over many items, and the memory they free.

What runs the work is imported when there is some: every command imports this.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from multiprocessing.pool import Pool

Item = TypeVar("Item")
Answer = TypeVar("Answer")

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
    """Lets OpenMP's threads, which PyTorch computes with on the CPU, sleep soon when they wait for work.

    By default they spin for milliseconds, which is slower beside another busy process. To be called before PyTorch is
    imported; it holds for the processes that this one starts too, and what the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPINS))


# Of mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> None:
    """Lets glibc keep freed pieces for the next, instead of giving each back to the system, which has to clear it anew.

    Decoding an image takes and frees megabytes: with it masks are counted a fifth faster. It holds for the whole
    process, so a command asks for it, not a library. Elsewhere than on glibc it does nothing.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        # 32 MiB is the most that it takes for the first.
        for parameter, value in ((_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 1 << 30), (_TOP_PAD, 16 << 20)):
            mallopt(parameter, value)


def give_back_freed_memory() -> None:
    """Lets glibc give freed pieces back to the system, which processes that are forked later would share, then copy."""
    malloc_trim = _of_glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


@contextmanager
def readers(workers: int, prepare: Callable[[], None]) -> "Iterator[Pool]":
    """Yields processes that read files; each calls ``prepare`` first."""
    # Spawned: a fork of a process in which OpenCV has threads waits for them for ever.
    from multiprocessing import get_context

    with get_context("spawn").Pool(workers, prepare) as pool:
        yield pool


def map_files(function: Callable[[Item], Answer], items: Sequence[Item], pool: "Pool", what: str) -> Iterator[Answer]:
    """Yields ``function(item)`` of each item in order, from the processes of ``pool``; its errors are raised here.

    Where a person watches, a progress bar says ``what`` is being done.
    """
    answers = pool.imap(function, items, chunksize=min(16, 1 + len(items) // 16))
    yield from _watched(answers, len(items), what, "file")


def map_frames(
    function: Callable[[Item], Answer], items: Sequence[Item], workers: int, what: str, threads: bool = False
) -> Iterator[Answer]:
    """As :func:`map_files`, from ``workers`` of its own; 1 works in this process.

    ``threads`` are for a function that lets go of the interpreter; otherwise workers are processes, and the function,
    its items and its answers are pickled.
    """
    if workers == 1 or len(items) < 2:
        yield from _watched(map(function, items), len(items), what, "frame")
        return
    from multiprocessing import get_context
    from multiprocessing.pool import ThreadPool

    with (ThreadPool if threads else get_context().Pool)(min(workers, len(items))) as pool:
        # Chunks save a round trip per frame; small ones keep the bar smooth and the memory low.
        yield from _watched(pool.imap(function, items, chunksize=4), len(items), what, "frame")


def _watched(answers: Iterator[Answer], count: int, what: str, unit: str) -> Iterator[Answer]:
    from tqdm import tqdm

    yield from tqdm(answers, what, count, unit=unit, disable=not count or not sys.stderr.isatty())
