"""Published weights that a user has already: found in a folder of any layout, by the file's name or by its md5."""

import os
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from ..atomic import file_digest
from ..data.folders import files_below
from ..errors import WeightsError, shown
from ..inside import expanded

FOLDER_VARIABLE = "BDD100K_WEIGHTS"
"""The environment variable with the folder; the key ``MODEL.ZOO.FOLDER`` goes before it."""

ENDINGS = (".pth", ".pt", ".pkl", ".safetensors")
"""What files of weights end in, in any case."""

_MD5 = re.compile(r"\s*([0-9a-fA-F]{32})\b")


@dataclass(frozen=True)
class LocalFile:
    """A file of a user's folder that stands for published weights.

    Attributes:
        path: where it lies.
        md5: what a file ``NAME.md5`` of the folder says, in 32 hexadecimal digits; None where there is none.
    """

    path: Path
    md5: str | None

    def check(self) -> None:
        """Raises `WeightsError` where its md5 is known and another."""
        if self.md5 and (found := _md5_of(self.path)) != self.md5:
            raise WeightsError(
                f"{self.path}: its md5 is {found}, and the .md5 file of its name says {self.md5}; copy it again."
            )


class WeightsFolder:
    """The files below a folder; raises `WeightsError` where ``folder`` is none.

    Hidden files, and what links to other folders lead to, are left out.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = expanded(folder)
        if not self.folder.is_dir():
            raise WeightsError(f"{shown(self.folder)}: no folder of weights; check {FOLDER_VARIABLE} or the option.")

    def find(self, name: str, short: str = "") -> LocalFile | None:
        """The weights that are published as ``name``, without its ending; None if they are not here.

        Looked for by this name, else as ``short``, such as ``det/faster_rcnn_r50_fpn_1x``: a file in a folder; else any
        file whose md5 is what a file ``{name}.md5`` states. Where several are found, copies of one another.

        Raises:
            WeightsError: several files may be meant, and differ.
        """
        md5 = self._md5(name)
        files = [file for file in self._weights if file.stem == name]
        files = files or [file for file in self._weights if f"{file.parent.name}/{file.stem}" == short]
        if md5 is None:
            _check_copies(files)
        else:
            whole = [file for file in files or self._weights if _md5_of(file) == md5]
            # A damaged one of its name is found too; `LocalFile.check` says that it is.
            files = whole or files
        return LocalFile(files[0], md5) if files else None

    @cached_property
    def _weights(self) -> list[Path]:
        return [file for file in files_below(self.folder, *ENDINGS) if file.is_file()]

    def _md5(self, name: str) -> str | None:
        for file in files_below(self.folder, ".md5"):
            if file.stem == name and file.is_file():
                with file.open(errors="replace") as text:
                    found = _MD5.match(text.read(200))
                if found:
                    return found[1].lower()
        return None


def _md5_of(path: Path) -> str:
    status = path.stat()
    return _md5_of_state(path, status.st_size, status.st_mtime_ns)


@cache
def _md5_of_state(path: Path, size: int, modified: int) -> str:
    # A folder may hold a hundred files of hundreds of megabytes, and is looked through for each name.
    return file_digest(path, "md5")


def _check_copies(files: list[Path]) -> None:
    if len(files) > 1 and len({_md5_of(file) for file in files}) > 1:
        raise WeightsError(f"{files[0]} and {files[1]} have the name of the same weights and differ; keep one of them.")
