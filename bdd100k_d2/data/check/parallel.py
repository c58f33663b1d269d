"""A function over many files, on all cores."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.pool import Pool
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@contextmanager
def readers(workers: int, prepare: Callable[[], None]) -> Iterator[Pool]:
    """Yields processes that read files; each calls ``prepare`` first.

    They are started anew: a fork of a process in which OpenCV has threads waits for them for ever.
    """
    with get_context("spawn").Pool(workers, prepare) as pool:
        yield pool


def map_files(function: Callable[[Item], Answer], items: Sequence[Item], pool: Pool, what: str) -> Iterator[Answer]:
    """Yields ``function(item)`` of each item in order, from the processes of ``pool``; its errors are raised here.

    Where a person watches, a bar says ``what`` is being done.
    """
    answers = pool.imap(function, items, chunksize=min(16, 1 + len(items) // 16))
    yield from tqdm(answers, what, len(items), unit="file", disable=not items or not sys.stderr.isatty())
