"""What is drawn of a video beside boxes: where objects came from, a line, and what was counted."""

from collections.abc import Sequence

import cv2
import numpy as np

from .draw import FONT, Color, check_image, font_scale, text_color

_LINE_COLOR: Color = (255, 255, 255)
_TEXT_BACKGROUND: Color = (24, 24, 24)
_PADDING = 6


def draw_tail(image: np.ndarray, points: Sequence[tuple[float, float]], color: Color) -> None:
    """Draws the way of an object onto ``image``, thin where it was long ago."""
    check_image(image)
    corners = np.array(points, np.float64).round().astype(np.int32)
    scale = max(1, round(image.shape[0] / 720))
    for i in range(1, len(corners)):
        width = scale * (1 if 3 * i < len(corners) else 2 if 3 * i < 2 * len(corners) else 3)
        cv2.line(image, corners[i - 1].tolist(), corners[i].tolist(), color, width, cv2.LINE_AA)


def draw_line(image: np.ndarray, line: Sequence[float]) -> None:
    """Draws a line onto ``image``, from x1, y1 to x2, y2, with a dark border."""
    check_image(image)
    x1, y1, x2, y2 = (round(value) for value in line)
    scale = max(1, round(image.shape[0] / 720))
    for color, width in ((_TEXT_BACKGROUND, 5 * scale), (_LINE_COLOR, 2 * scale)):
        cv2.line(image, (x1, y1), (x2, y2), color, width, cv2.LINE_AA)


def draw_counts(image: np.ndarray, lines: Sequence[str]) -> None:
    """Writes lines of text onto ``image``, into its upper left corner on a dark ground."""
    check_image(image)
    if not lines:
        return
    scale = font_scale(image.shape[0])
    sizes = [cv2.getTextSize(line, FONT, scale, 1)[0] for line in lines]
    step = max(height for _, height in sizes) + _PADDING
    image[: step * len(lines) + _PADDING, : max(width for width, _ in sizes) + 2 * _PADDING] = _TEXT_BACKGROUND
    for i, line in enumerate(lines):
        origin = (_PADDING, (i + 1) * step)
        cv2.putText(image, line, origin, FONT, scale, text_color(_TEXT_BACKGROUND), 1, cv2.LINE_AA)
