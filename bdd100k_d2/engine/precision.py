"""Speed that costs nothing but rounding: mixed precision on the CPU and in bfloat16, channels last, compiled code."""

import functools
import logging
import time

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from torch import nn

from ..errors import ConfigError

logger = logging.getLogger(__name__)

# Instructions for bfloat16 by PyTorch's names. Some CPUs compute faster by them than in single precision (AMD's Zen 4),
# some at half the speed (Intel's without AMX).
_INSTRUCTIONS = ("avx512_bf16", "bf16", "sve_bf16")
# How much faster a convolution has to be before its rounding is worth it; and how often it is timed.
_GAIN = 1.1
_TIMES = 7


def autocast(device: str, enabled: bool = True) -> torch.autocast:
    """The context in which a model predicts: in float16 on a GPU, in bfloat16 on a CPU that is faster for it."""
    if torch.device(device).type == "cpu":
        return torch.autocast("cpu", torch.bfloat16, enabled=enabled and has_fast_bfloat16())
    return torch.autocast("cuda", torch.float16, enabled=enabled)


def is_in_bfloat16(cfg: CfgNode) -> bool:
    """Whether a training by ``cfg`` is in bfloat16, the CPU's only mixed precision; ConfigError for another type."""
    amp = cfg.SOLVER.AMP
    if amp.DTYPE not in ("float16", "bfloat16"):
        raise ConfigError(f"SOLVER.AMP.DTYPE is {amp.DTYPE!r}; there are float16 and bfloat16.")
    return amp.ENABLED and (cfg.MODEL.DEVICE == "cpu" or amp.DTYPE == "bfloat16")


class BFloat16Training:
    """Lets ``model``, in place, compute in bfloat16 while it trains, but not on a CPU that is not faster for it.

    ``enabled`` says whether it does: the first process decides for all, and a run that goes on keeps what it had.
    Evaluation stays in single precision. bfloat16 has the range of single precision, so that losses need no scaling.
    """

    def __init__(self, model: nn.Module) -> None:
        device = next(model.parameters()).device.type
        self.enabled = bool(comm.all_gather(device != "cpu" or has_fast_bfloat16())[0])
        if self.enabled:
            logger.info("SOLVER.AMP.ENABLED: training in bfloat16 on the %s.", device.upper().replace("CUDA", "GPU"))
        else:
            logger.info("SOLVER.AMP.ENABLED: this CPU is not faster in bfloat16; training in single precision.")
        forward = model.forward

        def autocast_forward(*args: object, **kwargs: object) -> object:
            with torch.autocast(device, torch.bfloat16, enabled=self.enabled and model.training):
                return forward(*args, **kwargs)

        model.forward = autocast_forward

    def go_on(self, enabled: bool) -> None:
        """Goes on as the run began, and logs where that is not what this machine would have chosen."""
        if enabled != self.enabled:
            names = {True: "bfloat16", False: "single precision"}
            logger.warning("The run goes on in %s, not in %s, as it began.", names[enabled], names[self.enabled])
        self.enabled = enabled


@functools.cache
def has_fast_bfloat16() -> bool:
    """Whether this CPU computes convolutions faster in bfloat16 than in single precision.

    It does with matrix units for it (AMX) and does not without any instruction for it. In between, and where PyTorch
    does not know the CPU, a convolution is timed, once in a process, which takes some 0.1 s.
    """
    # Older releases of PyTorch do not tell.
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities.get("amx_bf16"):
        return True
    if capabilities and not any(capabilities.get(name) for name in _INSTRUCTIONS):
        return False
    single, half = _convolution_seconds()
    logger.info("A convolution takes %.1f ms in single precision, %.1f ms in bfloat16.", 1e3 * single, 1e3 * half)
    return half * _GAIN < single


@torch.no_grad()
def _convolution_seconds() -> tuple[float, float]:
    """The shortest time of a 3x3 convolution of 64 channels in single precision and in bfloat16, timed in turn."""
    best = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    for _ in range(_TIMES):
        for dtype in best:
            maps = torch.ones(1, 64, 64, 64, dtype=dtype).to(memory_format=torch.channels_last)
            weights = torch.ones(64, 64, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
            start = time.perf_counter()
            torch.conv2d(maps, weights, padding=1)
            best[dtype] = min(best[dtype], time.perf_counter() - start)
    return best[torch.float32], best[torch.bfloat16]


def accelerate(cfg: CfgNode, model: nn.Module, amp: bool) -> nn.Module:
    """Keeps the weights of ``model`` channels last, and compiles its backbone if ``MODEL.COMPILE`` says so, in place.

    Checkpoints are the same with it and without. ``amp`` says whether the model computes in mixed precision.
    """
    if cfg.MODEL.CHANNELS_LAST and (cfg.MODEL.DEVICE == "cpu" or amp):
        # In single precision CUDA's convolutions are not faster for it.
        model = model.to(memory_format=torch.channels_last)
    if cfg.MODEL.COMPILE:
        model.get_submodule("backbone").compile(dynamic=False)
    return model
