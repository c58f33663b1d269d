"""Frames that were made by hand, with a known outcome of each detection."""

import numpy as np
import pytest

from bdd100k_d2.evaluation.metrics.detection import Detections, GroundTruth
from bdd100k_d2.report.analysis.counts import detection_confusion, size_histograms
from bdd100k_d2.report.analysis.detection_records import OUTCOMES
from bdd100k_d2.report.analysis.error_types import classify, count_errors
from bdd100k_d2.report.analysis.matching import Matches, match

CAR, BUS, BIKE = range(3)
NAMES = ("car", "bus", "bike")
BOX = (100, 100, 100, 100)


def shifted(x: float, box: tuple[float, ...] = BOX) -> tuple[float, ...]:
    """Moved to the right by ``x`` of its 100 pixels, which makes an IoU of (100 - x) / (100 + x)."""
    return (box[0] + x, *box[1:])


def matched(truth: list[tuple], detections: list[tuple]) -> Matches:
    """Boxes (frame, class, box[, crowd]) and detections (frame, class, box, score)."""
    columns = GroundTruth(
        np.array([row[0] for row in truth], np.int64),
        np.array([row[1] for row in truth], np.int64),
        np.array([row[2] for row in truth], float).reshape(-1, 4),
        np.array([len(row) > 3 for row in truth], bool),
    )
    found = Detections(
        np.array([row[0] for row in detections], np.int64),
        np.array([row[1] for row in detections], np.int64),
        np.array([row[2] for row in detections], float).reshape(-1, 4),
        np.array([row[3] for row in detections], float),
    )
    return match(columns, found, 2, len(NAMES))


ONE_CAR = [(0, CAR, BOX)]
CASES = {
    "right": (ONE_CAR, (CAR, shifted(10), 0.5), 0),
    "right at an IoU of exactly a half": ([(0, CAR, (0, 0, 100, 100))], (CAR, (0, 0, 100, 50), 0.5), 0),
    "localisation": (ONE_CAR, (CAR, shifted(50), 0.5), 0),
    "classification": (ONE_CAR, (BUS, shifted(10), 0.5), 0),
    "both": (ONE_CAR, (BUS, shifted(50), 0.5), 0),
    "duplicate": (ONE_CAR, (CAR, shifted(12), 0.3), 0),
    "background": (ONE_CAR, (CAR, shifted(95), 0.5), -1),
    "background in a frame without boxes": ([(1, CAR, BOX)], (CAR, BOX, 0.5), -1),
    "ignored on a crowd": ([(0, CAR, (0, 0, 500, 500), True)], (CAR, BOX, 0.5), 0),
    "background on a crowd of another class": ([(0, BUS, (0, 0, 500, 500), True)], (CAR, BOX, 0.5), -1),
    # Of two reasons the first counts.
    "localisation, though on a bus": ([(0, BUS, BOX), (0, CAR, shifted(50))], (CAR, BOX, 0.5), 1),
    "classification, though on a found car": ([(0, BUS, BOX), (0, CAR, BOX)], (CAR, shifted(12), 0.3), 0),
}


@pytest.mark.parametrize("name", CASES)
def test_each_outcome(name: str) -> None:
    truth, (category, box, score), about = CASES[name]
    others = [(0, CAR, BOX, 0.9)] if "duplicate" in name or "found car" in name else []
    matches = matched(truth, [*others, (0, category, box, score)])
    outcomes = classify(matches)
    mine = np.flatnonzero(matches.detections.score == score)[0]
    assert OUTCOMES[outcomes.kind[mine]] == name.replace(",", " ").split()[0]
    assert outcomes.truth[mine] == about
    assert (outcomes.iou[mine] > 0) == (about >= 0)


@pytest.fixture
def street() -> Matches:
    """Two frames with one error of each type at a score of 0.5 or more, and two below."""
    return matched(
        [
            (0, CAR, BOX),
            (0, BUS, (400, 100, 100, 100)),
            (0, BIKE, (600, 100, 30, 30)),
            (1, CAR, (0, 0, 20, 20)),
            (1, CAR, (900, 300, 100, 100)),
            (1, CAR, (300, 300, 300, 300), True),
        ],
        [
            (0, CAR, BOX, 0.95),
            (0, CAR, shifted(5), 0.9),  # duplicate
            (0, CAR, (400, 100, 100, 100), 0.85),  # classification: the bus
            (0, BIKE, (615, 100, 30, 30), 0.8),  # localisation
            (0, CAR, (620, 100, 30, 30), 0.75),  # both: the bike
            (1, BUS, (1100, 600, 50, 50), 0.7),  # background
            (1, CAR, (350, 350, 50, 50), 0.65),  # on the crowd
            (1, CAR, (900, 300, 100, 100), 0.4),  # right, but of a low score
            (1, BIKE, (500, 50, 50, 50), 0.3),  # background
        ],
    )


def test_errors_are_counted_by_class(street: Matches) -> None:
    everything, car, bus, bike = count_errors(street, classify(street), NAMES, 0.5)
    assert everything.counts == {
        "classification": 1,
        "localisation": 1,
        "both": 1,
        "duplicate": 1,
        "background": 1,
        "missed": 2,
    }
    assert (everything.right, car.right, bus.right, bike.right) == (1, 1, 0, 0)
    assert car.counts == {**dict.fromkeys(car.counts, 1), "localisation": 0, "background": 0, "missed": 2}
    assert bus.counts == {**dict.fromkeys(bus.counts, 0), "background": 1}
    assert bike.counts == {**dict.fromkeys(bike.counts, 0), "localisation": 1}
    assert car.name == "car" and everything.name == "all classes"


def test_a_lower_threshold_finds_more(street: Matches) -> None:
    everything, *_ = count_errors(street, classify(street), NAMES, 0.0)
    assert everything.right == 2 and everything.counts["missed"] == 1 and everything.counts["background"] == 2


def test_costs_are_what_mending_gains(street: Matches) -> None:
    _, car, bus, bike = count_errors(street, classify(street), NAMES, 0.5)
    # Of the bus nothing is found, and the car that lies on it would be it.
    assert bus.costs["classification"] == pytest.approx(100) and bus.costs["background"] == 0
    assert bike.costs["localisation"] == pytest.approx(100)
    # Two of three cars are found, the second after four wrong ones, one of which was put right: 2/3 recall.
    ap = (34 + 33 * 2 / 5) / 101
    assert car.costs["duplicate"] == pytest.approx(100 * (34 + 33 * 2 / 4) / 101 - 100 * ap)
    assert car.costs["missed"] == pytest.approx(100 * (51 + 50 * 2 / 5) / 101 - 100 * ap)


def test_what_is_found_and_what_is_blamed(street: Matches) -> None:
    outcomes = classify(street)
    assert np.array_equal(outcomes.found_score, [0.95, np.nan, np.nan, np.nan, 0.4, np.nan], equal_nan=True)
    assert np.array_equal(outcomes.blamed_score, [np.nan, 0.85, 0.8, np.nan, np.nan, np.nan], equal_nan=True)
    assert outcomes.missed(street).tolist() == [False, False, False, True, False, False]
    assert outcomes.missed(street, 0.82).tolist() == [False, False, True, True, True, False]


def test_the_confusion_matrix(street: Matches) -> None:
    assert detection_confusion(street, 0.5).tolist() == [
        [1, 0, 0, 2],
        [1, 0, 0, 0],
        [0, 0, 0, 1],
        [2, 1, 1, 0],
    ]


def test_a_box_is_mistaken_by_the_highest_score_of_any_class() -> None:
    matches = matched([(0, CAR, BOX)], [(0, BUS, shifted(3), 0.6), (0, BIKE, shifted(9), 0.8)])
    matrix = detection_confusion(matches, 0.5)
    assert matrix[CAR].tolist() == [0, 0, 1, 0] and matrix[-1].tolist() == [0, 1, 0, 0]


def test_sizes_of_found_and_missed_boxes(street: Matches) -> None:
    everything, car, *_ = size_histograms(street, classify(street), NAMES, 0.5)
    assert {32.0, 96.0} <= set(everything.edges.tolist())
    np.testing.assert_allclose(everything.edges[1:] / everything.edges[:-1], 3**0.25)
    assert (everything.found.sum(), everything.missed.sum()) == (1, 4)
    place = np.searchsorted(everything.edges, 100, "right") - 1
    assert (everything.found[place], everything.missed[place]) == (1, 2)
    assert (car.found[place], car.missed[place]) == (1, 1)
    assert (everything.found[0], everything.missed[0]) == (0, 1)
    assert everything.edges[0] <= 20 < everything.edges[1]


def test_a_box_on_an_edge_begins_a_bin() -> None:
    matches = matched([(0, CAR, (0, 0, 96, 96)), (0, CAR, (0, 0, 32, 32))], [])
    histogram, *_ = size_histograms(matches, classify(matches), NAMES, 0.5)
    edges = histogram.edges[:-1]
    assert edges[histogram.missed > 0].tolist() == [32.0, 96.0]


def test_a_split_without_boxes_or_detections() -> None:
    matches = matched([], [])
    outcomes = classify(matches)
    errors = count_errors(matches, outcomes, NAMES, 0.5)
    assert set(errors[0].counts.values()) == {0} and all(np.isnan(cost) for cost in errors[0].costs.values())
    assert not detection_confusion(matches, 0.5).any()
    everything, *_ = size_histograms(matches, outcomes, NAMES, 0.5)
    assert not everything.found.any() and not everything.missed.any()
