"""Detectron2's own `DefaultPredictor` and `Visualizer` work with our configs and metadata."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model
from detectron2.utils.visualizer import Visualizer

import bdd100k_d2
from bdd100k_d2.data.mapper import BDD100KDatasetMapper
from bdd100k_d2.data.sample import render, scenes


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "street.jpg"
    _, scene = next(scenes("100k", "val", 1, seed=0))
    cv2.imwrite(str(path), cv2.cvtColor(render(scene).image, cv2.COLOR_RGB2BGR))
    return path


@pytest.mark.parametrize("name", ["sample/faster_rcnn_R_18_FPN", "sample/semantic_fpn_R_18"])
def test_the_predictor_gives_what_evaluation_gives(picture: Path, tmp_path: Path, name: str) -> None:
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.0
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    torch.save({"model": model.state_dict()}, tmp_path / "weights.pth")
    cfg.MODEL.WEIGHTS = str(tmp_path / "weights.pth")

    image = cv2.imread(str(picture))
    predictions = DefaultPredictor(cfg)(image)
    record = {"file_name": str(picture), "image_id": picture.name, "height": 720, "width": 1280}
    with torch.no_grad():
        (expected,) = model([BDD100KDatasetMapper(cfg, is_train=False)(record)])

    drawing = Visualizer(image[:, :, ::-1], MetadataCatalog.get(cfg.DATASETS.TEST[0]))
    if "sem_seg" in expected:
        torch.testing.assert_close(predictions["sem_seg"], expected["sem_seg"], rtol=0, atol=1e-5)
        drawn = drawing.draw_sem_seg(predictions["sem_seg"].argmax(dim=0))
    else:
        found, wanted = predictions["instances"], expected["instances"]
        assert len(found) == len(wanted) > 0
        torch.testing.assert_close(found.pred_boxes.tensor, wanted.pred_boxes.tensor, rtol=0, atol=1e-3)
        torch.testing.assert_close(found.scores, wanted.scores, rtol=0, atol=1e-6)
        drawn = drawing.draw_instance_predictions(found[:5])
    drawn = drawn.get_image()
    assert drawn.shape == (720, 1280, 3) and np.any(drawn != image[:, :, ::-1])
