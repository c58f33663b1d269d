"""Processes that find PyTorch and Detectron2 imported: several on the CPU, as torchrun starts them, and commands."""

import importlib.util
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing import forkserver, get_all_start_methods, get_context, set_forkserver_preload, set_start_method
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch
from torch import multiprocessing

import bdd100k_d2

ROOT = Path(bdd100k_d2.__file__).parents[1]
PRELOADED = ["detectron2.engine", "bdd100k_d2.engine.launch", "bdd100k_d2.engine.trainer", "bdd100k_d2.engine.launch"]


def in_processes(count: int, work: Callable[..., None], *args: object) -> None:
    """Runs ``work(*args)`` in each of ``count`` processes; it finds torchrun's variables in its environment.

    PyTorch and Detectron2 are imported once, in the process that the others are forked from.
    """
    _ensure_server()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(_worker, (count, port, work, args), nprocs=count, start_method="forkserver")


def _ensure_server() -> None:
    """It outlives the test and serves the next ones of this process too."""
    set_forkserver_preload(PRELOADED)
    with mock.patch.dict(os.environ, {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}):
        forkserver.ensure_running()


def _start_others_as_usual() -> None:
    """Where a loader of a process of the server starts its own, they would come from yet another server."""
    set_start_method(get_all_start_methods()[0], force=True)


def _worker(rank: int, count: int, port: int, work: Callable[..., None], args: tuple[object, ...]) -> None:
    _start_others_as_usual()
    torch.set_num_threads(1)
    os.chdir(ROOT)
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in places.items()} | {"MASTER_ADDR": "127.0.0.1"})
    work(*args)


def start_command(
    script: str | Path,
    *arguments: object,
    stdout: Path,
    stderr: Path | None = None,
    env: Mapping[str, str] = os.environ,
) -> BaseProcess:
    """Starts ``script`` with a user's arguments and environment; it does not log what it finds out about the machine.

    What it prints goes to files, all of it to ``stdout`` without ``stderr``. Its process leads a group of its own.
    """
    _ensure_server()
    # `multiprocessing` makes the exit status of what the script raises, as the interpreter does.
    args = (str(ROOT / script), [str(one) for one in arguments], dict(env), stdout, stderr or stdout)
    process = get_context("forkserver").Process(target=_command, args=args)
    process.start()
    return process


def run_command(
    script: str | Path, *arguments: object, env: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """Starts ``script`` in this way and waits for its end."""
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        process = start_command(script, *arguments, stdout=stdout, stderr=stderr, env=env)
        process.join(300)
        # One that hangs fails its test, and does not hold up all of them.
        process.kill()
        process.join()
        return subprocess.CompletedProcess([], process.exitcode, stdout.read_text(), stderr.read_text())


def _command(script: str, arguments: list[str], env: dict[str, str], stdout: Path, stderr: Path) -> None:
    os.setpgrp()
    for number, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(ROOT)
    # The data sets were registered for the environment in which the package was imported.
    bdd100k_d2.register_all()
    torch.set_num_threads(1)
    _start_others_as_usual()
    _leave_the_environment_out_of_the_log()
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


def _leave_the_environment_out_of_the_log() -> None:
    """Finding out about it takes seconds."""
    import detectron2.engine.defaults as defaults

    defaults.collect_env_info = lambda: ""


def train_net() -> ModuleType:
    """The command as a module, without its log of the environment."""
    _leave_the_environment_out_of_the_log()
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
