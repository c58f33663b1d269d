"""The types that a file of weights may name, and model-zoo pickles without the code that a pickle can carry."""

import codecs
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal

import numpy as np


class RefusedError(pickle.UnpicklingError):
    """A pickle names what is not in `ALLOWED`."""

    def __init__(self, what: str) -> None:
        super().__init__(f"it wants to run {what}")
        self.what = what


class _DType:
    """Stands for `numpy.dtype` while a pickle is read.

    The real one takes any state from the file, and one that says that bytes are objects makes NumPy follow them as
    addresses. This one knows numbers and text alone.
    """

    def __init__(self, code: str, *_: object) -> None:
        if np.dtype(code).kind not in "biufcSU":
            raise RefusedError(f"numpy.dtype({code!r})")
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *structure = state
        # Fields and subarrays would bring other types with them.
        if any(part is not None for part in structure[:3]):
            raise RefusedError("numpy.dtype with fields")
        self.value = self.value.newbyteorder(order)


class _Array:
    """Stands for `numpy.ndarray` while a pickle is read; `value` is the array."""

    value: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _from_bytes(data, dtype, shape, "F" if fortran else "C")


class HistoryBuffer:
    """Stands for mmengine's record of losses, which its checkpoints carry; keeps nothing and does nothing."""

    def __setstate__(self, state: object) -> None:
        pass


def _from_bytes(data: bytes | str, dtype: _DType, shape: tuple[int, ...], order: Literal["C", "F"]) -> np.ndarray:
    # Python 2 wrote bytes as text.
    raw = data.encode("latin1") if isinstance(data, str) else data
    array: np.ndarray = np.frombuffer(raw, dtype.value).reshape(shape, order=order).copy(order)
    return array


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _scalar(dtype: _DType, data: bytes | str) -> np.generic:
    scalar: np.generic = _from_bytes(data, dtype, (1,), "C")[0]
    return scalar


def _frombuffer(data: bytes, dtype: _DType, shape: tuple[int, ...], order: Literal["C", "F"]) -> _Array:
    array = _Array()
    array.value = _from_bytes(data, dtype, shape, order)
    return array


def _attribute(owner: object, name: str) -> None:
    # mmengine's files name the methods of a HistoryBuffer by getattr, with which a pickle can reach anything else.
    if owner is not HistoryBuffer:
        raise RefusedError("builtins.getattr")


# What dictionaries of arrays and numbers name, by both of NumPy's module layouts, and what is called in its place.
ALLOWED: dict[str, Any] = {
    "_codecs.encode": codecs.encode,
    "collections.OrderedDict": OrderedDict,
    "numpy.ndarray": _Array,
    "numpy.dtype": _DType,
    "mmengine.logging.history_buffer.HistoryBuffer": HistoryBuffer,
    "builtins.bytes": bytes,
    "builtins.getattr": _attribute,
}
for _core in ("numpy.core", "numpy._core"):
    ALLOWED[f"{_core}.multiarray._reconstruct"] = _reconstruct
    ALLOWED[f"{_core}.multiarray.scalar"] = _scalar
    ALLOWED[f"{_core}.numeric._frombuffer"] = _frombuffer


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401, whatever the table holds
        # Python 2's name, which pickles of protocol 2 keep.
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        try:
            return ALLOWED[full]
        except KeyError:
            raise RefusedError(full) from None


def load_arrays(path: str | Path) -> Any:  # noqa: ANN401, what the file holds
    """Loads a pickled dictionary of NumPy arrays, as Detectron2's model zoo has; `RefusedError` for other types."""
    with Path(path).open("rb") as file:
        return with_arrays(_ArrayUnpickler(file, encoding="latin1").load())


def with_arrays(content: Any) -> Any:  # noqa: ANN401, what a file holds
    """What was read by `ALLOWED`, with the arrays in place of what stood for them."""
    if isinstance(content, (_Array, _DType)):
        return content.value
    if type(content) in (dict, OrderedDict):
        return type(content)((key, with_arrays(value)) for key, value in content.items())
    if type(content) in (list, tuple):
        return type(content)(with_arrays(value) for value in content)
    return content
