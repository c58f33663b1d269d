"""Trainings leave the global generators as they found them, and draw what they drew before."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase

import bdd100k_d2
from bdd100k_d2.data.randomness import given_back

Make = Callable[..., CfgNode]


def draw() -> tuple[float, ...]:
    gpu = (torch.rand(1, device="cuda").item(),) if torch.cuda.is_available() else ()
    return (random.random(), np.random.rand(), torch.rand(1).item(), *gpu)


def seeded(function: Callable[[], object]) -> list[object]:
    random.seed(123)
    np.random.seed(123)
    torch.manual_seed(123)
    with given_back(gpus=True):
        result = function()
    return [draw(), result]


class Drawing(HookBase):
    """A hook that draws, as a user's may."""

    def __init__(self) -> None:
        self.drawn: list[tuple[float, ...]] = []

    def after_step(self) -> None:
        self.drawn.append(draw())


def test_a_random_search_with_a_fixed_seed_draws_new_trials(small_cfg: Make) -> None:
    def search(trains: bool) -> list[tuple[float, ...]]:
        trials = []
        for _ in range(3):
            trials.append(draw())
            if trains:
                trainer = bdd100k_d2.Trainer(small_cfg("SOLVER.MAX_ITER", 1, "SEED", 1))
                trainer.resume_or_load(False)
                trials.append(draw())
                trainer.train()
            else:
                trials.append(draw())
        return trials

    after, trials = seeded(lambda: search(trains=True))
    assert len(set(trials)) == 6
    assert [after, trials] == seeded(lambda: search(trains=False))


def test_a_training_that_fails_gives_them_back_too(small_cfg: Make) -> None:
    class Failing(HookBase):
        def after_step(self) -> None:
            raise RuntimeError("after the step")

    before = seeded(draw)[1]
    random.seed(123), np.random.seed(123), torch.manual_seed(123)
    trainer = bdd100k_d2.Trainer(small_cfg("SOLVER.MAX_ITER", 2, "SEED", 1))
    trainer.register_hooks([Failing()])
    with pytest.raises(RuntimeError, match="after the step"):
        trainer.train()
    assert draw() == before
    random.seed(123), np.random.seed(123), torch.manual_seed(123)
    with pytest.raises(Exception, match="NO_SUCH"):
        bdd100k_d2.Trainer(small_cfg("MODEL.BACKBONE.NAME", "NO_SUCH", "SEED", 1))
    assert draw() == before


def test_what_a_hook_draws_follows_from_the_runs_seed(small_cfg: Make) -> None:
    drawn = []
    for _ in range(2):
        hook = Drawing()
        draw()  # the two trainings begin at different places of the global generators
        trainer = bdd100k_d2.Trainer(small_cfg("SOLVER.MAX_ITER", 2, "SEED", 1))
        trainer.register_hooks([hook])
        trainer.train()
        drawn.append(hook.drawn)
    assert drawn[0] == drawn[1] and len(set(drawn[0])) == 2


def test_a_seed_that_is_drawn_is_another_one_each_time(small_cfg: Make) -> None:
    np.random.seed(5)
    first, second = (bdd100k_d2.Trainer(small_cfg("SEED", -1)).seed for _ in range(2))
    np.random.seed(5)
    assert first != second and bdd100k_d2.Trainer(small_cfg("SEED", -1)).seed == first


def test_a_run_that_is_resumed_gives_them_back_too(small_cfg: Make, tmp_path: Path) -> None:
    """In a script: the run goes on, from its weights a second one begins, and the model is evaluated."""
    keys = ("SOLVER.CHECKPOINT_PERIOD", 1, "SEED", 1)
    bdd100k_d2.Trainer(small_cfg("SOLVER.MAX_ITER", 1, *keys)).train()
    weights = ("MODEL.WEIGHTS", str(tmp_path / "out/model_final.pth"), "OUTPUT_DIR", str(tmp_path / "second"))

    def go_on() -> list[tuple[float, ...]]:
        drawn = []
        for cfg, resume in ((small_cfg("SOLVER.MAX_ITER", 2, *keys), True), (small_cfg(*weights, *keys), False)):
            trainer = bdd100k_d2.Trainer(cfg)
            drawn.append(draw())
            trainer.resume_or_load(resume)
            assert trainer.start_iter == int(resume)
            drawn.append(draw())
            if resume:
                trainer.train()
                drawn.append(draw())
            trainer.test(small_cfg("DATASETS.TEST", ("bdd100k_sem_seg_val",)), trainer.model)
            drawn.append(draw())
        return drawn

    after, drawn = seeded(go_on)
    assert [after, drawn] == seeded(lambda: [draw() for _ in drawn]) and len(set(drawn)) == 7
