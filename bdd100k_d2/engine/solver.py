"""The recipes' optimizers and learning rate schedules, scaled to the number of processes."""

import logging
from dataclasses import dataclass

import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer
from detectron2.solver import LRMultiplier, build_lr_scheduler
from detectron2.solver import build_optimizer as build_sgd
from detectron2.solver.build import maybe_add_gradient_clipping
from fvcore.common.param_scheduler import ParamScheduler
from tabulate import tabulate
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..config import all_keys
from ..errors import ConfigError
from .parameter_groups import parameter_groups

logger = logging.getLogger(__name__)


def build_optimizer(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """Builds "SGD" as Detectron2 does or "AdamW", with the groups of `parameter_groups`.

    Raises `ConfigError` if ``SOLVER.OPTIMIZER`` is another name, or as `parameter_groups` does.
    """
    solver = cfg.SOLVER
    if solver.OPTIMIZER not in ("SGD", "AdamW"):
        raise ConfigError(f"SOLVER.OPTIMIZER is {solver.OPTIMIZER!r}; there are SGD and AdamW.")
    if solver.OPTIMIZER == "AdamW":
        adamw = maybe_add_gradient_clipping(cfg, torch.optim.AdamW)
        return adamw(parameter_groups(cfg, model), lr=solver.BASE_LR, weight_decay=solver.WEIGHT_DECAY)
    optimizer = build_sgd(cfg, model)
    if solver.LAYER_DECAY.RATE == 1 and solver.WEIGHT_DECAY_LAYER_NORM is None:
        return optimizer
    return type(optimizer)(parameter_groups(cfg, model), **optimizer.defaults)


@dataclass
class WarmupPolyParamScheduler(ParamScheduler):
    """A polynomial fall from 1 to ``floor`` with a warm-up that multiplies it, as Vis4D's two schedulers in turn do.

    Vis4D lets both change the optimizer's rate before each iteration i: the warm-up multiplies it by ``warmup(i) /
    warmup(i - 1)``, the fall what is above the floor by ``left(i) / left(i - 1)``, with ``left(i)`` for ``(1 - i /
    iterations) ** power``. What the floor adds in the first iterations is warmed up too, so the rate is not the
    product of the two curves. The warm-up goes from ``warmup_factor`` to 1, if not ``linear`` at its end.
    """

    iterations: int
    power: float
    floor: float
    warmup_iterations: int
    warmup_factor: float
    linear: bool

    def __post_init__(self) -> None:
        self.warmup_iterations = min(self.warmup_iterations, self.iterations)
        self._warmed_up = [self._warmup(0)]
        for i in range(1, self.warmup_iterations + 1):
            value = self._warmed_up[-1] * self._warmup(i) / self._warmup(i - 1)
            self._warmed_up.append(self._fall(value, i - 1, i))

    def __call__(self, where: float) -> float:
        """The factor at ``where``, the share 0 to 1 of the training that is done."""
        i = min(round(where * self.iterations), self.iterations)
        if i <= self.warmup_iterations:
            return self._warmed_up[i]
        return self._fall(self._warmed_up[-1], self.warmup_iterations, i)

    def _warmup(self, i: int) -> float:
        if i >= self.warmup_iterations:
            return 1.0
        done = i / self.warmup_iterations if self.linear else 0.0
        return self.warmup_factor + (1.0 - self.warmup_factor) * done

    def _fall(self, value: float, begin: int, end: int) -> float:
        left = (self.iterations - end) / (self.iterations - begin)
        return (value - self.floor) * left**self.power + self.floor


def build_schedule(cfg: CfgNode, optimizer: Optimizer) -> LRScheduler:
    """Builds the schedule that ``SOLVER.LR_SCHEDULER_NAME`` names: "WarmupPolyLR", or one of Detectron2's.

    Raises:
        ConfigError: "WarmupPolyLR" has no such ``SOLVER.WARMUP_METHOD``, or ``SOLVER.WARMUP_FACTOR`` is 0.
    """
    solver = cfg.SOLVER
    if solver.LR_SCHEDULER_NAME != "WarmupPolyLR":
        return build_lr_scheduler(cfg, optimizer)
    if solver.WARMUP_METHOD not in ("linear", "constant"):
        raise ConfigError(f"SOLVER.WARMUP_METHOD is {solver.WARMUP_METHOD!r}; there are linear and constant.")
    if solver.WARMUP_FACTOR <= 0:
        raise ConfigError(f"SOLVER.WARMUP_FACTOR is {solver.WARMUP_FACTOR}; WarmupPolyLR needs one above 0.")
    floor, linear = solver.POLY_MIN_LR / solver.BASE_LR, solver.WARMUP_METHOD == "linear"
    schedule = WarmupPolyParamScheduler(
        solver.MAX_ITER, solver.POLY_POWER, floor, solver.WARMUP_ITERS, solver.WARMUP_FACTOR, linear
    )
    return LRMultiplier(optimizer, multiplier=schedule, max_iter=solver.MAX_ITER)


def scale_to_processes(cfg: CfgNode, num_workers: int) -> CfgNode:
    """Scales ``cfg`` from its ``SOLVER.REFERENCE_WORLD_SIZE`` to ``num_workers`` processes and logs what was scaled.

    Detectron2's rule: the batch of each process stays; rates grow with the number of processes, iterations (schedule,
    warm-up, periods) shrink with it. What the command line set is scaled as well. The floor of the poly schedule is a
    rate and follows. Returns a new config, or ``cfg`` itself where there is nothing to scale.

    Raises:
        ConfigError: the batch is no multiple of ``SOLVER.REFERENCE_WORLD_SIZE``.
    """
    reference = cfg.SOLVER.REFERENCE_WORLD_SIZE
    if reference in (0, num_workers):
        return cfg
    if cfg.SOLVER.IMS_PER_BATCH % reference:
        raise ConfigError(
            f"SOLVER.IMS_PER_BATCH {cfg.SOLVER.IMS_PER_BATCH} is no multiple of SOLVER.REFERENCE_WORLD_SIZE: "
            f"the config is for {reference} processes and is scaled to the {num_workers} there are. For batch, rates "
            "and iterations as they are written add SOLVER.REFERENCE_WORLD_SIZE 0."
        )
    scaled = DefaultTrainer.auto_scale_workers(cfg, num_workers)
    frozen = scaled.is_frozen()
    scaled.defrost()
    if cfg.SOLVER.LR_SCHEDULER_NAME == "WarmupPolyLR":
        scaled.SOLVER.POLY_MIN_LR = cfg.SOLVER.POLY_MIN_LR * num_workers / reference
    scaled.TEST.VAL_LOSS.PERIOD = round(cfg.TEST.VAL_LOSS.PERIOD * reference / num_workers)
    for before, after, key in (
        (cfg.SOLVER, scaled.SOLVER, "MAX_ITER"),
        (cfg.SOLVER, scaled.SOLVER, "CHECKPOINT_PERIOD"),
        (cfg.TEST, scaled.TEST, "EVAL_PERIOD"),
        (cfg.TEST.VAL_LOSS, scaled.TEST.VAL_LOSS, "PERIOD"),
    ):
        # A period that is shorter than an iteration of so many processes would be rounded to 0, which means never.
        after[key] = max(after[key], min(before[key], 1))
    if frozen:
        scaled.freeze()
    new = dict(all_keys(scaled))
    old = ((key, value) for key, value in all_keys(cfg) if not isinstance(value, CfgNode))
    rows = [(key, value, new[key]) for key, value in old if new[key] != value]
    table = tabulate(rows, ("key", f"for {reference}", f"for {num_workers}"), tablefmt="pipe", disable_numparse=True)
    logger.info("The config is for %d processes and was scaled to %d:\n%s", reference, num_workers, table)
    return scaled
