"""How large a model is, and how much it computes on a picture."""

import numpy as np
import torch
from detectron2.utils.analysis import FlopCountAnalysis
from fvcore.nn import parameter_count
from torch import nn

from .table import Size


def measure(model: nn.Module, height: int = 720, width: int = 1280) -> Size:
    """Counts parameters, and multiply-adds on one picture of noise as fvcore counts them.

    A detector computes its second stage for each proposal and its masks for each detection: with random weights these
    are as many as the config lets through.

    Args:
        model: one that Detectron2 builds; it is set to evaluation.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
    """
    picture = np.random.default_rng(0).integers(0, 256, (3, height, width), np.uint8)
    analysis = FlopCountAnalysis(model.eval(), [{"image": torch.from_numpy(picture)}])
    # What fvcore does not count, such as NMS, has next to no multiplications.
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():
        flops = analysis.total()
    return Size(parameter_count(model)[""], round(flops / 1e9, 1))
