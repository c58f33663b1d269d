"""A checkpoint with a state that no training has written is refused before the training goes on."""

import copy
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.utils.events import EventStorage

import bdd100k_d2
from bdd100k_d2.checkpoint.checksum import read_checked, write_checked
from bdd100k_d2.errors import BDD100KError, WeightsError

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def trained(small_cfg: Callable[..., CfgNode]) -> tuple[bdd100k_d2.Trainer, Path]:
    """A trainer with its last checkpoint, of two iterations."""
    cfg = small_cfg("SOLVER.MAX_ITER", 2, "SOLVER.OPTIMIZER", "AdamW", "MODEL.EMA.ENABLED", True)
    trainer = bdd100k_d2.Trainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()
    return trainer, Path(trainer.checkpointer.get_checkpoint_file())


def optimizer(content: dict[str, Any]) -> dict[str, Any]:
    return content["trainer"]["_trainer"]["optimizer"]


def schedule(content: dict[str, Any]) -> dict[str, Any]:
    return content["trainer"]["hooks"]["LRScheduler"]


def moments(content: dict[str, Any]) -> dict[str, Any]:
    return next(iter(optimizer(content)["state"].values()))


CHANGES: list[tuple[Change, str]] = [
    (lambda c: c["trainer"].update(iteration=-5), "The iteration of the training, -5, is no whole number from 0 to"),
    (lambda c: c["trainer"].update(iteration="2"), "The iteration of the training, '2'"),
    (lambda c: c["trainer"].update(iteration=10**30), "The iteration of the training, of 100 bits"),
    (lambda c: c["trainer"].update(iteration=float("nan")), "The iteration of the training, nan"),
    (lambda c: c["trainer"].update(iteration=True), "The iteration of the training, True"),
    (lambda c: c["trainer"].update(iteration=None), "The iteration of the training, None"),
    (lambda c: c["trainer"].pop("iteration"), "has no iteration"),
    (lambda c: c["trainer"].update(seed="abc"), "The seed of the training, 'abc'"),
    (lambda c: c["trainer"].update(seed=-1), "The seed of the training, -1"),
    (lambda c: c["trainer"].update(seed=2**32), "The seed of the training, 4294967296"),
    (lambda c: c["trainer"].update(batch=[2]), r"The batch of the training, \[2\]"),
    (lambda c: c["trainer"].update(bfloat16="yes"), "in bfloat16 is .yes."),
    (lambda c: c["trainer"].update(hooks=[]), "'hooks' in the state of the training is no mapping"),
    (lambda c: c["trainer"].update(_trainer=3), "'_trainer' in the state of the training is no mapping"),
    (lambda c: c.update(trainer=[]), "The state of the training is no mapping"),
    (lambda c: c.update(run=torch.zeros(2)), "the name of its run is no text"),
    (lambda c: c["trainer"]["hooks"].update(LRScheduler=[]), "learning rate's schedule is no mapping"),
    (lambda c: schedule(c).pop("last_epoch"), "learning rate's schedule has no last_epoch"),
    (
        lambda c: schedule(c).update(last_epoch="x"),
        "last_epoch of the learning rate's schedule, 'x', is no whole number",
    ),
    (lambda c: schedule(c).update(last_epoch=3), "last_epoch of the learning rate's schedule, 3, is .* from 0 to 2"),
    (lambda c: schedule(c).update(_step_count=-1), "_step_count of the learning rate's schedule, -1, is no whole"),
    (lambda c: c["ema"].update(updates=1.5), "number of updates of the moving average"),
    (lambda c: c["ema"].update(weights=3), "its training state is of another config"),
    (lambda c: optimizer(c).update(param_groups=[]), "its training state is of another config"),
    (lambda c: optimizer(c)["param_groups"][0].update(lr="x"), "The optimizer's lr is of another optimizer"),
    (lambda c: optimizer(c)["param_groups"][0].update(betas=3), "The optimizer's betas is of another optimizer"),
    (lambda c: optimizer(c)["param_groups"][0].update(foreach="x"), "The optimizer's foreach is of another optimizer"),
    (lambda c: optimizer(c)["param_groups"][0].update(initial_lr=0), "its training state is of another config"),
    (lambda c: moments(c).pop("exp_avg"), "state of a parameter is of another optimizer"),
    (lambda c: moments(c).update(exp_avg=torch.zeros(7)), "The optimizer's exp_avg is of another model"),
    (lambda c: moments(c).update(step=torch.tensor(-1.0)), "The optimizer's number of steps is no count"),
    (lambda c: moments(c).update(step="x"), "its training state is of another config"),
]


def resume(trainer: bdd100k_d2.Trainer, content: dict[str, Any]) -> None:
    """As from a file with ``content``, without reading and checking the file each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bdd100k_d2.checkpoint.saving.read_checked", lambda path: copy.deepcopy(content))
        trainer.resume_or_load(resume=True)


def test_a_state_that_no_training_has_is_refused(trained: tuple[bdd100k_d2.Trainer, Path]) -> None:
    trainer, path = trained
    whole = read_checked(path)
    for number, (change, message) in enumerate(CHANGES):
        content = copy.deepcopy(whole)
        change(content)
        with pytest.raises(WeightsError, match=f"{message}.*It is the last checkpoint of the output folder") as caught:
            if number % 10:
                resume(trainer, content)
            else:
                write_checked(content, path)
                trainer.resume_or_load(resume=True)
        assert str(caught.value).startswith(f"{path}: ")
    write_checked(whole, path)
    trainer.resume_or_load(resume=True)
    assert trainer.start_iter == 2


def test_the_config_rules_the_rate(trained: tuple[bdd100k_d2.Trainer, Path]) -> None:
    trainer, path = trained
    content = read_checked(path)
    rates = list(trainer.scheduler.base_lrs)
    schedule(content).update(base_lrs=["x"], step="x", get_lr="x", _max_iter=10**9)
    resume(trainer, content)
    assert (trainer.scheduler.base_lrs, trainer.scheduler.last_epoch) == (rates, 2)
    assert trainer.scheduler.get_lr() and callable(trainer.scheduler.step)


VALUES = (None, True, -1, 10**30, float("nan"), float("inf"), "", "../x", [], {}, [[]], torch.zeros(3))


def changed(state: Any, random: Random) -> None:  # noqa: ANN401, of a checkpoint
    """Puts another value somewhere into a nested state."""
    keys = [*state] if isinstance(state, dict) else [*range(len(state))]
    key = random.choice(keys)
    if isinstance(state[key], dict | list) and len(state[key]) and random.random() < 0.8:
        changed(state[key], random)
    elif isinstance(state, dict) and random.random() < 0.2:
        del state[key]
    else:
        state[key] = random.choice(VALUES)


def test_whatever_a_state_holds_it_is_taken_or_refused(trained: tuple[bdd100k_d2.Trainer, Path]) -> None:
    trainer, path = trained
    random, whole = Random(0), read_checked(path)
    taken = 0
    for _ in range(40):
        content = copy.deepcopy(whole)
        changed(content["trainer"], random)
        with suppress(BDD100KError):
            resume(trainer, content)
            with EventStorage(trainer.start_iter) as trainer.storage:
                trainer.iter = trainer.start_iter
                trainer.run_step()
                trainer.scheduler.step()
            taken += 1
    assert 0 < taken < 40


@pytest.mark.parametrize("name", ["", "..", "a\0b", "x" * 300, "../" * 9, "/", "\x1b[31m"])
def test_a_last_checkpoint_of_no_name_is_passed_over(tmp_path: Path, name: str) -> None:
    checkpointer = bdd100k_d2.checkpoint.saving.TrainingCheckpointer(torch.nn.Linear(1, 1), str(tmp_path))
    checkpointer.save("model_0000001", iteration=1)
    (tmp_path / "last_checkpoint").write_text(name)
    assert checkpointer.last_good() == tmp_path / "model_0000001.pth"
