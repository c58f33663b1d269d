"""Starting a training: its config, its output folder, and its processes, by Detectron2 or by torchrun."""

import argparse
import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import default_setup
from detectron2.engine import launch as launch_gpus
from detectron2.engine.launch import DEFAULT_TIMEOUT
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from ..atomic import check_writable, write_atomic
from ..config import load_config
from ..data.register import known_names
from ..errors import ConfigError, LostProcessError, OutputError
from ..evaluation.evaluators import results_folder
from ..lock import locked
from .own_sets import register_sets
from .rendezvous import fresh_store
from .resumed_state import MOST_SEED

logger = logging.getLogger(__name__)

Main = Callable[[argparse.Namespace], object]

# What torchrun, and nobody else, sets together.
_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

# What gloo and NCCL say when the process at the other end is gone.
_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exited")


def setup(args: argparse.Namespace) -> CfgNode:
    """Builds the config from ``args`` of Detectron2's `default_argument_parser` and starts logging.

    Raises:
        ConfigError: the config cannot be used, names a dataset that is not registered, or none to train on.
        DataError: the name of a test set, or a link, leads elsewhere than where its results go.
        OutputError: nothing can be written to the output folder.
    """
    cfg = load_config(args.config_file, args.opts)
    cfg.freeze()
    register_sets(cfg)
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        if name not in DatasetCatalog.list():
            raise ConfigError(f"DATASETS: no dataset {name!r} is registered; there are {known_names()}.")
    if not (cfg.DATASETS.TRAIN or args.eval_only):
        raise ConfigError("DATASETS.TRAIN is empty; name a data set to train on, such as bdd100k_det_train.")
    for name in cfg.DATASETS.TEST:
        # What its evaluator would refuse, but after the training.
        if (MetadataCatalog.get(name).get("evaluator_type", None) or "").startswith("bdd100k_"):
            results_folder(cfg, name)
    if cfg.SEED + comm.get_world_size() > MOST_SEED:
        raise ConfigError(f"SEED is above {MOST_SEED:,}, the greatest of NumPy; choose another one.")
    check_writable(Path(cfg.OUTPUT_DIR), "set OUTPUT_DIR to another one")
    default_setup(cfg, args)
    torch.backends.cudnn.allow_tf32 = cfg.CUDNN_ALLOW_TF32
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="bdd100k_d2", abbrev_name="bdd100k")
    if cfg.MODEL.DEVICE == "cpu":
        logger.warning("Running on the CPU: PyTorch finds no GPU, or MODEL.DEVICE says so.")
    return cfg


def launch(main: Main, args: argparse.Namespace) -> None:
    """Calls ``main(args)``, which can be pickled, in each process of a training; ``args`` as for `setup`.

    Under torchrun this is one of the processes; one that torchrun started again resumes from the last checkpoint.
    Otherwise Detectron2 starts one per GPU, as ``args.num_gpus`` and ``args.num_machines`` say.

    Raises:
        ConfigError: the arguments ask for GPUs that are not there, or do not go with torchrun.
        OutputError: another training writes into the output folder.
        LostProcessError: another process ended without saying why.
        SystemExit: in the processes that end because another one failed, and says why.
    """
    if all(name in os.environ for name in _TORCHRUN):
        _run_in_group(main, args)
        return
    cfg = load_config(args.config_file, args.opts)
    if args.num_gpus * args.num_machines > 1:
        _check_gpus(cfg, args.num_gpus, f"--num-gpus {args.num_gpus}")
    with _alone(cfg, args.machine_rank == 0):
        launch_gpus(main, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, (args,))


def _alone(cfg: CfgNode, is_main: bool) -> AbstractContextManager[None]:
    """A context in which no other training writes into the output folder, which one of the processes locks."""
    if not cfg.OUTPUT_DIR:
        raise ConfigError("OUTPUT_DIR is empty; set it to a folder, . for the current one.")
    return locked(Path(cfg.OUTPUT_DIR)) if is_main else nullcontext()


def _run_in_group(main: Main, args: argparse.Namespace) -> None:
    store, rank, processes = next(dist.rendezvous("env://", timeout=DEFAULT_TIMEOUT))
    store = fresh_store(store, rank, processes)
    try:
        cfg = load_config(args.config_file, args.opts)
        if args.num_machines != 1 or args.num_gpus not in (1, int(os.environ["LOCAL_WORLD_SIZE"])):
            raise ConfigError(
                "torchrun has started the processes already: leave out --num-gpus and --num-machines, and give "
                "torchrun --nproc-per-node and --nnodes."
            )
        with _alone(cfg, rank == 0):
            if processes > 1:
                _join(cfg, store, rank, processes)
            main(_resume_if_restarted(args, Path(cfg.OUTPUT_DIR)))
            if processes > 1:
                # Not before all are done: the others may still wait for this one.
                comm.synchronize()
                dist.destroy_process_group()
    except Exception as error:
        if not _is_first(store):
            logger.error("Another process failed and says why; this one ends.")
            raise SystemExit(1) from error
        if isinstance(error, RuntimeError) and any(sign in str(error) for sign in _LOST):
            raise LostProcessError(
                "another process of the training ended without a message: killed, out of memory, or its machine is "
                "gone. With torchrun's --max-restarts the training goes on from the last checkpoint by itself; "
                "otherwise start it again with --resume."
            ) from error
        raise


def _resume_if_restarted(args: argparse.Namespace, folder: Path) -> argparse.Namespace:
    """Lets a training that torchrun started again go on from its own last checkpoint, as the first process decides."""
    attempts = comm.all_gather(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")))
    if args.eval_only or args.resume:
        return args
    resume = False
    if comm.is_main_process():
        try:
            resume = _goes_on(folder, max(attempts) > 0)
        except OSError as error:
            raise OutputError(
                f"{folder}: the output folder cannot be written ({error.strerror}); set OUTPUT_DIR to another one."
            ) from error
    return argparse.Namespace(**vars(args) | {"resume": comm.all_gather(resume)[0]})


def _goes_on(folder: Path, restarted: bool) -> bool:
    tag, job = folder / "last_checkpoint", folder / ".torchrun"
    # A machine that joins or leaves is no restart that torchrun counts, but then all have one name of the job.
    name = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    if restarted or (name != "none" and job.is_file() and job.read_bytes() == name.encode()):
        how = "goes on from the last checkpoint" if tag.is_file() else "starts over, there is no checkpoint yet"
        logger.warning("torchrun started the training again: it %s.", how)
        return tag.is_file()
    write_atomic(job, name)
    if tag.is_file():
        aside = tag.replace(tag.with_name("last_checkpoint.earlier"))
        logger.warning("%s is of an earlier training, which --resume goes on with; it is now %s.", tag, aside.name)
    return False


def _join(cfg: CfgNode, store: dist.Store, rank: int, processes: int) -> None:
    """Makes the process group, the group of the processes on this machine, and takes this process's GPU."""
    local, local_rank = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    on_gpu = cfg.MODEL.DEVICE != "cpu"
    if on_gpu:
        _check_gpus(cfg, local, f"--nproc-per-node {local}")
        torch.cuda.set_device(local_rank)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=processes, timeout=DEFAULT_TIMEOUT
    )
    if set(comm.all_gather(local)) != {local}:
        raise ConfigError("each machine has to start the same number of processes: give all the same --nproc-per-node.")
    _make_local_groups(local)
    comm.synchronize()


def _make_local_groups(local: int) -> None:
    if hasattr(comm, "create_local_process_group"):
        comm.create_local_process_group(local)
        return
    # Detectron2 v0.6 has it in its `launch` only. torchrun numbers the processes machine by machine.
    for first in range(0, comm.get_world_size(), local):
        group = dist.new_group(list(range(first, first + local)))
        if first <= comm.get_rank() < first + local:
            comm._LOCAL_PROCESS_GROUP = group


def _check_gpus(cfg: CfgNode, wanted: int, argument: str) -> None:
    if cfg.MODEL.DEVICE == "cpu":
        raise ConfigError(
            f"{argument}: the model runs on the CPU (MODEL.DEVICE). Several processes there are started by "
            f"torchrun --nproc-per-node {wanted} tools/train_net.py ..."
        )
    if cfg.MODEL.DEVICE != "cuda":
        raise ConfigError(
            f"MODEL.DEVICE is {cfg.MODEL.DEVICE!r}, which all processes would share; with several give cuda."
        )
    if wanted > torch.cuda.device_count():
        raise ConfigError(f"{argument}: there are {torch.cuda.device_count()} GPUs here; give at most so many.")


def _is_first(store: dist.Store) -> bool:
    """Whether no other process failed before this one, as far as can be known."""
    try:
        return store.add("failed", 1) == 1
    except RuntimeError:
        # The store went with the process or machine that held it.
        return False
