"""How the loader's processes meet the signals that end a run."""

import os
import signal
import threading


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
