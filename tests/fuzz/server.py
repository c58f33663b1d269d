"""Cases in processes of their own: a library that crashes or hangs ends its process, which is the offence of the case.

They are forked from one that has imported everything and called nothing: libraries' threads do not come along.
"""

import atexit
import faulthandler
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from fuzz.cases import Outcome, run_case, write_files
from fuzz.readers import Reader, readers

ROOT = Path(__file__).parents[2]
# Seconds after which a case that does not let Python give it up is ended.
_HANGS = 40
_PRELOADED = (
    "bdd100k_d2.config",
    "bdd100k_d2.data.images",
    "bdd100k_d2.data.convert.convert",
    "bdd100k_d2.evaluation.files.instances",
    "bdd100k_d2.evaluation.files.panoptic",
    "bdd100k_d2.evaluation.submission.check",
    "bdd100k_d2.predict.outputs",
    "bdd100k_d2.report.run",
    "support.random_masks",
)


def run_cases(name: str, first: int, count: int, folder: Path) -> Iterator[tuple[int, Outcome]]:
    """Each case of a reader and its outcome, ``count`` of them from number ``first`` on, made in ``folder``."""
    server = _server()
    number, end = first, first + count
    while number < end:
        server.stdin.write(json.dumps([name, number, end, str(folder)]) + "\n")
        server.stdin.flush()
        while isinstance(answer := json.loads(server.stdout.readline()), list):
            yield number, Outcome(*answer)
            number += 1
        if answer:
            yield number, Outcome(f"the process ends with {answer}", "it hangs" if answer == 1 else "")
            number += 1


@cache
def _server() -> "subprocess.Popen[str]":
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    server = subprocess.Popen(
        [sys.executable, "-m", "fuzz.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    atexit.register(server.communicate)
    return server


def _serve() -> None:
    known = readers()
    for module in _PRELOADED:
        import_module(module)
    for request in sys.stdin:
        name, number, end, folder = json.loads(request)
        pid = os.fork()
        if not pid:
            _answer(name, known[name], range(number, end), Path(folder))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _answer(name: str, reader: Reader, numbers: range, folder: Path) -> NoReturn:
    status = 70
    try:
        # What a reader imports when it is called first is no case's time.
        faulthandler.dump_traceback_later(_HANGS, exit=True)
        write_files(reader, folder / "work")
        reader.read(folder / "work")
        for number in numbers:
            faulthandler.dump_traceback_later(_HANGS, exit=True)
            print(json.dumps(run_case(name, reader, number, folder)), flush=True)
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    _serve()
