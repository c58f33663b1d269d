"""Stopping at the first loss or gradient that is not a number, before it reaches the weights, with a report."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase, SimpleTrainer
from detectron2.structures import Instances
from detectron2.utils import comm
from torch import Tensor, nn

from ...atomic import atomic_path, write_atomic
from ...errors import OutputError, TrainingError

logger = logging.getLogger(__name__)

_REMEDY = (
    "The checkpoints so far are not harmed. Look at these images and their labels; or resume with a lower "
    "SOLVER.BASE_LR or with SOLVER.CLIP_GRADIENTS; or start over with a longer warm-up."
)

# A scale of 65,536, which float16 begins with, is less than 1e-10 after so many.
_MOST_SKIPPED = 50


@dataclass(frozen=True)
class NanReport:
    """The facts of an iteration, counted from 0, from the process that saw it.

    ``failed`` has name and value of each loss that is not finite, and ``grad_norm`` if the gradient's norm is not;
    ``losses`` all of this process. ``gradient_norm`` is before clipping, None where there was no gradient yet;
    ``config`` a path; ``cause`` the message of a check inside the model, if one found it first.
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
        """The images of the batch, which is the model's input."""
        return [str(one.get("file_name", "")) for one in self.batch or ()]

    def describe(self) -> str:
        """One line for people."""
        what = ", ".join(f"{name} is {value}" for name, value in self.failed.items()) or self.cause
        images = ", ".join(self.file_names()) or "unknown images"
        return f"iteration {self.iteration}: {what} (learning rate {self.learning_rate:g}; batch of {images})"

    def write(self, folder: Path) -> None:
        """Writes both files; if the disk does not let it, says so in the log and goes on to the error to come.

        ``torch.load(..., weights_only=True)`` reads the batch: `Instances` are dicts of ``image_size`` and their
        fields, boxes and bitmasks plain tensors.
        """
        facts = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "batch"}
        facts["file_names"] = self.file_names()
        try:
            with atomic_path(folder / f"batch_rank{self.rank}.pth") as temporary:
                torch.save(plain(self.batch), temporary)
            # Last, so that a report has its batch.
            write_atomic(self.path(folder), json.dumps(_printable(facts), indent=2) + "\n")
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


class NonFiniteGuard(HookBase):
    """Writes a `NanReport` and stops when a loss or the norm of the gradient is NaN or infinite.

    It looks between the gradient and the optimizer's step, so that the weights are still those of the step before: no
    checkpoint can hold others. Any process may see it, and writes a report of its own before the main process stops.
    Infinite gradients under a `torch.amp.GradScaler` are no error: it skips the step and scales less. After 50 in a row
    they are, for it would go on skipping.

    The norm, before clipping, is the scalar ``grad_norm``. Losses and norm come to the host together, where Detectron2
    fetches each loss by itself: the guard adds no synchronisation, and saves some.
    """

    def __init__(self, cfg: CfgNode) -> None:
        self._cfg = cfg
        self._folder = Path(cfg.OUTPUT_DIR) / "nan_report"
        self._step: SimpleTrainer
        self._undo: list[Callable[[], object]] = []
        self._running = False
        # Steps in a row whose gradient is not finite.
        self._skipped = 0

    def before_train(self) -> None:
        """Puts itself between the trainer's backward pass and its optimizer."""
        # Both names are the same in all versions of Detectron2; set on the object, they come before its class's.
        self._step = step = self.trainer._trainer
        self._run, self._write = step.run_step, step._write_metrics
        step.run_step, step._write_metrics = self._run_step, self._check_and_write
        handle = step.model.register_forward_pre_hook(self._remember)
        self._undo = [handle.remove, lambda: vars(step).pop("run_step"), lambda: vars(step).pop("_write_metrics")]

    def after_train(self) -> None:
        """Leaves the trainer as it was."""
        while self._undo:
            self._undo.pop()()

    def _remember(self, model: nn.Module, inputs: tuple[Any, ...]) -> None:
        # The model runs in evaluations too.
        if self._running:
            self.trainer.last_batch = inputs[0]

    def _run_step(self) -> None:
        self._running = True
        try:
            self._run()
        except TrainingError:
            raise
        except FloatingPointError as error:
            # Detectron2's RPN stops by itself at proposals that are not finite.
            raise self._error(self._report({}, {}, None, cause=" ".join(str(error).split()))) from error
        finally:
            self._running = False

    def _check_and_write(self, losses: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        on_device = [loss.detach().float().reshape(()) for loss in losses.values()]
        fetched = torch.stack([*on_device, self._gradient_norm(on_device[0].device)]).cpu()
        values = dict(zip((*losses, "grad_norm"), fetched.tolist(), strict=True))
        norm = values.pop("grad_norm")
        failed = {name: value for name, value in values.items() if not math.isfinite(value)}
        self._skipped = 0 if math.isfinite(norm) else self._skipped + 1
        if self._skipped > (_MOST_SKIPPED if self._scaled else 0):
            failed["grad_norm"] = norm
        report = self._report(failed, values, norm) if failed else None
        try:
            # Gathers the losses of all processes: when it is through, each has written its report.
            self._write(dict(zip(losses, fetched, strict=False)), *args, **kwargs)
        except FloatingPointError as error:
            raise self._error(report) from error
        if report is not None:
            raise self._error(report)
        if math.isfinite(norm):
            self.trainer.storage.put_scalar("grad_norm", norm)

    @property
    def _scaled(self) -> bool:
        scaler = getattr(self._step, "grad_scaler", None)
        return scaler is not None and scaler.is_enabled()

    def _gradient_norm(self, device: torch.device) -> Tensor:
        gradients = [p.grad for p in self._step.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients).to(device)
        return norm / self._step.grad_scaler.scale(torch.ones((), device=device)) if self._scaled else norm

    def _report(
        self, failed: Mapping[str, float], losses: Mapping[str, float], norm: float | None, cause: str | None = None
    ) -> NanReport:
        report = NanReport(
            iteration=self.trainer.iter,
            failed=dict(failed),
            losses=dict(losses),
            gradient_norm=norm,
            learning_rate=self._step.optimizer.param_groups[0]["lr"],
            seed=getattr(self.trainer, "seed", self._cfg.SEED),
            rank=comm.get_rank(),
            config=str(Path(self._cfg.OUTPUT_DIR) / "config.yaml"),
            cause=cause,
            batch=self.trainer.last_batch,
        )
        report.write(self._folder)
        return report

    def _error(self, report: NanReport | None) -> TrainingError:
        if report is None:
            return TrainingError(
                f"{self._folder}: a loss of another process is not a finite number in iteration {self.trainer.iter}; "
                f"its report is there. {_REMEDY}"
            )
        return TrainingError(f"{report.path(self._folder)}: {report.describe()}. {_REMEDY}")
