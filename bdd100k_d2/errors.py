"""The exceptions of the package. Each message names the file, the frame where there is one, and the remedy."""

import difflib
from collections.abc import Iterable


class BDD100KError(Exception):
    """What the user can mend; the command-line tools print its message without a traceback."""


def user_message(error: BaseException) -> str | None:
    """What to tell the user of ``error``: the message of a `BDD100KError`, or None for another error.

    PyTorch hands on an error of a worker or of another rank as text that ends with the class and the message.
    """
    last = str(error).strip().rsplit("\n", 1)[-1]
    name, found, message = last.partition(": ")
    if found and name.startswith(f"{__name__}."):
        return message
    return str(error) if isinstance(error, BDD100KError) else None


_MOST_CHARACTERS = 200


def shown(text: object, most: int = _MOST_CHARACTERS) -> str:
    """Text out of a file in one line of up to ``most`` characters, which does nothing to a terminal.

    Whatever cannot be printed is written as in Python's strings, and the middle of a longer text is left out.
    """
    whole = str(text)
    if len(whole) > most:
        half = (most - 3) // 2
        whole = f"{whole[:half]}...{whole[-half:]}"
    return _escaped(whole)


def printable(text: str) -> str:
    """Text of any length and any lines that does nothing to a terminal: :func:`shown` of each, without its limit."""
    if text.isprintable():
        return text
    return "\n".join(map(_escaped, text.split("\n")))


def _escaped(line: str) -> str:
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)


def did_you_mean(name: str, names: Iterable[str], most: int = 3, cutoff: float = 0.6) -> str:
    """A sentence with up to ``most`` of ``names`` that are close to ``name``, by `difflib`; empty where none is."""
    close = difflib.get_close_matches(name, list(names), most, cutoff)
    return f"Did you mean {' or '.join(close)}?" if close else ""


class ConfigError(BDD100KError, ValueError):
    """A config that does not exist or holds an unknown key."""


class DataError(BDD100KError, ValueError):
    """A label file, image or mask that cannot be used."""


class UnreadableError(DataError):
    """An image or mask that is missing or damaged."""


class FrameSizeError(DataError):
    """An image of a size that a model file does not take."""


class MissingRuntimeError(BDD100KError, ImportError):
    """What runs a model is not installed."""


class OutputError(BDD100KError, OSError):
    """An output file or folder that cannot be written."""


class WeightsError(BDD100KError, RuntimeError):
    """A checkpoint that is missing, unreadable or does not fit the model."""


class PredictionError(DataError, WeightsError):
    """Frames that a model file cannot be run on; which of the two is at fault is not known."""


class LostProcessError(BDD100KError, RuntimeError):
    """Another process of the training is gone."""


class TrainingError(BDD100KError, FloatingPointError):
    """A training that cannot go on: a loss or a gradient is not a finite number."""
