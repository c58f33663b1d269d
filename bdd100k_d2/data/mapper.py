"""Detectron2's dataset mapper with the recipes' augmentations, and errors that name the file."""

from typing import Any

import numpy as np
from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetMapper
from detectron2.data.detection_utils import (
    SizeMismatchError,
    annotations_to_instances,
    filter_empty_instances,
    transform_instance_annotations,
)
from detectron2.data.transforms import TransformList
from detectron2.structures import Boxes, BoxMode

from ..errors import DataError
from .augmentation import build_augmentation
from .masks import check_mask, mask_size


class BDD100KDatasetMapper(DatasetMapper):
    """Turns a dataset dict into a model input: reads, augments and converts, as its parent does."""

    @configurable
    def __init__(
        self,
        is_train: bool,
        *,
        num_mask_classes: int,
        clip_boxes: bool = True,
        **kwargs: Any,  # noqa: ANN401, the parent's
    ) -> None:
        """Builds the mapper.

        Args:
            is_train: map for training.
            num_mask_classes: the number of classes a semantic mask may hold.
            clip_boxes: clip the boxes to train with to the picture.
            kwargs: of `DatasetMapper`.
        """
        super().__init__(is_train, **kwargs)
        self.num_mask_classes = num_mask_classes
        self.clip_boxes = clip_boxes

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``."""
        arguments = super().from_config(cfg, is_train)
        arguments["augmentations"] = build_augmentation(cfg, is_train)
        arguments["num_mask_classes"] = cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES
        arguments["clip_boxes"] = cfg.INPUT.CLIP_BOXES
        return arguments

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Maps one dict, which stays as it is.

        Raises:
            DataError: the picture or mask is missing, unreadable, or not of the size that the dict says; the mask holds
                an id that is no class.
        """
        mask = dataset_dict.get("sem_seg_file_name")
        if mask is not None and not self.is_train:
            # Evaluators read the ground truth at its own size; here it would be read and resized for nothing.
            dataset_dict = {key: value for key, value in dataset_dict.items() if key != "sem_seg_file_name"}
            mask = None
        if mask is not None:
            # The parent would turn colours or 16-bit ids into wrong ids without a word.
            found, expected = mask_size(mask), (dataset_dict["height"], dataset_dict["width"])
            if found != expected:
                raise DataError(
                    f"{mask}: the mask is {found[1]}x{found[0]}, its picture {expected[1]}x{expected[0]}; "
                    "download or write it again."
                )
        try:
            result = super().__call__(dataset_dict)
        except SizeMismatchError as error:
            raise DataError(
                f"{dataset_dict['file_name']}: {' '.join(str(error).split())}. The labels are for another size: take "
                "the original picture, or write its size into the label file."
            ) from error
        except OSError as error:
            names = " or ".join(filter(None, (dataset_dict["file_name"], mask)))
            raise DataError(f"{names}: the picture cannot be read ({error}); download it again.") from error
        if mask is not None:
            check_mask(result["sem_seg"].numpy(), self.num_mask_classes, mask)
        return result

    def _transform_annotations(
        self, dataset_dict: dict[str, Any], transforms: TransformList, image_shape: tuple[int, int]
    ) -> None:
        # Boxes that are drawn anew around cropped masks lie inside the picture anyhow.
        if self.clip_boxes or self.recompute_boxes:
            super()._transform_annotations(dataset_dict, transforms, image_shape)
            return
        annotations = [one for one in dataset_dict.pop("annotations") if one.get("iscrowd", 0) == 0]
        boxes = [BoxMode.convert(one["bbox"], one["bbox_mode"], BoxMode.XYXY_ABS) for one in annotations]
        boxes = transforms.apply_box(np.array(boxes, np.float64).reshape(-1, 4))
        unused = [
            key
            for key, used in (("segmentation", self.use_instance_mask), ("keypoints", self.use_keypoint))
            if not used
        ]
        annotations = [
            transform_instance_annotations(
                {key: value for key, value in one.items() if key not in unused},
                transforms,
                image_shape,
                keypoint_hflip_indices=self.keypoint_hflip_indices,
            )
            for one in annotations
        ]
        instances = annotations_to_instances(annotations, image_shape, mask_format=self.instance_mask_format)
        # What lies outside after a crop is left out as ever: only then are the boxes replaced.
        instances, inside = filter_empty_instances(instances, return_mask=True)
        instances.gt_boxes = Boxes(boxes[inside.numpy()])
        dataset_dict["instances"] = instances
