"""A recipe for a number of processes, on another number of them."""

import logging
from collections.abc import Iterator

from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer
from tabulate import tabulate

from ..errors import ConfigError

logger = logging.getLogger(__name__)


def scale_to_processes(cfg: CfgNode, processes: int) -> CfgNode:
    """Scales ``cfg`` from its ``SOLVER.REFERENCE_WORLD_SIZE`` to ``processes`` and logs what was scaled.

    Detectron2's rule: the batch of each process stays; rates grow with the number of processes, iterations (schedule,
    warm-up, periods) shrink with it. What the command line set is scaled as well. The floor of the poly schedule is a
    rate and follows.

    Returns:
        A new config, or ``cfg`` itself where there is nothing to scale.

    Raises:
        ConfigError: the batch cannot be shared among the processes that it is stated for.
    """
    reference = cfg.SOLVER.REFERENCE_WORLD_SIZE
    if reference in (0, processes):
        return cfg
    if cfg.SOLVER.IMS_PER_BATCH % reference:
        raise ConfigError(
            f"SOLVER.IMS_PER_BATCH {cfg.SOLVER.IMS_PER_BATCH} is no multiple of SOLVER.REFERENCE_WORLD_SIZE: "
            f"the config is for {reference} processes and is scaled to the {processes} there are. For batch, rates and "
            "iterations as they are written add SOLVER.REFERENCE_WORLD_SIZE 0."
        )
    scaled = DefaultTrainer.auto_scale_workers(cfg, processes)
    frozen = scaled.is_frozen()
    scaled.defrost()
    if cfg.SOLVER.LR_SCHEDULER_NAME == "WarmupPolyLR":
        scaled.SOLVER.POLY_MIN_LR = cfg.SOLVER.POLY_MIN_LR * processes / reference
    validation, scaled_validation = cfg.TEST.VAL_LOSS, scaled.TEST.VAL_LOSS
    scaled_validation.PERIOD = round(validation.PERIOD * reference / processes)
    for before, after, key in (
        (cfg.SOLVER, scaled.SOLVER, "MAX_ITER"),
        (cfg.SOLVER, scaled.SOLVER, "CHECKPOINT_PERIOD"),
        (cfg.TEST, scaled.TEST, "EVAL_PERIOD"),
        (validation, scaled_validation, "PERIOD"),
    ):
        # A period that is shorter than an iteration of so many processes would be rounded to 0, which means never.
        after[key] = max(after[key], min(before[key], 1))
    if frozen:
        scaled.freeze()
    new = dict(_leaves(scaled))
    rows = [(key, value, new[key]) for key, value in _leaves(cfg) if new[key] != value]
    headers = ("key", f"for {reference}", f"for {processes}")
    table = tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)
    logger.info("The config is for %d processes and was scaled to %d:\n%s", reference, processes, table)
    return scaled


def _leaves(cfg: CfgNode, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in cfg.items():
        if isinstance(value, CfgNode):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
