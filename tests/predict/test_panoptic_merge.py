"""The merge of instances and stuff in NumPy is Detectron2's, in every pixel."""

import json

import numpy as np
import pytest
import torch
from detectron2.modeling.meta_arch.panoptic_fpn import combine_semantic_and_instance_outputs
from detectron2.structures import Boxes, Instances

from bdd100k_d2.evaluation.array_instances import ArrayInstances
from bdd100k_d2.evaluation.prediction_files import panoptic_bitmask, segment_classes
from bdd100k_d2.predict.frame_result import result_of
from bdd100k_d2.predict.model_card import PanopticThresholds
from bdd100k_d2.predict.panoptic_merge import merge_panoptic
from bdd100k_d2.tasks import TASKS

SIZE = (60, 80)
PAN_SEG = TASKS["pan_seg"]
THINGS = sum(one.is_thing for one in PAN_SEG.categories)
STUFF = len(PAN_SEG.categories) - THINGS


def problem(seed: int) -> tuple[ArrayInstances, np.ndarray]:
    """Rectangles that overlap, some of them empty or equal, over patches of stuff and of things."""
    random = np.random.default_rng(seed)
    count = int(random.integers(0, 25))
    masks = np.zeros((count, *SIZE), bool)
    for mask in masks:
        top, left = random.integers(0, SIZE[0]), random.integers(0, SIZE[1])
        mask[top : top + random.integers(0, 30), left : left + random.integers(0, 40)] = True
    # Some of equal places, none of equal scores: their order is nobody's promise.
    if count > 3:
        masks[2] = masks[1]
    scores = random.permutation(np.linspace(0.05, 1, count, dtype=np.float32))
    classes = random.integers(0, THINGS, count)
    patches = random.integers(0, STUFF + 1, (6, 8), np.uint8)
    sem_seg = patches.repeat(10, axis=0).repeat(10, axis=1)
    return ArrayInstances(SIZE, np.zeros((count, 4), np.float32), scores, classes, masks), sem_seg


def detectron2s(instances: ArrayInstances, sem_seg: np.ndarray, thresholds: PanopticThresholds) -> tuple:
    theirs = Instances(SIZE, pred_boxes=Boxes(torch.from_numpy(instances.pred_boxes)))
    theirs.scores, theirs.pred_classes = torch.from_numpy(instances.scores), torch.from_numpy(instances.pred_classes)
    theirs.pred_masks = torch.from_numpy(instances.pred_masks)
    return combine_semantic_and_instance_outputs(
        theirs, torch.from_numpy(sem_seg.astype(np.int64)), thresholds.overlap, thresholds.stuff_area,
        thresholds.instance_score,
    )  # fmt: skip


@pytest.mark.parametrize("thresholds", [(0.5, 4096, 0.5), (0.5, 64, 0.3), (0.0, 1, 0.0), (0.9, 300, 0.6)])
def test_it_is_detectron2s_in_every_pixel(thresholds: tuple[float, float, float]) -> None:
    limits, found_any = PanopticThresholds(*thresholds), set()
    for seed in range(40):
        instances, sem_seg = problem(seed)
        segments, infos = merge_panoptic(instances, sem_seg, limits)
        expected, expected_infos = detectron2s(instances, sem_seg, limits)
        np.testing.assert_array_equal(segments, expected.numpy())
        assert segments.dtype == np.int32 and infos == expected_infos
        # Python's own numbers, which can be written.
        assert json.loads(json.dumps(infos)) == infos
        found_any |= {info["isthing"] for info in infos}
        # What the evaluator writes of Detectron2's output is what the run writes of ours.
        bitmask = panoptic_bitmask(expected.numpy(), segment_classes(expected_infos, PAN_SEG), PAN_SEG)
        np.testing.assert_array_equal(result_of(PAN_SEG, {"panoptic_seg": (segments, infos)}).pixels, bitmask)
    assert found_any == ({True} if limits.stuff_area == 4096 else {True, False})
