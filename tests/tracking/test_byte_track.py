"""The tracker: what gets which number, and that numbers follow from what is found alone."""

import time

import numpy as np
import pytest

from bdd100k_d2.tracking.byte_track import ByteTracker, TrackerSettings
from bdd100k_d2.tracking.motion import BoxMotion


def box(x: float, y: float = 100, width: float = 40, height: float = 60) -> list[float]:
    return [x, y, x + width, y + height]


def numbers(tracker: ByteTracker, *found: tuple[list[float], float, int]) -> list[int]:
    corners, scores, categories = zip(*found, strict=True) if found else ((), (), ())
    return tracker.update(np.array(corners), np.array(scores), np.array(categories)).tolist()


def test_objects_keep_their_numbers_while_they_cross() -> None:
    tracker = ByteTracker()
    for i in range(40):
        assert numbers(tracker, (box(10 * i), 0.9, 0), (box(400 - 10 * i, 108), 0.9, 0)) == [1, 2], i


def test_a_new_object_has_a_number_in_its_second_frame_and_false_ones_have_none() -> None:
    tracker = ByteTracker()
    assert numbers(tracker, (box(0), 0.9, 0)) == [1]
    assert numbers(tracker, (box(2), 0.9, 0), (box(500), 0.9, 0), (box(700), 0.65, 0)) == [1, 0, 0]
    assert numbers(tracker, (box(4), 0.9, 0), (box(503), 0.9, 0)) == [1, 2]
    # A false one, of one frame, takes no number.
    assert numbers(tracker, (box(6), 0.9, 0), (box(900), 0.9, 0)) == [1, 0]
    assert numbers(tracker, (box(8), 0.9, 0), (box(506), 0.9, 0), (box(1000), 0.9, 0)) == [1, 2, 0]
    assert numbers(tracker, (box(1001), 0.9, 0)) == [3]


def test_unsure_detections_go_on_with_objects_and_begin_none() -> None:
    tracker = ByteTracker()
    numbers(tracker, (box(0), 0.9, 0))
    assert numbers(tracker, (box(1), 0.2, 0), (box(300), 0.2, 0)) == [1, 0]
    assert numbers(tracker, (box(2), 0.2, 0), (box(300), 0.5, 0)) == [1, 0]
    assert numbers(tracker, (box(3), 0.05, 0)) == [0]


@pytest.mark.parametrize(("gap", "number"), [(5, 1), (30, 1), (31, 0)])
def test_a_lost_object_comes_back_where_it_would_be(gap: int, number: int) -> None:
    tracker = ByteTracker(TrackerSettings(patience=30))
    for i in range(15):
        assert numbers(tracker, (box(6 * i), 0.9, 0)) == [1]
    for _ in range(gap):
        assert numbers(tracker) == []
    assert numbers(tracker, (box(6 * (15 + gap)), 0.9, 0)) == [number]


def test_classes_are_kept_apart() -> None:
    tracker = ByteTracker()
    assert numbers(tracker, (box(0), 0.9, 2), (box(3), 0.9, 3)) == [1, 2]
    assert numbers(tracker, (box(3), 0.9, 3), (box(0), 0.9, 2)) == [2, 1]
    assert numbers(tracker, (box(0), 0.9, 4)) == [0]


def test_numbers_do_not_depend_on_the_order_in_a_frame_and_are_unique() -> None:
    rng = np.random.default_rng(0)
    place, step, kinds = rng.uniform(0, 900, (30, 2)), rng.normal(0, 4, (30, 2)), rng.integers(0, 3, 30)
    trackers = ByteTracker(), ByteTracker()
    for _ in range(30):
        place += step
        corners = np.concatenate([place, place + np.array([30, 40])], axis=1) + rng.normal(0, 1, (30, 4))
        scores, order = rng.uniform(0.05, 1, 30), rng.permutation(30)
        first = trackers[0].update(corners, scores, kinds)
        # Numbers are given in the order of detections, so they are compared as sets of one object.
        second = trackers[1].update(corners[order], scores[order], kinds[order])
        given = first[first > 0]
        assert len(set(given.tolist())) == len(given)
        assert ((first[order] > 0) == (second > 0)).all()


def test_motion_is_that_of_a_filter_of_eight_numbers() -> None:
    """Against the textbook: matrices of a Kalman filter of constant velocity, with ByteTrack's noise."""
    rng = np.random.default_rng(1)
    motion = BoxMotion()
    start = np.array([box(100, 50)])
    motion.add(start)
    mean = np.array([120.0, 80, 40, 60, 0, 0, 0, 0])
    size = np.array([40.0, 60, 40, 60])
    variance = np.diag([*(2 * size / 20) ** 2, *(10 * size / 160) ** 2])
    step, seen = np.eye(8) + np.eye(8, k=4), np.eye(4, 8)
    for _ in range(6):
        motion.predict(np.array([True]))
        mean = step @ mean
        size = np.array([mean[2], mean[3], mean[2], mean[3]])
        variance = step @ variance @ step.T + np.diag([*(size / 20) ** 2, *(size / 160) ** 2])
        found = start + rng.normal(0, 3, (1, 4)) + 4
        place = np.array([(found[0, 0] + found[0, 2]) / 2, (found[0, 1] + found[0, 3]) / 2])
        measured = np.array([*place, *(found[0, 2:] - found[0, :2])])
        gain = variance @ seen.T @ np.linalg.inv(seen @ variance @ seen.T + np.diag((size / 20) ** 2))
        mean, variance = mean + gain @ (measured - seen @ mean), (np.eye(8) - gain @ seen) @ variance
        motion.correct(np.array([0]), found)
        np.testing.assert_allclose(motion.place[0], mean[:4])
        np.testing.assert_allclose(motion.velocity[0], mean[4:])
        np.testing.assert_allclose(motion.variance[0, :, 0], np.diag(variance)[:4])
        np.testing.assert_allclose(motion.variance[0, :, 2], np.diag(variance)[4:])


def test_a_frame_of_a_hundred_objects_takes_less_than_two_milliseconds() -> None:
    rng = np.random.default_rng(0)
    place, step, kinds = rng.uniform(0, 1200, (100, 2)), rng.normal(0, 3, (100, 2)), rng.integers(0, 8, 100)
    tracker = ByteTracker()
    taken = []
    for _ in range(40):
        place += step
        corners = np.concatenate([place, place + np.array([40, 60])], axis=1) + rng.normal(0, 1, (100, 4))
        start = time.process_time()
        tracker.update(corners, rng.uniform(0.05, 1, 100), kinds)
        taken.append(time.process_time() - start)
    # The median: other work of the machine is not the tracker's.
    assert np.median(taken) < 0.002
