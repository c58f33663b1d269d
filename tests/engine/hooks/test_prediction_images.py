import numpy as np
import torch
from detectron2.data.catalog import Metadata
from detectron2.structures import Boxes, Instances

from bdd100k_d2.engine.hooks.prediction_images import draw_prediction

IMAGE = np.full((60, 80, 3), 100, np.uint8)
METADATA = Metadata(
    thing_classes=["car", "bus"],
    thing_colors=[(255, 0, 0), (0, 255, 0)],
    stuff_classes=["road", "background"],
    stuff_colors=[(0, 0, 255), (9, 9, 9)],
)


def instances(*rows: tuple[list[float], float, int]) -> Instances:
    found = Instances((60, 80))
    found.pred_boxes = Boxes(torch.tensor([box for box, _, _ in rows]))
    found.scores = torch.tensor([score for _, score, _ in rows])
    found.pred_classes = torch.tensor([k for _, _, k in rows])
    return found


def test_boxes_of_enough_score_are_outlined() -> None:
    drawn = draw_prediction(
        IMAGE, {"instances": instances(([10.0, 20, 40, 50], 0.9, 1), ([50.0, 5, 70, 25], 0.2, 0))}, METADATA
    )
    # The last column of a box of Detectron2 is that before its right side.
    assert drawn[45, 10].tolist() == drawn[45, 39].tolist() == drawn[49, 20].tolist() == [0, 255, 0]
    assert drawn[45, 40].tolist() == [100, 100, 100]
    assert not (drawn == (255, 0, 0)).all(axis=2).any() and (IMAGE == 100).all()


def test_masks_of_instances_lie_under_their_boxes_the_surest_on_top() -> None:
    found = instances(([0.0, 0, 80, 60], 0.9, 1), ([0.0, 0, 80, 60], 0.5, 0))
    masks = torch.zeros(2, 60, 80, dtype=torch.bool)
    masks[0, 30:50, 20:40] = True
    masks[1, 30:50, 30:60] = True
    found.pred_masks = masks
    drawn = draw_prediction(IMAGE, {"instances": found}, METADATA)
    assert drawn[40, 35].tolist() == drawn[40, 25].tolist() == [50, 178, 50]
    assert drawn[40, 50].tolist() == [178, 50, 50]


def test_classes_of_pixels_but_not_the_background() -> None:
    logits = torch.zeros(2, 60, 80)
    logits[0, :, :40], logits[1, :, 40:] = 1, 1
    drawn = draw_prediction(IMAGE, {"sem_seg": logits}, METADATA)
    assert drawn[9, 9].tolist() == [50, 50, 178] and (drawn[:, 40:] == 100).all()


def test_panoptic_segments() -> None:
    segments = torch.zeros(60, 80, dtype=torch.int32)
    segments[:, :20], segments[:, 20:40] = 1, 2
    info = [{"id": 1, "isthing": True, "category_id": 1}, {"id": 2, "isthing": False, "category_id": 0}]
    drawn = draw_prediction(IMAGE, {"panoptic_seg": (segments, info), "sem_seg": None}, METADATA)
    assert drawn[30, 10].tolist() == [50, 178, 50] and drawn[30, 30].tolist() == [50, 50, 178]
    assert (drawn[:, 40:] == 100).all()
