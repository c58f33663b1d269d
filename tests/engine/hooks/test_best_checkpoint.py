import logging
import math
from pathlib import Path
from typing import Any

import pytest
from detectron2.engine import TrainerBase
from detectron2.engine.hooks import EvalHook, PeriodicCheckpointer
from torch import nn

from bdd100k_d2.checkpoint.checksum import read_checked
from bdd100k_d2.checkpoint.saving import TrainingCheckpointer
from bdd100k_d2.engine.hooks.best_checkpoint import BestCheckpointer
from bdd100k_d2.errors import ConfigError


class Scored(TrainerBase):
    """A training of which each second iteration is scored, by ``scores`` in turn; None gives other scores alone."""

    def __init__(self, folder: Path, scores: dict[int, Any], mode: str = "max", metric: str = "bbox/AP") -> None:
        super().__init__()
        self.scores = scores
        self.checkpointer = TrainingCheckpointer(nn.Linear(2, 2), str(folder), trainer=self)
        self.best = BestCheckpointer(2, self.checkpointer, metric, mode)
        hooks = [PeriodicCheckpointer(self.checkpointer, 2), EvalHook(2, self.evaluate), self.best]
        self.register_hooks(hooks)

    def evaluate(self) -> dict[str, Any]:
        score = self.scores[min(self.iter, self.max_iter - 1)]
        return {"bbox": {"AR": 1.0} if score is None else {"AP": score, "AR": 1.0}}

    def run_step(self) -> None:
        pass


def best(folder: Path) -> dict[str, Any]:
    return read_checked(folder / "model_best.pth")["best"]


@pytest.mark.parametrize(("mode", "iteration"), [("max", 3), ("min", 5)])
def test_the_best_one_is_kept(tmp_path: Path, mode: str, iteration: int) -> None:
    scores = {1: 20.0, 3: 30.0, 5: 10.0, 7: math.nan, 9: math.inf, 11: 25.0}
    Scored(tmp_path, scores, mode).train(0, 12)
    assert best(tmp_path) == {"metric": "bbox/AP", "value": scores[iteration], "iteration": iteration}
    assert read_checked(tmp_path / "model_best.pth")["trainer"]["iteration"] == iteration
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"


def test_the_last_evaluation_counts(tmp_path: Path) -> None:
    Scored(tmp_path, {1: 20.0, 3: 30.0}).train(0, 4)
    assert best(tmp_path) == {"metric": "bbox/AP", "value": 30.0, "iteration": 4}


def test_a_score_that_an_older_evaluation_left_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        Scored(tmp_path, {1: 20.0, 3: None, 5: 10.0}).train(0, 6)
    assert best(tmp_path)["iteration"] == 1
    assert caplog.messages == ["SOLVER.BEST_METRIC is 'bbox/AP', which this evaluation has not; it has bbox/AR."]


def test_a_metric_that_is_misspelt_is_said_at_the_first_evaluation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Scored(tmp_path, {1: 20.0}, metric="bbox/ap").train(0, 2)
    assert "SOLVER.BEST_METRIC is 'bbox/ap', which this evaluation has not; it has bbox/AP, bbox/AR." in caplog.text
    assert not (tmp_path / "model_best.pth").exists()


def test_an_unknown_mode(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"SOLVER\.BEST_MODE is 'most'; there are max and min"):
        Scored(tmp_path, {}, "most")


def resumed(folder: Path, scores: dict[int, Any], last: str | None = None, **more: str) -> Scored:
    if last:
        (folder / "last_checkpoint").write_text(last)
    trainer = Scored(folder, scores, **more)
    trainer.checkpointer.resume()
    trainer.train(trainer.iter + 1, 8)
    return trainer


def test_a_resumed_run_knows_the_best_score(tmp_path: Path) -> None:
    first = {1: 20.0, 3: 30.0}
    Scored(tmp_path, first).train(0, 4)
    resumed(tmp_path, {5: 25.0, 7: 28.0}, "model_0000003.pth")
    # It was saved before iteration 3 was scored, and knows of the score all the same.
    assert best(tmp_path)["value"] == 30.0
    resumed(tmp_path, {5: 25.0, 7: 31.0}, "model_0000003.pth")
    assert best(tmp_path)["value"] == 31.0


def test_the_best_of_another_run_or_metric_or_a_damaged_one_does_not_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Scored(tmp_path, {1: 90.0}).train(0, 2)
    other = Scored(tmp_path, {1: math.nan})
    # A new run in the folder of an old one, which is stopped before its first score.
    other.train(0, 2)
    assert best(tmp_path)["value"] == 90.0
    resumed(tmp_path, {3: 20.0, 5: 10.0, 7: 10.0}, "model_0000001.pth")
    assert best(tmp_path)["value"] == 20.0
    resumed(tmp_path, {3: 1.0, 5: 1.0, 7: 1.0}, "model_0000001.pth", metric="bbox/AR")
    assert best(tmp_path)["metric"] == "bbox/AR"
    (tmp_path / "model_best.pth").write_bytes(b"PK damaged")
    resumed(tmp_path, {3: 5.0, 5: 1.0, 7: 1.0}, "model_0000001.pth")
    assert best(tmp_path)["value"] == 5.0
    assert "model_best.pth: damaged" in caplog.text and "next score is taken for the best" in caplog.text
