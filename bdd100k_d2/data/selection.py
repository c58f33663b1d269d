"""Which frames of a data set a slice takes, whatever their attributes: named ones, a share, a fold, the first."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..errors import ConfigError, DataError, shown
from .image_names import image_stem, last_part
from .json_file import JSON_ERRORS, read_json

_Record = dict[str, Any]


def record_stem(record: Mapping[str, Any]) -> str:
    """The name without its ending of a record's image, by which frames are told, with folders where `image_id` has."""
    stem, name = _file_stem(record), record.get("image_id")
    with_folders = isinstance(name, str) and image_stem(name).endswith(f"__{stem}")
    return image_stem(str(name)) if with_folders else stem


def _file_stem(record: Mapping[str, Any]) -> str:
    return image_stem(last_part(str(record["file_name"])))


class Selection(NamedTuple):
    """What `register_slice` is given; the frames of all that is not None are taken, ``first`` of them in the end.

    Attributes:
        names: of frames, with their folders where these tell them apart, or the path of a file of them.
        first: so many, in the order of the data set.
        share: of the frames that are left, between 0 and 1, rounded to whole frames, one at least.
        fold: k and n: part k, of 0 to n - 1, of n parts that are equal up to a frame and together are all.
        seed: of the order that shares and folds are taken of. It depends on it and on a frame's own name alone, not on
            the order of the frames. A share of another seed is another one; a larger one of the same has the smaller.
    """

    names: tuple[str, ...] | str | None = None
    first: int | None = None
    share: float | None = None
    fold: tuple[int, int] | None = None
    seed: int = 0

    def named(self, records: Sequence[_Record], where: str) -> Sequence[_Record]:
        """The records of ``names``; DataError, which begins with ``where``, if one is of no frame."""
        if self.names is None:
            return records
        given = _names_in(Path(self.names)) if isinstance(self.names, str) else self.names
        places: dict[str, list[int]] = {}
        for place, record in enumerate(records):
            for stem in {record_stem(record), _file_stem(record)}:
                places.setdefault(stem, []).append(place)
        chosen, missing = set[int](), list[str]()
        for name in given:
            parts = _parts(name)
            found = places.get(parts[-1], [])
            if len(found) > 1:
                found = [i for i in found if _parts(str(records[i]["file_name"]))[-len(parts) :] == parts]
            if len(found) > 1:
                first, second = (shown(str(records[i]["file_name"])) for i in found[:2])
                raise DataError(f"{where}: {shown(name)} is {first} and {second}; name the folder too.")
            chosen.update(found)
            missing += [] if found else [name]
        if missing:
            raise DataError(
                f"{where}: {len(missing):,} of the {len(given):,} names are of no frame of the data set, the first is "
                f"{shown(missing[0])}; mend the names."
            )
        return [records[i] for i in sorted(chosen)]

    def part(self, records: Sequence[_Record]) -> Sequence[_Record]:
        """The ``first`` records of the ``fold`` of the ``share``, in the order of ``records``."""
        if self.share is not None or self.fold is not None:
            # Frames of one name, in several folders, are told apart by these.
            ranked = sorted(range(len(records)), key=lambda i: (self._rank(records[i]), str(records[i]["file_name"])))
            if self.share is not None:
                ranked = ranked[: max(round(self.share * len(ranked)), 1)]
            if self.fold is not None:
                ranked = ranked[self.fold[0] :: self.fold[1]]
            records = [records[i] for i in sorted(ranked)]
        return records[: self.first]

    def _rank(self, record: _Record) -> bytes:
        return hashlib.sha256(f"{self.seed}/{record_stem(record)}".encode(errors="replace")).digest()


def _parts(name: str) -> list[str]:
    """The folders of an image and its stem."""
    *folders, last = (part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
    return [*folders, image_stem(last)]


def selection(  # what users give is checked here
    where: str,
    names: Any,  # noqa: ANN401
    first: Any,  # noqa: ANN401
    share: Any,  # noqa: ANN401
    fold: Any,  # noqa: ANN401
    seed: Any,  # noqa: ANN401
) -> Selection | None:
    """The selection that a user gives; None for none. ConfigError, which begins with ``where``, for a wrong one."""
    if isinstance(names, os.PathLike):
        names = os.fspath(names)
    if names is not None and not isinstance(names, str):
        names = tuple(names) if isinstance(names, Iterable) else ()
        if not names or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"{where}: names are a list of frames' names, or the path of a file of such; mend them.")
    if first is not None and not (_is_whole(first) and first > 0):
        raise ConfigError(f"{where}: first is {shown(repr(first))}; give a number of frames of 1 or more.")
    if share is not None and (isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1):
        raise ConfigError(f"{where}: share is {shown(repr(share))}; give a part of the frames, such as 0.2.")
    if not _is_whole(seed):
        raise ConfigError(f"{where}: seed is {shown(repr(seed))}; give a whole number.")
    if fold is not None:
        pair = tuple(fold) if isinstance(fold, list | tuple) else ()
        if len(pair) != 2 or not all(map(_is_whole, pair)) or not 0 <= pair[0] < pair[1]:
            raise ConfigError(f"{where}: fold is {shown(repr(fold))}; give (k, n), with k of 0 to n - 1.")
        fold = pair
    if seed != 0 and share is None and fold is None:
        raise ConfigError(f"{where}: seed is of a share or a fold, and neither is given; leave it out.")
    found = Selection(names, first, share, fold, seed)
    return None if found == Selection() else found


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _names_in(path: Path) -> tuple[str, ...]:
    """The names in a file: a JSON list, or one per line."""
    if path.suffix.lower() == ".json":
        try:
            names = msgspec.json.decode(read_json(path), type=list[str])
        except JSON_ERRORS as error:
            raise DataError(f'{path}: no JSON list of names; write them as ["a.jpg", "b.jpg"].') from error
    else:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: no text in UTF-8; save it in that encoding.") from error
        except OSError as error:
            raise DataError(f"{path}: the names of the frames cannot be read ({error.strerror}).") from error
        names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"{path}: no names of frames in it; write one per line.")
    return tuple(names)
