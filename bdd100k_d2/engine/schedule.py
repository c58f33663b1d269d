"""The learning rate schedules of the recipes."""

from detectron2.config import CfgNode
from detectron2.solver import LRMultiplier, WarmupParamScheduler, build_lr_scheduler
from fvcore.common.param_scheduler import ParamScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class PolyParamScheduler(ParamScheduler):
    """Falls from 1 to ``floor`` as ``(1 - floor) * (1 - where) ** power + floor``."""

    def __init__(self, power: float, floor: float) -> None:
        """Takes the exponent and the last value, both as fractions."""
        self.power = power
        self.floor = floor

    def __call__(self, where: float) -> float:
        """The factor at ``where``, the share 0 to 1 of the training that is done."""
        return (1.0 - self.floor) * (1.0 - where) ** self.power + self.floor


def build_schedule(cfg: CfgNode, optimizer: Optimizer) -> LRScheduler:
    """Builds the schedule that ``SOLVER.LR_SCHEDULER_NAME`` names: "WarmupPolyLR", or one of Detectron2's."""
    solver = cfg.SOLVER
    if solver.LR_SCHEDULER_NAME != "WarmupPolyLR":
        return build_lr_scheduler(cfg, optimizer)
    schedule = WarmupParamScheduler(
        PolyParamScheduler(solver.POLY_POWER, solver.POLY_MIN_LR / solver.BASE_LR),
        solver.WARMUP_FACTOR,
        min(solver.WARMUP_ITERS / solver.MAX_ITER, 1.0),
        solver.WARMUP_METHOD,
    )
    return LRMultiplier(optimizer, multiplier=schedule, max_iter=solver.MAX_ITER)
