"""The hooks that watch a training, in two processes."""

import json
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import torch
from detectron2.config import CfgNode
from detectron2.engine import default_argument_parser
from detectron2.utils import comm
from support.processes import in_processes
from support.small_models import small_config

from bdd100k_d2.engine.hooks.val_loss import ValidationLoss
from bdd100k_d2.engine.launch import launch
from bdd100k_d2.engine.parallel import unwrapped
from bdd100k_d2.engine.trainer import Trainer
from bdd100k_d2.errors import TrainingError


class ScoredOnce(Trainer):
    """A trainer whose evaluations give what they are told, to the main process as Detectron2's do."""

    scores: ClassVar[list[float]] = []

    @classmethod
    def test(cls, cfg: CfgNode, model: torch.nn.Module, evaluators: object = None) -> OrderedDict:
        return OrderedDict(bbox={"AP": cls.scores.pop(0)}) if comm.is_main_process() else OrderedDict()


def validate(root: Path, out: Path) -> dict[str, dict[str, float]]:
    """Validation losses of a model whose norm statistics differ between processes, as those of plain batch norm do."""
    cfg = small_config(root, "DATASETS.TEST", ("bdd100k_sem_seg_val",), "SEED", 1, "OUTPUT_DIR", str(out))
    trainer = Trainer(cfg)
    model = unwrapped(trainer.model)
    model.backbone.bottom_up.stem.conv1.norm.running_mean += comm.get_rank()
    return ValidationLoss(cfg, model)()


def stop_early(root: Path, out: Path) -> int:
    ScoredOnce.scores = [2.0, 1.0, 99.0]
    keys = ("SOLVER.MAX_ITER", 5, "TEST.EVAL_PERIOD", 1, "TEST.EARLY_STOPPING.METRIC", "bbox/AP")
    trainer = ScoredOnce(
        small_config(root, *keys, "TEST.EARLY_STOPPING.PATIENCE", 1, "TEST.NUM_PICTURES", 0, "OUTPUT_DIR", str(out))
    )
    trainer.train()
    return trainer.iter


def meet_nan(root: Path, out: Path) -> str:
    trainer = Trainer(small_config(root, "SOLVER.MAX_ITER", 3, "OUTPUT_DIR", str(out)))

    def spoil(module: object, inputs: object, losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
        bad = comm.get_rank() == 1 and trainer.iter == 1
        # Of the printed loss alone, so that the gradient tells the other process nothing.
        return {name: loss + torch.tensor(float("nan")) for name, loss in losses.items()} if bad else None

    trainer.model.register_forward_hook(spoil)
    try:
        trainer.train()
    except TrainingError as error:
        return str(error)
    return ""


def watch(root: Path, out: Path) -> None:
    def main(args: object) -> None:
        found = [validate(root, out / "loss"), stop_early(root, out / "stop"), meet_nan(root, out / "nan")]
        (out / f"{comm.get_rank()}.json").write_text(json.dumps(found))

    config = ["--config-file", "configs/sample/semantic_fpn_R_18.yaml", "MODEL.DEVICE", "cpu", "OUTPUT_DIR", str(out)]
    launch(main, default_argument_parser().parse_args(config))


def test_two_processes_are_watched_as_one(tiny_root: Path, tmp_path: Path) -> None:
    expected = validate(tiny_root, tmp_path / "one")
    in_processes(2, watch, tiny_root, tmp_path)
    (first, second) = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    # The third image of three has no partner; the numbers are the same nevertheless.
    assert first[0]["val_loss"] == expected["val_loss"] and second[0] == {}
    # Only the main process has scores; both stop after the second evaluation.
    assert first[1] == second[1] == 2 and (tmp_path / "stop/model_final.pth").is_file()
    # The process that saw it tells which images; the other one knows where to look.
    assert "a loss of another process is not a finite number in iteration 1" in first[2]
    assert "report_rank1.json: iteration 1: loss_sem_seg is nan" in second[2]
    folder = tmp_path / "nan/nan_report"
    assert sorted(path.name for path in folder.iterdir()) == ["batch_rank1.pth", "report_rank1.json"]
    report = json.loads((folder / "report_rank1.json").read_text())
    assert report["rank"] == 1 and len(report["file_names"]) == 1
    assert not list((tmp_path / "nan").glob("*.pth"))
