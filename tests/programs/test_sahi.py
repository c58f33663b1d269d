"""Programs that know nothing of the package read its configs as they read Detectron2's, and get the same models."""

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model
from support.small_models import SMALL_MODELS

import bdd100k_d2
from bdd100k_d2.config import add_bdd100k_config, config_folder, with_our_keys
from bdd100k_d2.modeling.norms import adapt_sync_norms


def as_sahi_reads_it(name: str) -> CfgNode:
    """Detectron2's defaults, and whatever keys the file has."""
    cfg = get_cfg()
    cfg.set_new_allowed(True)
    cfg.merge_from_file(str(config_folder() / f"{name}.yaml"))
    return cfg


@pytest.mark.parametrize(
    "name",
    [
        "det/faster_rcnn_R_50_FPN_1x",
        "det/cascade_rcnn_R_50_FPN_1x",
        "det/retinanet_R_50_FPN_1x",
        "ins_seg/mask_rcnn_R_50_FPN_1x",
        "sem_seg/semantic_fpn_R_50_40k",
        "sample/faster_rcnn_R_18_FPN",
    ],
)
@torch.no_grad()
def test_a_config_without_our_defaults_is_the_same_model(name: str) -> None:
    outputs = []
    for cfg in (bdd100k_d2.get_config(name), as_sahi_reads_it(name)):
        cfg.merge_from_list(
            ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", *SMALL_MODELS["det"], *SMALL_MODELS["sem_seg"]]
        )
        torch.manual_seed(0)
        model = build_model(cfg).eval()
        adapt_sync_norms(model)
        output = model([{"image": torch.arange(3 * 64 * 96).view(3, 64, 96) % 255.0}])[0]
        fields = output["instances"].get_fields() if "instances" in output else output
        outputs.append({key: getattr(value, "tensor", value) for key, value in fields.items()})
    ours, theirs = outputs
    assert ours.keys() == theirs.keys() and ours
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


def test_detectron2s_predictor_takes_a_config_as_sahi_reads_it() -> None:
    cfg = as_sahi_reads_it("sample/faster_rcnn_R_18_FPN")
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", *SMALL_MODELS["det"]])
    cfg.INPUT.MIN_SIZE_TEST = cfg.INPUT.MAX_SIZE_TEST = 64
    found = DefaultPredictor(cfg)(np.zeros((48, 64, 3), np.uint8))["instances"]
    assert found.image_size == (48, 64)


def test_a_config_that_has_our_keys_is_taken_as_it_is() -> None:
    cfg = get_cfg()
    complete = with_our_keys(cfg)
    assert complete is not cfg and not complete.MODEL.CLIP_DELTAS_BELOW
    cfg.MODEL.RPN.NMS_THRESH = 0.5
    assert with_our_keys(cfg).MODEL.RPN.NMS_THRESH == 0.5 and "TIMM" not in cfg.MODEL
    add_bdd100k_config(cfg)
    assert with_our_keys(cfg) is cfg
