"""Detectron2's config keys that mean nothing here: where one asks for something, the training or evaluation is refused.

Every other key of Detectron2 does what it does there; `tests/engine/test_refused_keys.py` holds that none is left out.
"""

from collections.abc import Callable, Collection

from detectron2.config import CfgNode

from ..config import value_of
from ..data.categories import IGNORE_LABEL
from ..errors import ConfigError, shown

_PROPOSALS = (
    "proposals in files are not read here: leave MODEL.LOAD_PROPOSALS False and DATASETS.PROPOSAL_FILES_* empty"
)
_ADAMW = "it is for SGD: leave it out, or set SOLVER.OPTIMIZER SGD"


def _is_adamw(cfg: CfgNode) -> bool:
    return bool(cfg.SOLVER.OPTIMIZER == "AdamW")


# Key -> whether its value asks for what is not done, and why it is refused.
REFUSED: dict[str, tuple[Callable[[CfgNode], bool], str]] = {
    "VERSION": (lambda cfg: cfg.VERSION != 2, "only configs of version 2 are read: write it by Detectron2's names"),
    "TEST.AUG.ENABLED": (
        lambda cfg: cfg.TEST.AUG.ENABLED,
        "there is no test-time augmentation here: set it False, or give a Trainer of your own the method "
        "test_with_TTA of Detectron2's train_net.py and call it",
    ),
    "TEST.KEYPOINT_OKS_SIGMAS": (
        lambda cfg: len(cfg.TEST.KEYPOINT_OKS_SIGMAS) > 0,
        "no evaluator here takes it: leave it empty, and give it to a COCOEvaluator of your own",
    ),
    "MODEL.LOAD_PROPOSALS": (lambda cfg: cfg.MODEL.LOAD_PROPOSALS, _PROPOSALS),
    "DATASETS.PROPOSAL_FILES_TRAIN": (lambda cfg: len(cfg.DATASETS.PROPOSAL_FILES_TRAIN) > 0, _PROPOSALS),
    "DATASETS.PROPOSAL_FILES_TEST": (lambda cfg: len(cfg.DATASETS.PROPOSAL_FILES_TEST) > 0, _PROPOSALS),
    "MODEL.SEM_SEG_HEAD.IGNORE_VALUE": (
        lambda cfg: cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE != IGNORE_LABEL,
        f"the masks that are read here have {IGNORE_LABEL} where no class is labelled: set it to that",
    ),
    "SOLVER.MOMENTUM": (lambda cfg: _is_adamw(cfg) and cfg.SOLVER.MOMENTUM != 0.9, _ADAMW),
    "SOLVER.NESTEROV": (lambda cfg: _is_adamw(cfg) and cfg.SOLVER.NESTEROV, _ADAMW),
}


def refuse_ignored_keys(cfg: CfgNode, but: Collection[str] = ()) -> None:
    """Raises `ConfigError` for a key whose value asks for what is not done here, unless it is one of ``but``."""
    for key, (is_asked_for, why) in REFUSED.items():
        if key not in but and is_asked_for(cfg):
            raise ConfigError(f"{key} is {shown(repr(value_of(cfg, key)))}; {why}.")
