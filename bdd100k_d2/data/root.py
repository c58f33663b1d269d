"""The folder that holds ``bdd100k/``, and what to do where data are missing."""

import os
from pathlib import Path

from ..inside import expanded

_NAME, _DEFAULT = "DETECTRON2_DATASETS", "datasets"


def default_root() -> Path:
    """The folder that holds ``bdd100k/``: ``$DETECTRON2_DATASETS``, else ``datasets``; ``~`` is expanded."""
    return expanded(os.environ.get(_NAME) or _DEFAULT)


# Where data sets are registered, if that is the default, which may be another one by now.
_registered: list[Path] = []


def note_default(root: Path | None) -> None:
    """Notes the default root at which data sets were registered; None if they were at another one."""
    _registered[:] = [] if root is None else [root]


def data_remedy(path: Path) -> str:
    """How a message about data that are not there, at ``path``, ends, without its full stop."""
    value = os.environ.get(_NAME)
    now = f"now {value}" if value else f"not set, which means {_DEFAULT}"
    if _registered not in ([], [default_root()]) and path.is_relative_to(_registered[0] / "bdd100k"):
        return (
            f"the data sets were registered at {_registered[0]}, before {_NAME} was changed ({now}): call "
            "bdd100k_d2.register_all(), which takes what it is then; datasets/README.md says what belongs there"
        )
    return (
        f"check the path, or point --root or {_NAME} ({now}) at the folder that holds bdd100k/; "
        "datasets/README.md says what belongs there"
    )
