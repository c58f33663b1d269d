"""How large a model is, and how much it computes on an image."""

import numpy as np
import torch
from detectron2.utils.analysis import FlopCountAnalysis
from fvcore.nn import parameter_count
from torch import nn

from .table import Size


def measure(model: nn.Module, height: int = 720, width: int = 1280) -> Size:
    """Counts parameters, and multiply-adds on one image of noise as fvcore counts them.

    A detector computes its second stage for each proposal and its masks for each detection: with random weights these
    are as many as the config lets through.

    Args:
        model: one that Detectron2 builds; it is set to evaluation.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """
    image = np.random.default_rng(0).integers(0, 256, (3, height, width), np.uint8)
    analysis = FlopCountAnalysis(model.eval(), [{"image": torch.from_numpy(image)}])
    # What fvcore does not count, such as NMS, has next to no multiplications.
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():
        flops = analysis.total()
    return Size(parameter_count(model)[""], round(flops / 1e9, 1))
