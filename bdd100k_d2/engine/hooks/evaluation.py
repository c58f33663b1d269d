"""When a training evaluates, on which records, and the evaluation that a killed run is still owed."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog
from detectron2.engine import HookBase, hooks
from detectron2.utils import comm

from ...atomic import write_atomic
from ...checkpoint.saving import TrainingCheckpointer
from ...errors import ConfigError

logger = logging.getLogger(__name__)


class PeriodicEvaluation(hooks.EvalHook):
    """Detectron2's `EvalHook`, but never after a training that failed and never twice of the same weights.

    Its parent evaluates also when the last iteration fails, in which case the other processes are gone and it waits
    for them. A ``period`` of 0 iterations evaluates only at the end.
    """

    def __init__(self, period: int, function: Callable[[], Mapping[str, Any] | None]) -> None:
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


class PreciseBN(hooks.PreciseBN):
    """Detectron2's, whose images follow from the iteration, so that a resumed run has those of one that was not."""

    def update_stats(self) -> None:
        """Computes the statistics from the images that come after this iteration."""
        self._data_loader.restart(self.trainer.seed, self.trainer.iter + 1)
        super().update_stats()


class MissedEvaluation(HookBase):
    """Evaluates at the start of a resumed run what its checkpoint was written before, if that was not finished.

    Checkpoints are written before the evaluation of their iteration, so that this may take its time. Without the
    evaluation a run that was killed in it would lack a score, which early stopping and the best checkpoint go by.
    ``OUTPUT_DIR/last_evaluation.json`` says which was finished. To be registered in all processes, after the hooks that
    evaluate, ``evaluating``, which have the ``periods`` in iterations.
    """

    def __init__(
        self, evaluating: Sequence[HookBase], periods: Sequence[int], folder: Path, checkpointer: TrainingCheckpointer
    ) -> None:
        self._hooks = evaluating
        self._periods = [period for period in periods if period > 0]
        self._path = folder / "last_evaluation.json"
        self._checkpointer = checkpointer

    def before_train(self) -> None:
        """Makes the evaluation that is missing, if one is."""
        trainer, done = self.trainer, self.trainer.start_iter
        if not 0 < done < trainer.max_iter or not self._is_due(done):
            return
        # The main process has written the file.
        if comm.all_gather(self._is_finished(done))[0]:
            return
        logger.info("The evaluation after iteration %d was not finished; it is made now.", done - 1)
        trainer.iter = trainer.storage.iter = done - 1
        for hook in self._hooks:
            hook.after_step()
        self.after_step()
        trainer.iter = trainer.storage.iter = done

    def after_step(self) -> None:
        """Notes an evaluation that is finished."""
        done = self.trainer.iter + 1
        if self._is_due(done) and comm.is_main_process():
            write_atomic(self._path, json.dumps({"run": self._checkpointer.run, "iterations": done}) + "\n")

    def _is_due(self, done: int) -> bool:
        return any(done % period == 0 for period in self._periods)

    def _is_finished(self, done: int) -> bool:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            return bool(content["run"] == self._checkpointer.run and content["iterations"] >= done)
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            # There is none, or none that can be read: evaluating again does no harm.
            return False


def fixed_subset(dataset_names: Sequence[str], count: int, key: str, labelled: bool = False) -> list[dict[str, Any]]:
    """At most ``count`` (1 or more) records of the first of the test sets, at equal distances, with both ends.

    ``labelled`` takes only records that have a box that counts, or a mask. Raises `ConfigError`, which names ``key`` of
    the config, if there is no test set or no record in it is labelled.
    """
    if not dataset_names:
        raise ConfigError(f"{key} needs a test set, but DATASETS.TEST is empty; name one or set {key} to 0.")
    records = DatasetCatalog.get(dataset_names[0])
    if labelled:
        records = [record for record in records if _is_labelled(record)]
        if not records:
            raise ConfigError(f"{key} needs labels, but {dataset_names[0]} has none; set {key} to 0.")
    if len(records) <= count:
        return records
    last = len(records) - 1
    # Rounded in integers, so that the choice is the same everywhere.
    return [records[i * last // max(count - 1, 1)] for i in range(count)]


def _is_labelled(record: dict[str, Any]) -> bool:
    boxes = any(not one.get("iscrowd", 0) for one in record.get("annotations", ()))
    return boxes or "sem_seg_file_name" in record
