"""Training samples made of several records: the mapper of ``INPUT.MOSAIC`` and ``INPUT.MIXUP``."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from detectron2.config import CfgNode, configurable
from detectron2.modeling import PanopticFPN, SemanticSegmentor
from detectron2.structures import BoxMode

from ..errors import ConfigError
from .mapper import BDD100KDatasetMapper
from .model_class import model_class
from .multi_image import LabelledImage, MixUp, Mosaic

_Record = dict[str, Any]

# The other records of a sample, within its record.
_MOSAIC, _MIXUP = "mosaic_records", "mixup_records"
# How often another record is drawn for MixUp while one has no boxes.
_ATTEMPTS = 15


class CombiningMapper(BDD100KDatasetMapper):
    """A `BDD100KDatasetMapper` that combines a record's image and boxes with those of others before it augments them.

    Args:
        mosaic: combines four images, or None.
        mixup: combines the result with another one, or None.
        epochs: in how many epochs, from the first, images are combined; 0 for all.
        plain: the mapper of the epochs after those.
    """

    @configurable
    def __init__(
        self,
        is_train: bool,
        *,
        mosaic: Mosaic | None,
        mixup: MixUp | None,
        epochs: int,
        plain: BDD100KDatasetMapper,
        **kwargs: Any,  # noqa: ANN401, the parent's
    ) -> None:
        super().__init__(is_train, **kwargs)
        self.mosaic, self.mixup, self.epochs, self.plain = mosaic, mixup, epochs, plain

    @classmethod
    def from_config(
        cls, cfg: CfgNode, is_train: bool = True, class_weights: Mapping[int, float] | None = None
    ) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``; `ConfigError` for what cannot be combined."""
        _check(cfg)
        arguments: dict[str, Any] = super().from_config(cfg, is_train, class_weights)
        mosaic, mixup = cfg.INPUT.MOSAIC, cfg.INPUT.MIXUP
        arguments["mosaic"] = Mosaic(tuple(mosaic.SIZE), tuple(mosaic.CENTER_RANGE)) if mosaic.ENABLED else None
        arguments["mixup"] = (
            MixUp(tuple(mixup.SIZE), tuple(mixup.RATIO_RANGE), mixup.FLIP_PROB) if mixup.ENABLED else None
        )
        arguments["epochs"] = cfg.INPUT.COMBINED_EPOCHS
        one_scale = cfg.clone()
        one_scale.defrost()
        one_scale.INPUT.MIN_SIZE_TRAIN, one_scale.INPUT.MAX_SIZE_TRAIN = (
            (cfg.INPUT.MIN_SIZE_TEST,),
            cfg.INPUT.MAX_SIZE_TEST,
        )
        one_scale.INPUT.MIN_SIZE_TRAIN_SAMPLING = "choice"
        arguments["plain"] = BDD100KDatasetMapper(one_scale, is_train, class_weights=class_weights)
        return arguments

    def __call__(
        self, dataset_dict: _Record, draw: Callable[[], _Record] | None = None, epoch: int = 0
    ) -> dict[str, Any]:
        """Maps one dict, which stays as it is, with others from ``draw``, at random; without ``draw`` as it is alone.

        Raises what `BDD100KDatasetMapper` does, of each of the images.
        """
        if draw is None or 0 < self.epochs <= epoch:
            return self.plain(dataset_dict)
        others: dict[str, list[_Record]] = {_MOSAIC: [], _MIXUP: []}
        if self.mosaic is not None:
            others[_MOSAIC] = [draw() for _ in range(3)]
        if self.mixup is not None:
            others[_MIXUP] = _with_boxes(draw)
        # Boxes alone are combined, and such models train on no mask of classes.
        record = {key: value for key, value in dataset_dict.items() if key != "sem_seg_file_name"}
        return super().__call__({**record, **others})

    def _read(self, record: _Record) -> np.ndarray:
        mosaic, mixup = record.pop(_MOSAIC), record.pop(_MIXUP)
        combined = self._labelled(record)
        if self.mosaic is not None:
            combined = self.mosaic([combined, *(self._labelled(one) for one in mosaic)])
        if self.mixup is not None:
            for other in mixup:
                combined = self.mixup(combined, self._labelled(other))
        record["height"], record["width"] = combined.image.shape[:2]
        record["annotations"] = [
            {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": int(category)}
            for box, category in zip(combined.boxes, combined.classes, strict=True)
        ]
        return combined.image

    def _labelled(self, record: _Record) -> LabelledImage:
        # Reading sets sizes that a record has not.
        image = super()._read(copy.copy(record))
        labelled = _labelled_objects(record)
        boxes = [BoxMode.convert(one["bbox"], one["bbox_mode"], BoxMode.XYXY_ABS) for one in labelled]
        classes = [one["category_id"] for one in labelled]
        return LabelledImage(image, np.array(boxes, np.float64).reshape(-1, 4), np.array(classes, np.int64))


def combines(cfg: CfgNode) -> bool:
    """Whether ``cfg`` trains on images that are made of several."""
    return bool(cfg.INPUT.MOSAIC.ENABLED or cfg.INPUT.MIXUP.ENABLED)


def _labelled_objects(record: _Record) -> Sequence[dict[str, Any]]:
    return [one for one in record.get("annotations", ()) if one.get("iscrowd", 0) == 0]


def _with_boxes(draw: Callable[[], _Record]) -> list[_Record]:
    """A record with boxes; none if too many that were drawn have none."""
    for _ in range(_ATTEMPTS):
        record = draw()
        if _labelled_objects(record):
            return [record]
    return []


def _check(cfg: CfgNode) -> None:
    keys, model = cfg.INPUT, cfg.MODEL
    name = "INPUT.MOSAIC.ENABLED" if keys.MOSAIC.ENABLED else "INPUT.MIXUP.ENABLED"
    if model.MASK_ON or model.KEYPOINT_ON or issubclass(model_class(cfg), PanopticFPN | SemanticSegmentor):
        raise ConfigError(
            f"{name} is True; images are combined with their boxes alone, and {model.META_ARCHITECTURE} trains on "
            "masks or keypoints here: set INPUT.MOSAIC.ENABLED and INPUT.MIXUP.ENABLED False."
        )
    for key, size in (("MOSAIC.SIZE", keys.MOSAIC.SIZE), ("MIXUP.SIZE", keys.MIXUP.SIZE)):
        if len(size) != 2 or min(size) < 1:
            raise ConfigError(f"INPUT.{key} is {size}; give height and width in pixels.")
    center, ratio, epochs = keys.MOSAIC.CENTER_RANGE, keys.MIXUP.RATIO_RANGE, keys.COMBINED_EPOCHS
    if len(center) != 2 or not 0 <= center[0] <= center[1] <= 2:
        raise ConfigError(f"INPUT.MOSAIC.CENTER_RANGE is {center}; give the least and the most, of 0 to 2.")
    if len(ratio) != 2 or not 0 < ratio[0] <= ratio[1]:
        raise ConfigError(f"INPUT.MIXUP.RATIO_RANGE is {ratio}; give the least and the most, more than 0.")
    if epochs < 0:
        raise ConfigError(f"INPUT.COMBINED_EPOCHS is {epochs}; give how many there are, or 0 for all.")
