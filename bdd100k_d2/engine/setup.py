"""From command-line arguments to a frozen config, a logger and an output folder."""

import argparse
import logging
from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

from ..atomic import check_writable
from ..config import load_config
from ..data.register import known_names, register_once
from ..data.slices import register_config_slices
from ..errors import ConfigError

logger = logging.getLogger(__name__)


def setup(args: argparse.Namespace) -> CfgNode:
    """Builds the config from ``args`` of Detectron2's `default_argument_parser` and starts logging.

    Raises:
        ConfigError: the config file does not exist, has an unknown key, names a dataset that is not registered, or
            describes a slice that cannot be.
        OutputError: nothing can be written to the output folder.
    """
    register_once()
    cfg = load_config(args.config_file, args.opts)
    cfg.freeze()
    register_config_slices(cfg)
    _check_datasets(cfg)
    check_writable(Path(cfg.OUTPUT_DIR), "set OUTPUT_DIR to another one")
    default_setup(cfg, args)
    torch.backends.cudnn.allow_tf32 = cfg.CUDNN_ALLOW_TF32
    setup_logger(cfg.OUTPUT_DIR, distributed_rank=comm.get_rank(), name="bdd100k_d2", abbrev_name="bdd100k")
    if cfg.MODEL.DEVICE == "cpu":
        logger.warning("Running on the CPU: PyTorch finds no GPU, or MODEL.DEVICE says so.")
    return cfg


def _check_datasets(cfg: CfgNode) -> None:
    known = DatasetCatalog.list()
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST):
        if name not in known:
            raise ConfigError(f"DATASETS: no dataset {name!r} is registered; there are {known_names()}.")
