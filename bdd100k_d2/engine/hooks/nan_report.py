"""What is kept of an iteration whose loss or gradient is not a number."""

import json
import logging
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.structures import Instances

from ...atomic import atomic_path, write_atomic
from ...errors import OutputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NanReport:
    """The facts of the iteration, from the process that saw it.

    Attributes:
        iteration: counted from 0.
        failed: name and value of each loss that is not finite, and ``grad_norm`` if the gradient's norm is not.
        losses: all losses of this process.
        gradient_norm: before clipping; None where there was no gradient yet.
        learning_rate: of the optimizer's first group.
        seed: of the run.
        rank: of the process.
        config: path of the run's config.
        cause: the message of a check inside the model, if one found it first.
        batch: the model's input, a dict a picture.
    """

    iteration: int
    failed: dict[str, float]
    losses: dict[str, float]
    gradient_norm: float | None
    learning_rate: float
    seed: int
    rank: int
    config: str
    cause: str | None
    batch: list[dict[str, Any]]

    def path(self, folder: Path) -> Path:
        """Where in ``folder`` the report is: ``report_rank<rank>.json``, and beside it ``batch_rank<rank>.pth``."""
        return folder / f"report_rank{self.rank}.json"

    def file_names(self) -> list[str]:
        """The pictures of the batch."""
        return [str(one.get("file_name", "")) for one in self.batch or ()]

    def describe(self) -> str:
        """One line for people."""
        what = ", ".join(f"{name} is {value}" for name, value in self.failed.items()) or self.cause
        pictures = ", ".join(self.file_names()) or "unknown pictures"
        return f"iteration {self.iteration}: {what} (learning rate {self.learning_rate:g}; batch of {pictures})"

    def write(self, folder: Path) -> None:
        """Writes both files; if the disk does not let it, says so in the log and goes on to the error to come.

        ``torch.load(..., weights_only=True)`` reads the batch: `Instances` are dicts of ``image_size`` and their
        fields, boxes and bitmasks plain tensors.
        """
        facts = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "batch"}
        facts["file_names"] = self.file_names()
        path = self.path(folder)
        try:
            with atomic_path(folder / f"batch_rank{self.rank}.pth") as temporary:
                torch.save(plain(self.batch), temporary)
            # Last, so that a report has its batch.
            write_atomic(path, json.dumps(_printable(facts), indent=2) + "\n")
        except OutputError:
            logger.exception("No report of the failed iteration:")


def plain(value: Any) -> Any:  # noqa: ANN401, any part of a model's input
    """``value`` of tensors on the CPU, numbers, texts, and dicts and lists of these; other objects as their text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        # A slice would be saved with all that it is a slice of.
        return value.detach().cpu().clone()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, Instances):
        return {"image_size": list(value.image_size)} | {key: plain(one) for key, one in value.get_fields().items()}
    for attribute in ("tensor", "polygons"):  # of boxes and bitmasks; of polygon masks
        if hasattr(value, attribute):
            return plain(getattr(value, attribute))
    return str(value)


def _printable(value: Any) -> Any:  # noqa: ANN401
    """``value`` with "nan" and "inf" as texts: JSON has no such numbers."""
    if isinstance(value, dict):
        return {key: _printable(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_printable(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
