"""A place where the processes that torchrun has just started find each other."""

import time
import uuid

import torch.distributed as dist

from ..errors import LostProcessError

# Processes start together; what takes so long does not come any more.
_SECONDS = 600.0


def fresh_store(store: dist.Store, rank: int, processes: int) -> dist.Store:
    """A part of ``store`` that nothing was written to; the same one in each of the processes that are there now.

    torchrun keeps its store, with the addresses of processes that are gone, and counts its restarts machine by machine.

    Raises:
        LostProcessError: one of the processes does not arrive within ten minutes.
    """
    own = uuid.uuid4().hex
    if rank == 0:
        _welcome(store, own, processes)
        return dist.PrefixStore(own, store)
    # Others of this rank that are gone have greeted too, under another name.
    store.set(_greeting(rank), own)
    try:
        name = store.get(f"bdd100k_d2/answer/{own}").decode()
    except RuntimeError as error:
        raise LostProcessError(
            f"process {rank} of {processes} waited for the first one, which did not come."
        ) from error
    store.set(_arrival(name, rank), "")
    return dist.PrefixStore(name, store)


def _welcome(store: dist.Store, name: str, processes: int) -> None:
    missing = set(range(1, processes))
    end = time.monotonic() + _SECONDS
    while missing:
        if time.monotonic() > end:
            raise LostProcessError(f"of {processes} processes these did not start: {sorted(missing)}.")
        for rank in sorted(missing):
            if store.check([_arrival(name, rank)]):
                missing.remove(rank)
            elif store.check([_greeting(rank)]):
                # Perhaps of one that is gone; the one that is there greets anew.
                store.set(f"bdd100k_d2/answer/{store.get(_greeting(rank)).decode()}", name)
        time.sleep(0.01)


def _greeting(rank: int) -> str:
    return f"bdd100k_d2/greeting/{rank}"


def _arrival(name: str, rank: int) -> str:
    return f"bdd100k_d2/arrival/{name}/{rank}"
