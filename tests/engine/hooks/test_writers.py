import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from detectron2.config import CfgNode
from detectron2.utils.events import EventStorage
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bdd100k_d2.engine.hooks import writers
from bdd100k_d2.engine.hooks.writers import ProgressPrinter, WandbWriter, drop_repeated
from bdd100k_d2.engine.trainer import Trainer
from bdd100k_d2.errors import ConfigError, OutputError

Make = Callable[..., CfgNode]


def test_repeated_iterations_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    records = [
        {"iteration": 19, "total_loss": 1.0},
        {"iteration": 30, "bbox/AP": 3.0},
        {"iteration": 30, "total_loss": 1.0},  # the iteration that comes next
        {"iteration": 39, "total_loss": 1.0},
    ]
    lines = [json.dumps(record) + "\n" for record in records]
    path.write_text("".join(lines) + "[1]\n" + '{"iteration": 20, "cut o')
    drop_repeated(path, 30)
    assert path.read_text() == lines[0] + lines[1]
    drop_repeated(tmp_path / "none.json", 30)
    assert [one.name for one in tmp_path.iterdir()] == ["metrics.json"]


def test_a_log_that_cannot_be_rewritten_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    path.write_text('{"iteration": 9}\n')

    def full(self: Path, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match=r"metrics\.json: cannot be written \(No space left"):
        drop_repeated(path, 5)
    assert path.read_text() == '{"iteration": 9}\n'


def test_a_resumed_run_logs_each_iteration_once(
    small_cfg: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ("SOLVER.MAX_ITER", 6, "SOLVER.CHECKPOINT_PERIOD", 3, "SEED", 1)
    monkeypatch.setattr(writers.WriteEvents, "__init__", every_iteration)
    Trainer(small_cfg(*keys)).train()
    path, checkpoint = tmp_path / "out/metrics.json", tmp_path / "out/last_checkpoint"
    straight = losses(path)
    assert [i for i, _ in straight] == list(range(6))
    # As after a kill in iteration 5: the last checkpoint is that of iteration 2.
    checkpoint.write_text("model_0000002.pth")
    trainer = Trainer(small_cfg(*keys))
    trainer.resume_or_load()
    trainer.train()
    assert losses(path) == straight
    events = EventAccumulator(str(tmp_path / "out")).Reload()
    assert [one.step for one in events.Scalars("total_loss")] == list(range(6))


def every_iteration(self: writers.WriteEvents, built: list[object], period: int) -> None:
    super(writers.WriteEvents, self).__init__(built, 1)


def losses(path: Path) -> list[tuple[int, float]]:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [(record["iteration"], record["lr"]) for record in records if "total_loss" in record]


def test_the_line_on_the_console(caplog: pytest.LogCaptureFixture) -> None:
    printer = ProgressPrinter(max_iter=102, batch_size=16)
    assert printer.logger.name == "detectron2.utils.events"
    # That one has handlers of its own when another test has trained.
    printer.logger = logging.getLogger("console_test")
    with EventStorage(1) as storage, caplog.at_level(logging.INFO):
        printer.write()
        assert not caplog.messages
        storage.put_scalars(total_loss=1.25, loss_cls=0.5, data_time=0.25, grad_norm=3.0, time=0.5)
        storage.put_scalars(lr=0.02, smoothing_hint=False)
        storage.put_scalars(**{"val_loss/total_loss": 9.0}, smoothing_hint=False)
        printer.write()
        printer.write()
        storage.iter = 2  # in which the training ended or failed
        printer.write()
    (line,) = caplog.messages
    expected = (
        "eta: 0:00:50  iter: 1  total_loss: 1.25  loss_cls: 0.5  images/s: 32  time: 0.5000  data_time: 0.2500 (50%)"
    )
    assert line.strip().startswith(f"{expected}  grad_norm: 3  lr: 0.02  max_")
    assert line.endswith("M") and float(line.split()[-1][:-1]) > 50


def test_without_tensorboard_there_is_a_line(
    small_cfg: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writers, "has_tensorboard", lambda: False)
    cfg = small_cfg()
    with EventStorage() as storage, caplog.at_level(logging.INFO, "bdd100k_d2"):
        built = writers.build_writers(cfg, 0, 10)
        storage.put_image("a", np.zeros((3, 2, 2), np.uint8))
        for writer in built:
            writer.write()
        assert storage._vis_data == []
    assert caplog.text.count("TensorBoard is not installed") == 1
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["metrics.json"]
    assert not writers.shows_images(cfg)


class Wandb(SimpleNamespace):
    """What the writer uses of the package of that name."""

    def __init__(self) -> None:
        super().__init__(Image=lambda pixels: ("image", pixels.shape), calls=[], logged=[], finished=0)

    def init(self, **arguments: object) -> "Wandb":
        self.calls.append(arguments)
        self.id = arguments["id"] or "new"
        return self

    def log(self, values: dict[str, object], step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished += 1


def test_wandb(small_cfg: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    cfg = small_cfg(
        "WANDB.ENABLED",
        True,
        "WANDB.PROJECT",
        "roads",
        "DATASETS.TEST",
        ("bdd100k_sem_seg_val",),
        "TEST.NUM_PICTURES",
        1,
        "SOLVER.MAX_ITER",
        2,
    )
    Trainer(cfg).train()
    (call,) = wandb.calls
    assert (call["project"], call["name"], call["id"], call["dir"]) == ("roads", None, None, str(tmp_path / "out"))
    assert call["config"]["SOLVER"]["MAX_ITER"] == 2
    steps = [step for step, _ in wandb.logged]
    assert steps == sorted(set(steps)) == [1, 2] and wandb.finished == 1
    (_, trained), (_, final) = wandb.logged
    assert "total_loss" in trained and "sem_seg/mIoU" in final
    assert final["predictions/0_val0.jpg"] == ("image", (360, 640, 3))
    # TensorBoard has the image as well.
    assert EventAccumulator(str(tmp_path / "out")).Reload().Tags()["images"] == ["predictions/0_val0.jpg"]

    # A resumed run goes on, another one is new.
    WandbWriter(cfg, start_iteration=2)
    WandbWriter(cfg, start_iteration=0)
    assert [call["id"] for call in wandb.calls] == [None, "new", None]


def test_wandb_is_asked_for_and_not_there(small_cfg: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"pip install 'bdd100k_d2\[wandb\]', or set it False"):
        WandbWriter(small_cfg("WANDB.ENABLED", True), 0)
