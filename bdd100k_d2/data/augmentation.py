"""The recipes' augmentations, built from the config."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import detection_utils
from detectron2.data import transforms as T  # noqa: N812, the name Detectron2 uses
from fvcore.transforms.transform import CropTransform, NoOpTransform, Transform
from torchvision.transforms.v2 import functional as color

from ..errors import ConfigError, DataError, UnreadableError
from .categories import IGNORE_LABEL
from .class_balanced_crop import ClassBalancedCrop
from .float_photometric import FloatPhotometricDistortion
from .image_size import check_image_size
from .photometric import PhotometricDistortion

# In this order the jitter numbers them.
_COLOR_ADJUSTMENTS = {
    "brightness": color.adjust_brightness,
    "contrast": color.adjust_contrast,
    "saturation": color.adjust_saturation,
    "hue": color.adjust_hue,
}


def build_augmentation(
    cfg: CfgNode, is_train: bool, class_weights: Mapping[int, float] | None = None
) -> list[T.Augmentation]:
    """Resize and flip; in training also the crop, after the resize, and the colour jitter.

    ``class_weights`` are those of `ClassBalancedCrop`, which without them draws each class alike.
    """
    augmentations: list[T.Augmentation] = detection_utils.build_augmentation(cfg, is_train)
    resize = augmentations[0]
    resize_class = ResizeShortestEdge if cfg.INPUT.RESIZE_ANTIALIAS else LinearResizeShortestEdge
    augmentations[0] = resize_class(resize.short_edge_length, resize.max_size, "range" if resize.is_range else "choice")
    augmentations[0].draws = is_train
    if is_train and cfg.INPUT.CROP.ENABLED:
        crop = any_place = T.RandomCrop(cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE)
        if cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA < 1.0:
            crop = BalancedCrop(crop, cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA)
        if crops_by_class(cfg):
            prob = cfg.INPUT.CROP.CLASS_BALANCED_PROB
            crop = ClassBalancedCrop(any_place, crop, prob, class_weights or {})
        augmentations.insert(1, crop)
    if is_train and cfg.INPUT.COLOR_JITTER.PROB > 0:
        jitter = cfg.INPUT.COLOR_JITTER
        spreads = jitter.BRIGHTNESS, jitter.CONTRAST, jitter.SATURATION, jitter.HUE
        augmentations.append(ColorJitter(jitter.PROB, *spreads, image_format=cfg.INPUT.FORMAT))
    if is_train and cfg.INPUT.PHOTOMETRIC_DISTORTION:
        augmentations.append(PhotometricDistortion(cfg.INPUT.FORMAT))
    if is_train and cfg.INPUT.FLOAT_PHOTOMETRIC_DISTORTION:
        augmentations.append(FloatPhotometricDistortion(cfg.INPUT.FORMAT))
    return augmentations


def crops_by_class(cfg: CfgNode) -> bool:
    """Whether ``cfg`` trains on crops around objects of classes that are drawn.

    Raises:
        ConfigError: ``INPUT.CROP.CLASS_BALANCED_PROB`` is no share, or there is no crop.
    """
    prob = cfg.INPUT.CROP.CLASS_BALANCED_PROB
    if not 0 <= prob <= 1:
        raise ConfigError(f"INPUT.CROP.CLASS_BALANCED_PROB is {prob}; give the share of the crops, 0 to 1.")
    if prob and not cfg.INPUT.CROP.ENABLED:
        raise ConfigError(
            f"INPUT.CROP.CLASS_BALANCED_PROB is {prob}, but INPUT.CROP.ENABLED is False; set it True, with a SIZE."
        )
    return bool(prob)


def augment(augmentations: T.AugmentationList, inputs: T.AugInput, where: str) -> T.TransformList:
    """Applies ``augmentations`` to ``inputs``, in place; returns what was drawn.

    Raises:
        UnreadableError: the image, of which ``where`` tells in messages, has no size that it can be resized to.
    """
    try:
        return augmentations(inputs)
    except DataError as error:
        raise UnreadableError(f"{where}{error}") from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Lets PyTorch, in the whole process, add as in a loader's worker: in more threads a mean is rounded otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class ResizeShortestEdge(T.ResizeShortestEdge):
    """Detectron2's, which leaves nothing of an image that is very narrow, and makes others larger than memory.

    It draws also where there is one size: a script's predictions, in several threads, would change what it draws. Of a
    training that draw is part of what its seed stands for. ``draws`` False takes the first size.
    """

    draws = True

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draws the size for an image (H, W, ...); DataError where no image may have it."""
        resize = super().get_transform(image) if self.draws else self._to_first_size(*image.shape[:2])
        if not isinstance(resize, NoOpTransform):
            check_image_size(resize.new_h, resize.new_w, "resized as INPUT says, the image")
        return resize

    def _to_first_size(self, height: int, width: int) -> Transform:
        size = self.short_edge_length[0]
        if size == 0:
            return NoOpTransform()
        new = self.get_output_shape(height, width, size, self.max_size)
        return T.ResizeTransform(height, width, *new, self.interp)


class LinearResizeShortestEdge(ResizeShortestEdge):
    """`ResizeShortestEdge` by a `LinearResizeTransform`; an image that has the size stays as it is."""

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draws the size for an image (H, W, ...); DataError where no image may have it."""
        resize = super().get_transform(image)
        if isinstance(resize, NoOpTransform) or (resize.h, resize.w) == (resize.new_h, resize.new_w):
            return NoOpTransform()
        return LinearResizeTransform(resize.h, resize.w, resize.new_h, resize.new_w)


class LinearResizeTransform(Transform):
    """Resizes by linear interpolation, as PyTorch, Vis4D and mmdet do; Detectron2's also smooths when it shrinks."""

    def __init__(self, h: int, w: int, new_h: int, new_w: int) -> None:
        super().__init__()
        self._set_attributes(locals())

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Resizes an image (h, w, ...), uint8 or float32."""
        # OpenCV takes no view of reversed channels.
        resized = cv2.resize(np.ascontiguousarray(img), (self.new_w, self.new_h), interpolation=cv2.INTER_LINEAR)
        # It drops a channel that is alone.
        return np.asarray(resized).reshape(self.new_h, self.new_w, *img.shape[2:])

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Scales points (N, 2) of x and y."""
        return np.asarray(coords * np.array([self.new_w / self.w, self.new_h / self.h]))

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Resizes ids (h, w): each pixel takes the one that its upper left corner falls on, as PyTorch's "nearest"."""
        rows, columns = _nearest(self.h, self.new_h), _nearest(self.w, self.new_w)
        return np.asarray(segmentation[rows[:, None], columns])

    def inverse(self) -> Transform:
        """The resize back."""
        return LinearResizeTransform(self.new_h, self.new_w, self.h, self.w)


def _nearest(old: int, new: int) -> np.ndarray:
    # In the precision that PyTorch works in, which decides between two pixels where a corner falls between them.
    places: np.ndarray = (np.arange(new, dtype=np.float32) * np.float32(old / new)).astype(np.int64)
    return places.clip(max=old - 1)


class BalancedCrop(T.Augmentation):
    """A random crop, drawn again up to ten times while one class covers ``max_area`` (0 to 1) of its labelled pixels.

    Unlike Detectron2's `RandomCrop_CategoryAreaConstraint` it does not ask for two classes, as Vis4D's does not.
    """

    def __init__(self, crop: T.RandomCrop, max_area: float) -> None:
        super().__init__()
        self.crop, self.max_area = crop, max_area

    def get_transform(self, image: np.ndarray, sem_seg: np.ndarray) -> CropTransform:
        """Draws a crop for an image (H, W, 3) and its ids (H, W)."""
        # The first draw and ten more.
        for _ in range(11):
            transform = self.crop.get_transform(image)
            ids = transform.apply_segmentation(sem_seg).ravel()
            counts = np.bincount(ids, minlength=IGNORE_LABEL + 1)[:IGNORE_LABEL]
            if counts.max() < counts.sum() * self.max_area:
                break
        return transform


class ColorJitter(T.Augmentation):
    """Changes brightness, contrast, saturation and hue in random order, all four or none, of a share of the images.

    The arguments are the keys of ``INPUT.COLOR_JITTER``, and RGB or BGR.
    """

    def __init__(
        self, prob: float, brightness: float, contrast: float, saturation: float, hue: float, image_format: str = "RGB"
    ) -> None:
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draws the changes for a uint8 image (H, W, 3)."""
        if self._rand_range() >= self.prob:
            return NoOpTransform()
        names = tuple(_COLOR_ADJUSTMENTS)
        adjustments = []
        # The order first, then each amount in that order: the draws of Vis4D.
        for index in np.random.permutation(len(names)):
            name, spread = names[index], getattr(self, names[index])
            center = 0.0 if name == "hue" else 1.0
            adjustments.append((name, np.random.uniform(center - spread, center + spread)))
        return ColorAdjustmentTransform(adjustments, self.image_format)


class ColorAdjustmentTransform(T.ColorTransform):
    """Adjusts colours one after the other in floating point, clips each result to 0..255 and rounds the last.

    ``adjustments`` are pairs of "brightness", "contrast", "saturation" or "hue" and an amount.
    """

    def __init__(self, adjustments: Sequence[tuple[str, float]], image_format: str = "RGB") -> None:
        super().__init__(self._adjust)
        self.adjustments, self.image_format = adjustments, image_format

    def _adjust(self, image: np.ndarray) -> np.ndarray:
        bgr = self.image_format == "BGR"
        pixels = torch.from_numpy(np.ascontiguousarray(image[..., ::-1] if bgr else image))
        pixels = pixels.permute(2, 0, 1) / 255.0
        with _one_thread():
            for name, amount in self.adjustments:
                pixels = _COLOR_ADJUSTMENTS[name](pixels, amount)
        changed = (pixels * 255.0).round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        return changed[..., ::-1] if bgr else changed
