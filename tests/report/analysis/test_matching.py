"""All is held against hotcoco, which scores officially: average precision, recall, and TIDE's counts and costs."""

import numpy as np
import pytest
from hotcoco import COCO, COCOeval
from support.random_boxes import crowded_problem, random_problem

from bdd100k_d2.evaluation.metrics.detection import Detections, GroundTruth, detection_scores
from bdd100k_d2.report.analysis.counts import detection_confusion
from bdd100k_d2.report.analysis.detection_records import ERROR_TYPES, OUTCOMES
from bdd100k_d2.report.analysis.error_types import classify, error_costs
from bdd100k_d2.report.analysis.matching import match
from bdd100k_d2.report.analysis.precision import WeightedPrecision, precision_recall

PROBLEMS = [random_problem(seed) for seed in range(12)] + [crowded_problem(seed) for seed in range(3)]
SHAPES = [(12, 4)] * 12 + [(2, 1)] * 3


def evaluated(truth: GroundTruth, detections: Detections, num_frames: int, num_classes: int) -> COCOeval:
    dataset = COCO.from_arrays(
        images=[{"id": i + 1, "file_name": "", "height": 0, "width": 0} for i in range(num_frames)],
        categories=[{"id": k + 1, "name": str(k)} for k in range(num_classes)],
        image_ids=truth.frame + 1,
        category_ids=truth.category + 1,
        boxes=truth.box,
        area=truth.box[:, 2] * truth.box[:, 3],
        iscrowd=truth.crowd,
    )
    rows = np.column_stack([detections.frame + 1, detections.box, detections.score, detections.category + 1])
    evaluation = COCOeval(dataset, dataset.load_res(rows.astype(float)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


@pytest.mark.parametrize(("matched", "shape"), list(zip(PROBLEMS, SHAPES, strict=True)))
def test_frames_of_weight_one_give_the_official_scores(
    matched: tuple[GroundTruth, Detections], shape: tuple[int, int]
) -> None:
    precision, recall = WeightedPrecision(match(*matched, *shape))(np.ones(shape[0]))
    official = detection_scores(*matched, *shape)
    for metric, values in (
        ("AP", precision),
        ("AP50", precision[:, :1]),
        ("AP75", precision[:, 5:6]),
        ("AR100", recall),
    ):
        np.testing.assert_allclose(values.mean(axis=1), official[metric][:-1], rtol=0, atol=1e-11)
    assert np.nanmax(recall) > 20


def test_a_weight_is_a_number_of_copies() -> None:
    truth, detections = random_problem(5)
    # Copies of a frame have equal scores; without other ties their order does not matter.
    detections = detections._replace(score=np.random.default_rng(0).permutation(len(detections.score)) / 1e4)
    weights = np.array([2, 0, 1, 3, 1, 1, 0, 2, 1, 1, 4, 1])
    copies = np.repeat(np.arange(12), weights)

    def copied(columns: GroundTruth | Detections) -> GroundTruth | Detections:
        parts = [
            type(columns)(np.full((columns.frame == old).sum(), new), *(c[columns.frame == old] for c in columns[1:]))
            for new, old in enumerate(copies)
        ]
        return type(columns)(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    precision, recall = WeightedPrecision(match(truth, detections, 12, 4))(weights.astype(float))
    official = detection_scores(copied(truth), copied(detections), len(copies), 4)
    np.testing.assert_allclose(precision.mean(axis=1), official["AP"][:-1], rtol=0, atol=1e-11)
    np.testing.assert_allclose(recall.mean(axis=1), official["AR100"][:-1], rtol=0, atol=1e-11)


@pytest.mark.parametrize(("matched", "shape"), list(zip(PROBLEMS, SHAPES, strict=True)))
def test_error_types_and_costs_are_those_of_tide(
    matched: tuple[GroundTruth, Detections], shape: tuple[int, int]
) -> None:
    # Without crowds, which hotcoco takes for boxes here, and without equal scores, whose order it leaves open.
    truth, detections = matched[0]._replace(crowd=np.zeros(len(matched[0].crowd), bool)), matched[1]
    detections = detections._replace(score=np.random.default_rng(0).permutation(len(detections.score)) / 1e4)
    matches = match(truth, detections, *shape)
    outcomes = classify(matches)
    tide = evaluated(truth, detections, *shape).tide_errors()
    keys = ("Cls", "Loc", "Both", "Dupe", "Bkg")
    counts = np.bincount(outcomes.kind, minlength=len(OUTCOMES))
    assert {key: counts[i] for i, key in enumerate(keys)} == {key: tide["counts"][key] for key in keys}
    assert outcomes.missed(matches).sum() == tide["counts"]["Miss"]
    if (matches.positives() > np.bincount(matches.truth.category[outcomes.missed(matches)], minlength=shape[1])).all():
        costs = error_costs(matches, outcomes)[-1]
        expected = [100 * tide["delta_ap"][key] for key in (*keys, "Miss")]
        np.testing.assert_allclose(costs, expected, rtol=0, atol=1e-9, err_msg=str(ERROR_TYPES))


def test_a_class_that_is_wholly_missed_has_everything_to_gain() -> None:
    truth = GroundTruth(
        np.zeros(2, int), np.array([0, 1]), np.array([[0, 0, 9, 9], [50, 50, 9, 9.0]]), np.zeros(2, bool)
    )
    detections = Detections(np.zeros(1, int), np.array([0]), np.array([[0, 0, 9, 9.0]]), np.array([0.9]))
    matches = match(truth, detections, 1, 3)
    costs = error_costs(matches, classify(matches))
    assert costs[:2, -1].tolist() == [0, 100] and np.isnan(costs[2]).all() and costs[-1, -1] == 50


def test_a_box_of_negative_size_is_neither_found_nor_missed() -> None:
    box = np.array([[0, 0, -5, 9.0], [20, 20, 9, 9]])
    truth = GroundTruth(np.zeros(2, int), np.zeros(2, int), box, np.zeros(2, bool))
    detections = Detections(np.zeros(2, int), np.zeros(2, int), box[::-1], np.array([0.9, 0.8]))
    matches = match(truth, detections, 1, 1)
    assert matches.positives().tolist() == [1]
    precision, _ = WeightedPrecision(matches)(np.ones(1))
    assert precision.mean() == pytest.approx(detection_scores(truth, detections, 1, 1)["AP"][0]) == 100


def test_a_curve_says_what_is_left_at_each_score() -> None:
    truth, detections = random_problem(3)
    matches = match(truth, detections, 12, 4)
    for k in range(4):
        curve = precision_recall(matches, k, "a class", 0, 300)
        assert curve.ap == pytest.approx(detection_scores(truth, detections, 12, 4)["AP50"][k])
        mine = slice(*matches.bounds[k : k + 2])
        points = []
        for score in np.unique(matches.detections.score[mine][matches.counted[mine, 0]])[::-1]:
            kept = Detections(*(column[detections.score >= score] for column in detections))
            left = match(truth, kept, 12, 4)
            own = slice(*left.bounds[k : k + 2])
            right, counted = (left.found[own, 0] >= 0).sum(), left.counted[own, 0].sum()
            points.append((100 * right / left.positives()[k], 100 * right / counted))
        assert 5 < len(points) < 300
        np.testing.assert_allclose(np.column_stack([curve.recall, curve.precision]), points, rtol=1e-12)


def test_a_thinned_curve_keeps_its_ends_and_its_area() -> None:
    matches = match(*random_problem(1, num_classes=1), 12, 1)
    whole, thin = (precision_recall(matches, 0, "a class", 0, points) for points in (10_000, 10))
    assert len(thin.recall) <= 10 < len(whole.recall) and thin.ap == whole.ap
    for column in ("recall", "precision"):
        first, last = getattr(whole, column)[[0, -1]]
        assert getattr(thin, column)[[0, -1]].tolist() == [first, last]


def test_a_class_without_boxes_has_no_curve_and_no_score() -> None:
    truth, detections = random_problem(3)
    matches = match(truth, detections, 12, 5)
    assert precision_recall(matches, 4, "absent", 0, 300) is None
    assert np.isnan(WeightedPrecision(matches)(np.ones(12))[0][4]).all()


@pytest.mark.parametrize("seed", range(6))
def test_the_confusion_matrix_agrees_with_the_official_counts(seed: int) -> None:
    truth, detections = random_problem(seed)
    matches = match(truth, detections, 12, 4)
    threshold = 0.4
    matrix = detection_confusion(matches, threshold)
    confident = Detections(*(column[detections.score >= threshold] for column in detections))
    evaluation = evaluated(truth, confident, 12, 4)
    boxes = np.bincount(truth.category[~truth.crowd], minlength=4)
    recall = evaluation.eval["recall"][0, :, 0, 2]
    assert matrix[:4].sum(axis=1).tolist() == boxes.tolist()
    np.testing.assert_allclose(np.diag(matrix)[:4] / boxes, recall, rtol=0, atol=1e-12)
    # Of the detections that official matching counts, all are in the matrix once: right or wrong, by class.
    counted = np.zeros(4, int)
    for one in evaluation.eval_imgs:
        if one is not None and one["aRng"][0] == 0 and one["aRng"][1] > 1e9:
            counted[one["category_id"] - 1] += np.count_nonzero(~np.asarray(one["dtIgnore"], bool)[0])
    assert matrix[:, :4].sum(axis=0).tolist() == counted.tolist() and matrix[-1, -1] == 0
    assert matrix[:4, :4].sum() > np.trace(matrix) > 0
