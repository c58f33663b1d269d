"""BDD100K for Detectron2: its data sets, recipes, metrics and file formats.

Importing the package is light. The first use of a name that needs Detectron2 imports it, registers the models and the
names of published weights (``bdd100k://``, ``open-mmlab://``), and registers the data sets at ``$DETECTRON2_DATASETS``
(else ``datasets``) without reading anything from there.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

# Public name -> the module that defines it.
_PUBLIC = {
    "add_bdd100k_config": "config",
    "get_config": "config",
    "load_config": "config",
    "register_all": "data.register",
    "Predictor": "predict.predictor",
    "register_slice": "data.slices",
    "Trainer": "engine.trainer",
}

__all__ = ["__version__", *_PUBLIC]

if TYPE_CHECKING:
    from .config import add_bdd100k_config, get_config, load_config
    from .data.register import register_all
    from .data.slices import register_slice
    from .engine.trainer import Trainer
    from .predict.predictor import Predictor


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_module(f"{__name__}.modeling")
    import_module(f"{__name__}.data.register").register_once()
    import_module(f"{__name__}.checkpoint.published").register_handlers()
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
