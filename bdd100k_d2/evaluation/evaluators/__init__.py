"""Detectron2 evaluators around the official metrics, one per task, chosen by a dataset's ``evaluator_type``."""

import os
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator

from ...data.dataset_task import EVALUATOR_PREFIX
from ...inside import inside
from .base import OfficialEvaluator, check_results_folder
from .bitmasks import BDD100KInsSegEvaluator, BDD100KPanSegEvaluator
from .detection import BDD100KDetEvaluator
from .foreign import build_foreign_evaluator, foreign_evaluators
from .segmentation import BDD100KDrivableEvaluator, BDD100KSemSegEvaluator

__all__ = [
    "EVALUATORS",
    "BDD100KDetEvaluator",
    "BDD100KDrivableEvaluator",
    "BDD100KInsSegEvaluator",
    "BDD100KPanSegEvaluator",
    "BDD100KSemSegEvaluator",
    "build_evaluator",
    "evaluator_classes",
    "results_folder",
]

EVALUATORS: dict[str, type[OfficialEvaluator]] = {
    "det": BDD100KDetEvaluator,
    "sem_seg": BDD100KSemSegEvaluator,
    "drivable": BDD100KDrivableEvaluator,
    "ins_seg": BDD100KInsSegEvaluator,
    "pan_seg": BDD100KPanSegEvaluator,
}
"""By task."""


def build_evaluator(
    cfg: CfgNode, dataset_name: str, output_folder: str | os.PathLike[str] | None = None
) -> DatasetEvaluator:
    """The evaluator of a registered dataset; one that is not of BDD100K's tasks has one of Detectron2's.

    It writes into ``output_folder``; without one into ``OUTPUT_DIR/inference``, or with several test sets into a folder
    of the dataset's name there. So it takes the place of ``get_evaluator`` in Detectron2's ``plain_train_net.py`` and
    of ``build_evaluator`` in its ``train_net.py``; ``cfg`` need not have this package's keys.

    Raises:
        ConfigError: there is none, or the dataset's metadata lacks what it needs.
        DataError: as :func:`results_folder`, or the ground truth cannot be used.
    """
    (evaluator, *_) = evaluator_classes(dataset_name)
    folder = results_folder(cfg, dataset_name) if output_folder is None else Path(output_folder)
    if issubclass(evaluator, OfficialEvaluator):
        made = evaluator(dataset_name, folder)
        made.with_coco_results = cfg.TEST.get("COCO_RESULTS", False)
        return made
    return build_foreign_evaluator(dataset_name, folder)


def evaluator_classes(dataset_name: str) -> tuple[type[DatasetEvaluator], ...]:
    """The classes of the evaluators of a registered dataset, one of this package or some of Detectron2's.

    Raises:
        ConfigError: there is none, or the dataset's metadata lacks what it needs.
    """
    kind = str(MetadataCatalog.get(dataset_name).get("evaluator_type", ""))
    known = EVALUATORS.get(kind.removeprefix(EVALUATOR_PREFIX)) if kind.startswith(EVALUATOR_PREFIX) else None
    return foreign_evaluators(dataset_name) if known is None else (known,)


def results_folder(cfg: CfgNode, dataset_name: str) -> Path:
    """Where the evaluator of a dataset writes; ``inference`` itself may be a link to another disk.

    Raises:
        DataError: the dataset's name, or a link in ``inference``, leads out of that.
    """
    # Data sets of users' own may have a name such as "fog/val".
    of_set = dataset_name.split("/") if len(cfg.DATASETS.TEST) > 1 else ()
    folder = inside(Path(cfg.OUTPUT_DIR, "inference"), *of_set)
    check_results_folder(folder)
    return folder
