"""A hook of the user's, however public how-tos add it, is written by the writers in its own iteration."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch.distributed as dist
from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from support.processes import in_processes
from support.small_models import small_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import bdd100k_d2
from bdd100k_d2.engine.hooks.evaluation import MissedEvaluation
from bdd100k_d2.engine.hooks.termination import Termination
from bdd100k_d2.engine.hooks.writers import WriteEvents

Make = Callable[..., CfgNode]


class ValidationLoss(HookBase):
    """Measures in each twentieth iteration, as the writers write."""

    def after_step(self) -> None:
        if (self.trainer.iter + 1) % 20 == 0:
            self.trainer.storage.put_scalar("validation_loss", 1.0 + self.trainer.iter, smoothing_hint=False)


class WithoutModel(bdd100k_d2.Trainer):
    def run_step(self) -> None:
        self.storage.put_scalar("total_loss", 1.0)


class Inserting(WithoutModel):
    def build_hooks(self) -> list[HookBase]:
        built = super().build_hooks()
        built.insert(-1, ValidationLoss())
        return built


def inserted(cfg: CfgNode) -> bdd100k_d2.Trainer:
    return Inserting(cfg)


def registered(cfg: CfgNode) -> bdd100k_d2.Trainer:
    trainer = WithoutModel(cfg)
    trainer.register_hooks([ValidationLoss()])
    return trainer


def swapped(cfg: CfgNode) -> bdd100k_d2.Trainer:
    """As how-tos for Detectron2 exchange the hook that they registered and the writers."""
    trainer = registered(cfg)
    trainer._hooks = trainer._hooks[:-2] + trainer._hooks[-2:][::-1]
    return trainer


@pytest.mark.parametrize("add", [inserted, registered, swapped])
def test_what_a_users_hook_measures_is_written_in_its_iteration(
    small_cfg: Make, tmp_path: Path, add: Callable[[CfgNode], bdd100k_d2.Trainer]
) -> None:
    trainer = add(small_cfg("SOLVER.MAX_ITER", 60))
    trainer.train()
    lines = [json.loads(line) for line in (tmp_path / "out/metrics.json").read_text().splitlines()]
    expected = [(19, 20.0), (39, 40.0), (59, 60.0)]
    assert [(one["iteration"], one["validation_loss"]) for one in lines if "validation_loss" in one] == expected
    events = EventAccumulator(str(tmp_path / "out")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("validation_loss")] == expected
    assert [type(one) for one in trainer._hooks[-3:]] == [ValidationLoss, WriteEvents, Termination]


@pytest.mark.parametrize("add", [inserted, registered, swapped])
def test_hooks_of_a_run_that_is_resumed_stand_in_the_same_order(
    small_cfg: Make, tmp_path: Path, add: Callable[[CfgNode], bdd100k_d2.Trainer]
) -> None:
    """However a script adds its hook."""
    keys = ("SOLVER.CHECKPOINT_PERIOD", 20)
    add(small_cfg("SOLVER.MAX_ITER", 20, *keys)).train()
    trainer = add(small_cfg("SOLVER.MAX_ITER", 60, *keys))
    trainer.resume_or_load(True)
    assert trainer.start_iter == 20
    trainer.train()
    lines = [json.loads(line) for line in (tmp_path / "out/metrics.json").read_text().splitlines()]
    expected = [(19, 20.0), (39, 40.0), (59, 60.0)]
    assert [(one["iteration"], one["validation_loss"]) for one in lines if "validation_loss" in one] == expected
    assert [type(one) for one in trainer._hooks[-3:]] == [ValidationLoss, WriteEvents, Termination]


def test_a_users_own_writers_take_the_place_of_ours(small_cfg: Make) -> None:
    """As in Detectron2, ``build_hooks`` ends with the writers."""
    written = []

    class Writer(EventWriter):
        def write(self) -> None:
            written.append(1)

    class Mine(WithoutModel):
        def build_hooks(self) -> list[HookBase]:
            return [*super().build_hooks()[:-1], WriteEvents([], period=1)]

        def build_writers(self) -> list[EventWriter]:
            return [Writer()]

    Mine(small_cfg("SOLVER.MAX_ITER", 3)).train()
    assert len(written) == 4  # of three iterations, and at the end


def check_hooks(root: Path, out: Path) -> None:
    dist.init_process_group("gloo")
    # The writers' hook stands in both, and writes in the main one alone.
    assert comm.is_main_process() == (dist.get_rank() == 0) and comm.get_world_size() == 2
    trainer = Inserting(small_config(root, "OUTPUT_DIR", str(out), "SOLVER.MAX_ITER", 1, "SEED", 1))
    trainer.train()
    names = (MissedEvaluation, ValidationLoss, WriteEvents, Termination)
    assert tuple(type(one) for one in trainer._hooks[-4:]) == names
    dist.destroy_process_group()


def test_an_inserted_hook_has_one_place_in_all_processes(tiny_root: Path, tmp_path: Path) -> None:
    """What it gathers from the others would otherwise wait for what they gather in another hook."""
    in_processes(2, check_hooks, tiny_root, tmp_path / "out")
