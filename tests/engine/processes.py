"""Several processes on the CPU in a test, started as torchrun starts them."""

import importlib.util
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing import forkserver, set_forkserver_preload
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch
from torch import multiprocessing

import bdd100k_d2

ROOT = Path(bdd100k_d2.__file__).parents[1]
PRELOADED = ["detectron2.engine", "bdd100k_d2.engine.launch", "bdd100k_d2.engine.trainer", "bdd100k_d2.engine.setup"]


def in_processes(count: int, work: Callable[..., None], *args: object) -> None:
    """Runs ``work(*args)`` in each of ``count`` processes; it finds torchrun's variables in its environment.

    PyTorch and Detectron2 are imported once, in the process that the others are forked from.
    """
    set_forkserver_preload(PRELOADED)
    with mock.patch.dict(os.environ, {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}):
        forkserver.ensure_running()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(_worker, (count, port, work, args), nprocs=count, start_method="forkserver")


def _worker(rank: int, count: int, port: int, work: Callable[..., None], args: tuple[object, ...]) -> None:
    torch.set_num_threads(1)
    os.chdir(ROOT)
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in places.items()} | {"MASTER_ADDR": "127.0.0.1"})
    work(*args)


def train_net() -> ModuleType:
    """The command as a module, without its log of the environment, which takes seconds."""
    import detectron2.engine.defaults as defaults

    defaults.collect_env_info = lambda: ""
    spec = importlib.util.spec_from_file_location("train_net", ROOT / "tools" / "train_net.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started and that still run, in the order in which they were."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything.
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(path.parent.name))
    return sorted(found)
