"""The optimizers of the recipes."""

import torch
from detectron2.config import CfgNode
from detectron2.solver import build_optimizer as build_sgd
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping
from torch import nn
from torch.optim import Optimizer

from ..errors import ConfigError


def build_optimizer(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """Builds the optimizer that ``SOLVER.OPTIMIZER`` names: "SGD" as Detectron2 does, or "AdamW".

    Raises:
        ConfigError: another name.
    """
    solver = cfg.SOLVER
    if solver.OPTIMIZER == "SGD":
        return build_sgd(cfg, model)
    if solver.OPTIMIZER != "AdamW":
        raise ConfigError(f"SOLVER.OPTIMIZER is {solver.OPTIMIZER!r}; there are SGD and AdamW.")
    params = get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay=solver.WEIGHT_DECAY,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
    )
    adamw = maybe_add_gradient_clipping(cfg, torch.optim.AdamW)
    return adamw(params, lr=solver.BASE_LR, weight_decay=solver.WEIGHT_DECAY)
