"""From command-line arguments to a frozen config, a logger and an output folder."""

import argparse
import logging
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from ..config import load_config
from ..errors import OutputError

logger = logging.getLogger(__name__)


def setup(args: argparse.Namespace) -> CfgNode:
    """Builds the config from ``args`` of Detectron2's `default_argument_parser` and starts logging.

    Raises:
        ConfigError: the config file does not exist or has an unknown key.
        OutputError: nothing can be written to the output folder.
    """
    cfg = load_config(args.config_file, args.opts)
    replaced = comm.get_world_size() == 1 and _replace_sync_bn(cfg)
    cfg.freeze()
    _check_output(Path(cfg.OUTPUT_DIR))
    default_setup(cfg, args)
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="bdd100k_d2", abbrev_name="bdd100k")
    if cfg.MODEL.DEVICE == "cpu":
        logger.warning("Running on the CPU: PyTorch finds no GPU, or MODEL.DEVICE says so.")
    if replaced:
        logger.info("One process: SyncBN is BN.")
    return cfg


def _replace_sync_bn(cfg: CfgNode) -> bool:
    """Makes SyncBN plain BN, which computes the same in one process and also trains on the CPU."""
    replaced = False
    for node in (cfg.MODEL.RESNETS, cfg.MODEL.FPN, cfg.MODEL.SEM_SEG_HEAD, cfg.MODEL.ROI_BOX_HEAD):
        if node.NORM == "SyncBN":
            node.NORM = "BN"
            replaced = True
    return replaced


def _check_output(folder: Path) -> None:
    probe = folder / f".write_test_{comm.get_rank()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{folder}: the output folder cannot be written ({error.strerror}); set OUTPUT_DIR to another one."
        ) from error
