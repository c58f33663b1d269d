"""Writing results while the next ones are computed: made by several threads, kept by one, in order."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

from ..parallel import cores

_In = TypeVar("_In")
_Out = TypeVar("_Out")

# More threads encode images faster than any model gives results.
_MOST_THREADS = 4


class OrderedPipeline(Generic[_In, _Out]):
    """Hands each item to ``make``, in threads, and what that returns to ``keep``, in the order of the items.

    A context; leaving it waits for all items, unless an exception ends it.
    """

    def __init__(self, make: Callable[[_In], _Out], keep: Callable[[_Out], None]) -> None:
        """Takes the two steps. ``keep`` is never called twice at a time."""
        self._make, self._keep = make, keep
        threads = min(cores(), _MOST_THREADS)
        self._makers = ThreadPoolExecutor(threads, thread_name_prefix="make")
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="keep")
        # What is under way holds images and masks: a model that is faster than the disk has to wait.
        self._most = threads + 2
        self._waiting: deque[Future[None]] = deque()

    def put(self, item: _In) -> None:
        """Takes an item; waits while many are under way, and raises what one of those before it raised."""
        while len(self._waiting) >= self._most:
            self._waiting.popleft().result()
        made = self._makers.submit(self._make, item)
        self._waiting.append(self._keeper.submit(lambda: self._keep(made.result())))

    def finish(self) -> None:
        """Waits for all items, and raises what one of them raised."""
        while self._waiting:
            self._waiting.popleft().result()

    def __enter__(self) -> "OrderedPipeline[_In, _Out]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            for pool in (self._keeper, self._makers):
                pool.shutdown(cancel_futures=True)
