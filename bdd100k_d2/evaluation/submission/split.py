"""Checking a submission against the pictures of a registered split."""

import os
from pathlib import Path

from ...cores import cores
from ...data.datasets import load_images
from ...data.register import locate
from ...errors import ConfigError
from .check import check_submission
from .finding import Finding


def check_split(
    task: str, path: str | os.PathLike[str], split: str = "test", root: str | os.PathLike[str] | None = None
) -> tuple[list[Finding], int]:
    """Checks a submission for every picture of a split.

    Args:
        task: det, sem_seg, drivable, ins_seg or pan_seg.
        path: what is to be uploaded; see :func:`.check.check_submission`.
        split: "train", "val" or "test".
        root: holds ``bdd100k/``; default: :func:`~bdd100k_d2.data.register.default_root`.

    Returns:
        What is wrong, empty for a sound submission, and the number of pictures in the split.

    Raises:
        ConfigError: no such split.
        DataError: the split's pictures are not there, or ``path`` cannot be opened.
    """
    try:
        images = locate(f"bdd100k_{task}_{split}", root).images
    except KeyError as error:
        raise ConfigError(str(error.args[0])) from None
    frames = [one["image_id"] for one in load_images(images)]
    return check_submission(task, Path(path), frames, processes=cores()), len(frames)
