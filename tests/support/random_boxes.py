"""Random problems of boxes that meet all rules: crowds, equal scores, heaps of boxes, hundreds of detections."""

import numpy as np

from bdd100k_d2.data.labels import Box2D, Frame, Label, LabelAttributes
from bdd100k_d2.evaluation.metrics.detection import Detections, GroundTruth
from bdd100k_d2.tasks import TASKS


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


def random_frames(seed: int) -> tuple[list[Frame], list[Frame]]:
    """Frames with crowds, ignored classes, aliases, ties, over 100 detections, empty and missing frames."""
    rng = np.random.default_rng(seed)
    # Two classes never occur in the ground truth.
    others = ["other person", "other vehicle", "trailer", "bike", "motor", "person", "van", "caravan"]
    labels = [*TASKS["det"].names[:8], *others]
    truth, predictions = [], []
    for i in rng.permutation(12):
        boxes = []
        for k in range(rng.integers(0, 15)):
            # Sides at and around the limits of the area ranges, 32 and 96 pixels.
            width, height = rng.choice([1, 8, 31, 32, 33, 95, 96, 97, 150], 2)
            x, y = rng.uniform(0, 1000), rng.uniform(0, 500)
            attributes = LabelAttributes(crowd=bool(rng.random() < 0.1), ignored=bool(rng.random() < 0.05))
            boxes.append(
                Label(
                    id=str(k),
                    category=str(rng.choice(labels)),
                    attributes=attributes if rng.random() < 0.8 else None,
                    box2d=Box2D(x, y, x + float(width) - 1, y + float(height) - 1),
                )
            )
        truth.append(Frame(name=f"{i:02d}.jpg", labels=boxes if boxes or rng.random() < 0.5 else None))
        if rng.random() < 0.15:
            continue
        found = []
        for box in boxes * (12 if i == 3 else 1):
            jitter = rng.normal(0, 4, 4) if rng.random() < 0.7 else np.zeros(4)
            corners = np.array([box.box2d.x1, box.box2d.y1, box.box2d.x2, box.box2d.y2]) + jitter
            category = box.category if rng.random() < 0.8 else str(rng.choice([*labels, "traffic sign"]))
            found.append(
                Label(id="0", category=category, score=float(rng.integers(1, 20)) / 20, box2d=Box2D(*corners.tolist()))
            )
        predictions.append(Frame(name=f"{i:02d}.jpg", labels=found))
    # A frame that the ground truth does not have is officially left out.
    predictions.insert(3, Frame(name="elsewhere.jpg", labels=predictions[0].labels))
    return truth, predictions
