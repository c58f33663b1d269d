"""Do the model and the data sets of a run mean the same classes? Asked before the first iteration or image.

Detectron2 trains with other numbers until a target is out of bounds, or, with one class too few, trains on the last
class as background; and an evaluation would end with an index that is out of range, or with numbers of other classes.
"""

import logging
from collections.abc import Sequence

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

from ..checkpoint.class_names import STUFF, THINGS, listed
from ..config import value_of
from ..data.dataset_task import dataset_task
from ..data.slices import base_of_slice, is_own, is_registered_here
from ..data.training_records import heads_of, no_masks, trains_masks
from ..errors import ConfigError, shown
from ..evaluation.evaluators import EVALUATORS, evaluator_classes
from ..evaluation.evaluators.records import is_released
from ..tasks import Task

logger = logging.getLogger(__name__)

# What the metadata of a COCO file, or of a slice of one, has.
_LEARNT_FROM = ("json_file", "slice_of")


def check_classes(cfg: CfgNode, trained: Sequence[str], evaluated: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Compares the classes of data sets with one another, and their numbers with the model's.

    Returns the names of the model's classes by them: ``thing_classes`` and ``stuff_classes``, of those that it has.

    ``trained`` and ``evaluated`` are names of data sets. Those that are not known, and foreign ones whose metadata
    names no classes, are left out, and so is a model whose heads are not known.

    Raises:
        ConfigError: they differ; the message names the classes and the key of the config.
    """
    heads = heads_of(cfg)
    registered = {*DatasetCatalog.list()}
    # To predict with, the names of the classes are enough.
    known = registered | {*MetadataCatalog.list()}
    there = [name for name in dict.fromkeys((*trained, *evaluated)) if name in known]
    for name in there:
        metadata = MetadataCatalog.get(name)
        task = dataset_task(metadata)
        if heads and task is not None:
            _check_task(cfg, name, task, heads, name in evaluated)
            # Records of others may have masks beside the boxes; those are asked for when they are read.
            of_here = is_registered_here(base_of_slice(name)) or is_own(base_of_slice(name))
            if name in trained and of_here and task.form == "boxes" and trains_masks(cfg):
                raise ConfigError(no_masks(name))
        elif (
            heads
            and name in registered
            and not metadata.get(THINGS, None)
            and any(metadata.get(key, None) for key in _LEARNT_FROM)
        ):
            # Detectron2 learns the classes of a COCO file when it reads it.
            DatasetCatalog.get(name)
    agreed = {}
    for kind, key in heads.items():
        having = [(name, tuple(MetadataCatalog.get(name).get(kind, None) or ())) for name in there]
        having = [(name, classes) for name, classes in having if classes]
        for name, classes in having[1:]:
            _check_same(*having[0], name, classes)
        for name, classes in having[:1]:
            _check_number(cfg, key, name, classes, kind)
            agreed[kind] = classes
    return agreed


def check_evaluators(names: Sequence[str]) -> None:
    """Finds the evaluator of each test set, and says which are Detectron2's; reads data sets that users register.

    Raises:
        ConfigError: a data set can be scored by none, or its metadata lacks what it needs.
        DataError: the records cannot be ground truth.
    """
    for name in names:
        evaluator, *others = evaluator_classes(name)
        if evaluator not in EVALUATORS.values():
            titles = " and ".join(one.__name__ for one in (evaluator, *others))
            logger.info("%s is no data set of BDD100K's tasks; it is scored by Detectron2's %s.", name, titles)
        elif not is_released(name):
            # What it would refuse only at the first evaluation.
            evaluator(name)


def _check_task(cfg: CfgNode, name: str, task: Task, heads: dict[str, str], is_evaluated: bool) -> None:
    kinds = {category.is_thing for category in task.categories} if task.form == "bitmasks" else {task.form == "boxes"}
    needed = {THINGS if is_thing else STUFF for is_thing in kinds}
    # A detector may be trained on the things of panoptic segmentation, but has no result to be scored.
    if not heads.keys() <= needed or (is_evaluated and not needed <= heads.keys()):
        raise ConfigError(
            f"{name} is a data set of {task.name}, which a model of MODEL.META_ARCHITECTURE "
            f"{cfg.MODEL.META_ARCHITECTURE} is not for; choose another data set or model."
        )
    # Its classes are those of boxes as well, of which instance segmentation is not scored.
    if is_evaluated and task.form == "bitmasks" and task.has_scores and not trains_masks(cfg):
        raise ConfigError(
            f"{name} is a data set of {task.name}, but a model of MODEL.META_ARCHITECTURE "
            f"{cfg.MODEL.META_ARCHITECTURE} with MODEL.MASK_ON {cfg.MODEL.MASK_ON} gives no masks to be scored; choose "
            "a model that does, or take it out of DATASETS.TEST."
        )


def _check_same(first: str, its: tuple[str, ...], second: str, classes: tuple[str, ...]) -> None:
    if its == classes:
        return
    if len(its) != len(classes):
        what = f"{len(its)} ({listed(its)}) and {len(classes)} ({listed(classes)})"
    else:
        i = next(i for i, (one, other) in enumerate(zip(its, classes, strict=True)) if one != other)
        what = f"class {i} is {shown(repr(its[i]))} in the first and {shown(repr(classes[i]))} in the second"
    raise ConfigError(
        f"{first} and {second} have other classes: {what}. Register the data sets of a run with the same classes in "
        "the same order, or take one out of DATASETS.TRAIN or DATASETS.TEST."
    )


def _check_number(cfg: CfgNode, key: str, name: str, classes: tuple[str, ...], kind: str) -> None:
    number = value_of(cfg, key)
    if number != len(classes):
        counted = ", of which the first stands for all things" if kind == STUFF and classes[0] == "things" else ""
        raise ConfigError(
            f"{key} is {number}, but {name} has {len(classes)} classes ({listed(classes)}){counted}. Set {key} to "
            f"{len(classes)}, or name data sets of the model's classes."
        )
