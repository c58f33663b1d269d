"""A case: a reader and a number, which seeds the change of its files; it ends with a value, a refusal or an offence."""

import logging
import os
import resource
import shutil
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import NamedTuple

from fuzz.readers import Reader

from bdd100k_d2.errors import BDD100KError

VALUE, REFUSAL = "value", "refusal"
# Seconds of a processor, which no small file needs, and those after which a case is given up.
_SLOW, _HANGS = 4.0, 20.0
_LONGEST_MESSAGE = 2_000
# What a small file may take.
_MEMORY = 3 << 30


class Outcome(NamedTuple):
    """``kind`` is `VALUE`, `REFUSAL` or the root of an offence: an exception with its place, or what is wrong."""

    kind: str
    detail: str = ""


class _Hangs(BaseException):
    pass


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()
        self.count += 1


def write_files(reader: Reader, folder: Path) -> None:
    """Writes the sound files."""
    for name, content in reader.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def run_case(name: str, reader: Reader, number: int, folder: Path) -> Outcome:
    """Writes the files of a case into ``folder``/work and reads them."""
    rng = Random(f"{name}:{number}")
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    write_files(reader, work)
    hidden = False
    for changed in rng.sample(sorted(reader.changed), rng.choice((1, 1, len(reader.changed)))):
        mutation = reader.changed[changed](reader.files[changed], rng)
        (work / changed).write_bytes(mutation.content)
        hidden |= mutation.hides_labels
    outcome = _read(reader, work, hidden)
    if (outside := sorted(os.listdir(folder))) != ["work"]:  # noqa: PTH208
        return Outcome("leaves its folder", str(outside))
    return outcome


def _read(reader: Reader, work: Path, hidden: bool) -> Outcome:
    heard = _Heard()
    logger = logging.getLogger("bdd100k_d2")
    logger.addHandler(heard)
    start = time.process_time()
    try:
        with _limits():
            count = reader.read(work)
    except BDD100KError as error:
        message = str(error)
        if not message.isprintable() or not message or len(message) > _LONGEST_MESSAGE:
            return Outcome(f"a message of many lines or none: {_place(error)}", ascii(message[:400]))
        outcome = Outcome(REFUSAL, message)
    except _Hangs:
        return Outcome("hangs", "".join(traceback.format_exc(limit=-4)))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return Outcome(f"{type(error).__name__}: {_place(error)}", ascii(str(error))[:300])
    else:
        outcome = Outcome(VALUE)
        if count == 0 and hidden and not heard.count:
            return Outcome("silent: no label is left, and no word of it")
    finally:
        logger.removeHandler(heard)
    taken = time.process_time() - start
    return Outcome(f"slow, over {_SLOW} s", f"{taken:.1f} s") if taken > _SLOW else outcome


def _place(error: BaseException) -> str:
    """The innermost line of the package."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "bdd100k_d2" in Path(frame.filename).parts
    ]
    if not frames:
        return "?"
    parts = Path(frames[-1].filename).parts
    return f"{'/'.join(parts[parts.index('bdd100k_d2') + 1 :])}:{frames[-1].name}"


@contextmanager
def _limits() -> Iterator[None]:
    def give_up(number: int, frame: FrameType | None) -> None:
        raise _Hangs

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = held + _MEMORY if hard == resource.RLIM_INFINITY else min(held + _MEMORY, hard)
    before = signal.signal(signal.SIGALRM, give_up)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    signal.setitimer(signal.ITIMER_REAL, _HANGS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
