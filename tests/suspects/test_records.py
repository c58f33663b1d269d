"""What of several suspects is shown."""

import pytest

from bdd100k_d2.suspects.records import Corners, LabelChange, LabelPlace, Suspect, without_repeats

HERE, NEAR, AWAY = (0.0, 0.0, 9.0, 9.0), (0.0, 0.0, 9.0, 6.0), (50.0, 50.0, 59.0, 59.0)


def renamed(place: int, category: str, box: Corners = HERE) -> Suspect:
    return Suspect("class", 0.5, "", LabelChange("rename", "a", LabelPlace(place, "1", "car"), category), box)


def moved(place: int, box: Corners, category: str = "bus") -> Suspect:
    return Suspect("placement", 0.4, "", LabelChange("move", "a", LabelPlace(place, "1", category), box=box), AWAY)


def added(category: str, box: Corners = NEAR, frame: str = "a") -> Suspect:
    return Suspect("missing label", 0.3, "", LabelChange("add", frame, category=category, box=box))


def removed(place: int) -> Suspect:
    return Suspect("phantom", 0.2, "", LabelChange("remove", "a", LabelPlace(place, "1", "car")), HERE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (renamed(0, "bus"), added("bus")),
        (renamed(0, "bus"), added("truck")),
        (moved(0, HERE), added("bus")),
        (added("bus", HERE)._replace(score=0.9), added("truck")),
        (renamed(0, "bus"), moved(1, NEAR)),
        (renamed(0, "bus"), removed(0)),
    ],
)
def test_of_two_changes_for_one_object_the_likeliest_is_kept(one: Suspect, other: Suspect) -> None:
    assert without_repeats([other, one]) == [one]


@pytest.mark.parametrize(
    "several",
    [
        [renamed(0, "bus"), added("bus", AWAY)],
        [renamed(0, "bus"), added("bus", frame="b")],
        [renamed(0, "rider"), moved(1, NEAR, "bicycle")],
        [added("bus", HERE), removed(0)],
    ],
)
def test_changes_for_different_objects_are_kept(several: list[Suspect]) -> None:
    assert without_repeats(several) == several
