"""Instance scores by hand, and COCO's "segm" against pycocotools."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bdd100k_d2.data.bitmasks import CROWD, IGNORED, Bitmask
from bdd100k_d2.evaluation.metrics.coco_scores import METRICS
from bdd100k_d2.evaluation.metrics.instances import (
    FrameMasks,
    FrameMatches,
    bitmask_scores,
    match_instances,
    rle_scores,
)


def strips(*segments: tuple[int, int, int], width: int = 40, attributes: int = 0) -> Bitmask:
    """A bitmask 10 pixels high of (category, first column, last column, exclusive)."""
    instances = np.zeros((10, width), np.int32)
    for i, (_, start, end) in enumerate(segments):
        instances[:, start:end] = i + 1
    count = len(segments)
    return Bitmask(
        instances,
        np.arange(1, count + 1, dtype=np.int32),
        np.array([category for category, _, _ in segments], np.int32),
        np.full(count, attributes, np.uint8),
    )


def match(truth: Bitmask, predicted: Bitmask, scores: list[float] | None = None) -> FrameMatches:
    scores = np.array(scores if scores is not None else np.linspace(0.9, 0.1, len(predicted.ids)))
    return match_instances(truth, predicted, np.arange(len(predicted.ids)), scores, 2)


def ap(*frames: FrameMatches) -> list[float]:
    return bitmask_scores(frames, 2)["AP"].tolist()


def test_a_perfect_frame() -> None:
    truth = strips((1, 0, 10), (2, 20, 30))
    scores = bitmask_scores([match(truth, truth)], 2)
    assert list(scores) == list(METRICS)
    for metric in ("AP", "AP50", "AP75", "APs", "AR1", "AR10", "AR100", "ARs"):
        assert scores[metric] == pytest.approx([100, 100, 100])
    for metric in ("APm", "APl", "ARm", "ARl"):
        assert np.isnan(scores[metric]).all()


def test_an_iou_at_the_threshold_counts() -> None:
    # 7 of 10 columns: IoU 0.7 is enough for 0.5, 0.55, 0.6 and 0.65, and for 0.7 as NumPy rounds it.
    found = match(strips((1, 0, 10)), strips((1, 0, 7)))
    expected = np.linspace(0.5, 0.95, 10) <= 0.7
    np.testing.assert_array_equal(found.outcome[0, :, 0], np.where(expected, 1, 2))
    assert ap(found)[0] == pytest.approx(100 * expected.mean())


def test_another_class_is_wrong_and_an_unknown_one_not_counted() -> None:
    truth = strips((1, 0, 10), (0, 20, 30))
    found = match(truth, strips((2, 0, 10), (0, 20, 30)))
    assert found.category.tolist() == [1]
    assert found.positives[:, 0].tolist() == [1, 0]
    np.testing.assert_equal(ap(found), [0, np.nan, 0])


def test_a_prediction_takes_what_it_overlaps_most_of_what_is_left() -> None:
    # Both halves of a prediction are instances, each with an IoU of exactly 0.5.
    truth = strips((1, 0, 10), (1, 10, 20))
    found = match(truth, strips((1, 0, 20)))
    assert found.outcome[0, :, 0].tolist() == [1] + [2] * 9
    # Two predictions with an IoU of 0.5 with the same instance: the second finds it taken.
    found = match(strips((1, 0, 20)), strips((1, 0, 10), (1, 10, 20)))
    assert found.outcome[0, 0].tolist() == [1, 2]


def test_a_crowd_counts_and_can_be_found_many_times() -> None:
    halves = strips((1, 0, 10), (1, 10, 20))
    crowd = strips((1, 0, 20), attributes=CROWD)
    found = match(crowd, halves)
    assert found.outcome[0, 0].tolist() == [1, 1]
    assert found.positives[0].tolist() == [1, 1, 0, 0]
    assert ap(match(crowd, strips())) == pytest.approx([0, np.nan, 0], nan_ok=True)


def test_what_is_ignored_is_neither_found_nor_missed() -> None:
    truth = strips((1, 0, 10), attributes=IGNORED)
    assert ap(match(truth, strips((1, 0, 10)))) == pytest.approx([np.nan] * 3, nan_ok=True)
    # Beside an instance that counts, a prediction on what is ignored costs nothing, one on nothing does.
    beside = strips((1, 0, 10), (1, 20, 30))
    beside.attributes[0] = IGNORED
    on_both = match(beside, strips((1, 0, 10), (1, 20, 30)))
    assert on_both.outcome[0, 0].tolist() == [0, 1]
    assert ap(on_both)[0] == pytest.approx(100)
    on_nothing = match(beside, strips((1, 12, 18), (1, 20, 30)))
    assert on_nothing.outcome[0, 0].tolist() == [2, 1]
    assert ap(on_nothing)[0] == pytest.approx(50)


def test_areas_at_the_limits_belong_to_both_ranges() -> None:
    instances = np.zeros((100, 200), np.int32)
    instances[:32, :32], instances[:96, 50:146] = 1, 2
    truth = Bitmask(instances, np.array([1, 2]), np.array([1, 1]), np.zeros(2, np.uint8))
    found = match(truth, truth)
    assert found.positives[0].tolist() == [2, 1, 2, 1]
    assert found.outcome[:, 0].tolist() == [[1, 1], [1, 0], [1, 1], [0, 1]]


def test_a_frame_full_of_instances_and_one_without_any() -> None:
    # The toolkit fails on a bitmask without background, and on more than 100 instances of ground truth.
    full = strips(*((1, i, i + 1) for i in range(150)), width=150)
    found = match(full, full)
    assert found.positives[0, 0] == 150
    # Only 100 predictions of a class and a frame count: two thirds of the instances, all of them right.
    scores = bitmask_scores([found, match(strips(), strips())], 2)
    assert scores["AR100"][0] == pytest.approx(100 * 100 / 150)
    assert scores["AR10"][0] == pytest.approx(100 * 10 / 150)
    assert scores["AP"][0] == pytest.approx(100 * 67 / 101)


def test_equal_scores_count_in_the_order_of_the_frames() -> None:
    right = match(strips((1, 0, 10)), strips((1, 0, 10)), [0.5])
    wrong = match(strips((2, 0, 10)), strips((1, 0, 10)), [0.5])
    assert ap(right, wrong)[0] == pytest.approx(100)
    assert ap(wrong, right)[0] == pytest.approx(50)


def test_no_frames_have_no_scores() -> None:
    for scores in (bitmask_scores([], 2), rle_scores([], [], 2)):
        assert list(scores) == list(METRICS)
        assert all(np.isnan(values).all() and len(values) == 3 for values in scores.values())


def frame_masks(masks: list[np.ndarray], category: list[int], crowd: list[bool], score: list[float]) -> FrameMasks:
    encoded = [coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
    area = np.array([mask.sum() for mask in masks], np.int64)
    return FrameMasks(np.array(category, np.int64), encoded, area, np.array(crowd, bool), np.array(score, float))


def random_masks(seed: int) -> tuple[list[FrameMasks], list[FrameMasks]]:
    """Masks that overlap, crowds, ties, masks of no pixel, classes absent, and a frame of 120 predictions."""
    rng = np.random.default_rng(seed)

    def blob() -> np.ndarray:
        mask = np.zeros((110, 130), bool)
        (y, x), (h, w) = rng.integers(0, 110, 2), rng.choice([0, 3, 20, 32, 33, 96, 97], 2)
        mask[y : y + h, x : x + w] = True
        return mask & (rng.random(mask.shape) < rng.choice([0.8, 1]))

    truth, predicted = [], []
    for i in range(8):
        masks = [blob() for _ in range(rng.integers(0, 9))]
        category = rng.integers(0, 3, len(masks)).tolist()
        truth.append(frame_masks(masks, category, (rng.random(len(masks)) < 0.2).tolist(), [0.0] * len(masks)))
        found, classes = [], []
        for _ in range(120 if i == 3 else rng.integers(0, 12)):
            j = rng.integers(len(masks)) if masks and rng.random() < 0.7 else None
            found.append(blob() if j is None else np.roll(masks[j], rng.integers(-3, 4, 2), (0, 1)))
            classes.append(int(rng.integers(0, 4)) if j is None or rng.random() < 0.2 else category[j])
        scores = rng.integers(0, 9, len(found)) / 8
        predicted.append(frame_masks(found, classes, [False] * len(found), scores.tolist()))
    return truth, predicted


def pycocotools_scores(truth: list[FrameMasks], predicted: list[FrameMasks]) -> np.ndarray:
    def annotations(frames: list[FrameMasks]) -> list[dict]:
        return [
            {"image_id": i + 1, "category_id": int(frame.category[j]) + 1, "segmentation": frame.masks[j]}
            | {"area": float(frame.area[j]), "iscrowd": int(frame.crowd[j]), "score": float(frame.score[j])}
            for i, frame in enumerate(frames)
            for j in range(len(frame.masks))
        ]

    dataset = COCO()
    dataset.dataset = {
        "images": [{"id": i + 1, "height": 110, "width": 130} for i in range(len(truth))],
        "categories": [{"id": k + 1, "name": str(k)} for k in range(4)],
        "annotations": [annotation | {"id": i + 1} for i, annotation in enumerate(annotations(truth))],
    }
    dataset.createIndex()
    evaluation = COCOeval(dataset, dataset.loadRes(annotations(predicted)), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("seed", range(6))
def test_run_lengths_equal_pycocotools(seed: int) -> None:
    truth, predicted = random_masks(seed)
    scores = rle_scores(truth, predicted, 4)
    expected = 100 * pycocotools_scores(truth, predicted)
    expected[expected < 0] = np.nan
    np.testing.assert_allclose([scores[metric][-1] for metric in METRICS], expected, rtol=0, atol=1e-9)
    # A class that the ground truth does not have.
    assert all(np.isnan(values[3]) for values in scores.values())


def test_no_masks_predicted_are_zero_for_present_classes() -> None:
    crowd = frame_masks([np.ones((4, 5))], [1], [True], [0.0])
    nothing = frame_masks([], [], [], [])
    for values in rle_scores([crowd], [nothing], 3).values():
        np.testing.assert_array_equal(values, [np.nan, 0, np.nan, 0])
    for values in rle_scores([nothing], [crowd], 3).values():
        assert np.isnan(values).all()
