"""Training images made of several, with their boxes: Mosaic and MixUp, as mmdetection 2.x has them.

Mosaic is of YOLOv4 (Bochkovskiy et al., 2020), MixUp of Zhang et al., 2018; mmdetection has both from YOLOX (Ge et al.,
2021). What is drawn comes from NumPy's global generator.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

# Where a canvas has no image.
_GREY = 114


class LabelledImage(NamedTuple):
    """An image (H, W, 3) uint8, its boxes (N, 4) as x1, y1, x2, y2 in pixels, and their classes (N,)."""

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


class Mosaic:
    """Puts four images around a point of a grey canvas that is twice as high and wide as ``size``.

    Args:
        size: height and width that each image is resized to fit into.
        center_range: the point's x and y are drawn from this range, in widths and heights of ``size``.
    """

    def __init__(self, size: tuple[int, int], center_range: tuple[float, float]) -> None:
        self.size, self.center_range = size, center_range

    def __call__(self, images: Sequence[LabelledImage]) -> LabelledImage:
        """Draws the point and combines four images."""
        height, width = self.size
        x, y = (int(np.random.uniform(*self.center_range) * side) for side in (width, height))
        return self.combine(images, (x, y))

    def combine(self, images: Sequence[LabelledImage], center: tuple[int, int]) -> LabelledImage:
        """Four images, upper left, upper right, lower left and lower right, with a corner at ``center`` (x, y)."""
        height, width = 2 * self.size[0], 2 * self.size[1]
        canvas = np.full((height, width, 3), _GREY, np.uint8)
        boxes = []
        for nth, one in enumerate(images):
            image, scale = _fitted(one.image, self.size)
            left = center[0] - (image.shape[1] if nth % 2 == 0 else 0)
            top = center[1] - (image.shape[0] if nth < 2 else 0)
            _paste(canvas, image, left, top)
            boxes.append(one.boxes * scale + np.array([left, top, left, top]))
        clipped = _clipped(np.concatenate(boxes), height, width)
        return _inside(LabelledImage(canvas, clipped, np.concatenate([one.classes for one in images])))


class MixUp:
    """Averages an image with another one, of another size, in its upper left.

    Args:
        size: height and width of a grey canvas that the other image is first fitted into, in its upper left.
        ratio_range: by a factor from this range the canvas is then resized.
        flip_prob: how often it is flipped.
    """

    def __init__(self, size: tuple[int, int], ratio_range: tuple[float, float], flip_prob: float) -> None:
        self.size, self.ratio_range, self.flip_prob = size, ratio_range, flip_prob

    def __call__(self, image: LabelledImage, other: LabelledImage) -> LabelledImage:
        """Draws how the other image is changed, and which part of it is taken where it is larger; combines both."""
        ratio = np.random.uniform(*self.ratio_range)
        is_flipped = bool(np.random.uniform() < self.flip_prob)
        beyond = [int(side * ratio) - whole for side, whole in zip(self.size, image.image.shape[:2], strict=True)]
        y, x = (int(np.random.randint(excess)) if excess > 0 else 0 for excess in beyond)
        return self.combine(image, other, ratio, is_flipped, (x, y))

    def combine(
        self, image: LabelledImage, other: LabelledImage, ratio: float, is_flipped: bool, offset: tuple[int, int]
    ) -> LabelledImage:
        """The average, of the size of ``image``, with the boxes of both.

        ``offset`` is the x and y of the upper left pixel that is taken of the other image. Where that one is smaller
        than ``image``, it is black beyond.
        """
        letterbox = np.full((*self.size, 3), _GREY, np.uint8)
        fitted, scale = _fitted(other.image, self.size)
        _paste(letterbox, fitted, 0, 0)
        height, width = (max(int(side * ratio), 1) for side in self.size)
        changed = _resized(letterbox, height, width)
        boxes = _clipped(other.boxes * (scale * ratio), height, width)
        if is_flipped:
            changed = changed[:, ::-1]
            boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
        taken = changed[offset[1] :, offset[0] :][: image.image.shape[0], : image.image.shape[1]]
        boxes = _clipped(boxes - np.array([*offset, *offset]), *image.image.shape[:2])
        mixed = image.image >> 1
        part = (slice(taken.shape[0]), slice(taken.shape[1]))
        # Half of the sum, rounded down: a quarter below it, to the nearest. OpenCV takes no view of reversed columns.
        mixed[part] = cv2.addWeighted(image.image[part], 0.5, np.ascontiguousarray(taken), 0.5, -0.25)
        both = np.concatenate([image.boxes, boxes]), np.concatenate([image.classes, other.classes])
        return _inside(LabelledImage(mixed, *both))


def _fitted(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """The image, resized as a whole to fit into ``size``, and by which factor."""
    height, width = image.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    return _resized(image, max(int(height * scale), 1), max(int(width * scale), 1)), scale


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    # OpenCV takes no view of reversed channels.
    return np.asarray(cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_LINEAR))


def _paste(canvas: np.ndarray, image: np.ndarray, left: int, top: int) -> None:
    """Copies what lies on the canvas of an image whose upper left pixel is at ``left`` and ``top``."""
    rows = slice(max(top, 0), min(top + image.shape[0], canvas.shape[0]))
    columns = slice(max(left, 0), min(left + image.shape[1], canvas.shape[1]))
    canvas[rows, columns] = image[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def _clipped(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(boxes.clip(0, [width, height, width, height]))


def _inside(one: LabelledImage) -> LabelledImage:
    """Without the boxes that lie outside of the image; after clipping those are lines on its border."""
    height, width = one.image.shape[:2]
    x1, y1, x2, y2 = one.boxes.T
    inside = (x1 < width) & (y1 < height) & (x2 > 0) & (y2 > 0)
    return LabelledImage(one.image, one.boxes[inside], one.classes[inside])
