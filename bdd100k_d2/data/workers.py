"""The loader's processes: how they meet the signals that end a run, and what is said when one is gone."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import LostProcessError


def outlive_signals(worker: int) -> None:
    """Lets a worker go on at SIGINT, and at a SIGTERM that another process than its parent sends.

    For a `DataLoader`'s ``worker_init_fn``. torchrun, SLURM and Ctrl-C send both to the workers too, and without their
    batch the iteration could not be finished and saved. The parent sends SIGTERM when it ends itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Only this tells who sent a signal; macOS does not have it.
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != parent:
        pass
    os._exit(0)


@contextmanager
def lost_workers_explained() -> Iterator[None]:
    """Turns what PyTorch says, out of any line, of a worker that the system ended into a helpful LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise lost_worker(str(error).splitlines()[0].rstrip(". ")) from error


def lost_worker(what: str = "DataLoader worker is gone") -> LostProcessError:
    """The error to raise for a worker that the system ended; ``what`` says so."""
    return LostProcessError(
        f"{what}: most often the system ended it because memory ran out. Lower DATALOADER.NUM_WORKERS, and go on from "
        "the last checkpoint with --resume."
    )
