"""A strip under an image that says which colour is which class."""

from collections.abc import Collection
from functools import lru_cache

import cv2
import numpy as np

from .draw import FONT, Color, check_image, font_scale
from .overlay import Classes, edge_color

_BACKGROUND = 24
_TEXT, _TEXT_OF_ABSENT = 235, 120
# In pixels on an image of 720 lines.
_ROW, _SWATCH, _GAP, _MARGIN, _LINE = 24, 12, 16, 8, 1


def add_legend(image: np.ndarray, classes: Classes, present: Collection[int]) -> np.ndarray:
    """Puts the legend of ``classes`` under an image, (H + h, W, 3) uint8; h is even, and one for all frames of a video.

    Classes that are not painted are left out, and those whose ids are not in ``present`` are dimmed.
    """
    check_image(image)
    there = frozenset(k for k in present if 0 <= k < len(classes.names))
    return cv2.vconcat([image, _strip(classes, there, *image.shape[:2])])


@lru_cache(maxsize=64)
def _strip(classes: Classes, present: frozenset[int], height: int, width: int) -> np.ndarray:
    scale = font_scale(height)
    sizes = (_ROW, _SWATCH, _GAP, _MARGIN, _LINE)
    row, swatch, gap, margin, line = (round(size * max(1.0, height / 720)) for size in sizes)
    row += row % 2
    shown = [(k, name, color) for k, (name, color) in enumerate(zip(*classes, strict=True)) if color is not None]
    places, x, number = [], margin, 0
    for _, name, _ in shown:
        needed = swatch + margin + cv2.getTextSize(name, FONT, scale, 1)[0][0]
        if x > margin and x + needed + margin > width:
            x, number = margin, number + 1
        places.append((x, number))
        x += needed + gap
    strip = np.full(((number + 1) * row, width, 3), _BACKGROUND, np.uint8)
    text_height = cv2.getTextSize("x", FONT, scale, 1)[0][1]
    for (k, name, color), (x, number) in zip(shown, places, strict=True):
        top, here = number * row, k in present
        start = top + (row - swatch) // 2
        # Of dark colours the border is what stands out from the background.
        border, fill = (edge_color(color), color) if here else (_dimmed(edge_color(color)), _dimmed(color))
        strip[start : start + swatch, x : x + swatch] = border
        strip[start + line : start + swatch - line, x + line : x + swatch - line] = fill
        origin = (x + swatch + margin // 2, top + (row + text_height) // 2 - line)
        text = _TEXT if here else _TEXT_OF_ABSENT
        cv2.putText(strip, name, origin, FONT, scale, (text, text, text), 1, cv2.LINE_AA)
    return strip


def _dimmed(color: Color) -> Color:
    red, green, blue = ((value + 2 * _BACKGROUND) // 3 for value in color)
    return red, green, blue
