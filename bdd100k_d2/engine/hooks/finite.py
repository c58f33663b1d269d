"""Stopping at the first loss or gradient that is not a number, before it reaches the weights."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase, SimpleTrainer
from detectron2.utils import comm
from torch import Tensor, nn

from ...errors import TrainingError
from .nan_report import NanReport

_REMEDY = (
    "The checkpoints so far are not harmed. Look at these pictures and their labels; or resume with a lower "
    "SOLVER.BASE_LR or with SOLVER.CLIP_GRADIENTS; or start over with a longer warm-up."
)

# A scale of 65,536, which float16 begins with, is less than 1e-10 after so many.
_MOST_SKIPPED = 50


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
        """Takes the run's config."""
        self._cfg = cfg
        self._folder = Path(cfg.OUTPUT_DIR) / "nan_report"
        self._step: SimpleTrainer | None = None
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
