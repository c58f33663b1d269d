"""The layout of a YOLO data set: ``labels/<split>/*.txt`` and the names of the classes in ``data.yaml``.

Ultralytics looks for the images at ``images/<split>``, beside ``labels``. Source:
https://docs.ultralytics.com/datasets/detect. A file ``classes.txt``, a name a line, is read too, as labelImg writes it.
"""

import logging
from pathlib import Path

import yaml

from ...atomic import write_atomic
from ...errors import DataError, OutputError

logger = logging.getLogger(__name__)

CLASSES, DATA = "classes.txt", "data.yaml"


def find_labels(source: Path, split: str | None) -> Path:
    """The folder with the label files of a split of a data set; ``source`` is that folder or one that it is in.

    Raises:
        DataError: there is none, or there are several splits and ``split`` is not given.
    """
    folder = source / "labels" if (source / "labels").is_dir() else source
    if split is not None:
        folder = folder / split if (folder / split).is_dir() else folder
    elif not _label_files(folder):
        splits = sorted(one.name for one in folder.iterdir() if one.is_dir() and _label_files(one))
        if len(splits) > 1:
            raise DataError(f"{folder}: holds the splits {', '.join(splits)}; give one with --split.")
        folder = folder / splits[0] if splits else folder
    if not _label_files(folder):
        raise DataError(f"{folder}: no .txt file in the folder; give the folder of the YOLO labels.")
    return folder


def list_labels(folder: Path) -> list[Path]:
    """The label files of a folder, sorted by name."""
    return sorted(file for file in folder.glob("*.txt") if file.name != CLASSES and file.name[0] != ".")


def _label_files(folder: Path) -> bool:
    return any(file.name != CLASSES and file.name[0] != "." for file in folder.glob("*.txt"))


def read_classes(folder: Path, classes: Path | None = None) -> list[str]:
    """The names of the classes, by their numbers: of the file ``classes``, else of the one beside or above the labels.

    Raises:
        DataError: there is no such file, it cannot be read, or its numbers do not count from 0.
    """
    if classes is None:
        places = [place / name for place in (folder, folder.parent, folder.parent.parent) for name in (DATA, CLASSES)]
        classes = next((place for place in places if place.is_file()), None)
    if classes is None:
        raise DataError(f"{folder}: no {DATA} or {CLASSES} beside or above the labels; give it with --classes.")
    try:
        text = classes.read_text(encoding="utf-8")
        if classes.suffix not in (".yaml", ".yml"):
            found = [line.strip() for line in text.splitlines() if line.strip()]
        else:
            document = yaml.safe_load(text)
            found = document.get("names") if isinstance(document, dict) else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(
            f"{classes}: the class names cannot be read ({error}); give another file with --classes."
        ) from error
    if isinstance(found, dict):
        found = [found.get(i) for i in range(len(found))]
    if not isinstance(found, list) or not found or not all(isinstance(name, str) for name in found):
        raise DataError(
            f"{classes}: no names of classes that count from 0; write them as names: [pedestrian, rider, ...]."
        )
    return found


def check_data_file(root: Path, names: list[str]) -> None:
    """Holds that ``data.yaml`` is not there, or has the classes ``names``.

    Raises:
        DataError: it cannot be read.
        OutputError: it has other classes.
    """
    path = root / DATA
    if path.exists() and read_classes(root, path) != names:
        raise OutputError(f"{path}: has other classes than these labels; write them to another folder.")


def add_split(root: Path, split: str, names: list[str]) -> None:
    """Writes ``data.yaml`` with the splits that ``root`` has now; to one that is there only adds ``split``.

    Such a file is its user's: what it says of a split, its other keys and its comments stay. Where a line at its end
    would say something else, it is left alone, with a warning.

    Raises:
        OutputError: it cannot be written.
    """
    path = root / DATA
    if not path.exists():
        splits = sorted(one.name for one in (root / "labels").iterdir() if one.is_dir() and one.name[0] != ".")
        document = {split: f"images/{split}" for split in splits} | {"names": dict(enumerate(names))}
        write_atomic(path, yaml.safe_dump(document, sort_keys=False))
        return
    text = path.read_text(encoding="utf-8")
    before = yaml.safe_load(text)
    if split in before:
        return
    line = yaml.safe_dump({split: f"images/{split}"})
    longer = text + ("" if text.endswith("\n") else "\n") + line
    try:
        fits = yaml.safe_load(longer) == before | {split: f"images/{split}"}
    except yaml.YAMLError:
        fits = False
    if fits:
        write_atomic(path, longer)
    else:
        logger.warning("%s: names no split %s, and none could be added; add %s", path, split, line.strip())
