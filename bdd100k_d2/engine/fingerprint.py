"""What data a run reads, in a few numbers that change when the data do."""

import hashlib
import mmap
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from detectron2.data import MetadataCatalog

from ..atomic import file_digest
from ..data.register import all_splits, locate
from ..data.slices import slice_frames, slice_of
from ..errors import DataError, shown

# The largest split has 280,000 images; what a folder holds beyond this, such as a whole disk, is not looked through.
_MOST_FILES = 1_000_000
_MOST_SECONDS = 60


def fingerprint(dataset: str) -> dict[str, Any]:
    """The fingerprint of a registered dataset; what is not there or cannot be read is None. Never raises.

    ``images`` and ``labels`` are the paths, ``pictures`` is how many files are below ``images``. ``bytes``, ``sha256``
    and ``frames`` are of the labels: a folder's hash is of the names and sizes of its files, which are its frames; a
    file's frames are those it lists. All this is of the whole data set; ``slice_frames`` and ``slice_sha256`` (of their
    names) are of a slice. Links to folders are not followed. ``partial`` is there where something could not be read, or
    a folder holds too much to be looked through, and says what.
    """
    found: dict[str, Any] = {"images": None, "labels": None, "pictures": None}
    problems: list[str] = []
    images = labels = None
    with _noted(problems):
        images, labels = _places(dataset)
        found |= {"images": images and str(images), "labels": labels and str(labels)}
    with _noted(problems):
        found["pictures"] = sum(1 for _ in _files(images)) if images is not None and images.is_dir() else None
    with _noted(problems):
        if labels is not None and labels.is_dir():
            found |= _of_folder(labels)
        elif labels is not None and labels.is_file():
            found |= _of_file(labels)
    with _noted(problems):
        if slice_of(dataset) is not None:
            found |= _of_slice(dataset)
    return found | {"partial": "; ".join(problems)} if problems else found


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Says what differs between two fingerprints of a dataset; the paths may. Empty where nothing does."""

    def differ(key: str) -> bool:
        values = before.get(key), now.get(key)
        unknown = None in values and ("partial" in before or "partial" in now)
        return values[0] != values[1] and not unknown

    found = []
    if differ("sha256"):
        what = [f"{shown(before.get(key))} {key} before, {now.get(key)} now" for key in ("frames", "bytes")]
        hashes = "sha256 {} before, {} now".format(*(str(one.get("sha256"))[:12] for one in (before, now)))
        found.append(f"{now['labels'] or shown(before.get('labels'))} has changed ({'; '.join([*what, hashes])})")
    if differ("pictures"):
        found.append(f"{now['images']} has {now.get('pictures')} images, {shown(before.get('pictures'))} before")
    if differ("slice_sha256"):
        counts = f"{shown(before.get('slice_frames'))} before, {now.get('slice_frames')} now"
        found.append(f"the frames of the slice have changed ({counts})")
    return found


@contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    """Adds what goes wrong inside to ``problems``: a record of the data must not end the training that it is of."""
    try:
        yield
    except Exception as error:
        problems.append(shown(error) or type(error).__name__)


def _places(dataset: str) -> tuple[Path | None, Path | None]:
    metadata = MetadataCatalog.get(dataset)
    images = metadata.get("image_root")
    base = slice_of(dataset) or dataset
    for row in all_splits():
        if row.name == base and images is not None:
            # <root>/bdd100k/<images of the row>
            found = locate(base, Path(images).parents[len(row.images.parts)]).present()
            return found.images, found.labels
    # A slice has not the files of all frames.
    while (of := slice_of(dataset)) is not None:
        dataset, metadata = of, MetadataCatalog.get(of)
    # The names that Detectron2's own datasets have.
    labels = next(filter(None, (metadata.get(key) for key in ("label_path", "json_file", "sem_seg_root"))), None)
    return images and Path(images), labels and Path(labels)


def _of_file(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    with path.open("rb") as file:
        frames = _count(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) if size else None
    return {"bytes": size, "sha256": file_digest(path), "frames": frames}


def _of_folder(folder: Path) -> dict[str, Any]:
    files = sorted((str(path.relative_to(folder)), path.stat().st_size) for path in _files(folder))
    digest = hashlib.sha256("".join(f"{name}\0{size}\n" for name, size in files).encode(errors="surrogateescape"))
    return {"bytes": sum(size for _, size in files), "sha256": digest.hexdigest(), "frames": len(files)}


def _of_slice(dataset: str) -> dict[str, Any]:
    try:
        stems = sorted(slice_frames(dataset) or ())
    except DataError:
        # Loading the slice says what is wrong; a fingerprint of labels that are not there is no error either.
        return {"slice_frames": None, "slice_sha256": None}
    return {"slice_frames": len(stems), "slice_sha256": hashlib.sha256("\n".join(stems).encode()).hexdigest()}


class _Document(msgspec.Struct):
    frames: list[msgspec.Raw] | None = None
    images: list[msgspec.Raw] | None = None


def _count(content: mmap.mmap) -> int | None:
    """The frames of a JSON document: those of a list, or under "frames" or "images"."""
    try:
        found = msgspec.json.decode(content, type=list[msgspec.Raw] | _Document)
    except msgspec.MsgspecError:
        return None
    if isinstance(found, _Document):
        found = found.images if found.frames is None else found.frames
    return None if found is None else len(found)


def _files(folder: Path) -> Iterator[Path]:
    """The files below ``folder``; OSError for a folder that cannot be read, or if there is too much to look through."""

    def stop(error: OSError) -> None:
        raise error

    count, end = 0, time.monotonic() + _MOST_SECONDS
    for place, folders, names in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                count += 1
                yield Path(place, name)
        if count > _MOST_FILES or time.monotonic() > end:
            raise OSError(f"{folder}: not looked through, it holds too much ({count:,} files so far)")
