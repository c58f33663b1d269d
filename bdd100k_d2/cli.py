"""What the command lines of the tools share."""

import logging
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import BDD100KError

INTERRUPTED = 130
"""The exit status of a command that Ctrl-C stopped: 128 and the signal's number."""


def count(text: str) -> int:
    """A whole number of 0 or more.

    Raises:
        ArgumentTypeError: ``text`` is none.
    """
    value = _whole(text)
    if value < 0:
        raise ArgumentTypeError(f"{text} is negative")
    return value


def positive(text: str) -> int:
    """A whole number of 1 or more.

    Raises:
        ArgumentTypeError: ``text`` is none.
    """
    value = _whole(text)
    if value < 1:
        raise ArgumentTypeError(f"{text} is not positive")
    return value


def share(text: str) -> float:
    """A number from 0 to 1.

    Raises:
        ArgumentTypeError: ``text`` is none.
    """
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no number") from None
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no whole number") from None


@contextmanager
def command(failed: int = 1, interrupted: str | None = None, level: int = logging.WARNING) -> Iterator[None]:
    """Inside it a command works: it logs to standard error, and an error of the package ends it with a line.

    Args:
        failed: exit status after an error.
        interrupted: what a user who stops the command by Ctrl-C is told; None lets Python end as it does.
        level: of the messages that are shown.

    Raises:
        SystemExit: the command failed or was interrupted.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", level=level)
    try:
        yield
    except BDD100KError as error:
        if failed == 1:
            raise SystemExit(f"error: {error}") from None
        print(f"error: {error}", file=sys.stderr)  # noqa: T201, what a command says
        raise SystemExit(failed) from None
    except KeyboardInterrupt:
        if interrupted is None:
            raise
        print(interrupted, file=sys.stderr)  # noqa: T201
        raise SystemExit(INTERRUPTED) from None


@contextmanager
def of_the_checkout(folder: str) -> Iterator[None]:
    """Inside it a command imports what lies beside it in the repository and is not in the wheel.

    Raises:
        SystemExit: it is not there, with a line on standard error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != folder.rpartition("/")[2]:
            raise
        raise SystemExit(
            f"error: {folder} is not here; it is in the repository, not in the wheel. Run this from a checkout."
        ) from None
