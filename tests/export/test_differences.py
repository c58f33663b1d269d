"""How far two results are apart, in exact numbers."""

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from bdd100k_d2.evaluation.array_instances import ArrayInstances
from bdd100k_d2.export.differences import Differences, paired
from bdd100k_d2.tasks import TASKS

BOXES = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [100, 100, 140, 140]], np.float32)


def of_model(boxes: np.ndarray, scores: list[float], classes: list[int]) -> dict[str, Instances]:
    return {
        "instances": Instances(
            (200, 200),
            pred_boxes=Boxes(torch.from_numpy(boxes)),
            scores=torch.tensor(scores),
            pred_classes=torch.tensor(classes),
        )
    }


def of_file(boxes: np.ndarray, scores: list[float], classes: list[int]) -> dict[str, ArrayInstances]:
    columns = np.array(scores, np.float32), np.array(classes, np.int64)
    return {"instances": ArrayInstances((200, 200), boxes, *columns)}


def test_boxes_and_scores() -> None:
    differences = Differences(TASKS["det"])
    moved = BOXES[[2, 0, 1]] + np.array([[0, 0, 0.5, 0], [0, 0, 0, 0], [9, 0, 9, 0]], np.float32)
    differences.add(of_model(BOXES, [0.9, 0.8, 0.7], [2, 2, 0]), of_file(moved, [0.6, 0.9, 0.5], [0, 2, 2]))
    assert (differences.frames, differences.counts.tolist(), differences.box) == (1, [3, 3, 2], 0.5)
    assert differences.score == pytest.approx(0.1)
    assert "3 of the model, 3 of the file, 2 of both" in differences.lines()[0]


def test_nothing_found() -> None:
    differences = Differences(TASKS["det"])
    differences.add(of_model(BOXES[:0], [], []), of_file(BOXES, [0.5] * 3, [0] * 3))
    assert (differences.counts.tolist(), differences.box) == ([0, 3, 0], 0)


def test_pairs_are_of_one_class_and_the_best_of_each() -> None:
    near = np.array([[1, 0, 11, 10], [0, 0, 10, 10]], np.float32)
    assert paired(BOXES, np.array([1, 1, 1]), near, np.array([1, 1])).tolist() == [[0, 1]]
    assert paired(BOXES, np.array([1, 1, 1]), near, np.array([1, 0])).tolist() == [[0, 0]]


def test_masks() -> None:
    differences = Differences(TASKS["ins_seg"])
    expected, found = (
        of_model(BOXES[:1], [0.9], [0]),
        ArrayInstances((200, 200), BOXES[:1], np.float32([0.9]), np.int64([0]), np.zeros((1, 200, 200), bool)),
    )
    expected["instances"].pred_masks = torch.zeros(1, 200, 200, dtype=torch.bool)
    expected["instances"].pred_masks[0, :2, :5] = True
    found.pred_masks[0, :1, :5] = True
    differences.add(expected, {"instances": found})
    assert differences.mask == 0.5


def test_classes_of_pixels() -> None:
    differences = Differences(TASKS["sem_seg"])
    logits = torch.zeros(19, 4, 5)
    logits[3] = 1
    ids = np.full((4, 5), 3, np.uint8)
    differences.add({"sem_seg": logits}, {"sem_seg": ids})
    changed = ids.copy()
    changed[0, :4] = 7
    differences.add({"sem_seg": logits}, {"sem_seg": changed})
    assert (differences.pixels, differences.worst_pixels) == (0.1, 0.2)
    assert differences.lines() == ["class of a pixel: 10.0000% differ; in the worst frame 20.0000%"]


def test_panoptic_segments_are_compared_by_their_classes() -> None:
    differences = Differences(TASKS["pan_seg"])
    segments = np.zeros((2, 2), np.int32)
    segments[0], segments[1] = 1, 2
    infos = [{"id": 1, "isthing": True, "category_id": 0}, {"id": 2, "isthing": True, "category_id": 1}]
    swapped = [{**infos[0], "id": 2}, {**infos[1], "id": 1}]
    differences.add({"panoptic_seg": (torch.from_numpy(segments), infos)}, {"panoptic_seg": (3 - segments, swapped)})
    assert differences.pixels == 0
    differences.add({"panoptic_seg": (torch.from_numpy(segments), infos)}, {"panoptic_seg": (segments, swapped)})
    assert differences.pixels == 0.5
