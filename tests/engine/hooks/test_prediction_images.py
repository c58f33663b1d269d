"""Predictions of a training, drawn."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.catalog import Metadata
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from support.frames import write_image

import bdd100k_d2
from bdd100k_d2.engine.hooks.prediction_images import PredictionImages, draw_prediction

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


def test_own_classes_without_colors_have_those_of_bdd100ks_classes_of_the_name() -> None:
    own = Metadata(thing_classes=["tram", "car"])
    drawn = draw_prediction(IMAGE, {"instances": instances(([10.0, 20, 40, 50], 0.9, 1))}, own)
    assert drawn[45, 10].tolist() == [30, 170, 255]


@pytest.mark.parametrize(
    "output",
    [
        {"instances": instances(([10.0, 20, 40, 50], 0.9, 2))},
        {"sem_seg": torch.zeros(3, 60, 80)},
        {"panoptic_seg": (torch.ones(60, 80), [{"id": 1, "isthing": True, "category_id": 2}])},
        {"panoptic_seg": (torch.ones(60, 80), [{"id": 1, "isthing": False, "category_id": 2}])},
    ],
)
def test_classes_without_a_name_are_not_drawn(output: dict) -> None:
    assert draw_prediction(IMAGE, output, METADATA) is None


class Finds(torch.nn.Module):
    """A model that finds one object of class 1 in each image."""

    def forward(self, inputs: list[dict]) -> list[dict]:
        return [{"instances": instances(([10.0, 20, 40, 50], 0.9, 1))} for _ in inputs]


@pytest.fixture
def foreign_cfg(tmp_path: Path) -> Iterator[CfgNode]:
    """A config whose test set is of a COCO file, so that nobody knows its classes before it is loaded."""
    write_image(tmp_path / "a.jpg", 60, 80)

    def load() -> list[dict]:
        MetadataCatalog.get("foreign").thing_classes = ["cow", "car"]
        return [{"file_name": str(tmp_path / "a.jpg"), "image_id": 7, "height": 60, "width": 80}]

    DatasetCatalog.register("foreign", load)
    MetadataCatalog.get("foreign").evaluator_type = "coco"
    cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
    cfg.DATASETS.TEST = ("foreign",)
    yield cfg
    DatasetCatalog.remove("foreign")
    MetadataCatalog.remove("foreign")


def test_pictures_of_a_foreign_set_have_its_classes(foreign_cfg: CfgNode) -> None:
    with EventStorage() as storage:
        PredictionImages(foreign_cfg, Finds())()
    ((name, picture, _),) = storage._vis_data
    assert name == "predictions/0_a.jpg" and picture.shape == (3, 60, 80)
    assert picture[:, 45, 10].tolist() == [30, 170, 255]


def test_a_set_that_does_not_name_the_classes_is_told_once(
    foreign_cfg: CfgNode, caplog: pytest.LogCaptureFixture
) -> None:
    records = DatasetCatalog.get("foreign")
    DatasetCatalog.remove("foreign")
    MetadataCatalog.remove("foreign")
    DatasetCatalog.register("foreign", lambda: records)
    MetadataCatalog.get("foreign").evaluator_type = "coco"
    with EventStorage() as storage, caplog.at_level(logging.WARNING):
        pictures = PredictionImages(foreign_cfg, Finds())
        pictures()
        pictures()
    assert storage._vis_data == []
    told = (
        "TEST.NUM_PICTURES: none of foreign are drawn, because the metadata does not name the classes that the model "
    )
    assert [record.message for record in caplog.records] == [f"{told}gives."]
