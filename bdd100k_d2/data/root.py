"""The folder that holds ``bdd100k/``, and what to do where data are missing."""

import os
from pathlib import Path

from ..inside import expanded

_NAME, _DEFAULT = "DETECTRON2_DATASETS", "datasets"


def default_root() -> Path:
    """The folder that holds ``bdd100k/``: ``$DETECTRON2_DATASETS``, else ``datasets``; ``~`` is expanded."""
    return expanded(os.environ.get(_NAME) or _DEFAULT)


def data_remedy() -> str:
    """How a message about data that are not there ends, without its full stop."""
    value = os.environ.get(_NAME)
    now = f"now {value}" if value else f"not set, which means {_DEFAULT}"
    return (
        f"check the path, or point --root or {_NAME} ({now}) at the folder that holds bdd100k/; "
        "datasets/README.md says what belongs there"
    )
