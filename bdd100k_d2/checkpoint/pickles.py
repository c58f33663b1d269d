"""The types that a file of weights may name, and model-zoo pickles without the code that a pickle can carry."""

import codecs
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray, numeric


class RefusedError(pickle.UnpicklingError):
    """A pickle names what is not in `ALLOWED`."""

    def __init__(self, what: str) -> None:
        super().__init__(f"it wants to run {what}")
        self.what = what


class HistoryBuffer:
    """Stands for mmengine's record of losses, which its checkpoints carry; keeps nothing and does nothing."""

    def __setstate__(self, state: object) -> None:
        pass


def _attribute(owner: object, name: str) -> None:
    # mmengine's files name the methods of a HistoryBuffer by getattr, with which a pickle can reach anything else.
    if owner is not HistoryBuffer:
        raise RefusedError("builtins.getattr")


# What dictionaries of arrays and numbers name, by both of NumPy's module layouts; nothing of it runs code of the file.
ALLOWED: dict[str, Any] = {
    "_codecs.encode": codecs.encode,
    "collections.OrderedDict": OrderedDict,
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    "mmengine.logging.history_buffer.HistoryBuffer": HistoryBuffer,
    "builtins.bytes": bytes,
    "builtins.getattr": _attribute,
}
for _core in ("numpy.core", "numpy._core"):
    ALLOWED[f"{_core}.multiarray._reconstruct"] = multiarray._reconstruct
    ALLOWED[f"{_core}.multiarray.scalar"] = multiarray.scalar
    ALLOWED[f"{_core}.numeric._frombuffer"] = numeric._frombuffer
# The class of each dtype but that of objects, which PyTorch asks for when it fills in a dtype.
for _kind in ("bool", *np.typecodes["AllInteger"], *np.typecodes["AllFloat"], *np.typecodes["Complex"], "S", "U"):
    _class = type(np.dtype(_kind))
    ALLOWED[f"{_class.__module__}.{_class.__name__}"] = _class


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401, whatever the table holds
        # Python 2's name, which pickles of protocol 2 keep.
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        try:
            return ALLOWED[full]
        except KeyError:
            raise RefusedError(full) from None


def load_arrays(path: str | Path) -> Any:  # noqa: ANN401, what the file holds
    """Loads a pickled dictionary of NumPy arrays, as Detectron2's model zoo publishes them.

    Raises:
        RefusedError: the pickle names anything else than arrays, dictionaries, text and numbers.
        pickle.UnpicklingError: it is no pickle, or a damaged one; other exceptions too can say so.
    """
    with Path(path).open("rb") as file:
        return _ArrayUnpickler(file, encoding="latin1").load()
