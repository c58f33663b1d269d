"""Instances and the classes of pixels -> panoptic segments, as Detectron2 merges them, without PyTorch.

Source: `combine_semantic_and_instance_outputs` in detectron2/modeling/meta_arch/panoptic_fpn.py, which follows
panopticapi (A. Kirillov et al., "Panoptic Segmentation", CVPR 2019).
"""

from typing import Any

import numpy as np

from ..evaluation.array_instances import ArrayInstances
from .model_card import PanopticThresholds

# In the ids of the semantic head.
_THINGS = 0


def merge_panoptic(
    instances: ArrayInstances, sem_seg: np.ndarray, thresholds: PanopticThresholds
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Lays the instances down by falling score, then the stuff where nothing lies.

    An instance is left out below the score that is asked for, or if more than a share ``overlap`` of it is taken;
    stuff, if fewer pixels of its class than ``stuff_area`` are left.

    Args:
        instances: with ``pred_masks`` (N, H, W).
        sem_seg: (H, W) ids of the semantic head, 0 for all things.
        thresholds: of the model.

    Returns:
        (H, W) int32 ids of segments, 0 for none, and Detectron2's ``segments_info`` of each.
    """
    segments = np.zeros(sem_seg.shape, np.int32)
    infos: list[dict[str, Any]] = []
    masks = instances.pred_masks if instances.pred_masks is not None else np.empty((0, *sem_seg.shape), bool)
    for index in np.argsort(-instances.scores, kind="stable").tolist():
        score = float(instances.scores[index])
        if score < thresholds.instance_score:
            break
        area = np.count_nonzero(masks[index])
        free = masks[index] & (segments == 0)
        left = np.count_nonzero(free)
        if area == 0 or (area - left) / area > thresholds.overlap:
            continue
        segments[free] = len(infos) + 1
        category = int(instances.pred_classes[index])
        infos.append(
            {"id": len(infos) + 1, "isthing": True, "score": score, "category_id": category, "instance_id": index}
        )
    for category in np.unique(sem_seg).tolist():
        free = (sem_seg == category) & (segments == 0)
        area = np.count_nonzero(free)
        if category == _THINGS or area < thresholds.stuff_area:
            continue
        segments[free] = len(infos) + 1
        infos.append({"id": len(infos) + 1, "isthing": False, "category_id": category, "area": int(area)})
    return segments, infos
