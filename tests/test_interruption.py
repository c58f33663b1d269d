"""Ctrl-C ends a command with one line, status 130 and within two seconds, whatever it is doing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bdd100k_d2

ROOT = Path(bdd100k_d2.__file__).parents[1]

START = """
import atexit, hashlib, sys, threading, time
from bdd100k_d2.cli import command, say
from bdd100k_d2.parallel import submit, working_processes

def nothing(): pass

with command(interrupted="stopped; go on"):
    print("ready", flush=True)
"""

WORK = {
    "waits": "time.sleep(60)",
    "is in a library that lets others run": "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",
    "does not give up": """
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass
""",
    "breaks at it": """
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        raise ImportError("a library that could not be set up")
""",
    "has a thread that does not end": """
    threading.Thread(target=time.sleep, args=(60,)).start()
    time.sleep(60)
""",
    "loses it": """
    class Lost:
        def __del__(self):
            time.sleep(60)
    Lost()
    time.sleep(60)
""",
    "has processes": """
    with working_processes(2, nothing, method="fork") as pool:
        [each.result() for each in [submit(pool, time.sleep, 60) for _ in range(4)]]
""",
    "has processes that begin": """
    with working_processes(2, time.sleep, 60, method="spawn") as pool:
        [each.result() for each in [submit(pool, time.sleep, 60) for _ in range(4)]]
""",
}


def started(work: str) -> "subprocess.Popen[str]":
    code = START + "    " + work.strip()
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("group", [True, False], ids=["from the terminal", "to the command alone"])
def test_a_command_ends_at_ctrl_c(group: bool) -> None:
    processes = {name: started(work) for name, work in WORK.items()}
    # Those that begin have begun.
    time.sleep(0.2)
    for process in processes.values():
        (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
    start, ends = time.monotonic(), {}
    for name, process in processes.items():
        try:
            _, printed = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, printed = process.communicate()
        ends[name] = (process.returncode, printed)
    assert ends == dict.fromkeys(WORK, (130, "stopped; go on\n"))
    # Eight at a time on a busy machine; each alone is faster.
    assert time.monotonic() - start < 8


def test_a_second_one_waits_for_nothing() -> None:
    process = started(WORK["does not give up"])
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=10)[1], process.returncode) == ("stopped; go on\n", 130)
    assert time.monotonic() - start < 1


def test_it_passes_by_where_the_work_is_done() -> None:
    process = started('say("done"); atexit.register(time.sleep, 0.5)')
    assert process.stdout.readline() == "done\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=10), process.returncode) == (("", ""), 0)


def test_where_it_is_ignored_it_stays_so() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", START + "    time.sleep(0.4)"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=10), process.returncode) == (("", ""), 0)
