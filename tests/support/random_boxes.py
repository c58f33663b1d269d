"""Random problems of boxes that meet all rules: crowds, equal scores, heaps of boxes, hundreds of detections."""

import numpy as np

from bdd100k_d2.evaluation.metrics.detection import Detections, GroundTruth


def random_problem(
    seed: int, num_frames: int = 12, num_classes: int = 4, boxes: int = 12, detections: int = 60
) -> tuple[GroundTruth, Detections]:
    """Boxes and detections near them, in a disorder of frames; some frames have none of either."""
    rng = np.random.default_rng(seed)
    num = rng.integers(boxes // 2, boxes * num_frames)
    frame = rng.integers(0, num_frames, num)
    category = rng.integers(0, num_classes, num)
    box = np.column_stack([rng.uniform(0, 300, (num, 2)), rng.uniform(5, 150, (num, 2))])
    truth = GroundTruth(frame, category, box, rng.random(num) < 0.15)
    many = rng.integers(1, detections * num_frames)
    of = rng.integers(0, num, many)
    near = box[of] + rng.normal(0, 6, (many, 4)) * rng.choice([0, 1, 3], (many, 1))
    near[:, 2:] = np.maximum(near[:, 2:], 1)
    kind = np.where(rng.random(many) < 0.7, category[of], rng.integers(0, num_classes, many))
    where = np.where(rng.random(many) < 0.9, frame[of], rng.integers(0, num_frames, many))
    return truth, Detections(where, kind, near, rng.integers(1, 30, many) / 30)


def crowded_problem(seed: int) -> tuple[GroundTruth, Detections]:
    """One class and two frames with far more than a hundred detections each."""
    return random_problem(seed, num_frames=2, num_classes=1, boxes=40, detections=400)
