"""A process of the loader that the system ends."""

import multiprocessing
import os
import signal
from collections.abc import Callable

import pytest
from detectron2.config import CfgNode
from detectron2.engine import HookBase

import bdd100k_d2
from bdd100k_d2.errors import LostProcessError, user_message


class KillWorker(HookBase):
    def after_step(self) -> None:
        if self.trainer.iter == 1:
            (worker,) = multiprocessing.active_children()
            os.kill(worker.pid, signal.SIGKILL)


def test_it_is_named_and_the_run_can_go_on(small_cfg: Callable[..., CfgNode]) -> None:
    cfg = small_cfg("DATALOADER.NUM_WORKERS", 1, "SOLVER.MAX_ITER", 200, "SOLVER.CHECKPOINT_PERIOD", 1, "SEED", 1)
    trainer = bdd100k_d2.Trainer(cfg)
    trainer.register_hooks([KillWorker()])
    with pytest.raises(LostProcessError, match=r"DataLoader worker .*memory ran out.*NUM_WORKERS") as caught:
        trainer.train()
    assert user_message(caught.value) and "\n" not in str(caught.value)
    assert trainer.checkpointer.last_good() is not None


def test_a_batch_that_went_with_its_worker(small_cfg: Callable[..., CfgNode], monkeypatch: pytest.MonkeyPatch) -> None:
    class Batches:
        def __iter__(self) -> "Batches":
            return self

        def __next__(self) -> None:
            raise ConnectionRefusedError(111, "Connection refused")

    loader = bdd100k_d2.Trainer.build_train_loader(small_cfg())
    monkeypatch.setattr(loader, "_build", Batches)
    with pytest.raises(LostProcessError, match="DataLoader worker is gone: .*NUM_WORKERS"):
        next(iter(loader))


def test_other_errors_stay(small_cfg: Callable[..., CfgNode]) -> None:
    class Fail(HookBase):
        def after_step(self) -> None:
            raise RuntimeError("out of ideas")

    trainer = bdd100k_d2.Trainer(small_cfg())
    trainer.register_hooks([Fail()])
    with pytest.raises(RuntimeError, match="out of ideas"):
        trainer.train()
