"""The colour changes of the segmentation zoo's recipes."""

from collections.abc import Sequence

import cv2
import numpy as np
from detectron2.data import transforms as T  # noqa: N812, the name Detectron2 uses
from fvcore.transforms.transform import Transform

_BRIGHTNESS = 32
_FACTORS = (0.5, 1.5)
# Of OpenCV's 180 steps around the circle of colours.
_HUE = 18


class PhotometricDistortion(T.Augmentation):
    """Brightness, contrast, saturation and hue, each of half of the images, as mmsegmentation changes them.

    Contrast comes second or last. Saturation and hue are changed in OpenCV's 8-bit HSV; each change is cut to 0..255
    and rounded down. (`ColorJitter` is Vis4D's.)
    """

    def __init__(self, image_format: str = "RGB") -> None:
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draws the changes for a uint8 image (H, W, 3)."""
        changes = [("brightness", self._draw(-_BRIGHTNESS, _BRIGHTNESS))]
        contrast_is_second = np.random.randint(2) == 1
        if contrast_is_second:
            changes.append(("contrast", self._draw(*_FACTORS)))
        changes.append(("saturation", self._draw(*_FACTORS)))
        changes.append(("hue", float(np.random.randint(-_HUE, _HUE)) if np.random.randint(2) else None))
        if not contrast_is_second:
            changes.append(("contrast", self._draw(*_FACTORS)))
        drawn = [(name, amount) for name, amount in changes if amount is not None]
        return PhotometricTransform(drawn, self.image_format)

    def _draw(self, low: float, high: float) -> float | None:
        return float(np.random.uniform(low, high)) if np.random.randint(2) else None


class PhotometricTransform(T.ColorTransform):
    """Makes the changes in turn: pairs of "brightness", "contrast", "saturation" or "hue" and an amount."""

    def __init__(self, changes: Sequence[tuple[str, float]], image_format: str = "RGB") -> None:
        super().__init__(self._change)
        self.changes, self.image_format = changes, image_format

    def _change(self, image: np.ndarray) -> np.ndarray:
        to_hsv, back = (
            (cv2.COLOR_BGR2HSV, cv2.COLOR_HSV2BGR)
            if self.image_format == "BGR"
            else (cv2.COLOR_RGB2HSV, cv2.COLOR_HSV2RGB)
        )
        # OpenCV takes no view of reversed channels.
        image = np.ascontiguousarray(image)
        for name, amount in self.changes:
            if name == "brightness":
                image = _linear(image, 1.0, amount)
            elif name == "contrast":
                image = _linear(image, amount, 0.0)
            else:
                hsv = np.asarray(cv2.cvtColor(image, to_hsv))
                if name == "saturation":
                    hsv[..., 1] = _linear(hsv[..., 1], amount, 0.0)
                else:
                    hsv[..., 0] = (hsv[..., 0].astype(np.int64) + int(amount)) % 180
                image = np.asarray(cv2.cvtColor(hsv, back))
        return image


def _linear(values: np.ndarray, factor: float, shift: float) -> np.ndarray:
    """``values * factor + shift``, uint8; of the 256 there are each is computed once."""
    table = np.clip(np.arange(256, dtype=np.float32) * np.float32(factor) + np.float32(shift), 0, 255).astype(np.uint8)
    return np.asarray(table[values])
