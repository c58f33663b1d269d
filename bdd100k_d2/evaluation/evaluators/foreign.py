"""Detectron2's own evaluators, for data sets of other tasks than BDD100K's in ``DATASETS.TEST``."""

import os
from pathlib import Path

from detectron2.data import DatasetCatalog, Metadata, MetadataCatalog
from detectron2.data.datasets.coco import convert_to_coco_json
from detectron2.evaluation import (
    COCOEvaluator,
    COCOPanopticEvaluator,
    DatasetEvaluator,
    DatasetEvaluators,
    LVISEvaluator,
    PascalVOCDetectionEvaluator,
    SemSegEvaluator,
)
from detectron2.utils import comm

from ...errors import ConfigError

# By ``evaluator_type``, as Detectron2's tools/train_net.py chooses them.
_EVALUATORS: dict[str, tuple[type[DatasetEvaluator], ...]] = {
    "coco": (COCOEvaluator,),
    "sem_seg": (SemSegEvaluator,),
    "coco_panoptic_seg": (SemSegEvaluator, COCOEvaluator, COCOPanopticEvaluator),
    "lvis": (LVISEvaluator,),
    "pascal_voc": (PascalVOCDetectionEvaluator,),
}
# Of panoptic data sets each scores labels of its own, by this key of the metadata: there may be but some of them.
_PANOPTIC_LABELS = {SemSegEvaluator: "sem_seg_root", COCOEvaluator: "json_file", COCOPanopticEvaluator: "panoptic_json"}
# Of these Detectron2 scores all frames that its own files have, whatever the records are.
_OF_WHOLE_SETS = ("coco_panoptic_seg", "lvis", "pascal_voc")


def foreign_evaluators(dataset_name: str) -> tuple[type[DatasetEvaluator], ...]:
    """The classes of Detectron2's evaluators that score a data set, by its ``evaluator_type`` or by what it has.

    Without a type that is a COCO file, ``json_file``, or else what the first record with labels has.

    Raises:
        ConfigError: there is none, or the data set's metadata lacks what it needs.
    """
    metadata = MetadataCatalog.get(dataset_name)
    kind = metadata.get("evaluator_type", None) or _kind_of_labels(dataset_name, metadata)
    if kind not in _EVALUATORS:
        has = "its records have neither annotations nor sem_seg_file_name" if kind is None else f"of type {kind!r}"
        raise ConfigError(
            f"no evaluator for {dataset_name}: {has}; take it out of DATASETS.TEST, or set the evaluator_type of its "
            f"metadata to bdd100k_det or another task of BDD100K's, or to {' or '.join(_EVALUATORS)}."
        )
    if (base := metadata.get("slice_of", None)) is not None:
        if kind in _OF_WHOLE_SETS:
            raise ConfigError(
                f"no evaluator for {dataset_name}: Detectron2 scores data sets of type {kind} as a whole, no slice of "
                f"one; evaluate {base}, or take it out of DATASETS.TEST."
            )
        if metadata.get("thing_classes", None) is None:
            # They may be known when the base has been read.
            DatasetCatalog.get(dataset_name)
    chosen = _EVALUATORS[kind]
    if kind == "coco_panoptic_seg":
        chosen = tuple(one for one in chosen if metadata.get(_PANOPTIC_LABELS[one], None)) or chosen
    needs = {
        SemSegEvaluator: ("stuff_classes", "ignore_label"),
        COCOEvaluator: () if metadata.get("json_file", None) else ("thing_classes",),
    }
    missing = [key for one in chosen for key in needs.get(one, ()) if metadata.get(key, None) is None]
    if missing:
        raise ConfigError(
            f"{dataset_name}: {chosen[0].__name__} needs {' and '.join(missing)} in its metadata; set it."
        )
    return chosen


def _kind_of_labels(dataset_name: str, metadata: Metadata) -> str | None:
    if metadata.get("json_file", None):
        return "coco"
    for record in DatasetCatalog.get(dataset_name):
        if record.get("annotations"):
            return "coco"
        if "sem_seg_file_name" in record:
            return "sem_seg"
    return None


def build_foreign_evaluator(dataset_name: str, folder: str | os.PathLike[str]) -> DatasetEvaluator:
    """Detectron2's evaluator of a data set, or several together; they write into ``folder``.

    Raises:
        ConfigError: as :func:`foreign_evaluators`.
    """
    chosen, metadata = foreign_evaluators(dataset_name), MetadataCatalog.get(dataset_name)
    of_records = COCOEvaluator in chosen and not metadata.get("json_file", None)
    if of_records:
        # Detectron2 takes the file of an earlier run in the same folder, whatever the records are now.
        path = Path(folder, f"{dataset_name}_coco_format.json")
        if comm.is_main_process():
            path.parent.mkdir(parents=True, exist_ok=True)
            convert_to_coco_json(dataset_name, str(path), allow_cached=False)
        comm.synchronize()
        # Metadata refuses to change a value, such as None.
        vars(metadata)["json_file"] = str(path)
    try:
        made = [
            one(dataset_name, **({} if one is PascalVOCDetectionEvaluator else {"output_dir": str(folder)}))
            for one in chosen
        ]
    finally:
        # It is read; to the next evaluator the records may be others.
        if of_records:
            del metadata.json_file
    return made[0] if len(made) == 1 else DatasetEvaluators(made)
