"""Work on several processes or threads: how many make sense, a function over many items, and the memory they free.

What runs the work is imported when there is some: every command imports this.
"""

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from .errors import LostProcessError

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Each worker of a loader holds two batches ahead: 16 of them feed any GPU, more would only take memory.
_MOST_WORKERS = 16
# How often a waiting thread of GNU's OpenMP looks for work before it sleeps (its default is 300,000).
_SPINS = 7_000


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bounded_workers(workers: int) -> int:
    """As many of ``workers`` processes or threads as make sense here: past a few per core they only take memory."""
    return min(workers, max(4 * cores(), _MOST_WORKERS))


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
    if sys.platform != "linux":
        return None
    import ctypes

    return getattr(ctypes.CDLL(None), name, None)


@contextmanager
def working_processes(
    count: int, prepare: Callable[..., None], *arguments: object, method: str | None = None
) -> "Iterator[Executor]":
    """Yields up to ``count`` processes that work; each calls ``prepare(*arguments)`` first.

    ``method`` is how they are started, as `multiprocessing` names it. Ctrl-C is the parent's, which ends them, and they
    do not outlive it. `submit` gives them work.

    Raises:
        LostProcessError: the system ended one of them. Nobody waits for what it would have done.
    """
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import active_children, get_context

    others = active_children()
    pool = ProcessPoolExecutor(bounded_workers(count), get_context(method), _begin, (os.getpid(), prepare, arguments))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise LostProcessError(
            "a process that read files was ended by the system, perhaps for want of memory; try fewer --workers."
        ) from error
    except KeyboardInterrupt:
        for process in active_children():
            if process not in others:
                process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


# Of prctl(2): the signal that a process gets when its parent ends.
_PARENT_DEATH_SIGNAL = 1


def _begin(parent: int, prepare: Callable[..., None], arguments: Sequence[object]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prctl = _of_glibc("prctl")
    if prctl is not None:
        prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    prepare(*arguments)


def submit(pool: "Executor", function: Callable[..., Answer], *arguments: object) -> "Future[Answer]":
    """Gives work to ``pool``; a process or thread that it starts for it has SIGINT blocked, until it can ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return pool.submit(function, *arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def readers(workers: int, prepare: Callable[[], None]) -> "AbstractContextManager[Executor]":
    """The :func:`working_processes` that read files; each calls ``prepare`` first."""
    # Spawned: a fork of a process in which OpenCV has threads waits for them for ever.
    return working_processes(workers, prepare, method="spawn")


def map_files(
    function: Callable[[Item], Answer], items: Sequence[Item], pool: "Executor", what: str
) -> Iterator[Answer]:
    """Yields ``function(item)`` of each item in order, from the processes of ``pool``; its errors are raised here.

    Where a person watches, a progress bar says ``what`` is being done.
    """
    yield from _watched(in_order(function, items, pool, min(16, 1 + len(items) // 16)), len(items), what, "file")


def map_frames(
    function: Callable[[Item], Answer], items: Sequence[Item], workers: int, what: str, threads: bool = False
) -> Iterator[Answer]:
    """As :func:`map_files`, from ``workers`` of its own; 1 works in this process.

    ``threads`` are for a function that lets go of the interpreter; otherwise workers are processes, and the function,
    its items and its answers are pickled.
    """
    workers = min(bounded_workers(workers), len(items))
    if workers < 2:
        yield from _watched(map(function, items), len(items), what, "frame")
        return
    with working_threads(workers) if threads else working_processes(workers, _nothing) as pool:
        # Chunks save a round trip per frame; small ones keep the bar smooth and the memory low.
        yield from _watched(in_order(function, items, pool, 4), len(items), what, "frame")


@contextmanager
def working_threads(count: int) -> "Iterator[Executor]":
    """Yields up to ``count`` threads that work; at an error or Ctrl-C they finish only what they have begun."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(bounded_workers(count))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _nothing() -> None:
    pass


# Chunks that are given out before the first of them is taken: few hold little memory, and one that takes long does not
# hold up the others.
_AHEAD = 256


def in_order(
    function: Callable[[Item], Answer], items: Sequence[Item], pool: "Executor", size: int
) -> Iterator[Answer]:
    """Yields ``function(item)`` of each item in order, from ``pool``, which takes ``size`` of them at a time."""
    chunks = (submit(pool, _each, function, items[i : i + size]) for i in range(0, len(items), size))
    pending = deque(islice(chunks, _AHEAD))
    while pending:
        yield from pending.popleft().result()
        pending.extend(islice(chunks, 1))


def _each(function: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
    return [function(item) for item in items]


def _watched(answers: Iterator[Answer], count: int, what: str, unit: str) -> Iterator[Answer]:
    from tqdm import tqdm

    yield from tqdm(answers, what, count, unit=unit, disable=not count or not sys.stderr.isatty())
