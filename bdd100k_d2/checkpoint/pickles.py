"""Model-zoo pickles without the code that a pickle can carry."""

import codecs
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray

# What pickled dictionaries of arrays name, by both of NumPy's module layouts; nothing of it runs code of the file.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): codecs.encode,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = multiarray._reconstruct
    _ALLOWED[f"{_core}.multiarray", "scalar"] = multiarray.scalar


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401, whatever the table holds
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it wants to run {module}.{name}; only dictionaries of arrays are loaded"
            ) from None


def load_arrays(path: str | Path) -> dict[str, Any]:
    """Loads a pickled dictionary of NumPy arrays, as Detectron2's model zoo publishes them.

    Raises:
        pickle.UnpicklingError: the pickle names anything else than arrays, dictionaries, text and numbers.
    """
    with Path(path).open("rb") as file:
        return _ArrayUnpickler(file, encoding="latin1").load()
