"""Ending a run at a signal: the iteration is finished, a checkpoint written, and the next start goes on from it."""

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType

import torch
import torch.distributed as dist
from detectron2.engine import HookBase
from detectron2.utils import comm

from ...checkpoint.saving import TrainingCheckpointer

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# What handles a signal, as the module signal gives and takes it.
_Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


class Termination(HookBase):
    """Saves and exits after the iteration in which SIGTERM or SIGINT (Ctrl-C) came to any process.

    The exit code is 128 plus the signal's number, as of a process that the signal ended: 143 or 130. A second SIGINT
    stops at once. An evaluation that is going on is finished first. To be registered in all processes, as the last
    hook: what the others do in the iteration is done when it saves.
    """

    def __init__(self, checkpointer: TrainingCheckpointer) -> None:
        self._checkpointer = checkpointer
        self._received = 0
        self._handlers: dict[signal.Signals, _Handler] = {}
        self._group: dist.ProcessGroup | None = None

    def before_train(self) -> None:
        """Takes over the two signals."""
        if comm.get_world_size() > 1:
            # On the CPU: asking the GPUs each iteration would wait for them.
            group = dist.new_group(backend="gloo")
            # All processes are members of it.
            self._group = group if isinstance(group, dist.ProcessGroup) else None
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._receive) for number in _SIGNALS}

    def after_step(self) -> None:
        """Saves and raises `SystemExit` if a signal came."""
        number = self._agreed()
        if number:
            self._restore()
            self._save_and_exit(signal.Signals(number))
        if self.trainer.iter + 1 >= self.trainer.max_iter:
            # Everything is saved; the last evaluation may be ended at once.
            self._restore()

    def after_train(self) -> None:
        """Gives the signals back."""
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._received == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = number

    def _agreed(self) -> int:
        """The signal that came to any of the processes, or 0."""
        if self._group is None:
            return self._received
        received = torch.tensor([self._received])
        dist.all_reduce(received, dist.ReduceOp.MAX, group=self._group)
        return int(received)

    def _save_and_exit(self, received: signal.Signals) -> None:
        iteration = self.trainer.iter
        name = f"model_{iteration:07d}"
        newest = self._checkpointer.newest
        if newest is None or newest.name != f"{name}.pth":
            self._checkpointer.save(name, iteration=iteration)
        if self._group is not None:
            # torchrun ends the others when one has exited, and the first may still be saving.
            dist.barrier(group=self._group)
        code = 128 + received
        if comm.is_main_process():
            message = "%s: stopped after iteration %d, saved as %s.pth; --resume goes on from it. The exit code is %d."
            logger.warning(message, received.name, iteration, name, code)
        raise SystemExit(code)

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
