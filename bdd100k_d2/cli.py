"""What the command lines of the tools share."""

import errno
import io
import logging
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError, printable, user_message
from .inside import lies_in
from .interruption import stopped_by_ctrl_c
from .parallel import bounded_workers


def count(text: str) -> int:
    """The type of an argument that is a whole number of 0 or more."""
    return _whole(text, 0, "is negative")


def positive(text: str) -> int:
    """The type of an argument that is a whole number of 1 or more."""
    return _whole(text, 1, "is not positive")


def workers(text: str) -> int:
    """The type of an argument that is a number of processes or threads; more than make sense here are as many as do."""
    return bounded_workers(positive(text))


def share(text: str) -> float:
    """The type of an argument that is a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no number") from None
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def filled(text: str) -> str:
    """The type of an argument that is a text, as a path or an address, and not empty."""
    path(text)
    return text


def path(text: str) -> Path:
    """The type of an argument that is a path; the empty text, which Python takes for the current folder, is none."""
    if not text.strip() or "\0" in text:
        raise ArgumentTypeError(f"{text!r} is no path")
    return Path(text)


def _whole(text: str, least: int, problem: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no whole number") from None
    if value < least:
        raise ArgumentTypeError(f"{text} {problem}")
    return value


@contextmanager
def command(failed: int = 1, interrupted: str = "stopped", level: int | None = logging.WARNING) -> Iterator[None]:
    """A context in which a command works: it logs to standard error, and what goes wrong ends it with one line.

    That is an error of the package, a file that the system refuses, or too little memory, with the exit status
    ``failed``; and Ctrl-C (see `stopped_by_ctrl_c`), of which ``interrupted`` tells. Parsing and imports belong into it
    too. Text is printed in whatever encoding there is, without the control characters of names out of files. Whoever
    reads standard output may leave before its end: that is no error. ``level`` None is for a command that sets up
    logging by itself.
    """
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if level is not None:
        handler = logging.StreamHandler()
        handler.setFormatter(_PrintableFormatter("%(levelname)s: %(message)s"))
        logging.basicConfig(handlers=[handler], level=level)
    with stopped_by_ctrl_c(interrupted):
        try:
            try:
                yield
            finally:
                _flush()
        except Exception as error:
            message = _told(error)
            if message is None:
                raise
            if failed == 1:
                raise SystemExit(f"error: {printable(message)}") from None
            print(f"error: {printable(message)}", file=sys.stderr)  # noqa: T201, what a command says
            raise SystemExit(failed) from None


def say(text: object = "") -> None:
    """Prints to standard output what a command found, once what it writes is written; see :func:`command`."""
    try:
        print(printable(str(text)))  # noqa: T201, what a command says
    except OSError as error:
        _give_up_output(error)
    else:
        _flush()


def _open_closed_streams() -> None:
    """Standard output and error that are closed, as a service's may be, become streams that lead nowhere."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            # It gets the lowest descriptor that is free, which is the stream's own, so that no file gets that.
            null = os.open(os.devnull, os.O_WRONLY)
            if null != number and not _is_open(number):
                os.dup2(null, number)
                os.close(null)
                null = number
            setattr(sys, name, open(null, "w", closefd=False))  # noqa: SIM115, to the end


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        _give_up_output(error)


def _give_up_output(error: OSError) -> None:
    # What is left in the buffer goes nowhere; Python would try again at its end, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        raise OutputError(f"standard output cannot be written: {error.strerror}.") from None


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


# What the system says of itself, without a file.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE)
# What it says of a library that has no room, in an ImportError.
_NO_ROOM = ("failed to map segment", "cannot allocate memory")


def _told(error: Exception) -> str | None:
    """What to tell the user of an error: as `user_message`, and of what the system refuses; None of any other."""
    message = user_message(error)
    if message is not None:
        return message
    no_room = isinstance(error, ImportError) and any(text in str(error).lower() for text in _NO_ROOM)
    if no_room or isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        detail = str(error).partition("\n")[0]
        return (
            f"not enough memory{detail and f' ({detail})'}; try fewer --workers where there are any, or less at once."
        )
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _FULL):
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{where}{error.strerror}."
    if isinstance(error, FileNotFoundError) and not _is_somewhere():
        return "the current folder no longer exists; change to another one."
    return None


def _is_somewhere() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True


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
