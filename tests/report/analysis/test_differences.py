"""Two runs compared: the verdicts, the frames that a verdict needs, and that 95 % intervals are 95 % intervals."""

import math

import numpy as np
import pytest
from support.random_boxes import random_problem

from bdd100k_d2.data.labels import FrameAttributes
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.boxes import LabelFlags
from bdd100k_d2.evaluation.files.detection import MatchedBoxes
from bdd100k_d2.evaluation.files.segmentation import MatchedMasks
from bdd100k_d2.report.analysis.coco_outcomes import CocoOutcomes
from bdd100k_d2.report.analysis.differences import (
    BETTER,
    EQUAL,
    NOISE,
    UNKNOWN,
    WORSE,
    Difference,
    compare_frames,
    compare_weighted,
)
from bdd100k_d2.report.analysis.paired_interval import paired_ends, student_quantile
from bdd100k_d2.report.analysis.weighted import WeightedCoco, WeightedMasks
from bdd100k_d2.tasks import TASKS

DRIVABLE = TASKS["drivable"]
TWO = TASKS["det"].with_names(["often", "seldom"])


def masks(rng: np.random.Generator, quality: float, num_frames: int, frames: np.random.Generator) -> WeightedMasks:
    """Runs of one ``frames`` share their classes and how hard each is; ``rng`` is a run's own luck."""
    pixels = frames.integers(100, 900, (num_frames, 3))
    pixels[:, 1] *= frames.random(num_frames) < 0.5
    hard = frames.normal(0, 0.8, num_frames)
    right = 1 / (1 + np.exp(-(quality - hard[:, None] + rng.normal(0, 0.5, (num_frames, 3)))))
    matrices = np.zeros((num_frames, 3, 4))
    for k in range(3):
        found = np.round(pixels[:, k] * right[:, k])
        matrices[:, k, k] = found
        matrices[:, k, (k + 1) % 3] += pixels[:, k] - found
    return WeightedMasks(DRIVABLE, matrices)


def boxes(rng: np.random.Generator, quality: float, num_frames: int, frames: np.random.Generator) -> WeightedCoco:
    """Detections of a frequent class and of one that is in a tenth of the frames, some of them on nothing."""
    counts = np.column_stack([frames.poisson(3, num_frames), frames.random(num_frames) < 0.1]).astype(int)
    hard = frames.normal(0, 0.7, num_frames)
    columns = []
    for k in range(2):
        frame = np.repeat(np.arange(num_frames), counts[:, k])
        worth = quality - hard[frame] + rng.normal(0, 1, len(frame))
        wrong = np.repeat(np.arange(num_frames), rng.poisson(0.8 / (1 + 4 * k), num_frames))
        columns.append(
            (
                np.concatenate([frame, wrong]),
                np.full(len(frame) + len(wrong), k),
                np.concatenate([worth + rng.normal(0, 1, len(frame)), rng.normal(-1, 1, len(wrong))]),
                np.concatenate([np.clip(np.floor(5 + 3 * worth), 0, 10), np.zeros(len(wrong))]),
            )
        )
    frame, category, score, found = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    order = np.lexsort((frame, -score, category))
    outcome = np.where(np.arange(10)[:, None] < found[order], 1, 2).astype(np.uint8)
    positives = np.zeros((num_frames, 2, 4), np.int64)
    positives[..., 0] = counts
    outcomes = CocoOutcomes(
        frame[order],
        category[order],
        np.zeros(len(order), np.int64),
        np.stack([outcome, *[np.zeros_like(outcome)] * 3]),
        positives,
        None,
    )
    return WeightedCoco(TWO, outcomes, [0])


def coverage(make: object, keys: list[tuple[str, str]], problems: int, num_frames: int, rounds: int) -> np.ndarray:
    """Of so many problems, the share whose intervals hold the difference that very many frames show."""

    def pair(seed: int, frames: int) -> list[object]:
        qualities = enumerate((0.9, 0.7))
        return [
            make(np.random.default_rng([seed, side]), quality, frames, np.random.default_rng([seed, 2]))
            for side, quality in qualities
        ]

    (truth,) = compare_weighted(*pair(10**6, 60_000), rounds=0)
    true = np.array([truth.flat()[key].value for key in keys])
    held = np.zeros(len(keys))
    for seed in range(problems):
        (part,) = compare_weighted(*pair(seed, num_frames), rounds=rounds, seed=seed)
        found = [part.flat()[key] for key in keys]
        held += [one.low <= value <= one.high for one, value in zip(found, true, strict=True)]
    return held / problems


def test_intervals_of_masks_hold_the_true_difference() -> None:
    held = coverage(masks, [("mIoU", ""), ("pAcc", ""), ("IoU", "alternative")], 120, 60, 60)
    # Three standard errors of a share of 120 below 95 %.
    assert (held > 0.89).all() and held.mean() < 0.99, held


@pytest.mark.slow
def test_intervals_of_boxes_hold_the_true_difference() -> None:
    held = coverage(boxes, [("AP", ""), ("AP50", ""), ("AP", "often"), ("AP", "seldom"), ("AR100", "")], 150, 200, 100)
    # Three standard errors of a share of 150 below 95 %.
    assert (held > 0.896).all() and held.mean() < 0.99, held


def test_a_pair_has_a_narrower_interval_than_two_runs_apart() -> None:
    """What is hard for both runs does not count."""
    run = masks(np.random.default_rng(0), 1, 100, np.random.default_rng(9))
    baseline = masks(np.random.default_rng(1), 0.8, 100, np.random.default_rng(9))
    other = masks(np.random.default_rng(2), 0.8, 100, np.random.default_rng(10))
    widths = [
        (lambda one: one.high - one.low)(compare_weighted(run, against, rounds=200)[0].overall["mIoU"])
        for against in (baseline, other)
    ]
    assert widths[0] < 0.6 * widths[1]


def test_a_run_is_equal_to_itself() -> None:
    run = masks(np.random.default_rng(0), 1, 40, np.random.default_rng(1))
    (part,) = compare_weighted(run, run, rounds=50)
    assert {one.verdict for one in part.flat().values()} == {EQUAL}


def test_verdicts() -> None:
    assert Difference(5, 3, 1, 3).verdict == BETTER
    assert Difference(3, 5, -3, -1).verdict == WORSE
    assert Difference(5, 3, -1, 5).verdict == NOISE
    assert Difference(5, 5, 0, 0).verdict == EQUAL
    assert Difference(5, 3, math.nan, math.nan).verdict == UNKNOWN
    assert Difference(math.nan, 3, 0, 1).verdict == UNKNOWN


def test_the_interval_is_students_of_the_frames_that_have_the_class() -> None:
    drawn = np.random.default_rng(0).normal(2, 0.5, (4000, 2))
    spread = drawn.std(axis=0, ddof=1)
    ends = paired_ends(np.array([2.0, 2.0]), drawn, np.array([1001, 11]), [np.zeros(0, int)] * 2)
    # Student's 97.5 % quantiles at 1000 and 10 degrees of freedom.
    assert ends[1] - 2 == pytest.approx([1.9623 * spread[0] * 1.0005, 2.2281 * spread[1] * 1.1**0.5], rel=1e-3)
    assert ends.sum(axis=0) == pytest.approx([4.0, 4.0])


def test_a_mean_has_the_freedom_of_welch_and_no_less_than_four() -> None:
    drawn = np.random.default_rng(0).normal(0, 1, (4000, 3)) * [5, 1, 1]
    drawn[:, 0] = drawn[:, 1:].mean(axis=1)
    of = [np.array([1, 2]), np.zeros(0, int), np.zeros(0, int)]
    for frames, quantile in (([1000, 20, 20], 2.0244), ([1000, 2, 900], 2.7764)):
        ends = paired_ends(np.zeros(3), drawn, np.array(frames), of)
        assert ends[1, 0] == pytest.approx(quantile * drawn[:, 0].std(ddof=1), rel=0.02)
        assert np.isnan(ends[0, 1]) == (frames[1] < 10)


@pytest.mark.parametrize(
    ("frames", "values", "is_known"),
    [
        ((40, 40, 40, 40), (1, 1, 1, 1), True),
        # All of its classes are unknown, most of them are, half of them are.
        ((9, 9, 9, 9), (1, 1, 1, 1), False),
        ((40, 9, 9, 9), (30, 1, 1, 1), False),
        ((40, 40, 9, 9), (1, 1, 1, 1), True),
        # One alone makes all of the difference, or just half of it.
        ((40, 40, 40, 2), (1, -1, 1, 9), False),
        ((40, 40, 40, 2), (3, -3, 3, 9), True),
        # A class without a score is no part of the mean.
        ((40, 9, 0, 0), (3, 1, math.nan, math.nan), True),
        ((40, 9, 9, 0), (3, 1, 1, math.nan), False),
    ],
)
def test_a_mean_that_classes_of_few_frames_carry_is_unknown(
    frames: tuple[int, ...], values: tuple[float, ...], is_known: bool
) -> None:
    classes = np.array(values, float)
    values = np.array([np.nanmean(classes), *classes])
    drawn = values + np.random.default_rng(0).normal(0, 0.01, (50, 5))
    of = [np.arange(1, 5), *[np.zeros(0, int)] * 4]
    ends = paired_ends(values, drawn, np.array([40, *frames]), of)
    assert (Difference(values[0], 0, *ends[:, 0]).verdict != UNKNOWN) == is_known


def test_students_quantiles() -> None:
    expected = {4: 2.7764, 5: 2.5706, 9: 2.2622, 30: 2.0423, 1e9: 1.95996}
    assert student_quantile(np.array([*expected])) == pytest.approx([*expected.values()], abs=0.005)


def test_a_class_in_few_frames_has_no_verdict() -> None:
    """All draws of a class in a single frame are alike, which would make any difference certain."""
    matrices = np.zeros((30, 3, 4), np.int64)
    matrices[:, 0, 0] = matrices[:, 2, 2] = 100
    matrices[3, 1, 1], matrices[3, 1, 0] = 50, 50
    better = matrices.copy()
    better[3, 1, 1], better[3, 1, 0] = 60, 40
    (part,) = compare_weighted(WeightedMasks(DRIVABLE, better), WeightedMasks(DRIVABLE, matrices), rounds=100)
    one = part.classes["IoU"]["alternative"]
    assert one.value == pytest.approx(10) and one.verdict == UNKNOWN


def problem(seed: int) -> MatchedBoxes:
    truth, detections = random_problem(seed, num_frames=40)
    flags = LabelFlags(*(np.zeros(len(truth.frame), np.int8) for _ in range(3)))
    return MatchedBoxes([f"{i:02d}.jpg" for i in range(40)], truth, flags, detections)


def test_parts_are_the_official_scores_of_their_frames() -> None:
    run, baseline = problem(3), problem(4)
    weather = ["rainy" if i < 15 else None for i in range(40)]
    attributes = {name: FrameAttributes(weather=one) for name, one in zip(run.names, weather, strict=True)}
    compared = compare_frames(TASKS["det"], run, baseline, attributes, rounds=3)
    titles = [(part.attribute, part.value, part.num_frames) for part in compared.parts]
    assert titles == [("all frames", "", 40), ("weather", "rainy", 15), ("weather", "unlabelled", 25)]
    for part, chosen in zip(compared.parts, [None, np.arange(40) < 15, np.arange(40) >= 15], strict=True):
        for matched, values in ((run, "run"), (baseline, "baseline")):
            official = matched.toolkit_scores(chosen)
            for (metric, name), difference in part.flat().items():
                value = official[metric][0][name] if name else official[metric][1]["OVERALL"]
                assert getattr(difference, values) == pytest.approx(value, abs=1e-9, rel=0, nan_ok=True)
    assert {len(part.overall) for part in compared.parts} == {12, 6}


def test_the_seed_decides_and_not_the_number_of_threads() -> None:
    run, baseline = problem(3), problem(4)
    one, two = (compare_frames(TASKS["det"], run, baseline, {}, 8, workers).parts[0].flat() for workers in (1, 3))
    np.testing.assert_array_equal([*one.values()], [*two.values()])


def test_runs_on_other_frames_are_refused() -> None:
    matrices = np.ones((2, 3, 4), np.int64)
    run, other = (MatchedMasks(DRIVABLE, names, matrices) for names in (["a", "b"], ["a", "c"]))
    with pytest.raises(DataError, match="score both against the same ground truth"):
        compare_frames(DRIVABLE, run, other, {})
