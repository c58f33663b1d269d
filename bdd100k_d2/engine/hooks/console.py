"""The line on the console that says how the training goes."""

import resource
import sys

import torch
from detectron2.utils.events import CommonMetricPrinter, EventStorage, get_event_storage


class ProgressPrinter(CommonMetricPrinter):
    """Detectron2's line, with pictures per second, the share of time that waits for data, and memory on the CPU too.

    It goes to the logger of Detectron2's line, in the order and under the names of that; evaluations are left out.
    """

    def __init__(self, max_iter: int, batch_size: int) -> None:
        """Takes the iterations of the training and the pictures of an iteration, over all processes."""
        super().__init__(max_iter)
        self._batch_size = batch_size
        self._written = -1

    def write(self) -> None:
        """Logs the line of this iteration, once."""
        storage = get_event_storage()
        latest = storage.latest()
        # Writers are called again after the last iteration, and after one that failed: neither has a rate.
        if latest.get("lr", (0.0, -1))[1] != storage.iter or storage.iter == self._written:
            return
        self._written = storage.iter
        eta = self._get_eta(storage)
        parts = [f"eta: {eta}"] if eta else []
        parts += [f"iter: {storage.iter}", *self._losses(storage), *self._speed(storage)]
        names = {"grad_norm": ".4g", "lr": ".5g"}
        parts += [f"{name}: {latest[name][0]:{style}}" for name, style in names.items() if name in latest]
        self.logger.info(" %s", "  ".join([*parts, memory()]))

    def _losses(self, storage: EventStorage) -> list[str]:
        losses = {name: h for name, h in storage.histories().items() if "loss" in name and "/" not in name}
        return [f"{name}: {history.median(self._window_size):.4g}" for name, history in losses.items()]

    def _speed(self, storage: EventStorage) -> list[str]:
        histories = storage.histories()
        # The first iterations are not timed.
        if "time" not in histories:
            return []
        seconds = histories["time"].avg(self._window_size)
        waited = histories["data_time"].avg(self._window_size)
        return [
            f"images/s: {self._batch_size / seconds:.4g}",
            f"time: {seconds:.4f}",
            f"data_time: {waited:.4f} ({min(waited / seconds, 1):.0%})",
        ]


def memory() -> str:
    """The most memory so far: of the GPU's allocator where there is one, else of the process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M"
    # The kernel counts in KiB; macOS's in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return f"max_rss: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20:.0f}M"
