"""The recipes' augmentations, built from the config."""

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import detection_utils
from detectron2.data import transforms as T  # noqa: N812, the name Detectron2 uses
from fvcore.transforms.transform import CropTransform, NoOpTransform, Transform
from torchvision.transforms.v2 import functional as color

from .categories import IGNORE_LABEL


def build_augmentation(cfg: CfgNode, is_train: bool) -> list[T.Augmentation]:
    """Detectron2's resize and flip; in training also the crop, after the resize, and the colour jitter."""
    augmentations = detection_utils.build_augmentation(cfg, is_train)
    if is_train and cfg.INPUT.CROP.ENABLED:
        crop = T.RandomCrop(cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE)
        if cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA < 1.0:
            crop = BalancedCrop(crop, cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA)
        augmentations.insert(1, crop)
    if is_train and cfg.INPUT.COLOR_JITTER.PROB > 0:
        jitter = cfg.INPUT.COLOR_JITTER
        augmentations.append(
            ColorJitter(
                jitter.PROB,
                jitter.BRIGHTNESS,
                jitter.CONTRAST,
                jitter.SATURATION,
                jitter.HUE,
                image_format=cfg.INPUT.FORMAT,
            )
        )
    return augmentations


class BalancedCrop(T.Augmentation):
    """A random crop, drawn again up to ten times while one class covers too much of its labelled pixels.

    Unlike Detectron2's `RandomCrop_CategoryAreaConstraint` it does not ask for two classes, as Vis4D's does not.
    """

    def __init__(self, crop: T.RandomCrop, max_area: float) -> None:
        """Takes the crop to draw from and the largest share, 0 to 1, of one class."""
        super().__init__()
        self.crop = crop
        self.max_area = max_area

    def get_transform(self, image: np.ndarray, sem_seg: np.ndarray) -> CropTransform:
        """Draws a crop for an image (H, W, 3) and its ids (H, W)."""
        # The first draw and ten more.
        for _ in range(11):
            transform = self.crop.get_transform(image)
            if self._is_balanced(transform.apply_segmentation(sem_seg)):
                break
        return transform

    def _is_balanced(self, sem_seg: np.ndarray) -> bool:
        counts = np.bincount(sem_seg.ravel(), minlength=IGNORE_LABEL + 1)[:IGNORE_LABEL]
        return bool(counts.max() < counts.sum() * self.max_area)


class ColorJitter(T.Augmentation):
    """Changes brightness, contrast, saturation and hue in random order, all four or none."""

    def __init__(
        self, prob: float, brightness: float, contrast: float, saturation: float, hue: float, image_format: str = "RGB"
    ) -> None:
        """Takes the share of pictures to change, the largest changes (keys ``INPUT.COLOR_JITTER``), and RGB or BGR."""
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draws the changes for a uint8 image (H, W, 3)."""
        if self._rand_range() >= self.prob:
            return NoOpTransform()
        adjustments = []
        for index in np.random.permutation(4):
            adjust, spread, center = (
                (color.adjust_brightness, self.brightness, 1.0),
                (color.adjust_contrast, self.contrast, 1.0),
                (color.adjust_saturation, self.saturation, 1.0),
                (color.adjust_hue, self.hue, 0.0),
            )[index]
            adjustments.append((adjust, np.random.uniform(center - spread, center + spread)))

        def apply(image: np.ndarray) -> np.ndarray:
            bgr = self.image_format == "BGR"
            pixels = torch.from_numpy(np.ascontiguousarray(image[..., ::-1] if bgr else image))
            pixels = pixels.permute(2, 0, 1) / 255.0
            for adjust, amount in adjustments:
                pixels = adjust(pixels, amount)
            changed = (pixels * 255.0).round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
            return changed[..., ::-1] if bgr else changed

        return T.ColorTransform(apply)
