"""Detectron2's trainer with the package's data, schedules, evaluators and checks of weights."""

import logging
from collections.abc import Iterable
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader, build_detection_train_loader
from detectron2.engine import DefaultTrainer, TrainerBase
from detectron2.evaluation import DatasetEvaluator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..checkpoint.loading import check_resumable, load_weights
from ..data.mapper import BDD100KDatasetMapper
from ..evaluation.evaluators import build_evaluator
from .optimizer import build_optimizer
from .precision import train_in_bfloat16
from .schedule import build_schedule

logger = logging.getLogger(__name__)


class Trainer(DefaultTrainer):
    """A `DefaultTrainer` that trains and scores BDD100K's tasks from a config."""

    def __init__(self, cfg: CfgNode) -> None:
        """Builds model, optimizer, loader and hooks from ``cfg``."""
        amp_on_cpu = cfg.SOLVER.AMP.ENABLED and cfg.MODEL.DEVICE == "cpu"
        if amp_on_cpu:
            # Detectron2's AMP trainer needs CUDA.
            cfg = cfg.clone()
            cfg.defrost()
            cfg.SOLVER.AMP.ENABLED = False
        super().__init__(cfg)
        if amp_on_cpu:
            train_in_bfloat16(self.model)

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """Detectron2's model; on the CPU its convolutions keep channels last, which is faster there."""
        model = super().build_model(cfg)
        return model.to(memory_format=torch.channels_last) if cfg.MODEL.DEVICE == "cpu" else model

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> Optimizer:
        """The optimizer that the config names."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Iterable[Any]:
        """Detectron2's training loader with the recipes' augmentations."""
        return build_detection_train_loader(cfg, mapper=BDD100KDatasetMapper(cfg, is_train=True))

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Iterable[Any]:
        """Detectron2's test loader, a picture a batch."""
        return build_detection_test_loader(cfg, dataset_name, mapper=BDD100KDatasetMapper(cfg, is_train=False))

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """The evaluator of the dataset's task."""
        return build_evaluator(cfg, dataset_name)

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: Optimizer) -> LRScheduler:
        """The schedule that the config names."""
        return build_schedule(cfg, optimizer)

    def resume_or_load(self, resume: bool = True) -> None:
        """Continues from the last checkpoint of the output folder, or starts from ``MODEL.WEIGHTS``.

        Raises:
            WeightsError: the weights are missing, unreadable, or fit nowhere in the model; or the last checkpoint is
                damaged or of another config.
        """
        if resume and self.checkpointer.has_checkpoint():
            check_resumable(self.model, self.checkpointer.get_checkpoint_file())
            super().resume_or_load(resume=True)
        else:
            load_weights(self.model, self.cfg.MODEL.WEIGHTS)

    def state_dict(self) -> dict[str, Any]:
        """The iteration, the hooks' state, and the optimizer's and AMP's, which Detectron2 v0.6 leaves out."""
        # The name that later versions of Detectron2 give it.
        return {**super().state_dict(), "_trainer": self._trainer.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the state of the run that goes on; a checkpoint of before has none of the optimizer's."""
        TrainerBase.load_state_dict(self, state_dict)
        if "_trainer" in state_dict:
            self._trainer.load_state_dict(state_dict["_trainer"])
        else:
            logger.warning("The checkpoint holds no state of the optimizer: momentum and AMP's scale start anew.")
