"""The split that a name speaks of."""

import os
import re
from collections.abc import Collection
from pathlib import Path

from ...errors import DataError

_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
# A word of its own, with or without a year: not the end of "interval".
_SPLIT = re.compile(rf"(?<![a-z0-9])({'|'.join(_WORDS)})(?:\d{{2,4}})?(?![a-z0-9])", re.IGNORECASE)


def splits_in(name: str) -> list[str]:
    """The splits that a name such as ``det-val``, ``Valid`` or ``train_val`` speaks of, by name."""
    return sorted({_WORDS[word.lower()] for word in _SPLIT.findall(name)})


def split_in(name: str) -> str | None:
    """``train``, ``val`` or ``test``, whichever a name has; None where it speaks of none, or of several."""
    found = splits_in(name)
    return found[0] if len(found) == 1 else None


def split_of(path: Path) -> str | None:
    """The split that the name of a file or folder speaks of, or else the name that is the folder's that it is in."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100, Path.absolute keeps ".."
    # Folders of anything have names such as "my_test".
    own = _SPLIT.fullmatch(whole.parent.name)
    return split_in(whole.name) or (None if own is None else split_in(own.group()))


def same_split(wanted: str, names: Collection[str], where: object) -> str | None:
    """The name among ``names`` that is ``wanted``, else the one that speaks of the same split; None without one.

    Raises:
        DataError: several speak of it.
    """
    if wanted in names:
        return wanted
    meant = split_in(wanted)
    found = sorted(name for name in names if meant is not None and split_in(name) == meant)
    if len(found) > 1:
        raise DataError(f"{where}: {' and '.join(found)} may both be meant by --split {wanted}; give the name of one.")
    return found[0] if found else None
