"""Boxes, class names and masks on images, drawn with OpenCV.

Every image is an RGB array of shape (H, W, 3) and type uint8, and every colour an RGB triple. The functions return a
new array, leave theirs alone, and raise ValueError for an array of another shape or type. They know nothing of
datasets: the caller chooses colours and texts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

Color = tuple[int, int, int]

FONT = cv2.FONT_HERSHEY_DUPLEX
_FONT_SCALE = 0.45  # at an image height of 720; the smallest size that is read without effort
_PADDING = 3
# A chip is about 16 pixels high: on a box smaller than this it would hide more than it tells.
_SMALLEST_AREA_WITH_CHIP = 20 * 20
_DASH, _GAP = 7, 5


class Box(NamedTuple):
    """A box to draw.

    Attributes:
        corners: x1, y1, x2, y2 in pixels, inclusive.
        color: of the outline and of the chip behind the text.
        text: on the chip; no chip if empty.
        score: boxes with a higher score are drawn over the others. Without a score, smaller ones are.
        dashed: a thin dashed outline, for objects that do not count.
    """

    corners: tuple[float, float, float, float]
    color: Color
    text: str = ""
    score: float | None = None
    dashed: bool = False


class _Chip(NamedTuple):
    x: int
    y: int
    width: int
    height: int


def draw_boxes(image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """Outlines each box on the inside of its border and writes its text on a chip of its colour.

    Lines grow with the box. Chips stay inside the image, do not cover each other or a smaller box, and are left out
    where there is no such place. Parts outside the image are cut off; a box that is wholly outside, or has a
    coordinate that is not a number, is not drawn.
    """
    check_image(image)
    canvas = image.copy()
    height, width = canvas.shape[:2]
    clipped = [(found, box) for box in boxes if (found := _clip(box.corners, width, height))]
    clipped.sort(key=lambda item: (item[1].score or 0.0, -box_areas(np.array(item[0]))))
    corners = np.array([item[0] for item in clipped], dtype=np.int64).reshape(-1, 4)
    chips: list[tuple[_Chip, Box]] = []
    # The boxes on top choose the place of their chips first.
    for index in reversed(range(len(clipped))):
        chip = _place_chip(clipped[index][1].text, index, corners, [chip for chip, _ in chips], width, height)
        if chip:
            chips.append((chip, clipped[index][1]))
    for (x1, y1, x2, y2), box in clipped:
        line = 1 if box.dashed else _line_width(min(x2 - x1, y2 - y1) + 1, height)
        _outline(canvas[y1 : y2 + 1, x1 : x2 + 1], line, box.color, box.dashed)
    for chip, box in reversed(chips):
        _draw_chip(canvas, chip, box)
    return canvas


def overlay_mask(
    image: np.ndarray, mask: np.ndarray, colors: Sequence[Color | None], opacity: float = 0.5
) -> np.ndarray:
    """Lays the colours of the class ids of a mask, (H, W) uint8, over an image; ``opacity`` of 1 hides it.

    Pixels of a class whose colour is None, of an id beyond ``colors``, and the ignored ones, 255, stay as they are.
    """
    check_image(image)
    if mask.shape != image.shape[:2] or mask.dtype != np.uint8:
        raise ValueError(f"expected a uint8 mask of shape {image.shape[:2]}, not {mask.dtype} {mask.shape}")
    table = np.zeros((256, 1, 3), dtype=np.uint8)
    painted = np.zeros(256, dtype=np.uint8)
    for index, color in enumerate(colors[:255]):
        if color is not None:
            table[index], painted[index] = color, 255
    colored = cv2.applyColorMap(mask, table)
    canvas = image.copy()
    cv2.copyTo(cv2.addWeighted(image, 1 - opacity, colored, opacity, 0), cv2.LUT(mask, painted), canvas)
    return canvas


def text_color(background: Color) -> Color:
    """Black or white, whichever has more contrast on ``background``."""
    # (1 + 0.05) / (L + 0.05) = (L + 0.05) / (0 + 0.05) at L = 0.179.
    return (0, 0, 0) if luminance(background) > 0.179 else (255, 255, 255)


def luminance(color: Color) -> float:
    """Relative luminance as in WCAG 2.2, 0 (black) to 1 (white)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def font_scale(height: int) -> float:
    """OpenCV's scale of `FONT` for a text on an image of ``height`` pixels."""
    return _FONT_SCALE * max(1.0, height / 720)


def check_image(image: np.ndarray) -> None:
    """Raises ValueError unless ``image`` is (H, W, 3) uint8."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected a uint8 RGB image of shape (H, W, 3), not {image.dtype} {image.shape}")


def _clip(corners: Sequence[float], width: int, height: int) -> tuple[int, int, int, int] | None:
    if not np.isfinite(corners).all():
        return None
    x1, y1, x2, y2 = (round(value) for value in corners)
    if x2 < x1 or y2 < y1 or x2 < 0 or y2 < 0 or x1 >= width or y1 >= height:
        return None
    return max(x1, 0), max(y1, 0), min(x2, width - 1), min(y2, height - 1)


def box_areas(corners: np.ndarray) -> np.ndarray:
    """(...,) areas of boxes (..., 4) with inclusive corners."""
    return (corners[..., 2] - corners[..., 0] + 1) * (corners[..., 3] - corners[..., 1] + 1)


def _line_width(side: int, height: int) -> int:
    """Pixels, for a box whose shorter side is ``side`` in an image of ``height``."""
    scale = max(1, round(height / 720))
    return scale * (1 if side < 20 * scale else 2 if side < 160 * scale else 3)


def _outline(region: np.ndarray, line: int, color: Color, dashed: bool) -> None:
    """Draws along the border of ``region``, a view of the image, so nothing can fall outside of the box."""
    # The vertical edges are turned so that every edge is (line, length, 3).
    upright = region.transpose(1, 0, 2)
    for edge in (region[:line], region[-line:], upright[:line], upright[-line:]):
        if dashed:
            edge[:, np.arange(edge.shape[1]) % (_DASH + _GAP) < _DASH] = color
        else:
            edge[...] = color


def _place_chip(
    text: str, index: int, corners: np.ndarray, taken: Sequence[_Chip], width: int, height: int
) -> _Chip | None:
    """The first free place for the chip of box ``index``: above it, inside if it is large enough, or below."""
    x1, y1, x2, y2 = corners[index].tolist()
    if not text or box_areas(corners[index]) < _SMALLEST_AREA_WITH_CHIP:
        return None
    (text_width, text_height), baseline = cv2.getTextSize(text, FONT, font_scale(height), 1)
    chip_width, chip_height = text_width + 2 * _PADDING, text_height + baseline + _PADDING
    if chip_width > width or chip_height > height:
        return None
    x = min(x1, width - chip_width)
    places = [(x, y1 - chip_height), (x, y2 + 1)]
    if x2 - x1 >= chip_width and y2 - y1 >= 3 * chip_height:
        places.insert(1, (x1, y1))
    others = np.delete(corners, index, axis=0)
    others = others[box_areas(others) < box_areas(corners[index])]
    for place in places:
        chip = _Chip(*place, chip_width, chip_height)
        if chip.y < 0 or chip.y + chip.height > height or any(_overlap(chip, other) for other in taken):
            continue
        if not _hides_any(chip, others):
            return chip
    return None


def _overlap(a: _Chip, b: _Chip) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def _hides_any(chip: _Chip, corners: np.ndarray) -> bool:
    """Whether ``chip`` covers more than a third of one of the boxes ``corners`` (N, 4)."""
    across = np.minimum(corners[:, 2] + 1, chip.x + chip.width) - np.maximum(corners[:, 0], chip.x)
    down = np.minimum(corners[:, 3] + 1, chip.y + chip.height) - np.maximum(corners[:, 1], chip.y)
    return bool((3 * across.clip(0) * down.clip(0) > box_areas(corners)).any())


def _draw_chip(canvas: np.ndarray, chip: _Chip, box: Box) -> None:
    region = canvas[chip.y : chip.y + chip.height, chip.x : chip.x + chip.width]
    region[...] = box.color
    scale = font_scale(canvas.shape[0])
    baseline = cv2.getTextSize(box.text, FONT, scale, 1)[1]
    origin = (chip.x + _PADDING, chip.y + chip.height - baseline - 1)
    cv2.putText(canvas, box.text, origin, FONT, scale, text_color(box.color), 1, cv2.LINE_AA)
