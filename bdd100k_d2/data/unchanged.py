"""What was read of files is kept while they are as they were, so that nothing is read twice in a process."""

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..errors import DataError
from .convert.source_files import files_through_links
from .folders import LABEL_SUFFIXES, file_stamp
from .image_names import is_image_name

_P = ParamSpec("_P")
_T = TypeVar("_T")

State = tuple[tuple[object, ...], ...]
"""What changes when a file is written, added or removed."""


def content_state(paths: Iterable[Path]) -> State:
    """The state of files, and of the images and labels in and below folders, also of what is not there."""
    return tuple((os.fspath(path), *_state(path)) for path in paths)


def _state(path: Path) -> tuple[object, ...]:
    if not path.is_dir():
        return file_stamp(path)
    try:
        files = [os.path.join(place, name) for place, name in files_through_links(path, _is_data)]  # noqa: PTH118
    except DataError:
        # Whoever reads it says what is wrong; it is as no other.
        return (object(),)
    return (hash(tuple(sorted((file, *file_stamp(file)) for file in files))),)


def _is_data(name: str) -> bool:
    return is_image_name(name) or name.lower().endswith((*LABEL_SUFFIXES, ".txt"))


def kept_unless_changed(
    most: int,
) -> Callable[[Callable[Concatenate[Path, _P], _T]], Callable[Concatenate[Path, _P], _T]]:
    """Keeps the last ``most`` results of a function of a file, by its arguments, until the file has changed.

    The arguments can be hashed, and nobody changes the results.
    """

    def decorate(function: Callable[Concatenate[Path, _P], _T]) -> Callable[Concatenate[Path, _P], _T]:
        kept: OrderedDict[Any, tuple[State, _T]] = OrderedDict()

        @wraps(function)
        def wrapper(path: Path, *args: _P.args, **kwargs: _P.kwargs) -> _T:
            key, state = (path, args, tuple(sorted(kwargs.items()))), content_state([path])
            if key not in kept or kept[key][0] != state:
                kept[key] = state, function(path, *args, **kwargs)
            kept.move_to_end(key)
            while len(kept) > most:
                kept.popitem(last=False)
            return kept[key][1]

        return wrapper  # type: ignore[return-value]  # which mypy takes to want `path` by its name

    return decorate


class KeptRecords:
    """Records of data sets, packed, of which those that were asked for last are kept, up to so many bytes in all.

    Whoever asks gets copies.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[Any, tuple[State, bytes]] = OrderedDict()

    def get(self, key: object, state: State, load: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """The records that ``load`` has given for ``key`` when its files had this ``state``, else those of now."""
        found = self._kept.get(key)
        if found is not None and found[0] == state:
            self._kept.move_to_end(key)
            records: list[dict[str, Any]] = pickle.loads(found[1])
            return records
        self._kept.pop(key, None)
        records = load()
        packed = pickle.dumps(records, pickle.HIGHEST_PROTOCOL)
        if len(packed) <= self._most:
            self._kept[key] = state, packed
            while sum(len(one) for _, one in self._kept.values()) > self._most:
                self._kept.popitem(last=False)
        return records
