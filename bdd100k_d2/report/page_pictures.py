"""The JPEG files of the pages: their names, and pictures small and in full."""

import re
from pathlib import Path

import cv2
import numpy as np

_QUALITY = 86
_LONGEST_STEM = 60


def frame_file(prefix: str, number: int, name: str) -> str:
    """How the files of frame ``name`` begin, relative to the page; unlike ``name`` it is safe in an address.

    Args:
        prefix: of all files of a gallery.
        number: of the frame in it, which tells names apart that differ in other characters.
        name: of the frame.
    """
    return f"assets/{prefix}-{number:04d}-{re.sub(r'[^A-Za-z0-9_-]', '_', Path(name).stem)[:_LONGEST_STEM]}"


def shrink(image: np.ndarray, width: int) -> np.ndarray:
    """A picture (H, W, 3) made at most ``width`` pixels wide."""
    if image.shape[1] <= width:
        return image
    size = (width, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def encode_jpeg(image: np.ndarray) -> bytes:
    """The JPEG file of a picture, (H, W, 3) uint8, BGR."""
    return cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))[1].tobytes()
