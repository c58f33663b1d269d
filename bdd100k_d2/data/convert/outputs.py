"""Where a conversion goes: nothing is overwritten unasked, and a folder is there whole or not at all."""

import os
import shutil
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...atomic import output_errors
from ...errors import DataError, OutputError
from ..image_names import check_file_name, image_stem
from ..labels import Frame


def check_new(path: Path, source: Path, overwrite: bool) -> None:
    """Raises OutputError if ``path`` is the source, holds it or lies in it, or exists and is not to be overwritten."""
    target, origin = path.resolve(), source.resolve()
    if target == origin or target in origin.parents:
        raise OutputError(f"{path}: would overwrite what is to be read, {source}; give another place.")
    if origin in target.parents:
        # The next reader of the folder would take it for one of the labels.
        raise OutputError(f"{path}: lies in the folder that is to be read, {source}; give another place.")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists; give another place, or --overwrite to replace it.")


@contextmanager
def new_folder(path: Path, suffix: str, foreign: Container[str] = ()) -> Iterator[Path]:
    """Yields a temporary folder, which becomes ``path`` when all went well; an old folder there is replaced.

    An old folder with files of another suffix than conversions write, or of ``foreign`` names, is not replaced.

    Raises:
        OutputError: ``path`` is a file, or a folder with other files, or cannot be written.
    """
    if path.exists():
        others = [path.name]
        if path.is_dir():
            others = [one.name for one in path.iterdir() if one.suffix != suffix or one.name in foreign]
        if others:
            raise OutputError(
                f"{path}: holds {sorted(others)[0]}, which no conversion wrote, so it is not replaced; give another "
                "place."
            )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    with output_errors(path):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            if path.exists():
                path.rename(old)
            try:
                temporary.rename(path)
            except OSError:
                if old.exists():
                    old.rename(path)
                raise
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def with_stems(frames: Iterable[Frame], source: Path, folder: Path) -> Iterator[tuple[Frame, str]]:
    """Yields each frame of the label file ``source`` with the stem that its file in ``folder`` has.

    Raises:
        DataError: a frame's name leads out of the folder, or two frames have the same stem.
    """
    names: dict[str, str] = {}
    for frame in frames:
        try:
            check_file_name(frame.name, folder)
        except DataError as error:
            raise DataError(f"{source}: {error} Rename it in the label file.") from error
        stem = image_stem(frame.name)
        other = names.setdefault(stem, frame.name)
        if other != frame.name:
            raise DataError(
                f"{source}: frames {other} and {frame.name} would have the same file {stem}; rename one of them."
            )
        yield frame, stem
