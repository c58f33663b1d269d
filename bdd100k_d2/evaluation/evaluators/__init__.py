"""Detectron2 evaluators around the official metrics, one per task, chosen by a dataset's ``evaluator_type``."""

from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from ...errors import ConfigError
from ...inside import inside
from .base import OfficialEvaluator, check_results_folder
from .bitmasks import BDD100KInsSegEvaluator, BDD100KPanSegEvaluator
from .detection import BDD100KDetEvaluator
from .segmentation import BDD100KDrivableEvaluator, BDD100KSemSegEvaluator

__all__ = [
    "EVALUATORS",
    "BDD100KDetEvaluator",
    "BDD100KDrivableEvaluator",
    "BDD100KInsSegEvaluator",
    "BDD100KPanSegEvaluator",
    "BDD100KSemSegEvaluator",
    "build_evaluator",
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


def build_evaluator(cfg: CfgNode, dataset_name: str) -> OfficialEvaluator:
    """The evaluator of a registered dataset.

    It writes into ``OUTPUT_DIR/inference``, or with several test sets into a folder of the dataset's name there.

    Raises:
        ConfigError: the dataset is not one of BDD100K's.
        DataError: as :func:`results_folder`.
    """
    kind = MetadataCatalog.get(dataset_name).get("evaluator_type", None)
    known = {f"bdd100k_{task}": evaluator for task, evaluator in EVALUATORS.items()}
    if kind not in known:
        raise ConfigError(f"no evaluator for {dataset_name} of type {kind!r}; there are {', '.join(known)}.")
    return known[kind](dataset_name, results_folder(cfg, dataset_name))


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
