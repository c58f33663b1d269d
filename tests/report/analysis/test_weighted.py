"""Frames with weights have the official scores: with a weight of 1, and with each frame as often as its weight."""

import math

import numpy as np
import pytest
from oracles.make_oracles import CASES, FOLDER
from support.random_boxes import crowded_problem, random_problem

from bdd100k_d2.evaluation.boxes import LabelFlags
from bdd100k_d2.evaluation.files.detection import MatchedBoxes
from bdd100k_d2.evaluation.files.evaluate import OPENERS, BesidePredictions
from bdd100k_d2.evaluation.files.matched_frames import CountedFrames, MatchedFrames
from bdd100k_d2.evaluation.files.segmentation import MatchedMasks
from bdd100k_d2.evaluation.metrics.detection import Detections, GroundTruth
from bdd100k_d2.evaluation.metrics.instances import FrameMasks, FrameMatches
from bdd100k_d2.evaluation.metrics.panoptic import PanopticCounts
from bdd100k_d2.evaluation.toolkit_format import ToolkitScores, read_toolkit_scores
from bdd100k_d2.report.analysis.weighted import weighted_frames
from bdd100k_d2.tasks import TASKS, Task

# Tracking is not compared by a bootstrap.
OF_TASKS = [name for name, case in CASES.items() if case.task in TASKS]


def opened(name: str) -> tuple[Task, MatchedFrames]:
    case = CASES[name]
    beside = BesidePredictions(FOLDER / case.score_file if case.score_file else None)
    task = TASKS[case.task]
    return task, OPENERS[case.task](task, FOLDER / case.truth, FOLDER / case.predicted, beside, 1)[0]


def repeated(matched: MatchedFrames, weights: np.ndarray) -> MatchedFrames:
    """The same frames, each as often as its weight says, as frames of their own."""
    places = np.repeat(np.arange(len(weights)), weights)
    names = [str(i) for i in range(len(places))]
    if isinstance(matched, MatchedMasks):
        return MatchedMasks(matched.task, names, matched.matrices[places])
    if isinstance(matched, CountedFrames):
        return CountedFrames(names, [matched.counted[i] for i in places], matched.score)

    def copies(columns: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        parts = [[column[columns[0] == i] for column in columns] for i in places]
        numbers = [np.full(len(part[0]), i) for i, part in enumerate(parts)]
        return [np.concatenate(numbers), *map(np.concatenate, list(zip(*parts, strict=True))[1:])]

    truth, detections = GroundTruth(*copies(matched.truth)), Detections(*copies(matched.detections))
    return MatchedBoxes(names, truth, matched.flags, detections, matched.task)


def boxes(problem: tuple[GroundTruth, Detections], num_frames: int) -> MatchedBoxes:
    flags = LabelFlags(*(np.zeros(len(problem[0].frame), np.int8) for _ in range(3)))
    return MatchedBoxes([str(i) for i in range(num_frames)], problem[0], flags, problem[1])


def without_ties(matched: MatchedFrames) -> MatchedFrames:
    """The same with all scores of a frame different: of equal ones in a frame, copies of it come in another order."""
    if isinstance(matched, CountedFrames):
        return CountedFrames(matched.names, [untied(one) for one in matched.counted], matched.score)
    if not isinstance(matched, MatchedBoxes):
        return matched
    found = matched.detections
    place = np.arange(len(found.frame)) - np.searchsorted(found.frame, found.frame)
    detections = found._replace(score=found.score - 1e-9 * place)
    return MatchedBoxes(matched.names, matched.truth, matched.flags, detections, matched.task)


Counted = FrameMatches | PanopticCounts | tuple[FrameMasks, FrameMasks]


def untied(counted: Counted) -> Counted:
    if isinstance(counted, FrameMatches):
        return counted._replace(score=counted.score - 1e-9 * np.arange(len(counted.score)))
    if isinstance(counted, PanopticCounts):
        return counted
    truth, found = counted
    return truth, found._replace(score=found.score - 1e-9 * np.arange(len(found.score)))


def assert_same(task: Task, ours: ToolkitScores, official: ToolkitScores) -> None:
    """All but a class that is nowhere, of which the official scores of masks say 0 and a weighted one nothing."""
    for metric, value in ours.items():
        if not isinstance(value, list):
            assert value == pytest.approx(official[metric], abs=1e-9, rel=0, nan_ok=True)
            continue
        for mine, theirs in zip(value, official[metric], strict=True):
            assert list(mine) == list(theirs)
            for name, score in mine.items():
                absent = math.isnan(score) and task.form != "boxes" and theirs[name] == 0
                assert absent or score == pytest.approx(theirs[name], abs=1e-9, rel=0, nan_ok=True), (metric, name)


@pytest.mark.parametrize("name", OF_TASKS)
def test_a_weight_of_one_gives_the_official_scores(name: str) -> None:
    task, matched = opened(name)
    ours = weighted_frames(task, matched).scores(np.ones(len(matched.names)))
    assert_same(task, ours, read_toolkit_scores(FOLDER / name / "scores.json") | matched.extra_metrics())
    missing = read_toolkit_scores(FOLDER / name / "scores.json").keys() - ours.keys()
    assert missing <= {"N", "NUM"}


@pytest.mark.parametrize("name", OF_TASKS)
def test_a_weight_is_a_number_of_copies(name: str) -> None:
    task, matched = opened(name)
    matched = without_ties(matched)
    rng = np.random.default_rng(len(name))
    frames = weighted_frames(task, matched)
    for _ in range(3):
        weights = np.bincount(rng.integers(0, len(matched.names), len(matched.names)), minlength=len(matched.names))
        copies = repeated(matched, weights)
        assert_same(task, frames.scores(weights.astype(float)), copies.toolkit_scores() | copies.extra_metrics())


@pytest.mark.parametrize("seed", range(12))
def test_random_boxes_with_weights(seed: int) -> None:
    matched = boxes(random_problem(seed), 12) if seed % 3 else boxes(crowded_problem(seed), 2)
    order = np.argsort(matched.detections.frame, kind="stable")
    ordered = Detections(*(column[order] for column in matched.detections))
    matched = without_ties(MatchedBoxes(matched.names, matched.truth, matched.flags, ordered))
    frames = weighted_frames(TASKS["det"], matched)
    rng = np.random.default_rng(seed)
    for weights in (np.ones(frames.num_frames, int), rng.integers(0, 4, frames.num_frames)):
        official = repeated(matched, weights).toolkit_scores()
        assert_same(TASKS["det"], frames.scores(weights.astype(float)), official)


@pytest.mark.parametrize("name", ["det", "ins_seg", "ins_seg_rle", "sem_seg", "drivable", "pan_seg", "pan_seg_rle"])
def test_a_part_of_the_frames_scores_as_they_do(name: str) -> None:
    task, matched = opened(name)
    chosen = np.arange(len(matched.names)) % 2 == 0
    part = weighted_frames(task, matched).slice(chosen)
    assert part.num_frames == chosen.sum()
    official = matched.toolkit_scores(chosen) | matched.extra_metrics(chosen)
    assert_same(task, part.scores(np.ones(part.num_frames)), official)
