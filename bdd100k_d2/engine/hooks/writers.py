"""Where scalars and images of a training go: the console, ``metrics.json``, TensorBoard, Weights & Biases."""

import importlib
import importlib.util
import json
import logging
import re
import resource
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode
from detectron2.engine.hooks import PeriodicWriter
from detectron2.utils import comm
from detectron2.utils.events import (
    CommonMetricPrinter,
    EventStorage,
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
    get_event_storage,
)

from ...atomic import write_atomic
from ...errors import ConfigError

logger = logging.getLogger(__name__)


class WriteEvents(PeriodicWriter):
    """Detectron2's `PeriodicWriter` for the trainer's writers, which are built when the training starts.

    Only then is it known at which iteration it does, and a run that never trains writes no files. To be registered in
    all processes, of which the main one writes: so a hook that is put before it has the same place in each.
    """

    def before_train(self) -> None:
        """Builds the writers."""
        if comm.is_main_process():
            self._writers = self.trainer.build_writers()

    def after_train(self) -> None:
        """Writes what is left, and closes."""
        super().after_train()
        self._writers = []


class DropImages(EventWriter):
    """Forgets the images that other writers have written, which otherwise only TensorBoard's does."""

    def write(self) -> None:
        """Empties the storage's list."""
        get_event_storage().clear_images()


def build_writers(cfg: CfgNode, start_iteration: int, max_iteration: int) -> list[EventWriter]:
    """The console line, ``metrics.json``, Weights & Biases if asked for, and TensorBoard if it is installed.

    Files of a run that is resumed lose what comes after ``start_iteration``.
    """
    folder = Path(cfg.OUTPUT_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    if start_iteration:
        drop_repeated(folder / "metrics.json", start_iteration)
    writers: list[EventWriter] = [ProgressPrinter(max_iteration, cfg.SOLVER.IMS_PER_BATCH)]
    writers.append(JSONWriter(str(folder / "metrics.json")))
    if cfg.WANDB.ENABLED:
        writers.append(WandbWriter(cfg, start_iteration))
    if has_tensorboard():
        writers.append(TensorboardXWriter(str(folder), purge_step=start_iteration or None))
    else:
        logger.info("TensorBoard is not installed: no event files. pip install 'bdd100k_d2[tensorboard]' adds it.")
        writers.append(DropImages())
    return writers


def has_tensorboard() -> bool:
    """Whether its event files can be written."""
    return importlib.util.find_spec("tensorboard") is not None


def shows_images(cfg: CfgNode) -> bool:
    """Whether one of the writers takes images."""
    return cfg.WANDB.ENABLED or has_tensorboard()


class ProgressPrinter(CommonMetricPrinter):
    """Detectron2's line, with images per second, the share of time that waits for data, and memory on the CPU too.

    It goes to the logger of Detectron2's line, in the order and under the names of that; evaluations are left out.
    ``batch_size`` is that of all processes.
    """

    def __init__(self, max_iter: int, batch_size: int) -> None:
        super().__init__(max_iter)
        self._batch_size = batch_size
        self._written = -1

    def write(self) -> None:
        """Logs the line of this iteration, once."""
        storage = get_event_storage()
        latest = storage.latest()
        # Writers are called again after the last iteration, and after one that failed: neither has a rate.
        if latest.get("lr", (0.0, -1))[1] != storage.iter or storage.iter == self._written:
            return
        self._written = storage.iter
        eta = self._get_eta(storage)
        parts = [f"eta: {eta}"] if eta else []
        losses = {name: h for name, h in storage.histories().items() if "loss" in name and "/" not in name}
        parts.append(f"iter: {storage.iter}")
        parts += [f"{name}: {history.median(self._window_size):.4g}" for name, history in losses.items()]
        parts += self._speed(storage)
        names = {"grad_norm": ".4g", "lr": ".5g"}
        parts += [f"{name}: {latest[name][0]:{style}}" for name, style in names.items() if name in latest]
        self.logger.info(" %s", "  ".join([*parts, memory()]))

    def _speed(self, storage: EventStorage) -> list[str]:
        histories = storage.histories()
        # The first iterations are not timed.
        if "time" not in histories:
            return []
        seconds = histories["time"].avg(self._window_size)
        waited = histories["data_time"].avg(self._window_size)
        return [
            f"images/s: {self._batch_size / seconds:.4g}",
            f"time: {seconds:.4f}",
            f"data_time: {waited:.4f} ({min(waited / seconds, 1):.0%})",
        ]


def memory() -> str:
    """The most memory so far: of the GPU's allocator where there is one, else of the process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M"
    # The kernel counts in KiB; macOS's in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return f"max_rss: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20:.0f}M"


class WandbWriter(EventWriter):
    """Writes scalars and images to a run of Weights & Biases, which a resumed training goes on with."""

    def __init__(self, cfg: CfgNode, start_iteration: int) -> None:
        try:
            wandb = importlib.import_module("wandb")
        except ImportError as error:
            raise ConfigError(
                "WANDB.ENABLED is True, but wandb cannot be imported: pip install 'bdd100k_d2[wandb]', or set it False."
            ) from error
        self._image = wandb.Image
        id_path = Path(cfg.OUTPUT_DIR) / "wandb_run.txt"
        known = _run_id(id_path) if start_iteration else None
        self._run: Any = wandb.init(
            project=cfg.WANDB.PROJECT,
            name=cfg.WANDB.NAME or None,
            dir=cfg.OUTPUT_DIR,
            id=known,
            resume="allow",
            config=yaml.safe_load(cfg.dump()),
        )
        write_atomic(id_path, f"{self._run.id}\n")
        self._last = start_iteration - 1

    def write(self) -> None:
        """Sends what is new since the last call."""
        storage = get_event_storage()
        new: dict[int, dict[str, Any]] = defaultdict(dict)
        for name, (value, iteration) in storage.latest_with_smoothing_hint(20).items():
            if iteration > self._last:
                new[iteration][name] = value
        # Before TensorBoard's writer, which clears them. Channels first, as that one wants them.
        for name, image, iteration in storage._vis_data:
            new[iteration][name] = self._image(image.transpose(1, 2, 0))
        for iteration in sorted(new):
            self._run.log(new[iteration], step=iteration)
        self._last = max(new, default=self._last)

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()


def _run_id(path: Path) -> str | None:
    """The run of Weights & Biases to go on with; None where there is none, or what is no name of one."""
    try:
        name = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    # It becomes a part of an address and of folders.
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name) else None


def drop_repeated(path: Path, start_iteration: int) -> None:
    """Removes from a ``metrics.json`` the iterations that a run resumed at ``start_iteration`` does again.

    A line that was cut off goes too, or the next would be written onto its end. The scores that the end of a shorter
    training wrote under its iteration count, which is ``start_iteration`` if it is then trained longer, stay.
    """
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if _is_before(line, start_iteration)]
    if len(kept) < len(lines):
        write_atomic(path, "".join(kept))
        logger.info("%s: %d lines of iterations that are repeated were removed.", path, len(lines) - len(kept))


def _is_before(line: str, start: int) -> bool:
    try:
        record = json.loads(line)
        iteration = record["iteration"]
        return line.endswith("\n") and (iteration < start or (iteration == start and "total_loss" not in record))
    except (ValueError, TypeError, LookupError, RecursionError):
        return False
