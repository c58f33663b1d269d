"""A function over all frames, in order, on several processes or threads."""

import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Pool
from multiprocessing.pool import ThreadPool
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def map_frames(
    function: Callable[[Item], Answer], items: Sequence[Item], workers: int, what: str, threads: bool = False
) -> Iterator[Answer]:
    """Yields ``function(item)`` of each item in order, with a progress bar named ``what`` when a person watches.

    Args:
        function: its errors are raised here.
        items: one a frame.
        workers: 1 works in this process.
        what: is being done, for the bar.
        threads: for a function that lets go of the interpreter; otherwise workers are processes, and the function, its
            items and its answers are pickled.
    """
    if workers == 1 or len(items) < 2:
        yield from _watched(map(function, items), len(items), what)
        return
    with (ThreadPool if threads else Pool)(min(workers, len(items))) as pool:
        # Chunks save a round trip a frame; small ones keep the bar smooth and the memory low.
        yield from _watched(pool.imap(function, items, chunksize=4), len(items), what)


def _watched(answers: Iterator[Answer], count: int, what: str) -> Iterator[Answer]:
    if not sys.stderr.isatty():
        return answers
    from tqdm import tqdm

    return iter(tqdm(answers, what, count, unit="frame"))
