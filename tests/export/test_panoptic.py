"""A panoptic model and its file give the same merged segments, from an image to their ids."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.config import CfgNode
from seeded import seeded_image
from support.small_detectors import random_detector, small_config
from torch import nn

import bdd100k_d2
from bdd100k_d2.export.run import export_model
from bdd100k_d2.tasks import TASKS

SIZE = (96, 160)
THINGS = sum(one.is_thing for one in TASKS["pan_seg"].categories)
# Of random weights a few pixels are on the threshold, as other runtimes round.
MOST_PIXELS = 3


@pytest.fixture
def panoptic(tmp_path: Path) -> CfgNode:
    """The config of a small model that finds things and stuff, some of each on either side of each threshold."""
    cfg = small_config("Panoptic FPN")
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = THINGS
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST, cfg.TEST.DETECTIONS_PER_IMAGE = 0.0, 12
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 144, 240
    combine = cfg.MODEL.PANOPTIC_FPN.COMBINE
    combine.OVERLAP_THRESH, combine.STUFF_AREA_LIMIT, combine.INSTANCES_CONFIDENCE_THRESH = 0.5, 100, 0.815
    model = random_detector(cfg)
    heads = model.roi_heads
    for part in (model.sem_seg_head.predictor, heads.mask_head.predictor, heads.box_predictor.cls_score):
        nn.init.normal_(part.weight, std=0.5)
    cfg.MODEL.WEIGHTS = str(tmp_path / "model.pth")
    torch.save({"model": model.state_dict()}, cfg.MODEL.WEIGHTS)
    return cfg


def exact(info: dict[str, Any]) -> dict[str, Any]:
    """What of a segment's info is not computed from floating point numbers."""
    return {key: value for key, value in info.items() if key not in ("score", "area")}


@pytest.mark.parametrize("to", ["torchscript", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_file_has_the_segments_of_its_model(
    to: str, panoptic: CfgNode, tmp_path: Path, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"model.{to}"
    export_model(panoptic, to, path, size=SIZE)
    # Of all families its graph makes the exporters say the most.
    assert not {one.category for one in recwarn} & {torch.jit.TracerWarning, FutureWarning}
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []

    of_model, of_file = bdd100k_d2.Predictor(panoptic), bdd100k_d2.Predictor(path)
    for seed in range(3):
        frame = seeded_image(*SIZE, seed=seed)
        output = of_model(frame)
        expected, expected_infos = output["panoptic_seg"]
        segments, infos = of_file(frame)["panoptic_seg"]
        assert segments.shape == SIZE and (segments != expected.numpy()).sum() <= MOST_PIXELS
        assert [exact(one) for one in infos] == [exact(one) for one in expected_infos]
        for key, near in (("score", 1e-5), ("area", MOST_PIXELS)):
            wanted = [one.get(key, 0) for one in expected_infos]
            assert [one.get(key, 0) for one in infos] == pytest.approx(wanted, abs=near)
        # Things that overlap are left out, and stuff that is too small.
        things = [one for one in infos if one["isthing"]]
        assert 0 < len(things) < (output["instances"].scores > 0.815).sum()
        assert 0 < len(infos) - len(things) < len(output["sem_seg"].argmax(0).unique())
