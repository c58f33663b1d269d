"""An exponential moving average of the weights, which often scores higher than the weights themselves."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from detectron2.engine import HookBase
from detectron2.utils import comm
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ...checkpoint.checksum import write_checked
from ...checkpoint.class_names import ClassNames, as_kept
from ...errors import ConfigError, WeightsError

logger = logging.getLogger(__name__)


class WeightAverage:
    """The moving average of the parameters of ``model``, which has no wrapper; buffers are the model's of the moment.

    Update n, from 0, keeps ``min(decay, (1 + n) / (1 + warmup + n))`` of the average, so that the first weights are
    soon forgotten. Raises `ConfigError` unless 0 <= ``decay`` < 1 and ``warmup`` >= 0.
    """

    def __init__(self, model: nn.Module, decay: float, warmup: int) -> None:
        if not 0 <= decay < 1 or warmup < 0:
            raise ConfigError(
                f"MODEL.EMA.DECAY is {decay} and MODEL.EMA.WARMUP {warmup}; the decay is a number from 0 to below 1, "
                "such as 0.9998, the warm-up 0 or more."
            )
        self._model = model
        self._decay = decay
        self._warmup = warmup
        self.restart()

    def restart(self) -> None:
        """Begins again with the model's weights as they are."""
        self._average: dict[str, Tensor] = {name: p.detach().clone() for name, p in self._model.named_parameters()}
        self.updates = 0

    def update(self) -> None:
        """Brings the model's weights into the average."""
        kept = min(self._decay, (1 + self.updates) / (1 + self._warmup + self.updates))
        current = [p.detach() for p in self._model.parameters()]
        get_ema_multi_avg_fn(kept)(list(self._average.values()), current, self.updates)
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside it the model has the average for weights; afterwards its own, bit for bit."""
        own = {name: p.detach().clone() for name, p in self._model.named_parameters()}
        self._set(self._average)
        try:
            yield
        finally:
            self._set(own)

    def model_state(self) -> dict[str, Tensor]:
        """The model's state with the average for weights, as a checkpoint's ``model`` holds it."""
        return {**self._model.state_dict(), **self._average}

    def state_dict(self) -> dict[str, Any]:
        """The average and the number of updates, for the checkpoint."""
        return {"weights": dict(self._average), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint; raises `WeightsError` if its average is not of this model."""
        weights = state["weights"]
        if type(state["updates"]) is not int or state["updates"] < 0:
            raise WeightsError("The number of updates of the moving average (key 'ema') is none.")
        if {name: p.shape for name, p in weights.items()} != {name: p.shape for name, p in self._average.items()}:
            raise WeightsError(
                "The moving average (key 'ema') of the checkpoint is not of this model: resume with the config that "
                "wrote it, or set MODEL.EMA.ENABLED False."
            )
        for name, tensor in self._average.items():
            tensor.copy_(weights[name])
        self.updates = state["updates"]

    @torch.no_grad()
    def _set(self, weights: dict[str, Tensor]) -> None:
        for name, p in self._model.named_parameters():
            p.copy_(weights[name])


class UpdateAverage(HookBase):
    """Updates a `WeightAverage` after each step; writes ``model_final_ema.pth`` into the run's folder at the end.

    It has the names of the ``classes``, as other checkpoints have.
    """

    def __init__(self, average: WeightAverage, output_dir: Path, classes: ClassNames | None = None) -> None:
        self._average = average
        self._classes = classes or {}
        self._path = output_dir / "model_final_ema.pth"

    def before_train(self) -> None:
        """Begins with the weights that were loaded, unless the average came from a checkpoint."""
        if self._average.updates == 0:
            if self.trainer.start_iter:
                logger.warning("The checkpoint has no moving average: it begins with the weights of the checkpoint.")
            self._average.restart()

    def after_step(self) -> None:
        """Brings the new weights into the average."""
        self._average.update()

    def after_train(self) -> None:
        """Writes the average, if the training came to its end."""
        if self.trainer.iter >= self.trainer.max_iter and comm.is_main_process():
            write_checked({"model": self._average.model_state(), **as_kept(self._classes)}, self._path)
            logger.info("The moving average of the weights is in %s", self._path)
