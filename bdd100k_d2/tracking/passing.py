"""How many objects of a video there are, and how many pass a line."""

from collections import Counter
from typing import NamedTuple

Point = tuple[float, float]


class CountLine(NamedTuple):
    """A line on the image, from its first point to its second, in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float

    def side(self, point: Point) -> float:
        """More than 0 to the right of who looks from the first point to the second, less to the left."""
        return (self.x2 - self.x1) * (point[1] - self.y1) - (self.y2 - self.y1) * (point[0] - self.x1)

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


class Passing:
    """Counts the objects of a video by class, and those that pass a ``line``, in each direction, every time they do.

    An object is where it stands: in the middle of the lower edge of its box. While it is lost it goes straight on.

    Attributes:
        objects: how many objects there were, by class index.
        passed: by direction, 1 and -1 as `CountLine.passed` has it, how many passed the line, by class index.
    """

    def __init__(self, line: CountLine | None) -> None:
        self.objects: Counter[int] = Counter()
        self.passed: dict[int, Counter[int]] = {1: Counter(), -1: Counter()}
        self._line = line
        self._places: dict[int, Point] = {}

    def see(self, number: int, category: int, corners: tuple[float, float, float, float]) -> Point:
        """Takes in where an object is in the next frame; returns where it stands."""
        place = (corners[0] + corners[2]) / 2, corners[3]
        before = self._places.get(number)
        if before is None:
            self.objects[category] += 1
        elif self._line is not None and (way := self._line.passed(before, place)):
            self.passed[way][category] += 1
        self._places[number] = place
        return place
