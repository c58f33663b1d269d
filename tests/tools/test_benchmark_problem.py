from pathlib import Path

import numpy as np
from benchmarks.problem import make_detections, make_labels, make_masks

from bdd100k_d2.data.datasets import load_det
from bdd100k_d2.data.masks import read_mask
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.evaluation.metrics.segmentation import confusion_matrix, segmentation_scores
from bdd100k_d2.evaluation.submission import check_submission


def test_detections_are_those_of_bdd100k_in_number_and_form(tmp_path: Path) -> None:
    problem = make_detections(tmp_path / "a", 300)
    truth, predicted = (read_labels(path).frames for path in problem)
    labels = [label for frame in truth for label in frame.labels]
    assert 17.5 < len(labels) / 300 < 19.5
    assert 0.5 < sum(label.category == "car" for label in labels) / len(labels) < 0.6
    assert {len(frame.labels) for frame in predicted} <= {0, 100}
    assert [frame.name for frame in truth] == [frame.name for frame in predicted]
    again = make_detections(tmp_path / "b", 300)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in problem]
    kinds = {finding.kind for finding in check_submission("det", problem.predicted, [f.name for f in truth])}
    assert kinds <= {"box"}  # detections may reach over the edge


def test_labels_have_their_images(tmp_path: Path) -> None:
    dicts = load_det(*make_labels(tmp_path, 20, 400))
    assert len(dicts) == 20 and sum(len(one["annotations"]) for one in dicts) == 400


def test_masks_are_like_real_ones(tmp_path: Path) -> None:
    problem = make_masks(tmp_path, 4)
    matrix = np.zeros((19, 20), np.int64)
    for path in problem.truth.iterdir():
        truth, predicted = read_mask(path), read_mask(problem.predicted / path.name)
        assert truth.shape == predicted.shape == (720, 1280)
        assert predicted.max() < 19 and {*np.unique(truth)} <= {*range(19), 255} and (truth == 255).any()
        # The real masks take 5 to 13 kB; noise would take 500.
        assert 5_000 < path.stat().st_size < 20_000
        matrix += confusion_matrix(truth, predicted, 19)
    scores = segmentation_scores(matrix)
    assert 40 < scores.mean(scores.iou) < 95
