"""The learning rate schedules of the recipes."""

from detectron2.config import CfgNode
from detectron2.solver import LRMultiplier, build_lr_scheduler
from fvcore.common.param_scheduler import ParamScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..errors import ConfigError


class WarmupPolyParamScheduler(ParamScheduler):
    """A polynomial fall from 1 to ``floor`` with a warm-up that multiplies it, as Vis4D's two schedulers in turn do.

    Vis4D lets both change the optimizer's rate before each iteration i: the warm-up multiplies it by ``warmup(i) /
    warmup(i - 1)``, the fall what is above the floor by ``left(i) / left(i - 1)``, with ``left(i)`` for ``(1 - i /
    iterations) ** power``. What the floor adds in the first iterations is warmed up too, so the rate is not the
    product of the two curves.
    """

    def __init__(
        self, iterations: int, power: float, floor: float, warmup_iterations: int, warmup_factor: float, linear: bool
    ) -> None:
        """Takes the length of the training, the fall and the warm-up.

        Args:
            iterations: of the whole training.
            power: the exponent of the fall.
            floor: the last value, as a fraction of the rate.
            warmup_iterations: after these the warm-up is over; at most all.
            warmup_factor: what the warm-up multiplies the first rate by.
            linear: let the factor rise to 1 from iteration to iteration, or stay until the warm-up is over.
        """
        self.iterations = iterations
        self.power = power
        self.floor = floor
        self.warmup_iterations = min(warmup_iterations, iterations)
        self.warmup_factor = warmup_factor
        self.linear = linear
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
        ConfigError: "WarmupPolyLR" with a ``SOLVER.WARMUP_METHOD`` that is neither "linear" nor "constant", or with a
            ``SOLVER.WARMUP_FACTOR`` of 0.
    """
    solver = cfg.SOLVER
    if solver.LR_SCHEDULER_NAME != "WarmupPolyLR":
        return build_lr_scheduler(cfg, optimizer)
    if solver.WARMUP_METHOD not in ("linear", "constant"):
        raise ConfigError(f"SOLVER.WARMUP_METHOD is {solver.WARMUP_METHOD!r}; there are linear and constant.")
    if solver.WARMUP_FACTOR <= 0:
        raise ConfigError(f"SOLVER.WARMUP_FACTOR is {solver.WARMUP_FACTOR}; WarmupPolyLR needs one above 0.")
    schedule = WarmupPolyParamScheduler(
        solver.MAX_ITER,
        solver.POLY_POWER,
        solver.POLY_MIN_LR / solver.BASE_LR,
        solver.WARMUP_ITERS,
        solver.WARMUP_FACTOR,
        solver.WARMUP_METHOD == "linear",
    )
    return LRMultiplier(optimizer, multiplier=schedule, max_iter=solver.MAX_ITER)
