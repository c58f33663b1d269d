import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bdd100k_d2.evaluation.prediction_files import write_mask

COUNT = """
import resource, sys, threading
from hotcoco.semantic import SemanticEval
from bdd100k_d2.parallel import keep_freed_memory
if sys.argv[2] == "keep":
    keep_freed_memory()
def count_masks(times):
    for _ in range(times):
        SemanticEval(19).update_png(sys.argv[1], sys.argv[1])
def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    thread = threading.Thread(target=count_masks, args=[times])
    thread.start()
    thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(3)
print(faults(40))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_masks_are_counted_in_memory_that_is_there(tmp_path: Path) -> None:
    """Without asking, the system clears hundreds of pages for each pair."""
    mask = np.kron(np.random.default_rng(0).integers(0, 19, (9, 16)), np.ones((80, 80))).astype(np.uint8)
    write_mask(mask, tmp_path / "mask.png")
    faults = {}
    for word in ("keep", "give back"):
        command = [sys.executable, "-c", COUNT, str(tmp_path / "mask.png"), word]
        faults[word] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert faults["give back"] > 40 * 100
    assert faults["keep"] < faults["give back"] / 3


GIVE_BACK = """
from pathlib import Path
from bdd100k_d2.parallel import give_back_freed_memory
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])
pieces = [bytes(2000) for _ in range(50_000)]
# What was allocated last keeps the rest from going by itself.
del pieces[:-1]
before = resident()
give_back_freed_memory()
print((before - resident()) * 4096)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to give memory back")
def test_freed_memory_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", GIVE_BACK], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 50_000_000
