"""Detectron2's ``demo/demo.py`` with the package's configs: images and frames of a video, drawn with our metadata."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from detectron2.config import CfgNode, get_cfg
from detectron2.data import MetadataCatalog
from detectron2.data.detection_utils import read_image
from detectron2.engine import DefaultPredictor
from detectron2.utils.video_visualizer import VideoVisualizer
from detectron2.utils.visualizer import ColorMode, Visualizer
from support.frames import write_image
from support.prediction_models import config_file, detector, saved, write_video
from support.small_models import small_config

import bdd100k_d2


def segmenter(folder: Path) -> CfgNode:
    cfg = small_config(folder, "DATASETS.TEST", ("bdd100k_sem_seg_val",))
    return saved(cfg, folder)


MODELS: dict[str, Callable[[Path], CfgNode]] = {
    "det": detector,
    "ins_seg": lambda folder: detector(folder, "ins_seg"),
    "sem_seg": segmenter,
}


def set_up(path: Path) -> CfgNode:
    """The config as the program reads it, with the one line that it needs."""
    cfg = get_cfg()
    bdd100k_d2.add_bdd100k_config(cfg)
    cfg.merge_from_file(str(path))
    cfg.MODEL.RETINANET.SCORE_THRESH_TEST = cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.05
    cfg.MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH = 0.05
    cfg.freeze()
    return cfg


def draw(drawer: Any, predictions: dict[str, Any], *frame: np.ndarray) -> np.ndarray:  # noqa: ANN401, either visualizer
    if "sem_seg" in predictions:
        return drawer.draw_sem_seg(*frame, predictions["sem_seg"].argmax(dim=0).to("cpu")).get_image()
    return drawer.draw_instance_predictions(*frame, predictions["instances"].to("cpu")).get_image()


@pytest.mark.parametrize("task", MODELS)
def test_an_image(task: str, tmp_path: Path) -> None:
    cfg = set_up(config_file(MODELS[task](tmp_path), tmp_path))
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
    write_image(tmp_path / "a.jpg")
    image = read_image(str(tmp_path / "a.jpg"), format="BGR")
    predictions = DefaultPredictor(cfg)(image)
    drawn = draw(Visualizer(image[:, :, ::-1], metadata, instance_mode=ColorMode.IMAGE), predictions)
    assert drawn.shape == image.shape and np.count_nonzero(drawn != image[:, :, ::-1]) > 1000


@pytest.mark.parametrize("task", MODELS)
def test_a_video(task: str, tmp_path: Path) -> None:
    cfg = set_up(config_file(MODELS[task](tmp_path), tmp_path))
    drawer = VideoVisualizer(MetadataCatalog.get(cfg.DATASETS.TEST[0]), ColorMode.IMAGE)
    video, predictor = cv2.VideoCapture(str(write_video(tmp_path / "a.mp4", 2))), DefaultPredictor(cfg)
    for _ in range(2):
        frame = video.read()[1]
        drawn = draw(drawer, predictor(frame), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        assert drawn.shape == frame.shape and np.count_nonzero(drawn != frame) > 1000
