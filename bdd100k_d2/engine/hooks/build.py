"""Which hooks a training has, and in which order."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.engine import HookBase, hooks
from detectron2.utils import comm
from fvcore.nn.precise_bn import get_bn_modules
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..record import RunRecord
from .best_checkpoint import BestCheckpointer
from .ema import UpdateAverage, WeightAverage
from .evaluation import PeriodicEvaluation
from .finite import NonFiniteGuard
from .missed import MissedEvaluation
from .pictures import PredictionPictures
from .stopping import EarlyStopping
from .termination import Termination
from .val_loss import ValidationLoss
from .writers import WriteEvents, shows_pictures

if TYPE_CHECKING:
    from ..trainer import Trainer


def build_hooks(trainer: "Trainer") -> list[HookBase]:
    """Detectron2's hooks in Detectron2's order, and between them those that the config asks for.

    What guards the weights comes before what saves them; what judges an evaluation, after it; the writers follow,
    so that they write what the others measured, and last is what ends the training at a signal.

    Raises:
        ConfigError: a key of a hook that makes no sense.
    """
    cfg, model = trainer.cfg, unwrapped(trainer.model)
    average = None
    built = [hooks.IterationTimer(), NonFiniteGuard(cfg), hooks.LRScheduler()]
    if cfg.MODEL.EMA.ENABLED:
        average = WeightAverage(model, cfg.MODEL.EMA.DECAY, cfg.MODEL.EMA.WARMUP)
        trainer.checkpointer.add_checkpointable("ema", average)
        built.append(UpdateAverage(average, Path(cfg.OUTPUT_DIR)))
    if cfg.TEST.PRECISE_BN.ENABLED and get_bn_modules(trainer.model):
        built.append(_precise_bn(trainer))
    if comm.is_main_process():
        built.append(RunRecord())
        built.append(hooks.PeriodicCheckpointer(trainer.checkpointer, cfg.SOLVER.CHECKPOINT_PERIOD))
    before = len(built)
    if cfg.TEST.VAL_LOSS.PERIOD > 0:
        built.append(PeriodicEvaluation(cfg.TEST.VAL_LOSS.PERIOD, ValidationLoss(cfg, model)))
    built.append(PeriodicEvaluation(cfg.TEST.EVAL_PERIOD, _evaluation(trainer, average)))
    if cfg.SOLVER.BEST_METRIC and comm.is_main_process():
        solver = cfg.SOLVER
        built.append(BestCheckpointer(cfg.TEST.EVAL_PERIOD, trainer.checkpointer, solver.BEST_METRIC, solver.BEST_MODE))
    if cfg.TEST.NUM_PICTURES > 0 and _is_bdd100k(cfg) and shows_pictures(cfg):
        built.append(PeriodicEvaluation(cfg.TEST.EVAL_PERIOD, PredictionPictures(cfg, model)))
    if cfg.TEST.EARLY_STOPPING.METRIC:
        built.append(EarlyStopping(cfg, trainer.checkpointer))
    periods = (cfg.TEST.EVAL_PERIOD, cfg.TEST.VAL_LOSS.PERIOD)
    built.append(MissedEvaluation(built[before:], periods, Path(cfg.OUTPUT_DIR), trainer.checkpointer))
    if comm.is_main_process():
        built.append(WriteEvents([], period=20))
    built.append(Termination(trainer.checkpointer))
    return built


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside the wrapper for several processes."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def _evaluation(trainer: "Trainer", average: WeightAverage | None) -> Callable[[], dict[str, Any]]:
    """What evaluates the weights, and their average with its files in ``OUTPUT_DIR/ema`` and its scores as ``ema``."""

    def evaluate() -> dict[str, Any]:
        results = trainer.test(trainer.cfg, trainer.model)
        if average is not None:
            cfg = trainer.cfg.clone()
            cfg.defrost()
            cfg.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR) / "ema")
            with average.applied():
                results = {**results, "ema": trainer.test(cfg, trainer.model)}
        trainer._last_eval_results = results
        return results

    return evaluate


def _precise_bn(trainer: "Trainer") -> HookBase:
    cfg = trainer.cfg.clone()
    cfg.defrost()
    # Its loader is a second one beside the training's.
    cfg.DATALOADER.NUM_WORKERS = 0
    loader = trainer.build_train_loader(cfg)
    return _PreciseBN(cfg.TEST.EVAL_PERIOD, trainer.model, loader, cfg.TEST.PRECISE_BN.NUM_ITER)


class _PreciseBN(hooks.PreciseBN):
    """Detectron2's, whose pictures follow from the iteration, so that a resumed run has those of one that was not."""

    def update_stats(self) -> None:
        self._data_loader.restart(self.trainer.seed, self.trainer.iter + 1)
        super().update_stats()


def _is_bdd100k(cfg: CfgNode) -> bool:
    # Only of its test sets are the colours known.
    kinds = [MetadataCatalog.get(name).get("evaluator_type", "") for name in cfg.DATASETS.TEST[:1]]
    return any(kind.startswith("bdd100k_") for kind in kinds)
