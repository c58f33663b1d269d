"""A run that was stopped and resumed is the run that was not, bit for bit."""

import functools
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.engine import AMPTrainer, HookBase, SimpleTrainer
from detectron2.utils.events import EventStorage
from support.processes import in_processes
from support.small_models import SMALL_MODELS
from torch.multiprocessing import ProcessExitedException

import bdd100k_d2
from bdd100k_d2.data.loader import TrainLoader
from bdd100k_d2.data.register import register_all
from bdd100k_d2.errors import ConfigError, UnreadableError


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The models are too small for more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


CONFIGS = {"det": "sample/faster_rcnn_R_18_FPN", "sem_seg": "sample/semantic_fpn_R_18"}
ITERATIONS, PERIOD = 6, 2
Whole = Callable[[str], bdd100k_d2.Trainer]


def make_config(root: Path, task: str, out: Path, workers: int = 0, seed: int = 3) -> CfgNode:
    """Six iterations with a checkpoint after each second; dropout and colour jitter on."""
    register_all(root)
    cfg = bdd100k_d2.get_config(CONFIGS[task])
    cfg.merge_from_list(SMALL_MODELS[task])
    cfg.MODEL.DEVICE = "cpu"
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.COLOR_JITTER.PROB = (64,), 0.5
    if task == "sem_seg":
        cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.CROP.SIZE = (72,), [64, 96]
    cfg.SOLVER.AMP.ENABLED, cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.WARMUP_ITERS = False, 2, 3
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.CHECKPOINT_PERIOD = ITERATIONS, PERIOD
    cfg.DATALOADER.NUM_WORKERS, cfg.SEED, cfg.OUTPUT_DIR = workers, seed, str(out)
    cfg.DATASETS.TEST = ()
    return cfg


class Stop(HookBase):
    """Ends the run within iteration ``at``."""

    def __init__(self, at: int, how: object) -> None:
        self.at, self.how = at, how

    def before_step(self) -> None:
        if self.trainer.iter == self.at:
            self.how()


class StoppedError(Exception):
    pass


def stop() -> None:
    raise StoppedError


def train(cfg: CfgNode, resume: bool = False, stop_at: int | None = None, how: object = stop) -> bdd100k_d2.Trainer:
    trainer = bdd100k_d2.Trainer(cfg)
    trainer.resume_or_load(resume=resume)
    if stop_at is not None:
        trainer.register_hooks([Stop(stop_at, how)])
    trainer.train()
    return trainer


def assert_same(first: bdd100k_d2.Trainer, second: bdd100k_d2.Trainer) -> None:
    mine, others = first.model.state_dict(), second.model.state_dict()
    assert mine.keys() == others.keys()
    different = [name for name in mine if not torch.equal(mine[name], others[name])]
    assert not different
    assert repr(first.optimizer.state_dict()) == repr(second.optimizer.state_dict())


@pytest.fixture(scope="module")
def whole(drawn_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """What a run of seed 3 that was not stopped came to, by task."""
    return functools.cache(lambda task: train(make_config(drawn_root, task, tmp_path_factory.mktemp(task))))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["det", "sem_seg"])
def test_a_resumed_run_ends_like_one_that_was_not_stopped(
    whole: Whole, tiny_root: Path, tmp_path: Path, task: str
) -> None:
    cfg = make_config(tiny_root, task, tmp_path / "untrained")
    assert task == "det" or cfg.MODEL.SEM_SEG_HEAD.DROPOUT > 0
    with pytest.raises(AssertionError):
        assert_same(whole(task), bdd100k_d2.Trainer(cfg))
    # Another run of the same seed, and with workers.
    assert_same(whole(task), train(make_config(tiny_root, task, tmp_path / "again", workers=2)))
    for workers, at in ((0, 3), (2, 5)):
        cfg = make_config(tiny_root, task, tmp_path / f"stopped{workers}", workers)
        with pytest.raises(StoppedError):
            train(cfg, stop_at=at)
        resumed = train(cfg, resume=True)
        # What was done since the last checkpoint is done again.
        assert resumed.start_iter == at - 1 and resumed.iter == ITERATIONS
        assert_same(whole(task), resumed)


def train_until_killed(root: Path, out: Path) -> None:
    cfg = make_config(root, "sem_seg", out, workers=2)
    train(cfg, stop_at=5, how=lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_a_killed_run_is_resumed(whole: Whole, tiny_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        in_processes(1, train_until_killed, tiny_root, out)
    resumed = train(make_config(tiny_root, "sem_seg", out), resume=True)
    assert resumed.start_iter == 4
    assert_same(whole("sem_seg"), resumed)


def test_the_seed_that_was_drawn_is_kept(tiny_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cfg = make_config(tiny_root, "sem_seg", tmp_path / "drawn", seed=-1)
    # A run of Detectron2's command seeds the generators of processes anew; here the draws go on.
    with caplog.at_level(logging.INFO, "bdd100k_d2"), pytest.raises(StoppedError):
        train(cfg, stop_at=3)
    (message,) = (one for one in caplog.messages if one.startswith("The run's seed is"))
    resumed = train(cfg, resume=True)
    assert message == f"The run's seed is {resumed.seed}, drawn because SEED is -1."
    assert cfg.SEED == -1
    named = train(make_config(tiny_root, "sem_seg", tmp_path / "named", seed=resumed.seed))
    assert_same(named, resumed)


def test_a_run_goes_on_with_its_own_seed(tiny_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StoppedError):
        train(make_config(tiny_root, "sem_seg", tmp_path), stop_at=3)
    trainer = bdd100k_d2.Trainer(make_config(tiny_root, "sem_seg", tmp_path, seed=8))
    with caplog.at_level(logging.WARNING, "bdd100k_d2"):
        trainer.resume_or_load(resume=True)
    assert trainer.seed == trainer.data_loader.seed == 3
    assert "The run goes on with its own seed, 3, instead of 8." in caplog.messages


def test_the_rate_is_the_configs(tiny_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StoppedError):
        train(make_config(tiny_root, "sem_seg", tmp_path), stop_at=3)
    rates = {}
    for share in (1.0, 0.5):
        cfg = make_config(tiny_root, "sem_seg", tmp_path)
        cfg.SOLVER.BASE_LR *= share
        trainer = bdd100k_d2.Trainer(cfg)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "bdd100k_d2"):
            trainer.resume_or_load(resume=True)
        with EventStorage(trainer.start_iter) as storage:
            trainer.storage, trainer.iter = storage, trainer.start_iter
            rates[share] = [trainer.optimizer.param_groups[0]["lr"]]
            trainer.scheduler.step()
            rates[share].append(trainer.optimizer.param_groups[0]["lr"])
        assert any("The learning rate is 0.5 of what it was" in one for one in caplog.messages) == (share == 0.5)
    assert rates[0.5] == pytest.approx([rate / 2 for rate in rates[1.0]])


def test_a_batch_of_another_size_is_refused(tiny_root: Path, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(make_config(tiny_root, "sem_seg", tmp_path), stop_at=3)
    cfg = make_config(tiny_root, "sem_seg", tmp_path)
    cfg.SOLVER.IMS_PER_BATCH = 1
    trainer = bdd100k_d2.Trainer(cfg)
    with pytest.raises(ConfigError, match="had batches of 2 images, now they are 1.*REFERENCE_WORLD_SIZE 0"):
        trainer.resume_or_load(resume=True)


def test_the_scale_of_the_losses_is_kept(tiny_root: Path, tmp_path: Path) -> None:
    """The scaler works on the CPU, Detectron2's step with it does not."""
    states = []
    for scale in (4096.0, 2.0):
        trainer = bdd100k_d2.Trainer(make_config(tiny_root, "sem_seg", tmp_path))
        inner = trainer._trainer
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        trainer._trainer = AMPTrainer(inner.model, inner.data_loader, inner.optimizer, scaler)
        states.append(scaler)
        if scale > 2:
            trainer.checkpointer.save("model_0000000", iteration=0)
        else:
            trainer.resume_or_load(resume=True)
    assert states[1].get_scale() == 4096.0


def test_an_image_that_vanishes_ends_the_run_which_then_goes_on(whole: Whole, tiny_root: Path, tmp_path: Path) -> None:
    # Before this test's own root is registered, because it may train on another one.
    expected = whole("sem_seg")
    image = tiny_root / "bdd100k/images/10k/train/train1.jpg"
    content = image.read_bytes()
    cfg = make_config(tiny_root, "sem_seg", tmp_path / "out")
    with pytest.raises(UnreadableError, match=r"train1\.jpg: the image cannot be read .*No such file"):
        train(cfg, stop_at=2, how=image.unlink)
    image.write_bytes(content)
    assert_same(expected, train(cfg, resume=True))


def test_a_checkpoint_without_a_seed_says_that_the_data_start_anew(
    tiny_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = bdd100k_d2.Trainer(make_config(tiny_root, "sem_seg", tmp_path))
    state = trainer.state_dict()
    assert state.pop("seed") == 3
    trainer.load_state_dict(state)
    assert trainer.seed == 3 and "The checkpoint holds no seed" in caplog.text


def test_workers_start_once(tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    build = TrainLoader._build
    monkeypatch.setattr(TrainLoader, "_build", lambda self: starts.append(self.start_iter) or build(self))
    cfg = make_config(tiny_root, "sem_seg", tmp_path)
    with pytest.raises(StoppedError):
        train(cfg, stop_at=5)
    train(cfg, resume=True)
    assert starts == [0, 4]


def test_an_iterator_that_is_made_with_the_first_batch_resumes_too(
    whole: Whole, tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in later versions of Detectron2's `SimpleTrainer`, and with a checkpoint's position set before it is made."""
    expected = whole("sem_seg")
    run_step = SimpleTrainer.run_step

    def late(self: SimpleTrainer) -> None:
        if not hasattr(self, "made"):
            self.made, self._data_loader_iter = True, iter(self.data_loader)
        run_step(self)

    monkeypatch.setattr(SimpleTrainer, "run_step", late)
    cfg = make_config(tiny_root, "sem_seg", tmp_path / "stopped")
    with pytest.raises(StoppedError):
        train(cfg, stop_at=3)
    assert_same(expected, train(cfg, resume=True))


def test_what_is_drawn_between_the_iterations_changes_nothing(tiny_root: Path, tmp_path: Path) -> None:
    def steps(disturb: bool) -> list[float]:
        trainer = bdd100k_d2.Trainer(make_config(tiny_root, "sem_seg", tmp_path))
        with EventStorage(0) as storage:
            losses = []
            for trainer.iter in range(3):
                if disturb:
                    torch.rand(5)
                trainer.run_step()
                losses.append(storage.latest()["total_loss"][0])
        return losses

    assert steps(False) == steps(True)
