"""A crop around an object, or pixels, of a class that is drawn, so that rare classes are seen as often as others."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from detectron2.data import transforms as T  # noqa: N812, the name Detectron2 uses
from fvcore.transforms.transform import CropTransform, Transform

from .categories import IGNORE_LABEL
from .class_frequency import draw_class


class Crop(Protocol):
    """A random crop that draws its size apart."""

    def get_crop_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a window in an image of such a height and width."""
        ...


class ClassBalancedCrop(T.Augmentation):
    """Of a share of the images, a crop around one thing of a class that is there; of the rest what ``otherwise`` draws.

    A class is drawn by its weight, then one of its objects, or of its pixels where there are no boxes, each alike. The
    window lies anywhere where it holds all of the object, or nothing but it where the object is larger.

    Args:
        crop: draws the size of the window.
        otherwise: the crop of the other images, and of those without an object.
        prob: the share, 0 to 1.
        weights: of each class; others have 1.
    """

    def __init__(self, crop: Crop, otherwise: T.Augmentation, prob: float, weights: Mapping[int, float]) -> None:
        super().__init__()
        self.crop, self.otherwise, self.prob, self.weights = crop, otherwise, prob, weights

    def get_transform(
        self, image: np.ndarray, boxes: np.ndarray | None, classes: np.ndarray | None, sem_seg: np.ndarray | None
    ) -> Transform:
        """Draws a crop for an image (H, W, 3).

        ``boxes`` are (N, 4) x1, y1, x2, y2 and ``classes`` (N,), or else ``sem_seg`` is (H, W) ids.
        """
        box = None
        if np.random.random_sample() < self.prob:
            box = self._draw_box(boxes, classes, sem_seg)
        if box is None:
            arguments = (image,) if isinstance(self.otherwise, T.RandomCrop) else (image, sem_seg)
            transform: Transform = self.otherwise.get_transform(*arguments)
            return transform
        size = self.crop.get_crop_size(image.shape[:2])
        top, left = (
            _place(low, high, window, whole)
            for low, high, window, whole in zip(box[1::-1], box[:1:-1], size, image.shape[:2], strict=True)
        )
        return CropTransform(left, top, size[1], size[0])

    def _draw_box(
        self, boxes: np.ndarray | None, classes: np.ndarray | None, sem_seg: np.ndarray | None
    ) -> np.ndarray | None:
        if boxes is not None and classes is not None:
            if not len(boxes):
                return None
            of_class = classes == draw_class(np.unique(classes).tolist(), self.weights)
            return np.asarray(boxes[_one_of(of_class)])
        if sem_seg is None:
            return None
        present = np.flatnonzero(np.bincount(sem_seg.ravel(), minlength=IGNORE_LABEL + 1)[:IGNORE_LABEL])
        if not len(present):
            return None
        place = _one_of(sem_seg.ravel() == draw_class(present.tolist(), self.weights))
        y, x = divmod(place, sem_seg.shape[1])
        return np.array([x, y, x + 1, y + 1])


def _one_of(mask: np.ndarray) -> int:
    places = np.flatnonzero(mask)
    return int(places[np.random.randint(len(places))])


def _place(low: float, high: float, window: int, whole: int) -> int:
    """Where a window of ``whole`` begins that holds ``low`` to ``high``, or lies in them."""
    ends = sorted((int(np.floor(low)), int(np.ceil(high)) - window))
    first, last = (min(max(one, 0), whole - window) for one in ends)
    return first + int(np.random.randint(last - first + 1))
