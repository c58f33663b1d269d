"""The data sets and slices that a config describes, registered before they are asked for, in scripts too."""

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from ..data.own_dataset import register_config_datasets
from ..data.register import register_once

# What the config whose sets were registered last says of them.
_described: str | None = None


def register_sets(cfg: CfgNode) -> None:
    """Registers BDD100K, and ``DATASETS.OWN`` and ``DATASETS.SLICES`` of a config unless its were the last here.

    So what a script changes in the catalogs once its config's sets are registered stays. Raises the errors of
    `register_config_datasets`.
    """
    global _described
    register_once()
    names = (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)
    if _description(cfg) == _described and all(name in DatasetCatalog.list() for name in names):
        return
    register_config_datasets(cfg)
    # After it, as it completes the classes.
    _described = _description(cfg)


def _description(cfg: CfgNode) -> str:
    return repr((cfg.DATASETS.OWN, cfg.DATASETS.SLICES))
