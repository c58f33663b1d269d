"""What a run was started with: ``run.json`` and ``config.yaml`` in its output folder."""

import json
import logging
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.utils import comm

from ..._version import __version__
from ...atomic import write_atomic
from ...errors import OutputError, shown
from ..fingerprint import changes, fingerprint

logger = logging.getLogger(__name__)

NAME = "run.json"
_CHECKOUT = Path(__file__).parents[2]
# Seconds that git may take on a slow disk.
_PATIENCE = 30


class _Start(msgspec.Struct):
    """Of an entry the fingerprints, by use and by data set."""

    data: dict[str, dict[str, dict[str, int | str | None]]] = {}


class RunRecord(HookBase):
    """Adds an entry to ``run.json`` at each start of the training; to be registered in the main process.

    A resumed run whose data have changed since its last start is warned about.
    """

    def before_train(self) -> None:
        """Writes the entry."""
        trainer = self.trainer
        record_start(trainer.cfg, seed=trainer.seed, start_iter=trainer.start_iter, run=trainer.checkpointer.run)


def record_start(cfg: CfgNode, *, seed: int, start_iter: int, run: str | None = None) -> None:
    """Appends an entry to ``run.json`` in ``cfg.OUTPUT_DIR``, and compares the data with the entry before.

    ``config.yaml`` beside it is written anew: scaled to the processes there are, and with the seed that was drawn.
    ``run`` is the run's name in its checkpoints; a ``start_iter`` above 0 resumes it.

    Raises:
        OutputError: one of the two files cannot be written.
    """
    path = Path(cfg.OUTPUT_DIR) / NAME
    entries = _read(path)
    data = {use: {name: fingerprint(name) for name in getattr(cfg.DATASETS, use)} for use in ("TRAIN", "TEST")}
    entry = {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "run": run,
        "start_iter": start_iter,
        "seed": seed,
        "command": shlex.join([sys.executable, *sys.argv]),
        "folder": str(Path.cwd()),
        "host": socket.gethostname(),
        "processes": comm.get_world_size(),
        "devices": _devices(cfg),
        "commit": commit(_CHECKOUT),
        "versions": _versions(),
        "data": data,
    }
    if start_iter > 0 and entries:
        _compare(entries[-1].get("data", {}), data)
    write_atomic(path, json.dumps([*entries, entry], indent=2) + "\n")
    trained = cfg.clone()
    trained.defrost()
    trained.SEED = seed
    write_atomic(path.with_name("config.yaml"), trained.dump())


def commit(folder: Path) -> dict[str, Any] | None:
    """The commit of a checkout: its ``id``, and whether a tracked file differs from it (``dirty``); else None."""
    if not (folder / ".git").exists():
        return None
    try:
        name = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError) as error:
        logger.info("%s: the commit is not known (%s).", folder, error)
        return None
    return {"id": name, "dirty": bool(changed)}


def _git(folder: Path, *arguments: str) -> str:
    # Without the lock that another git in the checkout may want.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE)
    return done.stdout.strip()


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        # What is compared with is checked, what is kept beside it stays whatever it is.
        msgspec.convert(entries, list[_Start])
        return entries
    except FileNotFoundError:
        return []
    except (ValueError, RecursionError, OSError) as error:
        problem = shown(error)
    aside = path.with_name(f"{path.name}.damaged")
    try:
        path.replace(aside)
    except OSError as error:
        raise OutputError(f"{path}: unreadable ({problem}), and cannot be moved; remove it.") from error
    logger.warning("%s: unreadable (%s); it is %s now, and a new record is begun.", path, problem, aside.name)
    return []


def _compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Warns of what has changed in the data since the run's last start."""
    for use, datasets in now.items():
        earlier = before.get(use, {})
        if list(earlier) != list(datasets):
            logger.warning("DATASETS.%s is %s, until now it was %s.", use, list(datasets), list(earlier))
        for name in earlier.keys() & datasets.keys():
            for change in changes(earlier[name], datasets[name]):
                logger.warning("%s: the data have changed since the run's last start: %s.", name, change)


def _devices(cfg: CfgNode) -> list[str]:
    if torch.device(cfg.MODEL.DEVICE).type == "cuda":
        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [f"{cfg.MODEL.DEVICE}: {platform.processor() or platform.machine()}, {os.cpu_count()} cores"]


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version(), "bdd100k_d2": __version__}
    for name in ("torch", "torchvision", "detectron2", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return {**found, "cuda": torch.version.cuda}
