"""Where scalars and pictures of a training are written to."""

import importlib.util
import logging
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.engine.hooks import PeriodicWriter
from detectron2.utils.events import EventWriter, JSONWriter, TensorboardXWriter, get_event_storage

from .console import ProgressPrinter
from .metrics_file import drop_repeated
from .wandb import WandbWriter

logger = logging.getLogger(__name__)


class WriteEvents(PeriodicWriter):
    """Detectron2's `PeriodicWriter` for the trainer's writers, which are built when the training starts.

    Only then is it known at which iteration it does, and a run that never trains writes no files.
    """

    def before_train(self) -> None:
        """Builds the writers."""
        self._writers = self.trainer.build_writers()

    def after_train(self) -> None:
        """Writes what is left, and closes."""
        super().after_train()
        self._writers = []


class DropPictures(EventWriter):
    """Forgets the pictures that other writers have written, which otherwise only TensorBoard's does."""

    def write(self) -> None:
        """Empties the storage's list."""
        get_event_storage().clear_images()


def build_writers(cfg: CfgNode, start_iteration: int, max_iteration: int) -> list[EventWriter]:
    """The console line, ``metrics.json``, Weights & Biases if asked for, and TensorBoard if it is installed.

    Files of a run that is resumed lose what comes after ``start_iteration``.

    Raises:
        ConfigError: Weights & Biases is asked for and not installed.
        OutputError: ``metrics.json`` cannot be rewritten.
    """
    folder = Path(cfg.OUTPUT_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    if start_iteration:
        drop_repeated(folder / "metrics.json", start_iteration)
    writers: list[EventWriter] = [
        ProgressPrinter(max_iteration, cfg.SOLVER.IMS_PER_BATCH),
        JSONWriter(str(folder / "metrics.json")),
    ]
    if cfg.WANDB.ENABLED:
        writers.append(WandbWriter(cfg, start_iteration))
    if has_tensorboard():
        writers.append(TensorboardXWriter(str(folder), purge_step=start_iteration or None))
    else:
        logger.info("TensorBoard is not installed: no event files. pip install 'bdd100k_d2[tensorboard]' adds it.")
        writers.append(DropPictures())
    return writers


def has_tensorboard() -> bool:
    """Whether its event files can be written."""
    return importlib.util.find_spec("tensorboard") is not None


def shows_pictures(cfg: CfgNode) -> bool:
    """Whether one of the writers takes pictures."""
    return cfg.WANDB.ENABLED or has_tensorboard()
