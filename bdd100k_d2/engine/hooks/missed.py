"""The evaluation that a run was killed in, made when it goes on."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from detectron2.engine import HookBase
from detectron2.utils import comm

from ...atomic import write_atomic
from ...checkpoint.saving import TrainingCheckpointer

logger = logging.getLogger(__name__)


class MissedEvaluation(HookBase):
    """Evaluates at the start of a resumed run what its checkpoint was written before, if that was not finished.

    Checkpoints are written before the evaluation of their iteration, so that this may take its time. Without the
    evaluation a run that was killed in it would lack a score, which early stopping and the best checkpoint go by.
    ``OUTPUT_DIR/last_evaluation.json`` says which was finished. To be registered in all processes, after the hooks.
    """

    def __init__(
        self, hooks: Sequence[HookBase], periods: Sequence[int], folder: Path, checkpointer: TrainingCheckpointer
    ) -> None:
        """Takes the hooks that evaluate or use the scores, in order, their periods, the run's folder, and its saver."""
        self._hooks = hooks
        self._periods = [period for period in periods if period > 0]
        self._path = folder / "last_evaluation.json"
        self._checkpointer = checkpointer

    def before_train(self) -> None:
        """Catches up on the evaluation, if there is one."""
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
            return content["run"] == self._checkpointer.run and content["iterations"] >= done
        except (OSError, ValueError, LookupError, TypeError):
            # There is none, or none that can be read: evaluating again does no harm.
            return False
