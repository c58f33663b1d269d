"""Counting: what passes a line, in which direction, and what does not."""

import pytest

from bdd100k_d2.tracking.passing import CountLine, Passing

# From left to right on the image; y grows downwards, so that its right is below.
ACROSS = CountLine(100, 200, 300, 200)


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [
        ((200, 150), (200, 250), 1),
        ((200, 250), (200, 150), -1),
        ((200, 150), (210, 190), 0),
        # Beside the line, and past its end.
        ((50, 150), (50, 250), 0),
        ((310, 150), (310, 250), 0),
        ((20, 150), (180, 250), 1),
        # Who stands on it is on its right.
        ((200, 150), (200, 200), 1),
        ((200, 200), (200, 250), 0),
        ((200, 200), (200, 150), -1),
        ((100, 150), (100, 250), 1),
    ],
)
def test_what_passes(before: tuple[float, float], after: tuple[float, float], passed: int) -> None:
    assert ACROSS.passed(before, after) == passed


def test_an_upright_line() -> None:
    assert CountLine(100, 0, 100, 300).passed((50, 100), (150, 100)) == -1
    assert CountLine(100, 300, 100, 0).passed((50, 100), (150, 100)) == 1


def test_objects_are_counted_once_and_passings_each_time() -> None:
    passing = Passing(ACROSS)
    for y in (150, 250, 150, 250):
        assert passing.see(7, 2, (180, y - 50, 220, y)) == (200, y)
    # Lost meanwhile, and seen again on the other side.
    passing.see(8, 0, (180, 100, 220, 150))
    passing.see(8, 0, (180, 400, 220, 450))
    passing.see(9, 2, (0, 0, 10, 10))
    assert dict(passing.objects) == {2: 2, 0: 1}
    assert dict(passing.passed[1]) == {2: 2, 0: 1} and dict(passing.passed[-1]) == {2: 1}


def test_without_a_line_nothing_passes() -> None:
    passing = Passing(None)
    passing.see(1, 0, (0, 0, 10, 10))
    passing.see(1, 0, (0, 400, 10, 410))
    assert dict(passing.objects) == {0: 1} and not any(passing.passed.values())
