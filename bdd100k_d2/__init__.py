"""BDD100K for Detectron2: its data sets, recipes, metrics and file formats.

Importing the package is light, and registers what it has in Detectron2, whichever of the two is imported first: the
data sets at ``$DETECTRON2_DATASETS`` (else ``datasets``) without reading anything from there, the models, and the names
of published weights (``bdd100k://``, ``open-mmlab://``). The first use of a public name imports Detectron2, but that of
`Predictor` only for the model of a config: exported models run without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__
from .installation import needs_detectron2
from .registration import register_at_import, register_now

# Public name -> the module that defines it.
_PUBLIC = {
    "add_bdd100k_config": "config",
    "get_config": "config",
    "load_config": "config",
    "register_all": "data.register",
    "Predictor": "predict.predictor",
    "register_coco_panoptic": "data.coco_panoptic",
    "register_dataset": "data.own_dataset",
    "register_slice": "data.slices",
    "Trainer": "engine.trainer",
    "write_coco_panoptic": "evaluation.evaluators.coco_panoptic",
}
# What imports Detectron2 by itself where it needs it.
_LIGHT = ("Predictor",)

__all__ = ["__version__", *_PUBLIC]

if TYPE_CHECKING:
    from .config import add_bdd100k_config, get_config, load_config
    from .data.coco_panoptic import register_coco_panoptic
    from .data.own_dataset import register_dataset
    from .data.register import register_all
    from .data.slices import register_slice
    from .engine.trainer import Trainer
    from .evaluation.evaluators.coco_panoptic import write_coco_panoptic
    from .predict.predictor import Predictor


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _LIGHT:
        return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    with needs_detectron2(f"{__name__}.{name}"):
        register_now()
        return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_at_import()
