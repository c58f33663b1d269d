"""The objects that a model file finds in a frame: the fields of Detectron2's `Instances`, as arrays."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ArrayInstances:
    """N objects of a frame, as Detectron2's `Instances` of a prediction, without PyTorch.

    Attributes:
        image_size: height and width of the frame in pixels.
        pred_boxes: (N, 4) float32 x1, y1, x2, y2 in pixels, which end where the next pixel begins.
        scores: (N,) float32, 0 to 1.
        pred_classes: (N,) int64 class indices.
        pred_masks: (N, H, W) bool; None where the model gives boxes alone.
    """

    image_size: tuple[int, int]
    pred_boxes: np.ndarray
    scores: np.ndarray
    pred_classes: np.ndarray
    pred_masks: np.ndarray | None = None

    def has(self, name: str) -> bool:
        """Whether there is such a field."""
        return getattr(self, name, None) is not None

    def __len__(self) -> int:
        return len(self.scores)
