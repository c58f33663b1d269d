"""Two folders of bitmasks, of ground truth and of predictions -> pairs of bitmasks."""

import os
from pathlib import Path

from ...data.bitmasks import Bitmask, empty_bitmask, read_bitmask
from ...errors import DataError


def find_bitmasks(truth: Path, predicted: Path) -> tuple[dict[str, Path], dict[str, Path]] | None:
    """The bitmasks of two folders and of the folders in them, by file name, in the order of their paths.

    Returns:
        Ground truth and predictions; None where both are label files or folders of those.

    Raises:
        DataError: one is bitmasks and the other labels, a folder holds neither, or two files have one name.
    """
    kinds = [_png_files(path) for path in (truth, predicted)]
    if kinds[0] is not None and kinds[1] is not None:
        return kinds[0], kinds[1]
    if kinds[0] is None and kinds[1] is None:
        return None
    bitmasks, labels = (truth, predicted) if kinds[0] is not None else (predicted, truth)
    raise DataError(
        f"{labels}: this is no folder of bitmasks, but {bitmasks} is; give ground truth and predictions in one kind: "
        "both folders of bitmasks (.png), or both label files with run lengths (.json)."
    )


def read_pair(truth: Path, predicted: Path | None, num_classes: int) -> tuple[Bitmask, Bitmask]:
    """Reads the two bitmasks of a frame; without a prediction, an empty one.

    Raises:
        DataError: a bitmask that cannot be read, two sizes, or a category id above ``num_classes``.
    """
    first = _read(truth, num_classes)
    if predicted is None:
        return first, empty_bitmask(first)
    second = _read(predicted, num_classes)
    if first.instances.shape != second.instances.shape:
        ours, theirs = ("x".join(map(str, mask.instances.shape)) for mask in (second, first))
        raise DataError(
            f"{predicted}: the bitmask has {ours} pixels, its ground truth {truth} has {theirs} (height x width); "
            "write predictions in the size of the ground truth."
        )
    return first, second


def _png_files(path: Path) -> dict[str, Path] | None:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.")
    if not path.is_dir():
        return None
    # The toolkit's order, which decides between equal scores.
    found = sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)  # noqa: PTH118
    pictures = [path for path in map(Path, found) if path.suffix == ".png" and path.name[0] != "."]
    if not pictures:
        if any(file.endswith(".json") for file in found):
            return None
        raise DataError(f"{path}: no .png and no .json file in the folder; give a folder of bitmasks or label files.")
    files: dict[str, Path] = {}
    for file in pictures:
        other = files.setdefault(file.name, file)
        if other is not file:
            raise DataError(f"{file}: the frame {file.name} is also at {other}; remove one of the two.")
    return files


def _read(path: Path, num_classes: int) -> Bitmask:
    bitmask = read_bitmask(path)
    wrong = bitmask.categories > num_classes
    if wrong.any():
        first = wrong.argmax()
        raise DataError(
            f"{path}: annotation id {bitmask.ids[first]} has the category id {bitmask.categories[first]}; "
            f"1 to {num_classes} are allowed. Is it a bitmask of another task?"
        )
    return bitmask
