"""The official numbers: against the published oracles, pycocotools, and the official toolkit where it is installed."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from support.random_boxes import random_frames

from bdd100k_d2.data.labels import Box2D, Frame, Label
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.boxes import ground_truth_columns, predicted_boxes
from bdd100k_d2.evaluation.metrics.coco_scores import METRICS
from bdd100k_d2.evaluation.metrics.detection import Detections, GroundTruth, detection_scores
from bdd100k_d2.evaluation.toolkit_format import official_detection, summary
from bdd100k_d2.tasks import TASKS

NAMES = TASKS["det"].names


def columns_of(truth: list[Frame], predictions: list[Frame]) -> tuple[GroundTruth, Detections, int]:
    frame_names = sorted(frame.name for frame in truth)
    boxes, _ = ground_truth_columns(truth, frame_names)
    return boxes, predicted_boxes(predictions).detections(frame_names), len(frame_names)


def score(truth: list[Frame], predictions: list[Frame]) -> dict[str, np.ndarray]:
    return detection_scores(*columns_of(truth, predictions), 10)


def test_the_oracle_to_the_last_digit(oracles: Path) -> None:
    expected = json.loads((oracles / "expected.json").read_text())["det"]
    scores = score(read_labels(oracles / expected["gt"]).frames, read_labels(oracles / expected["pred"]).frames)
    assert summary(official_detection(scores, NAMES)) == pytest.approx(expected["scores"], abs=1e-9, rel=0)
    per_class = {name: float("nan") if v is None else v for name, v in expected["AP_per_class"].items()}
    assert dict(zip(NAMES, scores["AP"].tolist(), strict=False)) == pytest.approx(
        per_class, abs=1e-9, rel=0, nan_ok=True
    )


def test_no_predictions_are_zero_for_present_classes(oracles: Path) -> None:
    scores = score(read_labels(oracles / "det/gt.json").frames, read_labels(oracles / "det/pred_empty.json").frames)
    absent = np.isin(NAMES, ["train", "bicycle", "traffic light", "traffic sign"])
    for metric in METRICS:
        np.testing.assert_array_equal(scores[metric], [*np.where(absent, np.nan, 0.0), 0.0])


def coco_arrays(truth: GroundTruth, found: Detections, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    dataset = COCO()
    dataset.dataset = {
        "images": [{"id": i + 1} for i in range(num_frames)],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)],
        "annotations": [
            {
                "id": i + 1,
                "image_id": int(truth.frame[i]) + 1,
                "category_id": int(truth.category[i]) + 1,
                "bbox": truth.box[i].tolist(),
                "area": float(truth.box[i, 2] * truth.box[i, 3]),
                "iscrowd": int(truth.crowd[i]),
            }
            for i in range(len(truth.frame))
        ],
    }
    dataset.createIndex()
    results = dataset.loadRes(np.column_stack([found.frame + 1, found.box, found.score, found.category + 1]))
    evaluation = COCOeval(dataset, results, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"]


@pytest.mark.parametrize("seed", range(8))
def test_random_problems_equal_pycocotools(seed: int) -> None:
    truth, predictions = random_frames(seed)
    columns = columns_of(truth, predictions)
    scores = detection_scores(*columns, 10)
    stats, precision = coco_arrays(*columns)
    np.testing.assert_allclose([scores[metric][-1] for metric in METRICS], 100 * stats, rtol=0, atol=1e-9)
    for k in range(10):
        values = precision[:, :, k, 0, 2]
        expected = 100 * values[values > -1].mean() if (values > -1).any() else np.nan
        np.testing.assert_allclose(scores["AP"][k], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(8, 12))
def test_random_problems_equal_the_toolkit(seed: int) -> None:
    pytest.importorskip("bdd100k", reason="the official toolkit is not installed: pip install -e .[toolkit]")
    from bdd100k.common.utils import load_bdd100k_config
    from bdd100k.label.to_scalabel import bdd100k_to_scalabel
    from scalabel.eval.detect import evaluate_det
    from scalabel.label.io import parse

    truth, predictions = random_frames(seed)
    config = load_bdd100k_config("det")

    def convert(frames: list[Frame]) -> list:
        import msgspec

        return bdd100k_to_scalabel([parse(msgspec.to_builtins(frame)) for frame in frames], config)

    theirs = evaluate_det(convert(truth), convert(predictions), config.scalabel, nproc=1).dict()
    ours = official_detection(score(truth, predictions), NAMES)
    assert list(ours) == list(theirs)
    for metric, value in ours.items():
        assert value[0] == pytest.approx(theirs[metric][0], abs=1e-9, rel=0, nan_ok=True)
        assert value[1] == pytest.approx(theirs[metric][1], abs=1e-9, rel=0, nan_ok=True)


def test_inclusive_boxes_matter(oracles: Path) -> None:
    """The same boxes without the official +1 give the wrong number that the oracle names."""
    expected = json.loads((oracles / "expected.json").read_text())["det"]
    truth, found = read_labels(oracles / "det/gt.json").frames, read_labels(oracles / "det/pred.json").frames
    gt, dt, num_frames = columns_of(truth, found)
    for columns in (gt, dt):
        columns.box[:, 2:] -= 1
    wrong = detection_scores(gt, dt, num_frames, 10)["AP"][-1]
    assert wrong == pytest.approx(expected["wrong_if_exclusive_boxes"]["AP"], abs=1e-3)


def test_bad_predictions_are_named() -> None:
    box = Box2D(0, 0, 1, 1)
    with pytest.raises(DataError, match=r"det.json: frame a.jpg: prediction 3 .car. has no score"):
        predicted_boxes([Frame(name="a.jpg", labels=[Label(id=3, category="car", box2d=box)])], "det.json")
    with pytest.raises(DataError, match=r"det.json: frame a.jpg, label 3: unknown category 'boat'"):
        predicted_boxes([Frame(name="a.jpg", labels=[Label(id=3, category="boat", box2d=box)])], "det.json")
