"""Ctrl-C: the command that it meets ends within two seconds, with one line and exit status 130."""

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import FrameType
from typing import NoReturn

# The exit status of a command that Ctrl-C stopped: 128 and the signal's number.
INTERRUPTED = 130
# Seconds in which a command that is stopped may tidy up.
_GRACE = 1.2


@contextmanager
def stopped_by_ctrl_c(message: str) -> Iterator[None]:
    """A context that SIGINT ends: it prints ``message`` as one line, and the exit status is `INTERRUPTED`.

    What the interruption breaks, as an import, is not told. A library that does not come back to Python, or a worker
    that does not end, has `_GRACE` seconds; so has what is tidied up. A second SIGINT waits for nothing. Where the
    command takes the signal over, as a training does, and where it is ignored, as under nohup, this stays out of it.
    """
    stop = _Stop(message)
    try:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            stop.listen()
        yield
    except BaseException as error:
        if stop.came or isinstance(error, KeyboardInterrupt):
            stop.say()
            raise SystemExit(INTERRUPTED) from None
        raise
    else:
        if stop.came:
            stop.say()
            raise SystemExit(INTERRUPTED)
    finally:
        # A process that is being stopped keeps the deadline, which also ends what hangs at the interpreter's end.
        if not stop.came:
            stop.leave()


class _Stop:
    def __init__(self, message: str) -> None:
        self.came = False
        self._message = message
        self._once = threading.Lock()
        self._writes: int | None = None

    def listen(self) -> None:
        """Takes over SIGINT."""
        _prepare_forks()
        self._before = signal.signal(signal.SIGINT, self._receive)
        reads, self._writes = os.pipe()
        os.set_blocking(self._writes, False)
        # Python tells it of a signal at once, also while the main thread is in a library.
        self._descriptor = signal.set_wakeup_fd(self._writes, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reads,), name="Ctrl-C", daemon=True).start()

    def leave(self) -> None:
        """Gives SIGINT back."""
        if self._writes is not None:
            signal.set_wakeup_fd(self._descriptor)
            os.close(self._writes)
            if signal.getsignal(signal.SIGINT) == self._receive:
                signal.signal(signal.SIGINT, self._before)
            # While the interpreter ends, before what libraries do then: it passes by, or Python prints tracebacks.
            atexit.unregister(_ignore_ctrl_c)
            atexit.register(_ignore_ctrl_c)

    def say(self) -> None:
        """Prints the message, the first time."""
        if self._once.acquire(blocking=False):
            with suppress(OSError):
                print(self._message, file=sys.stderr, flush=True)  # noqa: T201, what a command says

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            self._end()
        self.came = True
        # What fails from now on fails because of it.
        sys.unraisablehook = _silence
        threading.excepthook = _silence
        raise KeyboardInterrupt

    def _watch(self, reads: int) -> None:
        while (told := os.read(reads, 1)) and not (
            told[0] == signal.SIGINT and signal.getsignal(signal.SIGINT) == self._receive
        ):
            pass
        if told:
            time.sleep(_GRACE)
            self._end()
        os.close(reads)

    def _end(self) -> NoReturn:
        self.say()
        os._exit(INTERRUPTED)


def _silence(_: object) -> None:
    pass


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _forget_in_child() -> None:
    """A process that is forked reports its signals to nobody."""
    if threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(-1)


@cache
def _prepare_forks() -> None:
    os.register_at_fork(after_in_child=_forget_in_child)
