"""Images and frames of labels to test with."""

from pathlib import Path

import cv2
import numpy as np

from bdd100k_d2.data.labels import Box2D, Frame, ImageSize, Label


def write_image(path: Path, height: int = 96, width: int = 160, seed: int = 0) -> None:
    """Writes an image of noise: large ones in squares of eight, because finer noise is slow to decode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = 8 if height >= 720 else 1
    pixels = np.random.default_rng(seed).integers(0, 256, (height // cell, width // cell, 3), np.uint8)
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(path), pixels)


def make_frame(name: str, *boxes: tuple[str, float, float, float, float], **fields: object) -> Frame:
    """A frame of 160x96 pixels with boxes (category, x1, y1, x2, y2), inclusive."""
    labels = [Label(id=str(i), category=k, box2d=Box2D(*corners)) for i, (k, *corners) in enumerate(boxes)]
    return Frame(name=name, size=ImageSize(160, 96), labels=labels, **fields)
