"""The records that a config trains on, refused where its model cannot be trained on them.

With one class too few, Detectron2 trains on the objects of the last one as background, and says nothing; with fewer it
ends in an index that is out of range. Where no record is left, or masks are missing, its message names no cause.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple, NoReturn

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog, get_detection_dataset_dicts
from detectron2.modeling import GeneralizedRCNN

from ..errors import BDD100KError, ConfigError, DataError, shown
from .model_class import model_class
from .slices import base_of_slice, is_own

_HEADS = {
    "GeneralizedRCNN": {"thing_classes": "MODEL.ROI_HEADS.NUM_CLASSES"},
    "RetinaNet": {"thing_classes": "MODEL.RETINANET.NUM_CLASSES"},
    "ATSS": {"thing_classes": "MODEL.RETINANET.NUM_CLASSES"},
    "SemanticSegmentor": {"stuff_classes": "MODEL.SEM_SEG_HEAD.NUM_CLASSES"},
    "PanopticFPN": {
        "thing_classes": "MODEL.ROI_HEADS.NUM_CLASSES",
        "stuff_classes": "MODEL.SEM_SEG_HEAD.NUM_CLASSES",
    },
}


class _Bound(NamedTuple):
    """How many classes there are, and who says so."""

    number: int
    source: str


_Records = Sequence[dict[str, Any]]
_Bounds = Mapping[str, _Bound]


def training_records(cfg: CfgNode) -> Any:  # noqa: ANN401, records, or a PyTorch data set of them
    """The records of ``DATASETS.TRAIN`` that Detectron2's own loader takes.

    Raises:
        ConfigError: no data set is named, no frame is left to train on, an id is that of no class of the model, a
            record lacks the annotations that others have, or the model is trained on masks that the labels have not.
        DataError: a data set is empty.
    """
    names = cfg.DATASETS.TRAIN
    if not names:
        raise ConfigError("DATASETS.TRAIN is empty; name the data sets to train on.")
    try:
        records = get_detection_dataset_dicts(
            names,
            filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
            min_keypoints=cfg.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE if cfg.MODEL.KEYPOINT_ON else 0,
            proposal_files=cfg.DATASETS.PROPOSAL_FILES_TRAIN if cfg.MODEL.LOAD_PROPOSALS else None,
        )
    except BDD100KError:
        raise
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        _explain(cfg, error)
    if isinstance(records, list) and (problem := _problem(cfg, _bounds(cfg, names), records)) is not None:
        _explain(cfg, ConfigError(f"DATASETS.TRAIN: {problem}"))
    return records


def heads_of(cfg: CfgNode) -> dict[str, str]:
    """What the model of a config predicts, by what the metadata calls the classes, and the key of their number.

    A model has the heads of what it inherits from; empty of any other, which is not known.
    """
    return next((_HEADS[one.__name__] for one in model_class(cfg).__mro__ if one.__name__ in _HEADS), {})


def trains_masks(cfg: CfgNode) -> bool:
    """Whether the model of a config is trained on the masks of objects."""
    return bool(issubclass(model_class(cfg), GeneralizedRCNN) and cfg.MODEL.MASK_ON)


def no_masks(name: str) -> str:
    """The message about a data set whose labels are boxes, for a model that is trained on masks."""
    remedy = ", or register it with task: ins_seg if its labels have masks" if is_own(base_of_slice(name)) else ""
    return (
        f"{name}: its labels are boxes without masks, but MODEL.MASK_ON is True, which trains on masks; set it False, "
        f"or train on a data set with masks{remedy}."
    )


def _explain(cfg: CfgNode, error: Exception) -> NoReturn:
    """Reads the data sets once more, one by one, and says what is wrong with them; raises ``error`` if it is not known.

    Together they do not tell which of them a record is of.
    """
    count, with_objects, others_have = 0, 0, False
    for name in cfg.DATASETS.TRAIN:
        records = DatasetCatalog.get(name)
        if not len(records):
            raise DataError(f"{name}: has no record, so there is nothing to train on; check its labels.") from error
        if not isinstance(records, list | tuple):
            continue
        # Detectron2 takes the first record of all for what the others have.
        others_have = others_have or "annotations" in records[0]
        without = next((one for one in records if one.get("annotations") is None), None)
        if others_have and without is not None and isinstance(error, KeyError | TypeError):
            raise ConfigError(
                f"{name}: {_file(without)}: the record has no annotations, but others of DATASETS.TRAIN have; give it "
                "an empty list of them."
            ) from error
        have_masks = {"segmentation" in one for one in _objects(records)}
        if trains_masks(cfg) and have_masks == {False}:
            raise ConfigError(no_masks(name)) from error
        if (problem := _problem(cfg, _bounds(cfg, [name]), records)) is not None:
            raise ConfigError(f"{name}: {problem}") from error
        count += len(records)
        with_objects += sum(any(True for _ in _objects([record])) for record in records)
    names = ", ".join(cfg.DATASETS.TRAIN)
    if cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS and count and not with_objects:
        raise ConfigError(
            f"{names}: none of the {count:,} frames has an object to train on, and "
            "DATALOADER.FILTER_EMPTY_ANNOTATIONS leaves such frames out; check the labels, or set it False."
        ) from error
    if cfg.MODEL.KEYPOINT_ON and count:
        raise ConfigError(
            f"{names}: none of the {count:,} frames has keypoints, which MODEL.KEYPOINT_ON trains on, and of which no "
            "label of BDD100K has any; set it False."
        ) from error
    raise error


def _bounds(cfg: CfgNode, names: Iterable[str]) -> dict[str, _Bound]:
    """By kind, the number of classes of the model, or that of the data sets' metadata where that is smaller."""
    keys = heads_of(cfg)
    numbers = {kind: (key, int(reduce(getattr, key.split("."), cfg))) for kind, key in keys.items()}
    found = {kind: _Bound(number, f"{key} is {number}") for kind, (key, number) in numbers.items()}
    for name in names:
        # Detectron2 counts the objects of each class, whatever the model is for.
        classes = MetadataCatalog.get(name).get("thing_classes", None)
        if classes is not None and ("thing_classes" not in found or len(classes) < found["thing_classes"].number):
            source = f"the thing_classes of its metadata are {len(classes)}"
            found["thing_classes"] = _Bound(len(classes), source)
    return found


def _objects(records: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """The annotations that are trained on: crowds are not."""
    return (one for record in records for one in record.get("annotations") or () if not one.get("iscrowd", 0))


def _problem(cfg: CfgNode, bounds: _Bounds, records: _Records) -> str | None:
    """What is wrong with the first record that cannot be trained on; None if all can."""
    things, stuff = bounds.get("thing_classes"), bounds.get("stuff_classes")
    needs_masks = trains_masks(cfg)
    if things is not None and _ids(records) <= {*range(things.number)}:
        # Of a million annotations one by one it would take seconds to know.
        things = None
    for record in records if (things, stuff, needs_masks) != (None, None, False) else ():
        for one in _objects([record]):
            if wrong := _wrong_id(one, things):
                return f"{_file(record)}: an annotation has {wrong}"
            if needs_masks and "segmentation" not in one:
                return (
                    f"{_file(record)}: an annotation has no segmentation, which MODEL.MASK_ON trains on; add it, leave "
                    "the annotation out, or set MODEL.MASK_ON False."
                )
        for segment in () if stuff is None else record.get("segments_info", ()):
            if not segment.get("isthing", True) and (wrong := _wrong_id(segment, stuff)):
                return f"{_file(record)}: a segment of stuff has {wrong}"
    return None


def _ids(records: _Records) -> set[object]:
    """The ids of the annotations; of some that are none, as a list, no more than that."""
    try:
        return {one.get("category_id") for one in _objects(records)}
    except TypeError:
        return {None}


def _file(record: Mapping[str, Any]) -> str:
    return shown(str(record.get("file_name")))


def _wrong_id(one: Mapping[str, Any], bound: _Bound | None) -> str | None:
    """What to say of the class of an annotation or a segment; None if it is one of them, or none are known."""
    index = one.get("category_id")
    if bound is None or (isinstance(index, int | np.integer) and 0 <= index < bound.number):
        return None
    return (
        f"the category_id {shown(repr(index))}, but {bound.source}, which means the ids 0 to {bound.number - 1}. "
        "Number the classes of the data set from 0, and set that to how many they are."
    )
