"""Frames with numbers: tails of what was lost and comes back, and the counts in words."""

import numpy as np
import pytest

from bdd100k_d2.drawing.overlay import classes_of_task
from bdd100k_d2.predict import track_painter
from bdd100k_d2.predict.journal import FrameLine
from bdd100k_d2.predict.track_painter import NumberedObjects, TrackPainter
from bdd100k_d2.tasks import TASKS
from bdd100k_d2.tracking.passing import CountLine, Passing

IMAGE = np.zeros((96, 160, 3), np.uint8)


def a_painter(line: CountLine | None = None) -> TrackPainter:
    return TrackPainter(classes_of_task(TASKS["det"]), np.ones(10, bool), Passing(line), line, 0.3)


def draw(painter: TrackPainter, x: float | None) -> None:
    """A frame with a car that stands at ``x``, or without it."""
    boxes = [] if x is None else [(x - 5, 40.0, x + 5, 60.0)]
    line = FrameLine("a", size=(96, 160), corners=boxes, classes=[2] * len(boxes), scores=[0.9] * len(boxes))
    places = {} if x is None else {1: (x, 60.0)}
    painter.draw(NumberedObjects(line, np.ones(len(boxes), np.int64)), places, IMAGE)


@pytest.fixture
def tails(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """Of each tail that is drawn, where it goes from left to right."""
    drawn: list[list[float]] = []
    monkeypatch.setattr(track_painter, "draw_tail", lambda _, points, __: drawn.append([x for x, _ in points]))
    return drawn


def test_what_is_lost_for_a_while_comes_back_with_its_tail(tails: list[list[float]]) -> None:
    painter = a_painter()
    for x in (10.0, 12.0, None, 16.0, *[None] * 28, 74.0, *[None] * 30, 80.0):
        draw(painter, x)
    # The last 30 frames.
    assert tails == [[10], [10, 12], [10, 12, 16], [16, 74], [80]]


def test_a_tail_has_thirty_frames(tails: list[list[float]]) -> None:
    painter = a_painter()
    for x in range(40):
        draw(painter, x)
    assert [len(tail) for tail in tails] == [*range(1, 31), *[30] * 10]
    assert tails[-1] == [*range(10, 40)]


def test_the_counts_are_told_in_the_words_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    monkeypatch.setattr(track_painter, "draw_counts", lambda _, lines: texts.extend(lines))
    painter = a_painter(CountLine(0, 50, 160, 50))
    passing = painter._passing
    for y in (40, 40, 60, 60):
        passing.see(1, 2, (70, y - 20, 90, y))
    draw(painter, None)
    assert texts == ["car: 1", "car: 1 left to right, 0 right to left"]
