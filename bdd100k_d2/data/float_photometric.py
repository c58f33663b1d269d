"""The colour changes of the detection zoo's strong recipes."""

from collections.abc import Sequence

import cv2
import numpy as np
from detectron2.data import transforms as T  # noqa: N812, the name Detectron2 uses
from fvcore.transforms.transform import Transform

_BRIGHTNESS = 32.0
_FACTORS = (0.5, 1.5)
# In degrees.
_HUE = 18.0


class FloatPhotometricDistortion(T.Augmentation):
    """Brightness, contrast, saturation, hue and the order of channels, each of half of the images, as mmdetection 2.x.

    Contrast comes second or last of the first four. The image becomes float32; nothing is rounded, or cut to 0..255.
    """

    def __init__(self, image_format: str = "RGB") -> None:
        super().__init__()
        self._init(locals())

    def get_transform(self, image: np.ndarray) -> Transform:
        """Draws the changes for an image (H, W, 3)."""
        brightness = self._draw(-_BRIGHTNESS, _BRIGHTNESS)
        contrast_is_second = np.random.randint(2) == 1
        contrast = self._draw(*_FACTORS) if contrast_is_second else None
        saturation, hue = self._draw(*_FACTORS), self._draw(-_HUE, _HUE)
        last_contrast = None if contrast_is_second else self._draw(*_FACTORS)
        order = np.random.permutation(3).tolist() if np.random.randint(2) else None
        return FloatPhotometricTransform(
            brightness, contrast, saturation, hue, last_contrast, order, image_format=self.image_format
        )

    def _draw(self, low: float, high: float) -> float | None:
        return float(np.random.uniform(low, high)) if np.random.randint(2) else None


class FloatPhotometricTransform(T.ColorTransform):
    """Makes the changes in the order of the arguments; None leaves one out.

    Args:
        brightness: is added.
        contrast: a factor.
        saturation: a factor of the S of HSV.
        hue: degrees that are added to the H of HSV.
        last_contrast: a factor, after the others.
        order: of the channels.
        image_format: BGR or another, which is taken for RGB.
    """

    def __init__(
        self,
        brightness: float | None = None,
        contrast: float | None = None,
        saturation: float | None = None,
        hue: float | None = None,
        last_contrast: float | None = None,
        order: Sequence[int] | None = None,
        *,
        image_format: str = "RGB",
    ) -> None:
        super().__init__(self._change)
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue
        self.last_contrast, self.order, self.image_format = last_contrast, order, image_format

    def _change(self, image: np.ndarray) -> np.ndarray:
        is_bgr = self.image_format == "BGR"
        to_hsv, back = (cv2.COLOR_BGR2HSV, cv2.COLOR_HSV2BGR) if is_bgr else (cv2.COLOR_RGB2HSV, cv2.COLOR_HSV2RGB)
        # Of an order that OpenCV takes.
        changed: np.ndarray = np.array(image, np.float32, order="C")
        changed = _scaled(changed, self.contrast, self.brightness)
        # There and back also where neither is changed: values below 0 do not come back as they were.
        hsv = np.asarray(cv2.cvtColor(changed, to_hsv))
        hsv[..., 1] = _scaled(hsv[..., 1], self.saturation)
        if self.hue is not None:
            hue = hsv[..., 0]
            np.add(hue, np.float32(self.hue), out=hue)
            hue[hue > 360] -= 360
            hue[hue < 0] += 360
        changed = _scaled(np.asarray(cv2.cvtColor(hsv, back)), self.last_contrast)
        return changed if self.order is None else changed[..., list(self.order)]


def _scaled(values: np.ndarray, factor: float | None, before: float | None = None) -> np.ndarray:
    """``(values + before) * factor`` in single precision."""
    if before is not None:
        values = values + np.float32(before)
    return values if factor is None else values * np.float32(factor)
