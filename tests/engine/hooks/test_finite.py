import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.engine import SimpleTrainer, TrainerBase
from detectron2.structures import Boxes, Instances, PolygonMasks
from torch import nn

from bdd100k_d2.engine.hooks.finite import NanReport, NonFiniteGuard, plain
from bdd100k_d2.engine.trainer import Trainer
from bdd100k_d2.errors import TrainingError

Make = Callable[..., CfgNode]


def test_a_batch_of_nan_ends_the_training_with_a_report(small_cfg: Make, tmp_path: Path) -> None:
    cfg = small_cfg("SOLVER.MAX_ITER", 6, "SOLVER.CHECKPOINT_PERIOD", 2, "SEED", 3)
    trainer, batches = Trainer(cfg), []
    original = iter(trainer.data_loader)

    def with_nan() -> object:
        for number, batch in enumerate(original):
            batches.append(batch)
            if number == 3:
                batch[1]["image"] = batch[1]["image"].float()
                batch[1]["image"][0, 0, 0] = math.nan
            yield batch

    trainer._trainer._data_loader_iter = with_nan()
    with pytest.raises(TrainingError, match=r"report_rank0\.json: iteration 3: loss_sem_seg is nan, .*BASE_LR"):
        trainer.train()

    out = tmp_path / "out"
    report = json.loads((out / "nan_report/report_rank0.json").read_text())
    names = [one["file_name"] for one in batches[3]]
    assert report["file_names"] == names and all("images/10k/train" in name for name in names)
    assert report["iteration"] == 3 and report["failed"]["loss_sem_seg"] == "nan" and report["seed"] == 3
    assert report["learning_rate"] == trainer.optimizer.param_groups[0]["lr"] and report["rank"] == 0
    assert report["config"] == str(out / "config.yaml") and report["gradient_norm"] == "nan"
    batch = torch.load(out / "nan_report/batch_rank0.pth", weights_only=True)
    assert [one["file_name"] for one in batch] == names
    assert torch.equal(batch[0]["image"], batches[3][0]["image"]) and batch[1]["image"].isnan().any()
    assert torch.equal(batch[0]["sem_seg"], batches[3][0]["sem_seg"])

    # Of the checkpoints those before are there, and nothing was saved later.
    assert sorted(path.name for path in out.glob("*.pth")) == ["model_0000001.pth"]
    assert (out / "last_checkpoint").read_text() == "model_0000001.pth"
    saved = torch.load(out / "model_0000001.pth", weights_only=True)["model"]
    assert all(value.isfinite().all() for value in saved.values())
    assert all(p.isfinite().all() for p in trainer.model.parameters())
    again = Trainer(cfg)
    again.resume_or_load()
    assert again.start_iter == 2


def test_a_gradient_of_nan_never_reaches_the_weights(small_cfg: Make, tmp_path: Path) -> None:
    trainer = Trainer(small_cfg("SOLVER.MAX_ITER", 3, "SOLVER.CHECKPOINT_PERIOD", 1))
    weight, seen = trainer.model.sem_seg_head.predictor.weight, []

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        seen.append(weight.detach().clone())
        return gradient * math.inf if len(seen) == 2 else gradient

    weight.register_hook(spoil)
    with pytest.raises(TrainingError, match=r"iteration 1: grad_norm is (inf|nan) "):
        trainer.train()
    assert torch.equal(weight, seen[1]) and not torch.equal(weight, seen[0])
    report = json.loads((tmp_path / "out/nan_report/report_rank0.json").read_text())
    assert list(report["failed"]) == ["grad_norm"] and math.isfinite(report["losses"]["loss_sem_seg"])
    assert sorted(path.name for path in (tmp_path / "out").glob("*.pth")) == ["model_0000000.pth"]


def test_the_norm_is_logged_and_the_losses_stay_what_they_were(small_cfg: Make, tmp_path: Path) -> None:
    trainer, norms = Trainer(small_cfg("SOLVER.MAX_ITER", 2)), []
    loss_of = []
    trainer.model.register_forward_hook(lambda *a: loss_of.append(a[2]["loss_sem_seg"].item()))
    trainer.optimizer.register_step_pre_hook(
        lambda *a: norms.append(math.sqrt(sum(p.grad.double().square().sum() for p in trainer.model.parameters())))
    )
    trainer.train()
    assert [value for value, _ in trainer.storage.history("grad_norm").values()] == pytest.approx(norms, rel=1e-5)
    assert [value for value, _ in trainer.storage.history("total_loss").values()] == loss_of
    # It left the trainer as it was.
    assert not {"run_step", "_write_metrics"} & vars(trainer._trainer).keys()


class Tiny(TrainerBase):
    """A linear model on one fixed batch."""

    last_batch = None

    def __init__(self, cfg: CfgNode, scale: float | None = None) -> None:
        super().__init__()
        model = nn.Linear(2, 1)
        model.forward = lambda batch, forward=model.forward: {"loss_a": forward(batch[0]["x"]).sum()}
        self._trainer = SimpleTrainer(model, [[{"x": torch.ones(3, 2), "file_name": "a.jpg"}]] * 60, None)
        self._trainer.optimizer = torch.optim.SGD(model.parameters(), 0.1)
        self.register_hooks([NonFiniteGuard(cfg)])
        if scale is not None:
            self._trainer.grad_scaler = scaler = torch.amp.GradScaler("cpu", init_scale=scale, backoff_factor=2.0**-100)
            self._trainer.run_step = lambda: self.scaled_step(scaler)

    def scaled_step(self, scaler: torch.amp.GradScaler) -> None:
        """What Detectron2's `AMPTrainer` does on a GPU."""
        inner = self._trainer
        losses = inner.model(next(inner._data_loader_iter))
        inner.optimizer.zero_grad()
        scaler.scale(losses["loss_a"]).backward()
        inner._write_metrics(losses, 0.0)
        scaler.step(inner.optimizer)
        scaler.update()

    def run_step(self) -> None:
        self._trainer.run_step()


def test_a_gradient_that_the_scaler_overflows_is_no_error(small_cfg: Make) -> None:
    tiny = Tiny(small_cfg(), scale=2.0**127)
    tiny.train(0, 2)
    # The first step was skipped and the scale lowered.
    (norm, iteration), *rest = tiny.storage.history("grad_norm").values()
    assert iteration == 1 and not rest
    assert norm == pytest.approx(math.sqrt(27), rel=1e-5)


def test_gradients_that_are_skipped_without_end(small_cfg: Make) -> None:
    tiny = Tiny(small_cfg(), scale=2.0**16)
    tiny._trainer.model.weight.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(TrainingError, match="iteration 50: grad_norm is nan"):
        tiny.train(0, 60)


def test_a_check_inside_the_model_is_reported(small_cfg: Make, tmp_path: Path) -> None:
    tiny = Tiny(small_cfg())

    def stop(batch: object) -> None:
        raise FloatingPointError("Predicted boxes or scores contain Inf/NaN.\nTraining has diverged.")

    tiny._trainer.model.forward = stop
    with pytest.raises(TrainingError, match=r"Inf/NaN\. Training has diverged\. .*batch of a\.jpg"):
        tiny.train(0, 1)
    report = json.loads((tmp_path / "out/nan_report/report_rank0.json").read_text())
    assert report["gradient_norm"] is None and report["cause"].startswith("Predicted") and report["losses"] == {}


def test_a_disk_that_takes_no_report_hides_no_error(small_cfg: Make, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    tiny = Tiny(small_cfg())
    tiny._trainer.model.weight.data.fill_(math.nan)
    with pytest.raises(TrainingError, match="loss_a is nan"):
        tiny.train(0, 1)


def test_any_part_of_a_batch_is_kept(tmp_path: Path) -> None:
    instances = Instances((4, 6))
    instances.gt_boxes = Boxes(torch.ones(1, 4))
    instances.gt_masks = PolygonMasks([[torch.tensor([0.0, 0, 1, 0, 1, 1]).numpy()]])
    whole = torch.arange(1000)
    batch = [{"instances": instances, "width": 6, "other": object, "image": whole[:2]}]
    report = NanReport(1, {"loss": math.nan}, {}, None, 0.1, 0, 2, "c", None, batch)
    report.write(tmp_path)
    (kept,) = torch.load(tmp_path / "batch_rank2.pth", weights_only=True)
    assert kept["instances"]["image_size"] == [4, 6] and kept["width"] == 6 and "object" in kept["other"]
    assert torch.equal(kept["instances"]["gt_boxes"], torch.ones(1, 4))
    assert kept["instances"]["gt_masks"][0][0].tolist() == [0.0, 0, 1, 0, 1, 1]
    assert kept["image"].untyped_storage().nbytes() == 16
    assert plain(None) is None
