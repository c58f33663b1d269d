"""Detectron2's own `DefaultPredictor` and `Visualizer` work with our configs and metadata.

It resizes by Pillow. BDD100K's images, 1280x720, have the zoo's size already, so that nothing is resized; a config
that resizes them has to do so by Pillow too (``INPUT.RESIZE_ANTIALIAS``), else the result is not the evaluator's.
"""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model
from detectron2.utils.visualizer import Visualizer
from streets import render, scenes
from torch import nn

import bdd100k_d2
from bdd100k_d2.config import config_names
from bdd100k_d2.data.mapper import BDD100KDatasetMapper


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A street of 1280x720, and beside it one of 160x90."""
    path = tmp_path_factory.mktemp("image") / "street.jpg"
    _, scene = next(scenes("100k", "val", 1, seed=0))
    street = cv2.cvtColor(render(scene).image, cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(path), street)
    cv2.imwrite(str(path.with_name("small.jpg")), cv2.resize(street, (160, 90), interpolation=cv2.INTER_AREA))
    return path


def model_and_input(name: str) -> str:
    """What of a config decides on a prediction; configs that differ in training alone give equal texts."""
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.WEIGHTS = ""
    size = (cfg.INPUT.FORMAT, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST, cfg.INPUT.RESIZE_ANTIALIAS)
    return f"{size}\n{cfg.MODEL!r}"


def one_config_a_model() -> list[str]:
    return list({model_and_input(name): name for name in reversed(config_names())}.values())[::-1]


def evaluated(cfg: CfgNode, model: nn.Module, path: Path) -> dict[str, Any]:
    """What the evaluator is given for an image."""
    height, width = cv2.imread(str(path)).shape[:2]
    record = {"file_name": str(path), "image_id": path.name, "height": height, "width": width}
    with torch.no_grad():
        return model([BDD100KDatasetMapper(cfg, is_train=False)(record)])[0]


def assert_equal_predictions(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys() and found
    if "sem_seg" in expected:
        torch.testing.assert_close(found["sem_seg"], expected["sem_seg"], rtol=0, atol=1e-5)
    if "panoptic_seg" in expected:
        assert torch.equal(found["panoptic_seg"][0], expected["panoptic_seg"][0])
        assert found["panoptic_seg"][1] == expected["panoptic_seg"][1]
    if "instances" in expected:
        ours, theirs = expected["instances"], found["instances"]
        assert len(theirs) == len(ours) > 0
        assert theirs.image_size == ours.image_size
        torch.testing.assert_close(theirs.pred_boxes.tensor, ours.pred_boxes.tensor, rtol=0, atol=1e-3)
        torch.testing.assert_close(theirs.scores, ours.scores, rtol=0, atol=1e-6)
        assert torch.equal(theirs.pred_classes, ours.pred_classes)
        assert theirs.has("pred_masks") == ours.has("pred_masks")
        if ours.has("pred_masks"):
            assert torch.equal(theirs.pred_masks, ours.pred_masks)


@pytest.mark.parametrize("name", ["sample/faster_rcnn_R_18_FPN", "sample/semantic_fpn_R_18"])
def test_the_predictor_gives_what_evaluation_gives(image: Path, tmp_path: Path, name: str) -> None:
    """The whole way, at full size: weights from a file, Detectron2's drawing by our metadata."""
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.0
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    torch.save({"model": model.state_dict()}, tmp_path / "weights.pth")
    cfg.MODEL.WEIGHTS = str(tmp_path / "weights.pth")

    pixels = cv2.imread(str(image))
    predictions = DefaultPredictor(cfg)(pixels)
    assert_equal_predictions(predictions, evaluated(cfg, model, image))

    drawing = Visualizer(pixels[:, :, ::-1], MetadataCatalog.get(cfg.DATASETS.TEST[0]))
    if "sem_seg" in predictions:
        drawn = drawing.draw_sem_seg(predictions["sem_seg"].argmax(dim=0))
    else:
        drawn = drawing.draw_instance_predictions(predictions["instances"][:5])
    drawn = drawn.get_image()
    assert drawn.shape == (720, 1280, 3) and np.any(drawn != pixels[:, :, ::-1])


# Larger models of a family, other numbers of classes and the windows of 769 are among the slow tests.
OF_A_FAMILY = re.compile(r"_R_101_|_(swin|convnext)_[SB]_|_hrnet_W(32|40|48)_|_769_|^drivable/")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if OF_A_FAMILY.search(name) else []) for name in one_config_a_model()],
)
def test_every_model_gives_what_evaluation_gives(image: Path, name: str) -> None:
    """At an eighth of the size in each direction and with fewer proposals; the zoo still resizes nothing."""
    cfg = bdd100k_d2.get_config(name)
    size = (721, 1281) if cfg.MODEL.SLIDING_WINDOW.SIZE else (720, 1280)
    assert cfg.INPUT.RESIZE_ANTIALIAS or size == (cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", ""
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = cfg.INPUT.MIN_SIZE_TEST // 8, cfg.INPUT.MAX_SIZE_TEST // 8
    cfg.MODEL.RPN.PRE_NMS_TOPK_TEST = cfg.MODEL.RPN.POST_NMS_TOPK_TEST = 60
    cfg.MODEL.RETINANET.TOPK_CANDIDATES_TEST = 60
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = cfg.MODEL.RETINANET.SCORE_THRESH_TEST = 0.0
    cfg.TEST.DETECTIONS_PER_IMAGE = 20

    torch.manual_seed(0)
    predictor = DefaultPredictor(cfg)
    for key, value in predictor.model.state_dict().items():
        if re.search(r"(conv3\.norm|\.bn[23]|fuse_layers\..*\.\d)\.weight$", key) and value.ndim == 1:
            # Without training each block doubles the variance: 33 of them leave no finite score.
            value.fill_(0.2)
    small = image.with_name("small.jpg")
    expected = evaluated(cfg, predictor.model, small)
    pixels = cv2.imread(str(small))
    assert_equal_predictions(predictor(pixels), expected)
    # The result is that of this order of channels and no other.
    with pytest.raises(AssertionError):
        assert_equal_predictions(predictor(pixels[:, :, ::-1]), expected)
