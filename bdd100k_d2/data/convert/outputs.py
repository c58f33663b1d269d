"""Where a conversion goes: nothing is overwritten unasked, and a folder is there whole or not at all."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...atomic import output_errors
from ...errors import DataError, OutputError, shown
from ...inside import lies_in, refuse_overwriting
from ..image_names import check_file_name, image_stem
from ..labels import Frame


def check_new(path: Path, source: Path, overwrite: bool, reads: Sequence[Path] = ()) -> None:
    """Raises OutputError if a target would replace what is read, lies in it, or exists and is not to be overwritten.

    ``reads`` is what is read beside the ``source``: beside or in a folder of images a target may lie.
    """
    if path.name in ("", ".."):
        raise OutputError(f"{path}: the target is a file or a folder with a name; give one.")
    check_apart(path, [source, *reads])
    # The next reader of a folder would take what lies in it for one of the labels.
    refuse_overwriting(path, [source])
    if os.path.lexists(path):
        if not overwrite:
            raise OutputError(f"{path}: exists; give another place, or --overwrite to replace it.")
        if os.path.exists(path) and not (path.is_file() or path.is_dir()):  # noqa: PTH110, which knows no bad names
            raise OutputError(f"{path}: neither a file nor a folder, so it is not replaced; give another place.")


def check_apart(path: Path, reads: Iterable[Path]) -> None:
    """Raises OutputError if ``path`` is one of the files and folders ``reads``, by whatever link, or holds one."""
    for one in reads:
        if (one.is_file() and lies_in(path, one)) or Path(os.path.realpath(one)).is_relative_to(os.path.realpath(path)):
            raise OutputError(f"{path}: would overwrite what is to be read, {one}; give another place.")


@contextmanager
def new_folder(path: Path, is_written: Callable[[Path], bool]) -> Iterator[Path]:
    """Yields a temporary folder, which becomes ``path`` when all went well; an old folder there is replaced.

    An old folder that holds anything but what ``is_written`` tells to be of a conversion is not replaced.

    Raises:
        OutputError: ``path`` is a file, a link, or a folder with other files, or cannot be written.
    """
    if os.path.lexists(path):
        others = [path.name]
        if path.is_dir() and not path.is_symlink():
            with output_errors(path):
                others = [one.name for one in path.iterdir() if not is_written(one)]
        if others:
            raise OutputError(
                f"{path}: holds {shown(sorted(others)[0])}, which no conversion wrote, so it is not replaced; give "
                "another place."
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
        DataError: a frame's name leads out of the folder or begins with a point, or two frames have the same stem.
    """
    names: dict[str, str] = {}
    for frame in frames:
        try:
            check_file_name(frame.name, folder)
        except DataError as error:
            raise DataError(f"{source}: {error} Rename it in the label file.") from error
        stem = image_stem(frame.name)
        if not stem or stem[0] == ".":
            raise DataError(
                f"{source}: frame {frame.name} would have a hidden file, which no reader looks at; rename it."
            )
        other = names.setdefault(stem, frame.name)
        if other != frame.name:
            raise DataError(
                f"{source}: frames {other} and {frame.name} would have the same file {stem}; rename one of them."
            )
        yield frame, stem
