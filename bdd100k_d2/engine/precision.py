"""Mixed precision on the CPU, which Detectron2's own AMP trainer leaves to CUDA."""

import logging

import torch
from torch import nn

logger = logging.getLogger(__name__)


def train_in_bfloat16(model: nn.Module) -> None:
    """Lets ``model`` compute in bfloat16 while it trains on the CPU, if the CPU has a unit for such matrices.

    On others bfloat16 would be slower than single precision and nothing changes. Evaluation stays in single precision.
    bfloat16 has the range of single precision, so that losses need no scaling.
    """
    if not _has_fast_bfloat16():
        logger.info("SOLVER.AMP.ENABLED: this CPU has no bfloat16 matrix unit; training in single precision.")
        return
    logger.info("SOLVER.AMP.ENABLED: training in bfloat16 on the CPU.")
    forward = model.forward

    def autocast_forward(*args: object, **kwargs: object) -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=model.training):
            return forward(*args, **kwargs)

    model.forward = autocast_forward


def _has_fast_bfloat16() -> bool:
    # Older releases of PyTorch do not tell.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16"))
