"""Predictions that are merged from an image at several sizes and flipped: what ``TEST.AUG`` asks for.

Detectors as in Detectron2's `GeneralizedRCNNWithTTA`, which takes no RetinaNet and resizes what was resized before.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import AugInput, AugmentationList, RandomFlip
from detectron2.layers import batched_nms
from detectron2.modeling import DatasetMapperTTA, GeneralizedRCNNWithTTA, SemanticSegmentor
from detectron2.modeling.meta_arch import GeneralizedRCNN, PanopticFPN
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from detectron2.structures import Boxes, Instances
from fvcore.transforms.transform import HFlipTransform, TransformList
from torch import Tensor, nn

from ..config import with_keys, with_our_keys
from ..data.augmentation import LinearResizeShortestEdge, ResizeShortestEdge, augment
from ..errors import ConfigError

Inputs = dict[str, Any]


def augmented_in_tests(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """A model that takes whole images (3, H, W), see `as_read`, and predicts by ``model`` as ``TEST.AUG`` says.

    Its inputs and outputs are those of ``model``, but a segmenter's logits are the logarithms of mean probabilities.

    Raises:
        ConfigError: such a model cannot be augmented, or ``TEST.AUG`` has no sizes.
    """
    check_augmentable(cfg, model)
    kind = AugmentedSegmenter if isinstance(model, SemanticSegmentor) else AugmentedDetector
    return kind(cfg, model).train(model.training)


def check_augmentable(cfg: CfgNode, model: nn.Module) -> None:
    """Raises `ConfigError` where ``TEST.AUG`` cannot be applied to ``model``."""
    sizes = cfg.TEST.AUG.MIN_SIZES
    if not sizes or min(sizes) < 1 or cfg.TEST.AUG.MAX_SIZE < 1:
        raise ConfigError(
            f"TEST.AUG.MIN_SIZES is {sizes} and MAX_SIZE {cfg.TEST.AUG.MAX_SIZE}; give lengths of the shorter side in "
            "pixels, and the most of the longer one."
        )
    name = type(model).__name__
    kinds = (GeneralizedRCNN, DenseDetector, SemanticSegmentor)
    if isinstance(model, PanopticFPN) or cfg.MODEL.KEYPOINT_ON or not isinstance(model, kinds):
        what = "keypoints" if cfg.MODEL.KEYPOINT_ON else name
        raise ConfigError(
            f"TEST.AUG.ENABLED is True, but predictions of {what} are not merged: detectors, Mask R-CNN and segmenters "
            "are; set it False."
        )


def as_read(cfg: CfgNode) -> CfgNode:
    """``cfg`` with images in tests left as they are read: they are resized once, as ``TEST.AUG`` says."""
    return with_keys(cfg, "INPUT.MIN_SIZE_TEST", 0)


class AugmentedImages(DatasetMapperTTA):
    """Detectron2's mapper, which resizes as ``INPUT.RESIZE_ANTIALIAS`` says."""

    def __init__(self, cfg: CfgNode) -> None:
        aug = cfg.TEST.AUG
        kind = ResizeShortestEdge if cfg.INPUT.RESIZE_ANTIALIAS else LinearResizeShortestEdge
        flips = ([], [RandomFlip(prob=1.0)]) if aug.FLIP else ([],)
        sizes = [kind(size, aug.MAX_SIZE) for size in aug.MIN_SIZES]
        self._augmentations = [AugmentationList([resize, *flip]) for resize in sizes for flip in flips]

    def __call__(self, dataset_dict: Inputs) -> list[Inputs]:
        """One dict with ``image`` (3, h, w) and its ``transforms`` for each size, as it is and flipped.

        Raises `UnreadableError` where an image has no size that it can be resized to.
        """
        pixels = dataset_dict["image"].permute(1, 2, 0).numpy()
        where = f"{dataset_dict['file_name']}: " if "file_name" in dataset_dict else "a frame: "
        made = []
        for augmentations in self._augmentations:
            inputs = AugInput(pixels.copy())
            transforms = augment(augmentations, inputs, where)
            image = torch.from_numpy(np.ascontiguousarray(inputs.image.transpose(2, 0, 1)))
            made.append({"image": image, "transforms": transforms})
        return made


class AugmentedDetector(GeneralizedRCNNWithTTA):
    """Merges boxes by NMS over those of all images, then averages the masks of the boxes that are left.

    Takes detectors of one stage too, such as RetinaNet.
    """

    def __init__(self, cfg: CfgNode, model: GeneralizedRCNN | DenseDetector) -> None:
        # Its parent takes no other than `GeneralizedRCNN`.
        nn.Module.__init__(self)
        self.cfg, self.model, self.tta_mapper = cfg, model, AugmentedImages(cfg)
        self.is_dense = isinstance(model, DenseDetector)
        heads = with_our_keys(cfg).MODEL.ROI_HEADS
        self.nms_threshold: float = model.test_nms_thresh if self.is_dense else heads.NMS_THRESH_TEST
        self.has_one_nms = bool(heads.CLASS_AGNOSTIC_NMS) and not self.is_dense
        self.has_masks = bool(cfg.MODEL.MASK_ON) and not self.is_dense

    def __call__(self, batched_inputs: list[Inputs]) -> list[dict[str, Instances]]:
        """Takes one dict per image, ``image`` with its ``height`` and ``width``; returns ``instances`` at that size."""
        return [self._inference_one_image(_with_size(one)) for one in batched_inputs]

    def _inference_one_image(self, inputs: Inputs) -> dict[str, Instances]:
        if self.has_masks:
            results: dict[str, Instances] = super()._inference_one_image(inputs)
            return results
        augmented, transforms = self._get_augmented_inputs(inputs)
        boxes, scores, classes = self._get_augmented_boxes(augmented, transforms)
        return {"instances": self._merge_detections(boxes, scores, classes, (inputs["height"], inputs["width"]))}

    def _batch_inference(
        self, batched_inputs: list[Inputs], detected_instances: Sequence[Instances | None] | None = None
    ) -> list[Instances]:
        # Images of one size at a time, so that none is padded to the size of another one.
        found: list[Instances] = []
        given = [None] * len(batched_inputs) if detected_instances is None else detected_instances
        pairs = zip(batched_inputs, given, strict=True)
        for _, group in groupby(pairs, key=lambda pair: pair[0]["image"].shape):
            images, instances = zip(*group, strict=True)
            if self.is_dense:
                found += [one["instances"] for one in self.model(list(images))]
            else:
                boxes = None if detected_instances is None else list(instances)
                found += self.model.inference(list(images), boxes, do_postprocess=False)
        return found

    def _get_augmented_boxes(
        self, augmented_inputs: list[Inputs], tfms: list[TransformList]
    ) -> tuple[Tensor, Tensor, Tensor]:
        found = self._batch_inference(augmented_inputs)
        boxes = [one.pred_boxes.tensor.cpu().numpy() for one in found]
        boxes = [tfm.inverse().apply_box(one) for tfm, one in zip(tfms, boxes, strict=True)]
        scores, classes = torch.cat([one.scores for one in found]), torch.cat([one.pred_classes for one in found])
        return torch.from_numpy(np.concatenate(boxes)).to(scores.device), scores, classes

    def _merge_detections(
        self, all_boxes: Tensor, all_scores: Tensor, all_classes: Tensor, shape_hw: tuple[int, int]
    ) -> Instances:
        merged = Instances(shape_hw)
        merged.pred_boxes = Boxes(all_boxes)
        merged.pred_boxes.clip(shape_hw)
        merged.scores, merged.pred_classes = all_scores, all_classes
        merged = merged[merged.pred_boxes.nonempty()]
        groups = torch.zeros_like(merged.pred_classes) if self.has_one_nms else merged.pred_classes
        kept = batched_nms(merged.pred_boxes.tensor, merged.scores, groups, self.nms_threshold)
        return merged[kept[: self.cfg.TEST.DETECTIONS_PER_IMAGE]]


class AugmentedSegmenter(nn.Module):
    """Averages the classes' probabilities at each pixel over all images, at the size of the result."""

    def __init__(self, cfg: CfgNode, model: SemanticSegmentor) -> None:
        super().__init__()
        self.model, self.mapper = model, AugmentedImages(cfg)

    def forward(self, batched_inputs: list[Inputs]) -> list[dict[str, Tensor]]:
        """Takes one dict per image, ``image`` with its ``height`` and ``width``; returns ``sem_seg`` at that size."""
        return [{"sem_seg": self._mean(_with_size(one))} for one in batched_inputs]

    def _mean(self, inputs: Inputs) -> Tensor:
        size = {"height": inputs["height"], "width": inputs["width"]}
        augmented = self.mapper(inputs)
        total: Tensor | None = None
        for one in augmented:
            logits = self.model([{"image": one["image"], **size}])[0]["sem_seg"]
            if _is_flipped(one["transforms"]):
                logits = logits.flip(-1)
            probabilities = logits.float().softmax(dim=0)
            total = probabilities if total is None else total + probabilities
        assert total is not None, "TEST.AUG has sizes"
        # Never -inf: what is next to impossible is a number, too.
        mean = (total / len(augmented)).clamp(min=torch.finfo(torch.float32).tiny)
        return mean.log()


def _with_size(inputs: Inputs) -> Inputs:
    height, width = inputs["image"].shape[-2:]
    return {"height": height, "width": width, **inputs}


def _is_flipped(transforms: TransformList) -> bool:
    return any(isinstance(one, HFlipTransform) for one in transforms.transforms)
