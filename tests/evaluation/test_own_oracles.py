"""The problems of `tests/oracles`, made by seed, against the scores that the official toolkit gave for them."""

import math
from pathlib import Path

import numpy as np
import pytest
from benchmarks.compare import largest_difference
from oracles.make_oracles import CASES, FOLDER, make_problems
from PIL import Image
from support.commands import run_tool

from bdd100k_d2.evaluation.files.detection import open_det
from bdd100k_d2.evaluation.files.evaluate import FileScores, evaluate_files
from bdd100k_d2.evaluation.metrics.detection import detection_scores
from bdd100k_d2.evaluation.toolkit_format import ToolkitScores, read_toolkit_scores, summary, table
from bdd100k_d2.report.analysis.detection import analyse_detection
from bdd100k_d2.report.analysis.segmentation import analyse_segmentation
from bdd100k_d2.tasks import TASKS

TOLERANCE = 1e-9


def kept(name: str) -> ToolkitScores:
    return read_toolkit_scores(FOLDER / name / "scores.json")


def paths(name: str) -> tuple[Path, Path]:
    return FOLDER / CASES[name].truth, FOLDER / CASES[name].predicted


def evaluated(name: str, **options: object) -> FileScores:
    case = CASES[name]
    score_file = FOLDER / case.score_file if case.score_file else None
    return evaluate_files(case.task, *paths(name), score_file=score_file, **options)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_scores_are_the_official_ones(name: str, workers: int) -> None:
    ours = evaluated(name, workers=workers).official
    assert list(ours) == list(kept(name))
    assert largest_difference(kept(name), ours) <= TOLERANCE


def test_the_problems_are_hard_enough() -> None:
    """Nothing is all right or all wrong; there are boxes and masks of every range of areas, and absent classes."""
    for name in CASES:
        (headline,) = (value for key, value in summary(kept(name)).items() if key in ("AP", "mIoU", "PQ", "MOTA"))
        assert headline == 0 if name.endswith("_empty") else 0 < headline < 100, name
    for name in ("det", "ins_seg"):
        assert all(0 < value < 100 for value in summary(kept(name)).values())
        assert any(map(math.isnan, kept(name)["AP"][0].values()))


@pytest.mark.parametrize(
    ("attribute", "value", "alone"), [("weather", "rainy", "det_rainy"), ("occluded", "true", "det_occluded")]
)
def test_slices_score_like_official_problems_of_their_own(attribute: str, value: str, alone: str) -> None:
    (row,) = (row for row in evaluated("det", by=attribute).slices[attribute].rows if row.value == value)
    assert largest_difference(kept(alone), row.scores) <= TOLERANCE


def test_a_slice_of_everything_is_the_whole_problem() -> None:
    matched = open_det(*paths("det"), 1).matched
    everything = {"boxes": len(matched.truth.box), "frames": len(matched.names)}
    for name, count in everything.items():
        assert largest_difference(kept("det"), matched.toolkit_scores(**{name: np.ones(count, bool)})) <= TOLERANCE


def test_inclusive_boxes_and_crowds_matter() -> None:
    """Boxes without the official +1, and crowds that count as objects, give other scores than the oracle's."""
    matched = open_det(*paths("det"), 1).matched
    exclusive = [columns._replace(box=columns.box - (0, 0, 1, 1)) for columns in (matched.truth, matched.detections)]
    without_crowds = matched.truth._replace(crowd=np.zeros_like(matched.truth.crowd))
    for truth, detections in (exclusive, (without_crowds, matched.detections)):
        wrong = detection_scores(truth, detections, len(matched.names), 10)
        assert abs(wrong["AP"][-1] - summary(kept("det"))["AP"]) > 0.1


def test_the_headline_of_the_analysis_is_the_official_score() -> None:
    for name, analysis in (
        ("det", analyse_detection(*paths("det"), bootstrap=20)),
        ("sem_seg", analyse_segmentation(TASKS["sem_seg"], *paths("sem_seg"), bootstrap=5)),
        ("sem_seg_rle", analyse_segmentation(TASKS["sem_seg"], *paths("sem_seg_rle"), bootstrap=5)),
        ("drivable", analyse_segmentation(TASKS["drivable"], *paths("drivable"), bootstrap=5)),
    ):
        official = summary(kept(name))
        assert {key: analysis.headline[key].value for key in official} == pytest.approx(official, abs=1e-9, rel=0)


def test_the_script_makes_the_same_problems_again(tmp_path: Path) -> None:
    make_problems(tmp_path)
    made, there = (
        {path.relative_to(root) for path in root.rglob("*") if path.is_file() and path.suffix in (".json", ".png")}
        for root in (tmp_path, FOLDER)
    )
    assert made == {path for path in there if path.name != "scores.json"}
    for path in made:
        if path.suffix == ".png":
            pixels = [np.asarray(Image.open(root / path)) for root in (tmp_path, FOLDER)]
            np.testing.assert_array_equal(*pixels, err_msg=str(path))
        else:
            assert (tmp_path / path).read_bytes() == (FOLDER / path).read_bytes(), path


@pytest.mark.parametrize("name", ["det", "sem_seg_rle", "drivable", "ins_seg", "pan_seg_rle"])
def test_the_command_prints_and_writes_the_official_scores(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    arguments = ["--gt", FOLDER / case.truth, "--pred", FOLDER / case.predicted, "--out", tmp_path / "scores.json"]
    if case.score_file:
        arguments += ["--score-file", FOLDER / case.score_file]
    done = run_tool("evaluate", case.task, *arguments)
    assert done.returncode == 0, done.stderr
    scores = read_toolkit_scores(tmp_path / "scores.json")
    assert largest_difference(kept(name), scores) <= TOLERANCE
    assert done.stdout.startswith(table(scores) + "\n")
