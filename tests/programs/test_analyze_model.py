"""Detectron2's ``tools/analyze_model.py`` on each of our kinds of models: operations, activations, parameters."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.data import build_detection_test_loader
from detectron2.modeling import build_model
from detectron2.utils.analysis import (
    FlopCountAnalysis,
    activation_count_operators,
    parameter_count,
    parameter_count_table,
)
from fvcore.nn import flop_count_table
from support.small_models import SMALL_MODELS
from torch import nn

import bdd100k_d2

CONFIGS = (
    "det/faster_rcnn_R_50_FPN_1x",
    "det/cascade_rcnn_R_50_FPN_1x",
    "det/retinanet_R_50_FPN_1x",
    "ins_seg/mask_rcnn_R_50_FPN_1x",
    "sem_seg/semantic_fpn_R_50_40k",
    "sample/faster_rcnn_efficientnet_lite0_FPN",
    "sample/semantic_fpn_efficientnet_lite0",
)


def small(name: str) -> tuple[nn.Module, list[dict[str, Any]]]:
    """A model, and a batch of one of its own test set, as the program makes them."""
    cfg = bdd100k_d2.get_config(name)
    cfg.merge_from_list([*SMALL_MODELS["sem_seg" if "semantic" in name else "det"], "MODEL.DEVICE", "cpu"])
    cfg.MODEL.WEIGHTS, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = "", 64, 114
    cfg.DATALOADER.NUM_WORKERS, cfg.TEST.DETECTIONS_PER_IMAGE, cfg.MODEL.ROI_MASK_HEAD.CONV_DIM = 0, 5, 8
    torch.manual_seed(0)
    return build_model(cfg).eval(), next(iter(build_detection_test_loader(cfg, cfg.DATASETS.TEST[0])))


def convolutions(model: nn.Module, batch: list[dict[str, Any]]) -> int:
    """The multiplications of all convolutions, in a forward pass: what the counter of the traced model has to find."""
    counts = []

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        one = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        counts.append(one.numel() * module.weight[0].numel())

    kinds = nn.Conv2d, nn.ConvTranspose2d
    hooks = [module.register_forward_hook(count) for module in model.modules() if isinstance(module, kinds)]
    with torch.no_grad():
        model(batch)
    for hook in hooks:
        hook.remove()
    return sum(counts)


@pytest.mark.usefixtures("root")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_is_analysed(name: str, tmp_path: Path) -> None:
    model, batch = small(name)
    flops = FlopCountAnalysis(model, batch)
    assert flops.by_operator()["conv"] == convolutions(model, batch) > 0
    assert sum(flops.by_operator().values()) == flops.total()
    assert "backbone" in flop_count_table(flops)
    activations = activation_count_operators(model, batch)
    assert activations["conv"] > 0
    counts = parameter_count(model)
    assert counts[""] == sum(parameter.numel() for parameter in model.parameters())
    assert re.search(r"\| *model *\|", parameter_count_table(model, max_depth=5))
    assert str(model).startswith(type(model).__name__)
