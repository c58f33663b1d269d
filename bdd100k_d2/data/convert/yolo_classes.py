"""The names of the classes of a YOLO data set, in ``data.yaml`` or in a file with one per line."""

from pathlib import Path

from ...errors import DataError
from ...yaml_file import read_yaml
from .source_files import text_lines

CLASSES, DATA = "classes.txt", "data.yaml"
YAML_SUFFIXES = (".yaml", ".yml")

CLASS_FILES = (DATA, "data.yml", CLASSES, "obj.names")
"""The files beside or above the labels that names are looked for in, in this order."""

_MOST_BYTES_OF_CLASSES = 1 << 20


def read_classes(folder: Path, classes: Path | None = None) -> list[str]:
    """The names of the classes, by number, in the file ``classes``, else beside or above the labels.

    Raises:
        DataError: there is no such file, it is none of classes, or two of them have other names.
    """
    if classes is not None:
        return _names_in(classes)
    found = class_files(folder)
    if not found:
        raise DataError(f"{folder}: no {DATA} or {CLASSES} beside or above the labels; give it with --classes.")
    names = _names_in(found[0])
    for other in found[1:]:
        if _differ(other, names):
            raise DataError(
                f"{found[0]} and {other} name different classes; give the one that the labels were made with by "
                "--classes."
            )
    return names


def class_files(folder: Path) -> list[Path]:
    """The files of names of classes beside or above the labels in a folder."""
    places = (place / name for place in (folder, folder.parent, folder.parent.parent) for name in CLASS_FILES)
    return [place for place in places if place.is_file()]


def _differ(path: Path, names: list[str]) -> bool:
    try:
        return _names_in(path) != names
    except DataError:
        # What lies further above may be of anything.
        return False


def _names_in(classes: Path) -> list[str]:
    if classes.suffix.lower() in YAML_SUFFIXES:
        return _of_document(read_yaml(classes), classes)
    lines = [line.strip() for line in text_lines(classes, _MOST_BYTES_OF_CLASSES)]
    while lines and not lines[-1]:
        lines.pop()
    if not all(lines):
        # Whether it counts as a class is read differently by different tools.
        raise DataError(f"{classes}: line {lines.index('') + 1} is empty; remove it, each line is a class.")
    return _checked(lines, classes)


def _of_document(document: object, path: Path) -> list[str]:
    names = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, dict):
        by_number = {str(key): name for key, name in names.items() if not isinstance(key, bool)}
        names = [by_number.get(str(i)) for i in range(len(names))]
    names = _checked(names, path)
    count = document.get("nc") if isinstance(document, dict) else None
    if isinstance(count, int) and count != len(names):
        raise DataError(f"{path}: nc is {count}, but there are {len(names)} names; mend one of them.")
    return names


def _checked(names: object, path: Path) -> list[str]:
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"{path}: no names of classes that count from 0; write them as names: [pedestrian, rider, ...]."
        )
    return names
