"""The task of a model and the classes of its results, told by its config's first test set, of which nothing is read."""

import hashlib
import json
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.data import Metadata, MetadataCatalog
from detectron2.modeling import GeneralizedRCNN, PanopticFPN, SemanticSegmentor
from detectron2.modeling.meta_arch.dense_detector import DenseDetector

from ..data.class_list import check_class_list
from ..data.dataset_task import dataset_task, task_of_metadata
from ..data.model_class import model_class
from ..data.own_dataset import register_config_datasets
from ..errors import ConfigError, shown
from ..tasks import TASKS, Task
from .file_stamp import file_state
from .model_identity import ModelIdentity

# What Detectron2's models and those that inherit from them give; of a kind with a more special one that comes first.
_TASKS_OF_MODELS: tuple[tuple[type, str], ...] = (
    (PanopticFPN, "pan_seg"),
    (SemanticSegmentor, "sem_seg"),
    (GeneralizedRCNN, "det"),
    (DenseDetector, "det"),
)


def task_of(cfg: CfgNode) -> Task:
    """The task of ``cfg`` with the classes that the metadata of its first test set has.

    The ``evaluator_type`` of the set tells the task if it is one of this package, else the kind of the model does.

    Raises:
        ConfigError: there is no test set, nothing tells its task, its metadata has no classes or some that the files of
            the task cannot hold, or the config describes a slice that cannot be.
    """
    register_config_datasets(cfg)
    if not cfg.DATASETS.TEST:
        raise ConfigError("DATASETS.TEST is empty and tells no task; name a data set such as bdd100k_det_val.")
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
    task = dataset_task(metadata) or _task_of_model(cfg, metadata)
    _check_classes(task, metadata)
    return task


def _task_of_model(cfg: CfgNode, metadata: Metadata) -> Task:
    model = model_class(cfg)
    name = next((name for kind, name in _TASKS_OF_MODELS if issubclass(model, kind)), None)
    if name is None:
        raise ConfigError(
            f"DATASETS.TEST begins with {shown(repr(metadata.name))}, which tells no task, and neither does "
            f"MODEL.META_ARCHITECTURE {shown(cfg.MODEL.META_ARCHITECTURE)}; set the evaluator_type of the set's "
            f"metadata to bdd100k_<task>, with one of {', '.join(TASKS)}."
        )
    if name == "det" and issubclass(model, GeneralizedRCNN) and cfg.MODEL.MASK_ON:
        name = "ins_seg"
    return task_of_metadata(TASKS[name], metadata)


def _check_classes(task: Task, metadata: Metadata) -> None:
    name = shown(repr(metadata.name))
    kinds = ("stuff",) if task.form == "masks" else ("thing",) if task.has_scores else ("thing", "stuff")
    missing = [f"{kind}_classes" for kind in kinds if not metadata.get(f"{kind}_classes", None)]
    if missing:
        raise ConfigError(
            f"DATASETS.TEST begins with {name}, whose metadata has no {' and no '.join(missing)}, so that the results "
            f"of {task.name} would have no names; describe the set with its classes in DATASETS.OWN, or set them where "
            "it is registered."
        )
    check_class_list([*task.names], f"{name} of DATASETS.TEST", task)


def identity_of(cfg: CfgNode) -> ModelIdentity:
    """What tells the model of ``cfg``; raises the errors of :func:`task_of`."""
    weights = cfg.MODEL.WEIGHTS
    return ModelIdentity(task_of(cfg), _hash(cfg), file_state(Path(weights)) if Path(weights).is_file() else weights)


def _hash(cfg: CfgNode) -> str:
    # Not of its YAML, which names lists that are one object by anchors.
    keys = {key: value for key, value in cfg.items() if key != "OUTPUT_DIR"}
    return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()
