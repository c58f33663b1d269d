"""Images that are there twice: within a data set, and in two splits, of which one is trained on."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

from ...parallel import map_files
from .report import EXAMPLES, Findings

_Identity = tuple[int, ...] | bytes
"""What two files that are the same have in common: their place on the disk, or their content."""


class ImageSet(NamedTuple):
    """The images of a data set, by the names of its frames; ``folder`` is the place of what is found."""

    name: str
    folder: Path
    images: Mapping[str, Path]


def identities(sets: Sequence[ImageSet], pool: Executor | None) -> dict[Path, _Identity]:
    """What tells whether images are the same file, and with a pool also whether two files have the same content.

    Only files of as many bytes as another one has are read. Files that are not there are left out.
    """
    by_bytes: defaultdict[int, dict[tuple[int, ...], Path]] = defaultdict(dict)
    of_place: dict[Path, tuple[int, ...]] = {}
    for path in {path for one in sets for path in one.images.values()}:
        try:
            status = path.stat()
        except OSError:
            continue
        of_place[path] = status.st_dev, status.st_ino
        if status.st_size:
            by_bytes[status.st_size].setdefault(of_place[path], path)
    if pool is None:
        return {**of_place}
    alike = [path for paths in by_bytes.values() if len(paths) > 1 for path in paths.values()]
    contents = map_files(_digest, [str(path) for path in alike], pool, "comparing images")
    by_place = {of_place[path]: content for path, content in zip(alike, contents, strict=True) if content is not None}
    return {path: by_place.get(place, place) for path, place in of_place.items()}


def _digest(path: str) -> bytes | None:
    try:
        return hashlib.sha256(Path(path).read_bytes()).digest()
    except OSError:
        # It is found where images are read.
        return None


def find_repeated(one: ImageSet, same: Mapping[Path, _Identity], findings: Findings) -> None:
    """Finds images that a data set has under two names."""
    first: dict[_Identity, str] = {}
    repeated = []
    for name, path in one.images.items():
        if path in same:
            other = first.setdefault(same[path], name)
            if other != name:
                repeated.append(f"{name}, also {other}")
    findings.add("image that is there twice", one.folder, *repeated[:EXAMPLES], count=len(repeated))


def find_leaks(splits: Sequence[Sequence[ImageSet]], same: Mapping[Path, _Identity], findings: Findings) -> None:
    """Finds images of a split that an earlier one of ``splits`` has too."""
    for number, split in enumerate(splits):
        earlier: dict[_Identity, tuple[str, str]] = {}
        for other in (one for before in splits[:number] for one in before):
            for name, path in other.images.items():
                if path in same:
                    earlier.setdefault(same[path], (other.name, name))
        for one in split:
            leaks = [*_in_both(one, earlier, same)]
            findings.add("frame in two splits", one.folder, *leaks[:EXAMPLES], count=len(leaks))


def _in_both(
    one: ImageSet, earlier: Mapping[_Identity, tuple[str, str]], same: Mapping[Path, _Identity]
) -> Iterator[str]:
    for name, path in one.images.items():
        other = earlier.get(same[path]) if path in same else None
        if other is not None:
            under = "" if other[1] == name else f" as {other[1]}"
            yield f"{name} of {one.name}, also in {other[0]}{under}"
