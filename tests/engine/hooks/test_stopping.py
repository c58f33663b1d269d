import json
import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from detectron2.config import CfgNode

from bdd100k_d2.engine.hooks.evaluation import PeriodicEvaluation
from bdd100k_d2.engine.hooks.stopping import EarlyStopping, IterationScore, judge
from bdd100k_d2.engine.trainer import Trainer
from bdd100k_d2.errors import ConfigError

Make = Callable[..., CfgNode]


class Scored(Trainer):
    """A trainer whose evaluations give what they are told."""

    scores: ClassVar[list[float]] = []

    @classmethod
    def test(cls, cfg: CfgNode, model: torch.nn.Module, evaluators: object = None) -> OrderedDict:
        return OrderedDict(bbox={"AP": cls.scores.pop(0), "AP50": 1.0})


@pytest.fixture
def cfg(small_cfg: Make) -> CfgNode:
    return small_cfg(
        *("SOLVER.MAX_ITER", 8, "TEST.EVAL_PERIOD", 1, "SOLVER.CHECKPOINT_PERIOD", 3),
        *("TEST.EARLY_STOPPING.METRIC", "bbox/AP", "TEST.EARLY_STOPPING.PATIENCE", 2),
    )


def run(cfg: CfgNode, scores: list[float]) -> Scored:
    Scored.scores = scores
    trainer = Scored(cfg)
    trainer.resume_or_load()
    trainer.train()
    return trainer


@pytest.mark.parametrize(
    ("values", "min_delta", "lower", "best", "waited"),
    [
        ([], 0.0, False, None, 0),
        ([1, 3, 2], 0.0, False, 1, 1),
        ([1, 3, 3, 3], 0.0, False, 1, 2),  # an equal score is none that is better
        ([1, 1.4, 1.4, 1.6], 0.5, False, 3, 0),  # many small steps count together
        ([1, 1.5], 0.5, False, 0, 1),
        ([3, 1, 2], 0.0, True, 1, 1),
        ([math.nan, math.inf], 0.0, True, None, 2),
        ([math.nan, 2.0, math.nan], 0.0, False, 1, 1),
        ([-5, -7], 0.0, False, 0, 1),
    ],
)
def test_judging(values: list[float], min_delta: float, lower: bool, best: int | None, waited: int) -> None:
    scores = [IterationScore(10 * i, value) for i, value in enumerate(values)]
    found, count = judge(scores, min_delta, lower)
    assert (found and scores.index(found), count) == (best, waited) if best is not None else found is None
    assert count == waited


def test_a_training_that_gets_no_better_ends_as_one_that_is_done(cfg: CfgNode, tmp_path: Path) -> None:
    trainer = run(cfg, [1, 3, 2, 2.5, 99])
    # The fifth evaluation never was: the fourth is the one of the final weights.
    assert Scored.scores == [99]
    out = tmp_path / "out"
    final = torch.load(out / "model_final.pth", weights_only=True)
    assert final["iteration"] == 3 and (out / "last_checkpoint").read_text() == "model_final.pth"
    assert all(torch.equal(final["model"][name], value) for name, value in trainer.model.state_dict().items())
    scores = [json.loads(line) for line in (out / "metrics.json").read_text().splitlines()]
    assert scores[-1]["bbox/AP"] == 2.5 and trainer._last_eval_results["bbox"]["AP"] == 2.5

    # Resumed it stays stopped, and is evaluated again as every finished run.
    before = (out / "model_final.pth").read_bytes()
    assert run(cfg, [2.5]).iter == 4 and Scored.scores == []
    assert (out / "model_final.pth").read_bytes() == before
    # With more patience it goes on, and counts the earlier evaluations.
    cfg.TEST.EARLY_STOPPING.PATIENCE = 3
    assert run(cfg, [2.9, 99]).iter == 5 and Scored.scores == [99]


def test_a_stop_is_no_error_in_the_log(
    cfg: CfgNode, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("detectron2", "bdd100k_d2"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    with caplog.at_level(logging.INFO):
        run(cfg, [3, 2, 1])
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (
        "bbox/AP was best after iteration 0 (3.0000); 2 of 2 evaluations since without improvement: the training"
        in (caplog.text)
    )


def test_a_run_that_was_killed_counts_on(cfg: CfgNode, tmp_path: Path) -> None:
    """The checkpoint of iteration 2 was written before the score after it, which counts; later ones do not."""
    cfg.SOLVER.MAX_ITER = 3
    run_name = run(cfg, [3, 2, 5]).checkpointer.run
    (tmp_path / "out/last_evaluation.json").write_text(json.dumps({"run": run_name, "iterations": 3}))
    (tmp_path / "out/last_checkpoint").write_text("model_0000002.pth")
    scores = [[0, 3.0], [1, 2.0], [2, 1.0], [3, 9.0]]
    (tmp_path / "out/early_stopping.json").write_text(
        json.dumps({"run": run_name, "metric": "bbox/AP", "scores": scores})
    )
    cfg.SOLVER.MAX_ITER = 8
    trainer = run(cfg, [7.0])
    assert trainer.iter == 3 and Scored.scores == []


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "cannot be read"),
        ('{"run": "mine", "metric": "sem_seg/mIoU", "scores": [[0, 1]]}', "is about sem_seg"),
        ("[" * 100_000, "cannot be read"),
        ('{"run": "mine", "metric": "bbox/AP", "scores": [[Infinity, 1]]}', "cannot be read"),
        ('{"run": "mine", "metric": "bbox/AP", "scores": [[1, ' + "9" * 400 + "]]}", "cannot be read"),
        ('{"run": "mine", "metric": "bbox/AP", "scores": {"a": 1}}', "cannot be read"),
        ('{"run": "other", "metric": "bbox/AP", "scores": [[0, 1]]}', "is of an earlier run"),
    ],
)
def test_scores_that_do_not_count(
    cfg: CfgNode,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    content: str,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hook = EarlyStopping(cfg, SimpleNamespace(run="mine"))
    hook.path.parent.mkdir()
    hook.path.write_text(content)
    assert hook._read() == [] and word in caplog.text and "starts anew" in caplog.text


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["TEST.EVAL_PERIOD", 0], r"waits for bbox/AP, but TEST\.EVAL_PERIOD is 0; set it"),
        (["TEST.EARLY_STOPPING.METRIC", "val_loss/total_loss"], r"but TEST\.VAL_LOSS\.PERIOD is 0"),
        (["TEST.EARLY_STOPPING.PATIENCE", 0], "PATIENCE is 0; set it to 1 evaluation or more"),
    ],
)
def test_keys_that_make_no_sense(cfg: CfgNode, keys: list[object], message: str) -> None:
    cfg.merge_from_list(keys)
    with pytest.raises(ConfigError, match=message):
        EarlyStopping(cfg, SimpleNamespace(run="mine"))


def test_a_run_that_was_killed_in_an_evaluation_makes_it_when_it_goes_on(cfg: CfgNode, tmp_path: Path) -> None:
    """Its checkpoint is of the same iteration. The training ends as one that was left alone."""
    cfg.SOLVER.CHECKPOINT_PERIOD, cfg.SOLVER.BEST_METRIC = 1, "bbox/AP"
    scores = [3.0, 4.0, 2.0, 1.0]
    with pytest.raises(IndexError):
        run(cfg, scores[:1])
    assert (tmp_path / "out/last_checkpoint").read_text() == "model_0000001.pth"
    trainer = run(cfg, scores[1:])
    assert trainer.iter == 4 and Scored.scores == []
    assert json.loads((tmp_path / "out/early_stopping.json").read_text())["scores"] == [
        [iteration, score] for iteration, score in enumerate(scores)
    ]
    best = torch.load(tmp_path / "out/model_best.pth", weights_only=True)["best"]
    assert best == {"metric": "bbox/AP", "value": 4.0, "iteration": 1}
    # What was finished is not made again.
    cfg.SOLVER.MAX_ITER = 3
    (tmp_path / "out/last_checkpoint").write_text("model_0000001.pth")
    (tmp_path / "out/early_stopping.json").unlink()
    assert run(cfg, [7.0]).iter == 3


def test_a_metric_that_there_is_not(cfg: CfgNode) -> None:
    cfg.TEST.EARLY_STOPPING.METRIC = "bbox/mAP"
    with pytest.raises(ConfigError, match=r"no 'bbox/mAP'; there are bbox/AP, bbox/AP50\."):
        run(cfg, [1.0])


def test_a_failed_training_is_not_evaluated(cfg: CfgNode) -> None:
    """Detectron2's own hook evaluates if it is the last iteration that fails."""
    cfg.SOLVER.MAX_ITER, cfg.TEST.EVAL_PERIOD, cfg.TEST.EARLY_STOPPING.METRIC = 1, 0, ""
    trainer, calls = Trainer(cfg), []
    for hook in trainer._hooks:
        if isinstance(hook, PeriodicEvaluation):
            hook._func = lambda: calls.append(1)
    trainer._trainer.optimizer.register_step_pre_hook(lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    assert calls == []
