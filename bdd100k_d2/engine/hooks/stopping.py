"""Ending a training before its last iteration, as if it had been planned."""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.utils import comm

from ...atomic import write_atomic
from ...checkpoint.saving import TrainingCheckpointer
from ...errors import ConfigError, shown

logger = logging.getLogger(__name__)


class StopTraining(BaseException):
    """Leaves the training loop; `Trainer.train` then returns as after the last iteration."""


class IterationScore(NamedTuple):
    """What the metric was after an iteration, counted from 0."""

    iteration: int
    value: float


class EarlyStopping(HookBase):
    """Ends the training when a metric has not improved for some evaluations.

    A metric with "loss" in its name is better when it is lower, every other when it is higher. The main process decides
    for all. ``model_final`` is saved, and the evaluation that decided is the final one.

    The scores are kept in ``OUTPUT_DIR/early_stopping.json``: a checkpoint of the same iteration is written before its
    evaluation and would lack the score. A resumed run counts those of the iterations before it, so one that had stopped
    stays stopped, unless it is given more patience. Raises `ConfigError` if nothing evaluates the metric during the
    training, or the patience is less than 1.
    """

    def __init__(self, cfg: CfgNode, checkpointer: TrainingCheckpointer) -> None:
        self._checkpointer = checkpointer
        keys = cfg.TEST.EARLY_STOPPING
        self.metric, self.patience, self.min_delta = keys.METRIC, keys.PATIENCE, keys.MIN_DELTA
        key, self.period = "TEST.EVAL_PERIOD", cfg.TEST.EVAL_PERIOD
        if self.metric.startswith("val_loss/"):
            key, self.period = "TEST.VAL_LOSS.PERIOD", cfg.TEST.VAL_LOSS.PERIOD
        if self.period < 1:
            raise ConfigError(f"TEST.EARLY_STOPPING waits for {self.metric}, but {key} is {self.period}; set it.")
        if self.patience < 1:
            raise ConfigError(f"TEST.EARLY_STOPPING.PATIENCE is {self.patience}; set it to 1 evaluation or more.")
        self.path = Path(cfg.OUTPUT_DIR) / "early_stopping.json"
        self.scores: list[IterationScore] = []
        self.stopped = False

    def before_train(self) -> None:
        """Counts what was evaluated before the run was resumed."""
        if comm.is_main_process():
            earlier = self._read() if self.trainer.start_iter else []
            self.scores = [score for score in earlier if score.iteration < self.trainer.start_iter]
        self._decide()

    def before_step(self) -> None:
        """Leaves the loop if the training has stopped, now or before it was resumed."""
        if self.stopped:
            # What the other hooks take for the end of a training.
            self.trainer.max_iter = self.trainer.iter
            raise StopTraining

    def after_step(self) -> None:
        """Counts the evaluation of this iteration, if there was one."""
        after = self.trainer.iter + 1
        if after % self.period or after == self.trainer.max_iter:
            return
        if comm.is_main_process():
            self._count()
        self._decide()
        if self.stopped and comm.is_main_process():
            self.trainer.checkpointer.save("model_final", iteration=self.trainer.iter)

    def _count(self) -> None:
        iteration = self.trainer.iter
        scores = {name: value for name, (value, at) in self.trainer.storage.latest().items() if at == iteration}
        if self.metric not in scores:
            known = ", ".join(sorted(name for name in scores if "/" in name))
            raise ConfigError(f"TEST.EARLY_STOPPING.METRIC: there is no {self.metric!r}; there are {known}.")
        # An evaluation that is made again replaces its score.
        earlier = [score for score in self.scores if score.iteration < iteration]
        self.scores = [*earlier, IterationScore(iteration, scores[self.metric])]
        content = {"run": self._checkpointer.run, "metric": self.metric, "scores": self.scores}
        write_atomic(self.path, json.dumps(content) + "\n")

    def _decide(self) -> None:
        best, waited = judge(self.scores, self.min_delta, lower="loss" in self.metric)
        # Only the main process has scores.
        self.stopped = comm.all_gather(waited >= self.patience)[0]
        if waited and comm.is_main_process():
            logger.info(
                "%s was %s; %d of %d evaluations since without improvement%s",
                self.metric,
                "never a number" if best is None else f"best after iteration {best.iteration} ({best.value:.4f})",
                waited,
                self.patience,
                ": the training stops early." if self.stopped else ".",
            )

    def _read(self) -> list[IterationScore]:
        if not self.path.exists():
            return []
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["run"] != self._checkpointer.run:
                logger.warning("%s is of an earlier run: early stopping starts anew.", self.path)
                return []
            if content["metric"] != self.metric:
                logger.warning("%s is about %s: early stopping starts anew.", self.path, shown(content["metric"]))
                return []
            return [IterationScore(int(iteration), float(value)) for iteration, value in content["scores"]]
        except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
            logger.warning("%s: the scores cannot be read (%s): early stopping starts anew.", self.path, shown(error))
            return []


def judge(scores: Sequence[IterationScore], min_delta: float, lower: bool) -> tuple[IterationScore | None, int]:
    """The best of ``scores`` (in order of time; NaN is worse than any), and how many came after it.

    A score has to be better than the best so far by more than ``min_delta``. None if none is a finite number.
    """
    best, waited = None, 0
    for score in scores:
        gain = math.inf if best is None else (best.value - score.value if lower else score.value - best.value)
        if math.isfinite(score.value) and gain > min_delta:
            best, waited = score, 0
        else:
            waited += 1
    return best, waited
