"""Files of checkpoints with a checksum beside them: written whole or not at all, and checked when they are read."""

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch

from ..atomic import atomic_path, file_digest
from ..errors import WeightsError
from .reading import read_checkpoint


def checksum_file(path: Path) -> Path:
    """Where the checksum of ``path`` stands: ``model_final.pth.sha256``, which ``sha256sum -c`` takes."""
    return path.with_name(f"{path.name}.sha256")


def write_checked(content: Mapping[str, Any], path: Path) -> None:
    """Saves ``content`` to ``path`` with its checksum beside it.

    A process that is killed at any moment leaves the old file or the new one, never with the other's checksum: in
    between there is none, which :func:`read_checked` allows. An `OutputError` leaves ``path`` as it was.
    """
    checksum = checksum_file(path)
    with atomic_path(checksum) as note, atomic_path(path) as temporary:
        digest = _save(content, temporary)
        note.write_text(f"{digest}  {path.name}\n")
        # What can fail for want of room is done; from here to the end there is no checksum.
        checksum.unlink(missing_ok=True)
    _flush_folder(path.parent)


def read_checked(path: Path) -> dict[str, Any]:
    """Reads a checkpoint as :func:`~bdd100k_d2.checkpoint.reading.read_checkpoint`, its checksum first.

    One without a checksum, as Detectron2 writes it, is whole if it can be read.

    Raises:
        WeightsError: the checkpoint is missing, unreadable, cut off, or not what was written.
    """
    try:
        if not path.is_file():
            raise WeightsError(f"{path}: no such file.")
        expected = _expected(path)
        found = expected and file_digest(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}).") from error
    if found != expected:
        raise WeightsError(
            f"{path}: damaged; its sha256 is not that of {checksum_file(path).name}, so it was cut off or changed "
            "after it was written."
        )
    return read_checkpoint(path)


def remove_checked(path: Path) -> None:
    """Deletes a checkpoint and its checksum, this one first: a checkpoint without is still one."""
    checksum_file(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def is_as_written(path: Path) -> bool:
    """Whether ``path`` has a checksum and agrees with it."""
    expected = _expected(path)
    return expected is not None and file_digest(path) == expected


def _expected(path: Path) -> str | None:
    try:
        text = checksum_file(path).read_bytes()
    except FileNotFoundError:
        return None
    found = re.match(rb"[0-9a-f]{64}\b", text)
    return found[0].decode() if found else None


def _save(content: Mapping[str, Any], path: Path) -> str:
    """Writes ``content`` to ``path`` and flushes it to the disk; returns its SHA-256."""
    with path.open("wb") as file:
        target = _HashingFile(file)
        torch.save(dict(content), target)  # type: ignore[arg-type] # of a file it uses write and flush alone
        if target.error is not None:
            raise target.error
        file.flush()
        os.fsync(file.fileno())
    return target.digest.hexdigest()


class _HashingFile:
    """What PyTorch writes to. It computes the checksum on the way and keeps the error of a write (a full disk).

    PyTorch's writer is let finish: of an exception inside it only one about an archive that was not finished is left.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        if self.error is None:
            try:
                self.file.write(data)
                self.digest.update(data)
            except OSError as error:
                self.error = error
        return len(data)

    def flush(self) -> None:
        pass


def _flush_folder(folder: Path) -> None:
    # The moves reach the disk with the folder. Not every file system can flush one.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
