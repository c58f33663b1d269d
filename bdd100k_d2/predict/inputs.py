"""What a user means by ``--input``: images by path, folder, pattern or list; or a video, from a file or a camera."""

import glob
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..data.image_names import IMAGE_SUFFIXES, frame_names, image_stem, is_image_name
from ..errors import DataError, shown

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"))

# Of a file or folder, in bytes.
_LONGEST_NAME = 255

RESULT_FOLDERS = ("bitmasks", "masks", "overlays")
"""Folders of the output whose images are results and so no input."""


class InputImages(NamedTuple):
    """Images in the order in which they are predicted: the name in the results -> the path."""

    paths: dict[str, Path]


class InputVideo(NamedTuple):
    """A video: the path of its file, or the number of a camera, and how its frames' names begin."""

    source: Path | int
    stem: str

    @property
    def is_camera(self) -> bool:
        """Whether it is no file, and so goes on and cannot be seen again."""
        return isinstance(self.source, int)

    @property
    def annotated_name(self) -> str:
        """The file name of the annotated video."""
        return f"{self.stem}.mp4"

    def frame_name(self, index: int) -> str:
        """The name of a frame, counted from 0, in the manner of BDD100K's videos, which count from 1."""
        return f"{self.stem}-{index + 1:07d}.jpg"

    def frame_index(self, name: str) -> int:
        """The index of the frame of that name."""
        return int(name.removeprefix(f"{self.stem}-").removesuffix(".jpg")) - 1


def find_input(text: str, output: Path | None = None) -> InputImages | InputVideo:
    """Finds what is to be predicted.

    ``text`` is the path of an image, of a video, or of a text file with one path per line, relative to that file's
    folder, where empty lines and those that begin with "#" are left out; a folder, searched with those in it, hidden
    ones and links to folders left out; a pattern with "*", "?" or "**"; or the number of a camera. Images in the
    `RESULT_FOLDERS` of ``output`` are no input.

    An image's name in the results is its file name. Where several images have one name, or names that differ in
    their endings alone, because masks are named without them, these are named by their paths below the folder that
    holds all of the input, with "__" for "/": ``a__street.jpg`` and ``b__street.jpg``.

    Raises:
        DataError: nothing is there, there is no image, or the results of two images would have one name.
    """
    path = _path(text, "--input")
    suffix = path.suffix.lower()
    results = set() if output is None else {(output / name).resolve() for name in RESULT_FOLDERS}
    if path.is_dir():
        return _search(path, results)
    if path.is_file():
        if is_image_name(path.name):
            return InputImages({path.name: path})
        if suffix in VIDEO_SUFFIXES:
            return InputVideo(path, path.stem)
        if suffix == ".txt":
            return _list(path)
        known = ", ".join(sorted((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, ".txt")))
        raise DataError(f"{path}: neither an image, a video nor a list by its ending; known are {known}.")
    if text.isdecimal():
        return InputVideo(int(text), f"camera{int(text)}")
    if glob.has_magic(text):
        return _pattern(text, results)
    raise DataError(
        f"{text}: no such image, folder, video or list; give a path, a pattern in quotes, or the number of a camera."
    )


def _path(text: str, where: str) -> Path:
    """The path that a text names; DataError, which begins with ``where``, if it can be none of anything."""
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # ~ with the name of nobody
        raise DataError(f"{where} holds '{shown(text)}', which is no path ({error}); give another one.") from error
    if not text.strip() or "\0" in text or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        raise DataError(f"{where} holds '{shown(text)}', which is no path; give another one.")
    return path


def _search(folder: Path, skipped: set[Path]) -> InputImages:
    found: list[Path] = []
    videos = 0
    for place, folders, names in os.walk(folder):
        # Changing the list in place keeps `walk` out of them.
        folders[:] = sorted(name for name in folders if name[0] != "." and Path(place, name).resolve() not in skipped)
        visible = [Path(place, name) for name in names if name[0] != "."]
        found += [path for path in visible if is_image_name(path.name)]
        videos += sum(path.suffix.lower() in VIDEO_SUFFIXES for path in visible)
    if not found:
        remedy = "videos are predicted one by one: give the file." if videos else "give another one."
        raise DataError(f"{folder}: no image in the folder or in those below it; {remedy}")
    if videos:
        logger.warning("%s: %d videos are left out; give each of them by itself.", folder, videos)
    return _name(sorted(found))


def _pattern(text: str, skipped: set[Path]) -> InputImages:
    pattern = str(Path(text).expanduser())
    matches = (Path(match) for match in glob.glob(pattern, recursive=True))  # noqa: PTH207, also absolute ones
    found = sorted(path for path in matches if path.is_file() and path.name[0] != "." and is_image_name(path.name))
    found = [path for path in found if skipped.isdisjoint(path.resolve().parents)]
    if not found:
        raise DataError(f"{text}: no image matches; put the pattern in quotes, and write ** for folders in folders.")
    return _name(found)


def _list(path: Path) -> InputImages:
    try:
        # Some programs begin a text with a byte-order mark.
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: the list cannot be read ({error}); it is a text file with one path per line."
        ) from error
    paths = [path.parent / _path(line, f"{path}: the list") for line in lines if line and line[0] != "#"]
    if not paths:
        raise DataError(f"{path}: no path in the list; write one a line.")
    for one in paths:
        if one.name in ("", ".."):
            raise DataError(f"{path}: the list holds '{shown(one)}', which is no path of an image; give another one.")
    unique = list(dict.fromkeys(paths))
    if len(unique) < len(paths):
        logger.warning("%s: %d paths that stand there again are left out.", path, len(paths) - len(unique))
    return _name(unique)


def _name(paths: Sequence[Path]) -> InputImages:
    named: dict[str, Path] = {}
    stems: dict[str, Path] = {}
    for path, name in zip(paths, frame_names(path.absolute() for path in paths), strict=True):
        other = stems.setdefault(image_stem(name), path)
        if other is not path:
            raise DataError(
                f"{other} and {path}: the results of both would be called {image_stem(name)}; rename one, or predict "
                "them one after the other."
            )
        named[name] = path
    return InputImages(named)
