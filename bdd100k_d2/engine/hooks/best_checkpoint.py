"""The checkpoint with the best score."""

import logging
import math
from pathlib import Path

from detectron2.engine import hooks

from ...checkpoint.checksum import read_checked
from ...checkpoint.saving import BEST, TrainingCheckpointer
from ...errors import ConfigError, WeightsError

logger = logging.getLogger(__name__)


class BestCheckpointer(hooks.BestCheckpointer):
    """Detectron2's `BestCheckpointer` that a resumed run goes on with, and that takes no score twice.

    The score stands in the checkpoint that has it, ``model_best.pth``. A state among the other hooks' would not do: a
    run that is resumed from a checkpoint before the evaluation would take the next worse score for the best one.
    ``last_checkpoint`` does not name it. To be registered in the main process, after the evaluation. ``val_metric`` is
    such as ``bbox/AP``, with several test sets ``bdd100k_det_val/bbox/AP``; ``mode`` is "max" or "min".
    """

    def __init__(
        self, eval_period: int, checkpointer: TrainingCheckpointer, val_metric: str, mode: str = "max"
    ) -> None:
        if mode not in ("max", "min"):
            raise ConfigError(f"SOLVER.BEST_MODE is {mode!r}; there are max and min.")
        super().__init__(eval_period, checkpointer, val_metric, mode, BEST)
        # The iteration whose score was looked at last.
        self._checked = -1

    def before_train(self) -> None:
        """Finds the best score of a run that is resumed."""
        path = Path(self._checkpointer.save_dir, f"{BEST}.pth")
        if self.trainer.start_iter == 0 or not path.is_file():
            return
        try:
            content = read_checked(path)
        except WeightsError as error:
            logger.warning("%s The next score is taken for the best one.", error)
            return
        best = content.get("best")
        if content.get("run") != self._checkpointer.run or not isinstance(best, dict):
            return
        value, iteration = best.get("value"), best.get("iteration")
        if best.get("metric") == self._val_metric and isinstance(value, float) and isinstance(iteration, int):
            self.best_metric, self.best_iter = value, iteration

    def after_train(self) -> None:
        """Looks at the last evaluation, if the training came to its end and its score was not looked at."""
        scored = self.trainer.storage.latest().get(self._val_metric)
        stopped_early = scored is not None and scored[1] == self._checked
        if self.trainer.iter >= self.trainer.max_iter and not stopped_early:
            self._best_checking()

    def _best_checking(self) -> None:
        storage = self.trainer.storage
        computed = {name: value for name, (value, iteration) in storage.latest().items() if iteration == storage.iter}
        if self._val_metric not in computed:
            scores = ", ".join(name for name in computed if "/" in name) or "none"
            message = "SOLVER.BEST_METRIC is %r, which this evaluation has not; it has %s."
            logger.warning(message, self._val_metric, scores)
            return
        value, self._checked = float(computed[self._val_metric]), storage.iter
        is_better = self.best_metric is None or self._compare(value, self.best_metric)
        if not (math.isfinite(value) and is_better):
            best = (self.best_metric, self.best_iter)
            logger.info("%s is %.5g, not better than %s at iteration %s.", self._val_metric, value, *best)
            return
        found = {"metric": self._val_metric, "value": value, "iteration": storage.iter}
        self._checkpointer.save(BEST, tag=False, iteration=storage.iter, best=found)
        self._update_best(value, storage.iter)
        logger.info("%s is %.5g, the best so far; saved as %s.pth.", self._val_metric, value, BEST)
