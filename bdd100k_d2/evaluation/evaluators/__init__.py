"""Detectron2 evaluators around the official metrics, one per task, chosen by a dataset's ``evaluator_type``."""

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from ...errors import ConfigError
from ...inside import inside
from .base import OfficialEvaluator
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
        DataError: its name, or a link, leads out of ``OUTPUT_DIR``.
    """
    kind = MetadataCatalog.get(dataset_name).get("evaluator_type", None)
    known = {f"bdd100k_{task}": evaluator for task, evaluator in EVALUATORS.items()}
    if kind not in known:
        raise ConfigError(f"no evaluator for {dataset_name} of type {kind!r}; there are {', '.join(known)}.")
    # Data sets of users' own may have a name such as "fog/val".
    of_set = dataset_name.split("/") if len(cfg.DATASETS.TEST) > 1 else ()
    return known[kind](dataset_name, inside(cfg.OUTPUT_DIR, "inference", *of_set))
