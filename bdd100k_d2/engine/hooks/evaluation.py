"""Evaluating now and then, and after a training that came to its end."""

from collections.abc import Callable, Mapping
from typing import Any

from detectron2.engine.hooks import EvalHook


class PeriodicEvaluation(EvalHook):
    """Detectron2's `EvalHook`, but never after a training that failed and never twice of the same weights.

    Its parent evaluates also when the last iteration fails, in which case the other processes are gone and it waits
    for them.
    """

    def __init__(self, period: int, function: Callable[[], Mapping[str, Any] | None]) -> None:
        """Takes the iterations between two evaluations, 0 for only the last, and what returns the nested scores."""
        super().__init__(period, function)
        self._evaluated: int | None = None

    def after_step(self) -> None:
        """Evaluates where the period ends, but not after the last iteration."""
        after = self.trainer.iter + 1
        if self._period > 0 and after % self._period == 0 and after != self.trainer.max_iter:
            self._do_eval()
            self._evaluated = after

    def after_train(self) -> None:
        """Evaluates the final weights."""
        # Only the end of the last iteration takes the counter there.
        if self.trainer.iter >= self.trainer.max_iter and self._evaluated != self.trainer.max_iter:
            self._do_eval()
        # It holds the trainer, which holds this hook.
        del self._func
