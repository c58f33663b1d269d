"""Which images cannot be read, which are damaged, and how large they are."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import IO, NamedTuple

import cv2
import numpy as np

from ...errors import UnreadableError
from ...parallel import map_files
from ..folders import visible_files
from ..image_files import load_pixels, open_image, read_image_file, upright, upright_size
from ..image_names import images_by_stem
from ..png import damage, missing_pixels
from .report import without_path

_SCAN_OF_JPEG, _END_OF_JPEG = b"\xff\xda", b"\xff\xd9"

# What libjpeg prints, in a process that reads images.
_messages: IO[bytes]


class Verdict(NamedTuple):
    """What is known of an image: its (width, height), or why it cannot be read, its damage, and bytes after its end.

    Bytes of zero after the end are padding and not counted.
    """

    size: tuple[int, int] | None
    unreadable: str | None = None
    damaged: str | None = None
    after: int = 0


def file_sizes(folder: Path, *suffixes: str) -> dict[str, int]:
    """The files in a folder, if it can be read, by name with their bytes; a link that leads nowhere has -1."""
    found = {}
    try:
        for entry in visible_files(folder, *suffixes):
            try:
                found[entry.name] = entry.stat().st_size
            except OSError:
                found[entry.name] = -1
    except OSError:
        return {}
    return dict(sorted(found.items()))


def image_sizes(folder: Path) -> dict[str, int]:
    """The images in a folder, as :func:`file_sizes`."""
    sizes = file_sizes(folder)
    return {name: sizes[name] for name in sorted(images_by_stem(sizes).values())}


def missing_content(size: int) -> str | None:
    """Why a file of ``size`` bytes, as :func:`file_sizes` says, cannot be read; None if it may."""
    return {0: "an empty file", -1: "a link that leads nowhere"}.get(size)


def verify_images(paths: Sequence[str], pool: Executor) -> Iterator[Verdict]:
    """Reads images, in order; one that training would refuse is unreadable, one that decodes with errors damaged.

    Every byte is decoded, at an eighth of the size: that finds what a full decoding finds in a sixth of its time.
    Bits that have changed and still make a valid image nothing finds. The processes have called `catch_messages`.
    """
    yield from map_files(_verify, paths, pool, "reading images")


def catch_messages() -> None:
    """Sends what is printed to stderr into a file: in no other way does libjpeg say that it made something up."""
    global _messages
    _messages = tempfile.TemporaryFile()  # noqa: SIM115, as long as the process lives
    os.dup2(_messages.fileno(), 2)
    cv2.setNumThreads(1)


def _verify(path: str) -> Verdict:
    try:
        content = read_image_file(path, "{error}")
    except UnreadableError as error:
        return Verdict(None, without_path(error, path))
    if not content:
        return Verdict(None, "an empty file")
    try:
        with open_image(content, says="{error}") as image:
            size = upright_size(image)[::-1]
            end = _end(content) if image.format == "JPEG" else None
            if end is None:
                # Training leaves such a file to Pillow.
                upright(image, says="{error}")
                if image.format == "PNG":
                    return Verdict(size, None, damage(content) or missing_pixels(content))
                return Verdict(size, None, "cut off" if image.format == "JPEG" else None)
            content, after = content[:end], len(content.rstrip(b"\0")) - end
            _messages.seek(0)
            _messages.truncate()
            if not _is_decoded(content):
                load_pixels(image, says="{error}")
    except UnreadableError as error:
        return Verdict(None, str(error))
    _messages.seek(0)
    said = _messages.read().decode(errors="replace").strip().split("\n")[0]
    return Verdict(size, None, said or None, max(after, 0))


def _is_decoded(content: bytes) -> bool:
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8) is not None
    except cv2.error:
        return False


def _end(content: bytes) -> int | None:
    """Where a JPEG file's image ends, in bytes; None if it is cut off."""
    if content.endswith(_END_OF_JPEG):
        return len(content)
    padded = content.rstrip(b"\0")
    if padded.endswith(_END_OF_JPEG):
        return len(padded)
    # In a scan no byte 0xFF goes before 0xD9 but in the marker; a thumbnail in the head has a scan of its own.
    scan = content.rfind(_SCAN_OF_JPEG)
    end = content.find(_END_OF_JPEG, scan) if scan >= 0 else -1
    return end + len(_END_OF_JPEG) if end >= 0 else None
