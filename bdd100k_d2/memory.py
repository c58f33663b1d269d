"""What the C library does with memory that is given back."""

import ctypes
import sys
from collections.abc import Callable

# Of mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> None:
    """Lets glibc keep freed pieces for the next, instead of giving each back to the system, which has to clear it anew.

    Decoding a picture takes and frees megabytes: masks are counted a fifth faster so. It holds for the whole process,
    so a command asks for it, not a library. Elsewhere than on glibc it does nothing.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        # 32 MiB is the most that it takes for the first.
        for parameter, value in ((_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 1 << 30), (_TOP_PAD, 16 << 20)):
            mallopt(parameter, value)


def give_back_freed_memory() -> None:
    """Lets glibc give freed pieces back to the system; processes that are forked later would share and then copy them.

    Elsewhere than on glibc it does nothing.
    """
    malloc_trim = _of_glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
