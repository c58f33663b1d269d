"""Detectron2 evaluators around the official metrics, one a task, chosen by a dataset's ``evaluator_type``."""

from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from ...errors import ConfigError
from .base import OfficialEvaluator
from .detection import BDD100KDetEvaluator
from .instances import BDD100KInsSegEvaluator
from .panoptic import BDD100KPanSegEvaluator
from .segmentation import BDD100KDrivableEvaluator, BDD100KSemSegEvaluator

__all__ = [
    "EVALUATORS",
    "BDD100KDetEvaluator",
    "BDD100KDrivableEvaluator",
    "BDD100KInsSegEvaluator",
    "BDD100KPanSegEvaluator",
    "BDD100KSemSegEvaluator",
    "build_evaluator",
]

EVALUATORS: dict[str, type[OfficialEvaluator]] = {
    f"bdd100k_{evaluator.task}": evaluator
    for evaluator in (
        BDD100KDetEvaluator,
        BDD100KSemSegEvaluator,
        BDD100KDrivableEvaluator,
        BDD100KInsSegEvaluator,
        BDD100KPanSegEvaluator,
    )
}


def build_evaluator(cfg: CfgNode, dataset_name: str) -> OfficialEvaluator:
    """The evaluator of a registered dataset.

    It writes into ``OUTPUT_DIR/inference``, or with several test sets into a folder of the dataset's name there.

    Raises:
        ConfigError: the dataset is not one of BDD100K's.
    """
    kind = MetadataCatalog.get(dataset_name).get("evaluator_type", None)
    if kind not in EVALUATORS:
        raise ConfigError(f"no evaluator for {dataset_name} of type {kind!r}; there are {', '.join(EVALUATORS)}.")
    folder = Path(cfg.OUTPUT_DIR) / "inference"
    return EVALUATORS[kind](dataset_name, folder / dataset_name if len(cfg.DATASETS.TEST) > 1 else folder)
