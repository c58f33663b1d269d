"""Mixed precision where Detectron2's own AMP trainer does not have it: on the CPU, and in bfloat16."""

import logging

import torch
from detectron2.config import CfgNode
from torch import nn

from ..errors import ConfigError

logger = logging.getLogger(__name__)


def autocast(device: str, enabled: bool = True) -> torch.autocast:
    """The context in which a model predicts in float16 on a GPU, in bfloat16 on a CPU that has a unit for it.

    Args:
        device: ``MODEL.DEVICE``.
        enabled: without it everything stays in single precision.
    """
    if torch.device(device).type == "cpu":
        return torch.autocast("cpu", torch.bfloat16, enabled=enabled and _has_fast_bfloat16())
    return torch.autocast("cuda", torch.float16, enabled=enabled)


def is_in_bfloat16(cfg: CfgNode) -> bool:
    """Whether a training by ``cfg`` is one in bfloat16, which is the only mixed precision on the CPU.

    Raises:
        ConfigError: ``SOLVER.AMP.DTYPE`` is neither float16 nor bfloat16.
    """
    amp = cfg.SOLVER.AMP
    if amp.DTYPE not in ("float16", "bfloat16"):
        raise ConfigError(f"SOLVER.AMP.DTYPE is {amp.DTYPE!r}; there are float16 and bfloat16.")
    return amp.ENABLED and (cfg.MODEL.DEVICE == "cpu" or amp.DTYPE == "bfloat16")


def train_in_bfloat16(model: nn.Module) -> None:
    """Lets ``model`` compute in bfloat16 while it trains; on a CPU only if that has a unit for such matrices.

    On other CPUs bfloat16 would be slower than single precision and nothing changes. Evaluation stays in single
    precision. bfloat16 has the range of single precision, so that losses need no scaling.
    """
    device = next(model.parameters()).device.type
    if device == "cpu" and not _has_fast_bfloat16():
        logger.info("SOLVER.AMP.ENABLED: this CPU has no bfloat16 matrix unit; training in single precision.")
        return
    logger.info("SOLVER.AMP.ENABLED: training in bfloat16 on the %s.", device.upper().replace("CUDA", "GPU"))
    forward = model.forward

    def autocast_forward(*args: object, **kwargs: object) -> object:
        with torch.autocast(device, torch.bfloat16, enabled=model.training):
            return forward(*args, **kwargs)

    model.forward = autocast_forward


def _has_fast_bfloat16() -> bool:
    # Older releases of PyTorch do not tell.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16"))
