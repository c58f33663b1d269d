"""Checks of what an analysis is asked for, before anything is read."""

from pathlib import Path

from ...errors import ConfigError, DataError


def check_numbers(**numbers: int) -> None:
    """Holds that numbers of something are not negative.

    Raises:
        ConfigError: one is.
    """
    for name, number in numbers.items():
        if number < 0:
            raise ConfigError(f"{name} is {number}; give 0 or more.")


def check_paths(truth: Path, predicted: Path, images: Path | None) -> None:
    """Holds that what is to be read is there.

    Raises:
        DataError: it is not.
    """
    for path in (truth, predicted):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; check the path.")
    if images is not None and not images.is_dir():
        raise DataError(f"{images}: no such folder; give the folder of the images, as images/100k/val.")
