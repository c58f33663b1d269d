"""Detectron2's dataset mapper with the recipes' augmentations, a faster reader, and errors that name the file."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetMapper
from detectron2.data.detection_utils import (
    SizeMismatchError,
    annotations_to_instances,
    check_image_size,
    filter_empty_instances,
    transform_instance_annotations,
    transform_proposals,
)
from detectron2.data.transforms import AugInput, TransformList
from detectron2.modeling import PanopticFPN
from detectron2.structures import Boxes, BoxMode

from ..errors import DataError
from .augmentation import augment, build_augmentation, crops_by_class
from .images import load_image
from .masks import check_mask, read_mask
from .model_class import model_class
from .panoptic_mask import panoptic_mask


class BDD100KDatasetMapper(DatasetMapper):
    """Turns a dataset dict into a model input as its parent does; ``num_mask_classes`` may be in a semantic mask.

    With ``paints_segments`` the mask to train with is painted of the segments, where a dict has no file of it. With
    ``crops_by_class`` the augmentations are told the boxes and their classes.
    """

    @configurable
    def __init__(
        self,
        is_train: bool,
        *,
        num_mask_classes: int,
        clip_boxes: bool = True,
        paints_segments: bool = False,
        crops_by_class: bool = False,
        **kwargs: Any,  # noqa: ANN401, the parent's
    ) -> None:
        super().__init__(is_train, **kwargs)
        self.crops_by_class = crops_by_class
        self.num_mask_classes, self.clip_boxes = num_mask_classes, clip_boxes
        self.paints_segments = paints_segments

    @classmethod
    def from_config(
        cls, cfg: CfgNode, is_train: bool = True, class_weights: Mapping[int, float] | None = None
    ) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``; ``class_weights`` are those of `ClassBalancedCrop`."""
        arguments: dict[str, Any] = super().from_config(cfg, is_train)
        arguments["augmentations"] = build_augmentation(cfg, is_train, class_weights)
        arguments["crops_by_class"] = is_train and crops_by_class(cfg)
        arguments["num_mask_classes"] = cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES
        arguments["clip_boxes"] = cfg.INPUT.CLIP_BOXES
        # Other panoptic models than this one take other targets.
        arguments["paints_segments"] = issubclass(model_class(cfg), PanopticFPN)
        return arguments

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Maps one dict, which stays as it is.

        Raises:
            UnreadableError: the image or mask is missing or damaged, or the image cannot be resized.
            DataError: the image or mask has another size than the dict says, or the mask holds an id that is no class.
        """
        record = copy.deepcopy(dataset_dict)
        mask_file = record.pop("sem_seg_file_name", None)
        image = self._read(record)
        # Evaluators read the ground truth at its own size; here it would be read and resized for nothing.
        mask = self._mask_to_train(record, mask_file) if self.is_train else None
        inputs = AugInput(image, sem_seg=mask)
        if self.crops_by_class:
            inputs.boxes, inputs.classes = _boxes_and_classes(record)
        transforms = augment(self.augmentations, inputs, f"{record['file_name']}: ")
        size = inputs.image.shape[:2]
        record["image"] = torch.from_numpy(np.ascontiguousarray(inputs.image.transpose(2, 0, 1)))
        if inputs.sem_seg is not None:
            record["sem_seg"] = torch.from_numpy(inputs.sem_seg.astype(np.int64))
        if self.proposal_topk is not None:
            transform_proposals(record, size, transforms, proposal_topk=self.proposal_topk)
        if not self.is_train:
            record.pop("annotations", None)
        elif "annotations" in record:
            self._transform_annotations(record, transforms, size)
        return record

    def _read(self, record: dict[str, Any]) -> np.ndarray:
        try:
            image = load_image(record["file_name"], self.image_format)
            check_image_size(record, image)
        except SizeMismatchError as error:
            raise DataError(
                f"{record['file_name']}: {' '.join(str(error).split())}. The labels are for another size: take "
                "the original image, or write its size into the label file."
            ) from error
        return image

    def _mask_to_train(self, record: dict[str, Any], path: str | None) -> np.ndarray | None:
        if path is not None:
            return self._checked(read_mask(path), record, path)
        if not self.paints_segments:
            return None
        mask = panoptic_mask(record, self.num_mask_classes)
        # Their run lengths are not needed any more, and go from process to process.
        del record["segments_info"]
        return self._checked(mask, record, _source(record))

    def _checked(self, mask: np.ndarray, record: dict[str, Any], path: str) -> np.ndarray:
        if mask.shape != (record["height"], record["width"]):
            raise DataError(
                f"{path}: the mask is {mask.shape[1]}x{mask.shape[0]}, its image {record['width']}x"
                f"{record['height']}; download or write it again."
            )
        return check_mask(mask, self.num_mask_classes, path)

    def _transform_annotations(
        self, dataset_dict: dict[str, Any], transforms: TransformList, image_shape: tuple[int, int]
    ) -> None:
        # Boxes that are drawn anew around cropped masks lie inside the image anyhow.
        if self.clip_boxes or self.recompute_boxes:
            super()._transform_annotations(dataset_dict, transforms, image_shape)
            return
        annotations = [one for one in dataset_dict.pop("annotations") if one.get("iscrowd", 0) == 0]
        boxes = [BoxMode.convert(one["bbox"], one["bbox_mode"], BoxMode.XYXY_ABS) for one in annotations]
        boxes = transforms.apply_box(np.array(boxes, np.float64).reshape(-1, 4))
        used = {"segmentation": self.use_instance_mask, "keypoints": self.use_keypoint}
        annotations = [{key: value for key, value in one.items() if used.get(key, True)} for one in annotations]
        flips = {"keypoint_hflip_indices": self.keypoint_hflip_indices}
        annotations = [transform_instance_annotations(one, transforms, image_shape, **flips) for one in annotations]
        instances = annotations_to_instances(annotations, image_shape, mask_format=self.instance_mask_format)
        # What lies outside after a crop is left out as ever: only then are the boxes replaced.
        instances, inside = filter_empty_instances(instances, return_mask=True)
        instances.gt_boxes = Boxes(boxes[inside.numpy()])
        dataset_dict["instances"] = instances


def _boxes_and_classes(record: dict[str, Any]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Boxes (N, 4) x1, y1, x2, y2 and classes (N,) of the objects that are trained on; None where none are labelled."""
    if "annotations" not in record:
        return None, None
    found = [one for one in record["annotations"] if one.get("iscrowd", 0) == 0]
    boxes = [BoxMode.convert(one["bbox"], one["bbox_mode"], BoxMode.XYXY_ABS) for one in found]
    return np.array(boxes, np.float64).reshape(-1, 4), np.array([one["category_id"] for one in found], np.int64)


def _source(record: dict[str, Any]) -> str:
    """What messages call the segments of a record."""
    return str(record.get("bitmask_file_name") or record.get("pan_seg_file_name") or record["file_name"])
