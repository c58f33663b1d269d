"""The models of the sample's configs at a fraction of their size: keys and values in turn, as the commands take them.

A training saves its model and two moments of each weight. Of those of the configs that takes seconds each time.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import bdd100k_d2

if TYPE_CHECKING:
    from detectron2.config import CfgNode

# Fifty layers, because those of 18 have to be wide.
_NARROW = (
    "MODEL.RESNETS.DEPTH 50 MODEL.RESNETS.WIDTH_PER_GROUP 2 MODEL.RESNETS.STEM_OUT_CHANNELS 8 "
    "MODEL.RESNETS.RES2_OUT_CHANNELS 8 MODEL.FPN.OUT_CHANNELS 8 "
)
SMALL_MODELS = {
    "det": f"{_NARROW} MODEL.ROI_BOX_HEAD.FC_DIM 16".split(),
    "sem_seg": f"{_NARROW} MODEL.SEM_SEG_HEAD.CONVS_DIM 8".split(),
}


def small_config(root: Path, *overrides: object) -> "CfgNode":
    """The config of a semantic segmenter that trains on ``root`` in seconds, with more keys and values in turn."""
    bdd100k_d2.register_all(root)
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_R_18")
    cfg.MODEL.DEVICE, cfg.SOLVER.AMP.ENABLED = "cpu", False
    cfg.merge_from_list(SMALL_MODELS["sem_seg"])
    cfg.MODEL.RESNETS.NORM = cfg.MODEL.SEM_SEG_HEAD.NORM = "BN"
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.CROP.SIZE = (72,), 72, [64, 96]
    cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_WORKERS, cfg.SOLVER.WARMUP_ITERS = 2, 0, 1
    cfg.DATASETS.TEST, cfg.SOLVER.CHECKPOINT_PERIOD = (), 1000
    cfg.SOLVER.REFERENCE_WORLD_SIZE = 0
    cfg.merge_from_list([*overrides])
    return cfg
