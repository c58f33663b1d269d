"""Counting: what passes a line, in which direction, and what does not."""

from collections.abc import Sequence

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


def stand(passing: Passing, number: int, ys: Sequence[float], category: int = 2, x: float = 200) -> None:
    """An object of 50 pixels' height, which is clear of the line 5 pixels away from it."""
    for y in ys:
        assert passing.see(number, category, (x - 20, y - 50, x + 20, y)) == (x, y)


def counted(passing: Passing) -> tuple[dict[int, int], dict[int, int]]:
    return dict(passing.passed[1]), dict(passing.passed[-1])


def test_objects_are_counted_once_and_passings_each_time() -> None:
    passing = Passing(ACROSS)
    stand(passing, 7, (140, 150, 250, 260, 150, 140, 250, 260))
    # Lost meanwhile, and seen again on the other side.
    stand(passing, 8, (100, 150), 0)
    stand(passing, 8, (400, 450), 0)
    stand(passing, 9, (10,))
    assert dict(passing.objects) == {2: 2, 0: 1}
    assert counted(passing) == ({2: 2, 0: 1}, {2: 1})


@pytest.mark.parametrize(
    ("ys", "over", "back"),
    [
        # It trembles on the line, comes back, stays on it, and is beyond it in one frame only.
        ((180, 190, 199, 201, 198, 203, 197, 204, 190, 180), 0, 0),
        ((180, 190, 201, 204, 204.9, 204.9, 204.9), 0, 0),
        ((180, 190, 240), 0, 0),
        ((180, 190, 240, 190, 240, 190), 0, 0),
        # It trembles on its way to the other side.
        ((180, 190, 199, 201, 198, 203, 197, 204, 205, 206), 1, 0),
        ((220, 210, 203, 197, 201, 195, 194), 0, 1),
        # It is first seen on the line, and has not been on the other side of it.
        ((199, 201, 198, 203, 210, 220), 0, 0),
    ],
)
def test_what_trembles_on_the_line_passes_it_once_or_not_at_all(ys: tuple[float, ...], over: int, back: int) -> None:
    passing = Passing(ACROSS)
    stand(passing, 1, ys)
    assert (passing.passed[1][2], passing.passed[-1][2]) == (over, back)


def test_who_goes_round_the_end_of_the_line_has_not_passed_it() -> None:
    passing = Passing(ACROSS)
    stand(passing, 1, (150, 150))
    stand(passing, 1, (150, 250), x=350)
    stand(passing, 1, (250, 250))
    assert counted(passing) == ({}, {})
    # Back through it.
    stand(passing, 1, (150, 150))
    assert counted(passing) == ({}, {2: 1})


def test_without_a_line_nothing_passes() -> None:
    passing = Passing(None)
    passing.see(1, 0, (0, 0, 10, 10))
    passing.see(1, 0, (0, 400, 10, 410))
    assert dict(passing.objects) == {0: 1} and not any(passing.passed.values())
