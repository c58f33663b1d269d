"""What the command lines of the tools share."""

import logging
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import user_message
from .inside import lies_in

# The exit status of a command that Ctrl-C stopped: 128 and the signal's number.
INTERRUPTED = 130


def count(text: str) -> int:
    """The type of an argument that is a whole number of 0 or more."""
    return _whole(text, 0, "is negative")


def positive(text: str) -> int:
    """The type of an argument that is a whole number of 1 or more."""
    return _whole(text, 1, "is not positive")


def share(text: str) -> float:
    """The type of an argument that is a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no number") from None
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _whole(text: str, least: int, problem: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no whole number") from None
    if value < least:
        raise ArgumentTypeError(f"{text} {problem}")
    return value


@contextmanager
def command(failed: int = 1, interrupted: str | None = None, level: int | None = logging.WARNING) -> Iterator[None]:
    """A context in which a command works: it logs to standard error, and an error of the package ends it with one line.

    ``failed`` is the exit status after an error; ``interrupted`` what a user who stops the command by Ctrl-C is told,
    None lets Python end as it does; ``level`` None is for a command that sets up logging by itself.
    """
    if level is not None:
        logging.basicConfig(format="%(levelname)s: %(message)s", level=level)
    try:
        yield
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise
        if failed == 1:
            raise SystemExit(f"error: {message}") from None
        print(f"error: {message}", file=sys.stderr)  # noqa: T201, what a command says
        raise SystemExit(failed) from None
    except KeyboardInterrupt:
        if interrupted is None:
            raise
        print(interrupted, file=sys.stderr)  # noqa: T201
        raise SystemExit(INTERRUPTED) from None


def refuse_inside_data(parser: ArgumentParser, data: Path, *paths: Path | None) -> None:
    """Ends the command as a wrong argument does if one of ``paths``, which it will write, lies in ``data``."""
    for path in paths:
        if path is not None and lies_in(path, data):
            parser.error(f"{path} lies in the data, which is only read; choose another place")


@contextmanager
def of_the_checkout(folder: str) -> Iterator[None]:
    """A context that imports modules of ``folder``, which is not in the wheel; ends the command where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != folder.rpartition("/")[2]:
            raise
        raise SystemExit(
            f"error: {folder} is not here; it is in the repository, not in the wheel. Run this from a checkout."
        ) from None
