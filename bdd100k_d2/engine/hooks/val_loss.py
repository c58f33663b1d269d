"""The training losses on images that the model is not trained with."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from torch import nn

from ...data.augmentation import build_augmentation
from ...data.mapper import BDD100KDatasetMapper
from ...data.randomness import Purpose, given_back, seed_generators
from ..parallel import share_buffers
from .evaluation import fixed_subset


class ValidationLoss:
    """Means of the losses over ``TEST.VAL_LOSS.NUM_IMAGES`` images of the first test set, always the same.

    Images are resized as in evaluation and not augmented. Norms use their statistics and leave them alone, and
    nothing is dropped out. What training draws at random, such as the anchors to be sampled, is seeded by the image,
    and the random state of the training stays as it is. Each image is a batch, so that neither batch size nor number
    of processes changes the result. The data is read at the first call. The model is given without a wrapper.
    """

    def __init__(self, cfg: CfgNode, model: nn.Module) -> None:
        self._cfg = cfg
        self._model = model
        self._records: list[dict[str, Any]] | None = None

    def __call__(self) -> dict[str, dict[str, float]]:
        """The mean of each loss, and of their sum as ``total_loss``, in ``{"val_loss": {...}}``; on rank 0 only."""
        if self._records is None:
            count = self._cfg.TEST.VAL_LOSS.NUM_IMAGES
            self._records = fixed_subset(self._cfg.DATASETS.TEST, count, "TEST.VAL_LOSS.PERIOD", labelled=True)
        augmentations = build_augmentation(self._cfg, is_train=False)
        mapper = BDD100KDatasetMapper(self._cfg, is_train=True, augmentations=augmentations)
        numbers = range(comm.get_rank(), len(self._records), comm.get_world_size())
        losses = {}
        # Norm statistics differ between processes unless they are synchronised.
        share_buffers(self._model)
        # The storage takes what the model logs of its own, which is not the training's.
        # Autocast as Detectron2's AMP trainer has it; on the CPU the model does it by itself.
        amp = torch.autocast("cuda", enabled=self._cfg.SOLVER.AMP.ENABLED and _device(self._model).type == "cuda")
        with EventStorage(), torch.no_grad(), _losses_without_traces(self._model), amp:
            for number in numbers:
                with given_back(gpus=True):
                    seed_generators(0, Purpose.STEP, number)
                    batch = [mapper(self._records[number])]
                    losses[number] = {name: value.item() for name, value in self._model(batch).items()}
        gathered = comm.gather(losses)
        if not comm.is_main_process():
            return {}
        # Added in the order of the images, whichever process had them.
        of_number = {number: one for rank in gathered for number, one in rank.items()}
        each = [of_number[number] for number in sorted(of_number)]
        means = {name: sum(one[name] for one in each) / len(each) for name in each[0]}
        return {"val_loss": {**means, "total_loss": sum(means.values())}}


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


@contextmanager
def _losses_without_traces(model: nn.Module) -> Iterator[None]:
    """Lets ``model`` return losses while its norms and dropouts work as in evaluation."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.train()
        for module in modes:
            if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd):
                module.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training
