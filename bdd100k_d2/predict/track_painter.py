"""Frames of a video with the numbers of their objects."""

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..drawing.draw import Box, draw_boxes
from ..drawing.legend import add_legend
from ..drawing.overlay import IGNORED_COLOR, Classes
from ..drawing.tails import draw_counts, draw_line, draw_tail
from ..tracking.byte_track import TrackerSettings
from ..tracking.passing import CountLine, Passing, Point
from .journal import FrameLine

# Of a tail, in frames: as many as the tracker waits for an object, so that one that comes back has a tail.
_TAIL = TrackerSettings().patience


class NumberedObjects(NamedTuple):
    """A frame's objects; ``numbers`` (N,) int64 are 0 for those that have none."""

    line: FrameLine
    numbers: np.ndarray


class TrackPainter:
    """Draws the frames of a video, one after the other: boxes with numbers, tails and what was counted.

    Of classes that are followed what has no number is left out; others are drawn from a score on.
    """

    def __init__(
        self, classes: Classes, followed: np.ndarray, passing: Passing, line: CountLine | None, drawn_from: float
    ) -> None:
        self._classes, self._followed, self._passing = classes, followed, passing
        self._line, self._drawn_from = line, drawn_from
        # By number where the object was, and in which frame.
        self._tails: defaultdict[int, deque[tuple[int, Point]]] = defaultdict(deque)
        self._frame = 0

    def draw(self, objects: NumberedObjects, places: Mapping[int, Point], image: np.ndarray) -> np.ndarray:
        """(H + h, W, 3) uint8, RGB: the image with its objects, and a legend under it."""
        line = objects.line
        self._go_on(places)
        image = np.ascontiguousarray(image).copy()
        names, colors = self._classes
        boxes: list[Box] = []
        present: set[int] = set()
        for number, k, score, corners in zip(
            objects.numbers.tolist(), line.classes or (), line.scores or (), line.corners or (), strict=True
        ):
            color = colors[k] or IGNORED_COLOR
            if number:
                draw_tail(image, [place for _, place in self._tails[number]], color)
            elif self._followed[k] or score < self._drawn_from:
                continue
            text = f"{names[k]} {number}" if number else f"{names[k]} {score:.2f}"
            boxes.append(Box(corners, color, text, score))
            present.add(k)
        image = draw_boxes(image, boxes)
        if self._line is not None:
            draw_line(image, self._line)
        draw_counts(image, self._texts())
        return add_legend(image, self._classes, present)

    def _go_on(self, places: Mapping[int, Point]) -> None:
        """Takes the places of the next frame into the tails, and those of long ago out of them."""
        self._frame += 1
        for number, place in places.items():
            self._tails[number].append((self._frame, place))
        for number, tail in list(self._tails.items()):
            while tail and tail[0][0] <= self._frame - _TAIL:
                tail.popleft()
            if not tail:
                del self._tails[number]

    def _texts(self) -> list[str]:
        passing, names = self._passing, self._classes.names
        texts = [f"{names[k]}: {count}" for k, count in sorted(passing.objects.items())]
        if self._line is not None:
            passed = sorted(passing.passed[1].keys() | passing.passed[-1].keys())
            texts += [
                f"{names[k]}: {passing.passed[1][k]} left to right, {passing.passed[-1][k]} right to left"
                for k in passed
            ]
        return texts
