"""Types of numbers on the command lines of the tools, for argparse, which shows their errors."""

from argparse import ArgumentTypeError


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
