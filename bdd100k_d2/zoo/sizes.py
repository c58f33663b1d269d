"""How large a model is, and how much it computes on an image."""

import math
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from detectron2.modeling import build_model
from detectron2.utils.analysis import FlopCountAnalysis
from fvcore.nn import parameter_count
from fvcore.nn.jit_handles import get_shape
from torch import nn
from tqdm import tqdm

from .. import get_config
from .table import ModelSize


def measure_size(model: nn.Module, height: int = 720, width: int = 1280) -> ModelSize:
    """Counts parameters, and multiply-adds on one image of noise as fvcore counts them; sets ``model`` to evaluation.

    A detector computes its second stage for each proposal and its masks for each detection: with random weights these
    are as many as the config lets through.
    """
    image = np.random.default_rng(0).integers(0, 256, (3, height, width), np.uint8)
    analysis = FlopCountAnalysis(model.eval(), [{"image": torch.from_numpy(image)}])
    analysis.set_op_handle("aten::scaled_dot_product_attention", _attention)
    analysis.set_op_handle("torchvision::deform_conv2d", _deformable)
    # What fvcore does not count, such as NMS, has next to no multiplications.
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():
        flops = analysis.total()
    return ModelSize(parameter_count(model)[""], round(flops / 1e9, 1))


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Multiply-adds of fused attention: of queries (..., L, E) with keys (..., S, E), and of weights with values."""
    queries, keys = (get_shape(one) for one in inputs[:2])
    count: int = 2 * math.prod(queries) * keys[-2]
    return count


def _deformable(inputs: list[Any], outputs: list[Any]) -> int:
    """Multiply-adds of a deformable convolution, without those that interpolate between pixels."""
    weight, output = get_shape(inputs[1]), get_shape(outputs[0])
    count: int = math.prod(output) * math.prod(weight[1:])
    return count


def measure_sizes(configs: Iterable[str]) -> dict[str, ModelSize]:
    """Builds each of these configs on the CPU and measures it; returns the sizes by the configs' names."""
    found = {}
    # Schedules share models.
    of_model: dict[str, ModelSize] = {}
    for config in tqdm(configs, "measuring", disable=not sys.stderr.isatty()):
        cfg = get_config(config)
        cfg.MODEL.DEVICE = "cpu"
        # As many proposals and masks as there may be: which of random ones have an area and a score is chance.
        cfg.MODEL.PROPOSAL_GENERATOR.MIN_SIZE = -1
        cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST, cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST = 0.0, 1.0
        model = cfg.MODEL.dump()
        if model not in of_model:
            torch.manual_seed(0)
            built = build_model(cfg)
            _flatten_scores(built)
            of_model[model] = measure_size(built)
        found[config] = of_model[model]
    return found


def _flatten_scores(model: nn.Module) -> None:
    """Makes a detector of random weights find as many boxes as it may, in place.

    The features of a deep one grow without bound, so that one class, the background, would win everywhere, and that
    proposals would be moved onto each other. Now all classes are as likely, and boxes stay where their anchors are.
    """
    for name, parameter in model.named_parameters():
        if name.endswith((".cls_score.weight", ".bbox_pred.weight", ".anchor_deltas.weight")):
            nn.init.zeros_(parameter)
