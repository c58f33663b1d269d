"""What a person has decided of suspects: a JSON file that the page writes, and reads again."""

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from ..atomic import file_digest
from ..data.folders import files_below, label_files
from ..data.json_file import JSON_ERRORS, read_json
from ..errors import DataError, shown
from .records import LabelChange

DECISIONS_FORMAT = "bdd100k_d2 decisions 1"

DecisionVerdict = Literal["accept", "reject", "skip"]


class DecidedLabels(msgspec.Struct, frozen=True):
    """The file or folder of labels that suspects are of, and the digest of its content."""

    path: str
    sha256: str


class Decision(msgspec.Struct, frozen=True):
    """What was decided of a suspect; an accepted change is made."""

    verdict: DecisionVerdict
    kind: str
    score: float
    change: LabelChange


class Decisions(msgspec.Struct, frozen=True):
    """A file of decisions on the labels of a task."""

    format: Literal["bdd100k_d2 decisions 1"]
    task: str
    labels: DecidedLabels
    decisions: list[Decision]

    @property
    def accepted(self) -> list[LabelChange]:
        """The changes that are to be made."""
        return [one.change for one in self.decisions if one.verdict == "accept"]


def label_source(path: Path) -> DecidedLabels:
    """The labels in a file, or in the masks or label files of a folder, with a digest of names and content."""
    if not path.is_dir():
        return DecidedLabels(str(path), file_digest(path))
    digest = hashlib.sha256()
    for file in files_below(path, ".png") or label_files(path):
        digest.update(f"{file.relative_to(path).as_posix()}\0{file_digest(file)}\n".encode(errors="surrogatepass"))
    return DecidedLabels(str(path), digest.hexdigest())


def read_decisions(path: Path, truth: Path, task: str) -> Decisions:
    """Reads decisions on the labels ``truth`` of a task.

    Raises:
        DataError: the file is none of decisions, nothing in it is accepted, or it is of another task or other labels.
    """
    content = read_json(path, "file of decisions", "save it again from the page of the suspects")
    try:
        found = msgspec.json.decode(content, type=Decisions)
    except JSON_ERRORS as error:
        raise DataError(
            f"{path}: no file of decisions ({shown(error)}); save it again from the page of the suspects."
        ) from error
    if found.task != task:
        raise DataError(f"{path}: the decisions are on labels of {shown(found.task)}, not of {task}; name that task.")
    if not truth.exists():
        raise DataError(f"{truth}: no such file or folder; check the path.")
    if label_source(truth).sha256 != found.labels.sha256:
        raise DataError(
            f"{path}: the decisions are on {shown(found.labels.path)}, and {truth} has another content; give "
            "the labels as they were when the page was made, or make the page again."
        )
    if not found.accepted:
        raise DataError(
            f"{path}: none of its {len(found.decisions):,} decisions accepts a change; there is nothing to do."
        )
    return found
