"""How many objects of a video there are, and how many pass a line."""

from collections import Counter
from dataclasses import dataclass
from math import hypot
from typing import NamedTuple

Point = tuple[float, float]

# Boxes tremble: who is closer to the line than this share of the box's height is on neither side.
_CLEAR = 0.1
# So many frames in a row clear of the line on one side, and that is the side.
_FRAMES = 2


class CountLine(NamedTuple):
    """A line on the image, from its first point to its second, in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float

    def side(self, point: Point) -> float:
        """More than 0 to the right of who looks from the first point to the second, less to the left."""
        return (self.x2 - self.x1) * (point[1] - self.y1) - (self.y2 - self.y1) * (point[0] - self.x1)

    def clear_side(self, point: Point, least: float) -> int:
        """1 to the right and -1 to the left, 0 closer than ``least`` pixels to the line and what goes on from it."""
        distance = self.side(point) / hypot(self.x2 - self.x1, self.y2 - self.y1)
        return 0 if abs(distance) < least or not distance else 1 if distance > 0 else -1

    def passed(self, before: Point, after: Point) -> int:
        """1 if the way from ``before`` to ``after`` passes the line from its left to its right, -1 back, else 0.

        Who stands on the line is on its right.
        """
        was, now = self.side(before) >= 0, self.side(after) >= 0
        if was == now:
            return 0
        way = CountLine(*before, *after)
        ends = way.side((self.x1, self.y1)), way.side((self.x2, self.y2))
        if (ends[0] > 0 and ends[1] > 0) or (ends[0] < 0 and ends[1] < 0):
            return 0
        return 1 if now else -1


@dataclass
class _Place:
    """Where an object stands, and on which side of the line.

    ``side`` is that on which it was last clear of the line for long enough, 0 before there was one, and ``net`` how
    often it has passed the line since then, 1 and -1 added up. ``clear`` is the side on which it is clear of the line
    now, for ``frames`` frames in a row.
    """

    now: Point
    side: int = 0
    net: int = 0
    clear: int = 0
    frames: int = 0


class Passing:
    """Counts the objects of a video by class, and those that pass a ``line``, in each direction, every time they do.

    An object is where it stands: in the middle of the lower edge of its box. While it is lost it goes straight on. It
    has a side of the line once it is there in two frames in a row, a tenth of its box's height away from the line, and
    it has passed when that is the other side: a box that trembles on the line passes nothing.

    Attributes:
        objects: how many objects there were, by class index.
        passed: by direction, 1 and -1 as `CountLine.passed` has it, how many passed the line, by class index.
    """

    def __init__(self, line: CountLine | None) -> None:
        self.objects: Counter[int] = Counter()
        self.passed: dict[int, Counter[int]] = {1: Counter(), -1: Counter()}
        self._line = line
        self._places: dict[int, _Place] = {}

    def see(self, number: int, category: int, corners: tuple[float, float, float, float]) -> Point:
        """Takes in where an object is in the next frame; returns where it stands."""
        place = (corners[0] + corners[2]) / 2, corners[3]
        known = self._places.get(number)
        if known is None:
            self.objects[category] += 1
            known = self._places[number] = _Place(place)
        if self._line is not None and (way := self._way(self._line, known, place, corners[3] - corners[1])):
            self.passed[way][category] += 1
        known.now = place
        return place

    @staticmethod
    def _way(line: CountLine, known: _Place, place: Point, height: float) -> int:
        """1 or -1 if the object has passed the line by now, else 0; ``known`` gets what is to be known of it."""
        known.net += line.passed(known.now, place)
        clear = line.clear_side(place, _CLEAR * height)
        known.frames = known.frames + 1 if clear == known.clear else 1
        known.clear = clear
        if not clear or known.frames < _FRAMES:
            return 0
        # Past the end of the line it comes to the other side too.
        has_passed = known.side == -clear and known.net * clear > 0
        known.side, known.net = clear, 0
        return clear if has_passed else 0
