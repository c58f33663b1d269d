"""Registers data sets, models and names of weights as soon as Detectron2 has what they are registered in.

To import Detectron2, and PyTorch with it, takes seconds, which `import bdd100k_d2` must not: many commands only read
files. So that importing the package registers what it has all the same, as every extension of Detectron2 does, the
import of three of Detectron2's modules is watched: right after one of them was executed, and at once if that was before
the package was imported, what belongs in it is registered.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

_PACKAGE = __name__.rpartition(".")[0]


def _register_data() -> None:
    import_module(f"{_PACKAGE}.data.register").register_once()


def _register_models() -> None:
    import_module(f"{_PACKAGE}.modeling")


def _register_weights() -> None:
    import_module(f"{_PACKAGE}.checkpoint.published")


# Detectron2's module, by its name -> what is registered once it was executed. The models and the weights' names are
# registered by importing their modules, also where these are what imports Detectron2's. Weights are fetched by
# detectron2.utils.file_io, but that is imported in the middle of modules which theirs need.
_WATCHED = {
    "detectron2.data": _register_data,
    "detectron2.modeling": _register_models,
    "detectron2.checkpoint": _register_weights,
}


class _Loader:
    """Executes a module by its own loader, which it leaves in its place, and registers what belongs in it."""

    def __init__(self, spec: ModuleSpec) -> None:
        self._spec, self._loader = spec, spec.loader

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[union-attr]  # a module that is found has a loader

    def exec_module(self, module: ModuleType) -> None:
        self._spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)  # type: ignore[union-attr]
        _WATCHED[module.__name__]()


class _Finder:
    """Finds the watched modules where the other finders do."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _WATCHED:
            return None
        others = (finder for finder in sys.meta_path if finder is not _Finder)
        found = (finder.find_spec(name, path, target) for finder in others if hasattr(finder, "find_spec"))
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec)  # type: ignore[assignment]  # it has what importing asks for
        return spec


def _is_finder_of_here(finder: object) -> bool:
    names = (getattr(finder, "__module__", None), getattr(finder, "__qualname__", None))
    return names == (_Finder.__module__, _Finder.__qualname__)


def register_at_import() -> None:
    """Registers what Detectron2 has been imported for, and from now on what it is imported for."""
    # Where the package is imported anew, as notebooks do, another finder of it would ask this one, and this one it.
    sys.meta_path[:] = [one for one in sys.meta_path if not _is_finder_of_here(one)]
    sys.meta_path.insert(0, _Finder)
    for name, register in _WATCHED.items():
        module = sys.modules.get(name)
        # Of one that is being imported, whatever imports this package in the middle of it, nothing is there yet.
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            register()


def register_now() -> None:
    """Imports Detectron2 and registers everything."""
    for register in _WATCHED.values():
        register()
