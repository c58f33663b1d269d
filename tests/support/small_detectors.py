"""Detectors of the zoo at a fraction of their size, whose random weights find something, and what they find."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from torch import Tensor, nn

import bdd100k_d2
from bdd100k_d2.export.detection import detect
from bdd100k_d2.modeling.norms import adapt_sync_norms, fold_norms

# Fewer classes and levels of NMS than a config has, so that graphs are small; no fewer channels, or ReLUs would make
# scores equal, of which no order is right.
_SMALL = (
    "MODEL.DEVICE cpu MODEL.WEIGHTS_ '' MODEL.RESNETS.DEPTH 18 MODEL.FPN.OUT_CHANNELS 32 MODEL.ROI_BOX_HEAD.FC_DIM 32 "
    "MODEL.ROI_HEADS.NUM_CLASSES 3 MODEL.RETINANET.NUM_CLASSES 3 MODEL.RETINANET.NUM_CONVS 1 "
    "MODEL.ROI_MASK_HEAD.CONV_DIM 16 MODEL.ROI_MASK_HEAD.NUM_CONV 1 MODEL.SEM_SEG_HEAD.CONVS_DIM 32 "
).replace("MODEL.WEIGHTS_ '' ", "")


class DetectorGraph(nn.Module):
    """What is exported: `detect` for frames of one size."""

    def __init__(self, model: nn.Module, frame: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.frame = model, frame

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return detect(self.model, images, *self.frame)


def small_detector_config(name: str, *overrides: object) -> CfgNode:
    """The config of a zoo's model made small; with more keys and values in turn."""
    cfg = bdd100k_d2.get_config(name)
    cfg.MODEL.WEIGHTS = ""
    cfg.merge_from_list(_SMALL.split())
    if cfg.MODEL.RESNETS.DEPTH == 18:
        cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    cfg.merge_from_list([*overrides])
    return cfg


def small_detector(cfg: CfgNode) -> nn.Module:
    """The model of ``cfg`` with random weights, folded, in evaluation mode."""
    torch.manual_seed(0)
    model = build_model(cfg)
    adapt_sync_norms(model)
    for part, parameter in model.named_parameters():
        if part.startswith("head."):
            nn.init.normal_(parameter, std=0.05)
        elif "cls_score" in part or "objectness" in part:
            nn.init.normal_(parameter, std=0.2)
    model.eval()
    fold_norms(model)
    return model
