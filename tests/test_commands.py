"""What every command holds to, whatever its inputs and outputs are; a new command that does not fails here.

Each test walks the table of tests/support/invocations.py, which has to have every command.
"""

import os
import signal
import stat
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support import ROOT
from support.invocations import INVOCATIONS, Invocation, commands, contents, write_inputs
from support.walk import Case, Ended, walk

RUN = [one for one in INVOCATIONS if one.runs]
FAST = [one for one in INVOCATIONS if not one.slow]
WRITING = [one for one in INVOCATIONS if any(word.startswith("{OUT}") for word in one.argv)]
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\nshowpage\n%%EOF\n"


# All of it takes minutes.
SOME_AND_ALL = pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["some", "all"]
)


def test_every_command_is_walked() -> None:
    assert {one.command for one in INVOCATIONS} == commands()


def broken(ended: Ended, statuses: tuple[int, ...] = (0, 1, 2, 3)) -> str:
    """What is wrong with how a command ended: a traceback, a signal, or more than a line of error; else nothing."""
    lines = ended.err.splitlines()
    if ended.status not in statuses:
        return f"status {ended.status}: {ended.err[-400:]}"
    if "Traceback" in ended.err or "Exception ignored" in ended.err:
        return ended.err[-600:]
    if ended.status > 1 and not any("error: " in line for line in lines):
        return f"says nothing, status {ended.status}: {ended.err[-300:]}"
    return (
        "" if (ended.err + ended.out).replace("\n", "").isprintable() else f"control characters: {ended.err[-300:]!r}"
    )


def sound(tmp_path: Path, *suffixes: str, every: bool = True) -> Iterator[tuple[Invocation, Path]]:
    """Each command that is run to its end, or that reads files of one of ``suffixes``, and a folder with its inputs.

    Without the slow ones unless ``every`` is true.
    """
    for invocation in RUN:
        if invocation.slow and not every:
            continue
        if suffixes and not any(read_files(invocation, tmp_path, *suffixes)):
            continue
        write_inputs(tmp_path / "work")
        yield invocation, tmp_path / "work"


def read_files(one: Invocation, tmp_path: Path, *suffixes: str) -> list[Path]:
    """The files that a command reads; the doctor only counts them."""
    if "doctor" in one.command:
        return []
    if not (tmp_path / "work").is_dir():
        write_inputs(tmp_path / "work")
    paths = [tmp_path / "work" / name for name in one.inputs]
    found = [each for path in paths for each in ([path] if path.is_file() else sorted(path.rglob("*")))]
    return [path for path in found if path.suffix in suffixes]


@cache
def usual(one: Invocation) -> tuple[Ended, set[str]]:
    """How a command ends, and the files that it writes."""
    with TemporaryDirectory() as folder:
        write_inputs(Path(folder, "work"))
        ended = run(one, Path(folder, "work"))
        return ended, {name for name in contents(Path(folder, "work")) if name.startswith("OUT")}


def run(one: Invocation, folder: Path, replaced: dict[str, str] | None = None, **meets: object) -> Ended:
    """A command in ``folder``, with ``replaced`` arguments; ``meets`` is the rest of a `Case`."""
    return walk(Case(one.line(folder, **(replaced or {})), **meets), folder, one.heavy)


def ends(found: dict[str, str]) -> None:
    wrong = [f"{name}:\n  {what}" for name, what in found.items() if what]
    assert not wrong, f"{len(wrong)} of {len(found)}\n" + "\n".join(wrong)


def test_the_sound_inputs_are_sound() -> None:
    """The others would hold of commands that do nothing."""
    found = {}
    for one in RUN:
        ended, made = usual(one)
        # These find out what the small root lacks, and the machine.
        checks = any(
            word in (*one.argv, "") for word in ("--check-submission", "tools/check_dataset.py", "bdd100k_d2.doctor")
        )
        found[str(one.argv)] = broken(ended, (0, 1) if checks else (0,))
        assert ended.out, one
        assert made or one not in WRITING or "doctor" in one.command, one
    ends(found)


# Valid JSON, YAML and text, and what is none.
BAD = {
    "empty": b"",
    "bracket": b"[",
    "object": b"{}",
    "list of null": b"[null]",
    "NUL": b"\0" * 100,
    "Latin-1": '[{"name": "stra\xdfe.jpg", "labels": []}]'.encode("latin-1"),
    "UTF-16": '[{"name": "a.jpg", "labels": []}]'.encode("utf-16"),
    "deep": b"[" * 100_000,
    "deep and closed": b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
    "digits": b'[{"name": "a.jpg", "labels": [], "timestamp": ' + b"9" * 5_000 + b"}]",
    "surrogate": b'[{"name": "\\ud800.jpg", "labels": [{"category": "\\ud800"}]}]',
    "escapes": b'[{"name": "\\u001b[2J\\r.jpg", "labels": [{"category": "\\u009b\\u202e", "id": "\\u001b"}]}]',
    "YAML": b"a: 2001-99-99\nb: !!int abc\nc: &c [*c]\n",
    "binary": bytes(range(256)) * 40,
}


@pytest.mark.slow
@SOME_AND_ALL
def test_a_bad_file_is_no_traceback(tmp_path: Path, every: bool) -> None:
    found, in_turn = {}, cycle(BAD)
    for one in INVOCATIONS if every else FAST:
        files = read_files(one, tmp_path, ".json", ".yaml", ".txt", ".png", ".jpg", ".zip", ".pth")
        # One of each kind in each folder.
        for path in {(path.parent, path.suffix): path for path in files}.values():
            # To an image all of them are bytes.
            kinds = tuple(BAD) if every else [next(in_turn) for _ in range(1 if one.heavy else 2)]
            for kind in kinds if path.suffix in (".json", ".yaml", ".txt") else kinds[:1]:
                write_inputs(tmp_path / "work")
                path.write_bytes(BAD[kind])
                ended = run(one, tmp_path / "work")
                found[f"{one.argv} with {path.relative_to(tmp_path / 'work')} {kind}"] = broken(ended)
    ends(found)


@SOME_AND_ALL
def test_an_argument_that_is_no_path_is_no_traceback(tmp_path: Path, every: bool) -> None:
    found, texts = {}, ("", f"{tmp_path}/a file/b", f"{tmp_path}/a file", "/no such folder/a.json", "x" * 300)
    (tmp_path / "a file").write_bytes(b"")
    for one in INVOCATIONS:
        # These begin their work at once, or their arguments are Detectron2's.
        if any(name in one.command for name in ("install", "demo", "benchmark", "train_net")):
            continue
        for name in [*one.inputs, *(["OUT"] if one in WRITING else [])]:
            for text in texts if every else texts[: 1 if one.heavy else 2]:
                write_inputs(tmp_path / "work")
                ended = run(one, tmp_path / "work", {name: text})
                what = broken(ended)
                if not text and not (ended.status == 2 and "is no path" in ended.err):
                    what = what or f"takes no path, status {ended.status}: {ended.err[-300:]}"
                found[f"{one.argv} with {text[:30]!r} for {name}"] = what
    ends(found)


@pytest.mark.slow
@SOME_AND_ALL
def test_what_a_command_did_not_make_it_does_not_replace(tmp_path: Path, every: bool) -> None:
    found, work = {}, tmp_path / "work"
    for one in WRITING:
        if one.slow and not every:
            continue
        if not one.runs and "convert_weights" not in one.command:
            continue
        ending = next(word for word in one.argv if word.startswith("{OUT}")).removeprefix("{OUT}")
        places = {"a foreign file": "foreign.json", "a foreign folder": "foreign", "a pipe": f"pipe{ending}"}
        for name in one.inputs:
            places[f"what is in {name}"] = f"{name}/a.png"
            if every or name == one.inputs[0]:
                places[f"the input {name}"] = name
                places[f"a file in {name}"] = f"{name}/new{ending}"
        for what, place in places.items():
            if what == "a foreign file" and one.rewrites:
                continue
            write_inputs(work)
            (work / "foreign.json").write_bytes(b"precious")
            (work / "foreign").mkdir()
            (work / "foreign/precious.txt").write_bytes(b"precious")
            os.mkfifo(work / f"pipe{ending}")
            # Whoever writes into it waits for a reader.
            reader = os.open(work / f"pipe{ending}", os.O_RDONLY | os.O_NONBLOCK)
            before = contents(work)
            ended = run(one, work, {"OUT": str(work / place)})
            os.close(reader)
            after = contents(work)
            changed = [name for name, content in before.items() if after.get(name) != content]
            # What comes to lie among labels and images is taken for one of them; a run and a root are no such folder.
            data = [f"{i}/" for i in one.inputs if i not in ("run", "root")] + ["root/bdd100k/"]
            added = [name for name in set(after) - set(before) if name.startswith(tuple(data))]
            is_pipe = stat.S_ISFIFO((work / f"pipe{ending}").lstat().st_mode)
            wrong = broken(ended) or (f"changed {changed}" if changed else f"adds {added}" if added else "")
            found[f"{one.argv} to {what}"] = wrong or ("" if is_pipe else "replaced the pipe")
    ends(found)


SLOW_NAMES = ("/tmp/evil-of-a-test", "..", "a/../../evil")


@pytest.mark.parametrize("name", ["../evil", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_NAMES)])
def test_a_name_out_of_a_file_leads_nowhere(tmp_path: Path, name: str) -> None:
    found, evil = {}, Path("/tmp/evil-of-a-test")
    names = ((b'"a.jpg"', f'"{name}.jpg"'), (b'"a"', f'"{name}"'), (b"night", name))
    for one, folder in sound(tmp_path, ".json", ".yaml", ".txt"):
        (tmp_path / "evil").write_bytes(b"precious")
        (tmp_path / "evil.jpg").write_bytes(b"precious")
        for path in folder.rglob("*"):
            if path.suffix in (".json", ".yaml", ".txt"):
                content = path.read_bytes()
                for there, other in names[(path.suffix == ".json" and slice(0, 2)) or slice(2, 3)]:
                    content = content.replace(there, other.encode())
                path.write_bytes(content)
        before = contents(tmp_path)
        ended = run(one, folder)
        after = contents(tmp_path)
        changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
        wrong = {path for path in changed if not path.startswith(("work/OUT", "work/.out", "work/.err"))}
        wrong |= set(map(str, evil.parent.glob(f"{evil.name}*")))
        found[str(one.argv)] = broken(ended) or (f"writes or removes {sorted(wrong)}" if wrong else "")
    ends(found)


def test_a_file_is_opened_only_as_what_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    mark, ghostscript = tmp_path / "called", tmp_path / "bin" / "gs"
    ghostscript.write_text(f"#!/bin/sh\necho called >> {mark}\nexit 1\n")
    ghostscript.chmod(0o755)
    found = {}
    for one, folder in sound(tmp_path, ".png", ".jpg"):
        for path in read_files(one, tmp_path, ".png", ".jpg"):
            path.write_bytes(EPS)
        ended = run(one, folder, path=f"{ghostscript.parent}{os.pathsep}{os.environ['PATH']}")
        found[str(one.argv)] = broken(ended) or ("calls gs" if mark.exists() else "")
        mark.unlink(missing_ok=True)
    ends(found)


def bomb(side: int) -> bytes:
    """A PNG file of 70 bytes that says it has so many pixels."""
    chunks = [(b"IHDR", side.to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    made = b"".join(len(d).to_bytes(4, "big") + n + d + zlib.crc32(n + d).to_bytes(4, "big") for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + made


@SOME_AND_ALL
def test_what_a_header_promises_is_not_believed(tmp_path: Path, every: bool) -> None:
    for side in (100_000, 15_000) if every else (100_000,):
        believed(tmp_path, side, every)


def believed(tmp_path: Path, side: int, every: bool) -> None:
    found = {}
    for one, folder in sound(tmp_path, ".png", ".jpg", every=every):
        for path in read_files(one, tmp_path, ".png", ".jpg"):
            path.write_bytes(bomb(side))
        found[f"{one.argv}, {side} x {side}"] = broken(run(one, folder, memory=1 << 30))
    for one, folder in sound(tmp_path, ".json", every=every):
        for path in read_files(one, tmp_path, ".json"):
            content = path.read_bytes().replace(b"[48, 64]", b"[%d, 64]" % side**2)
            for width in (b"64", b"1280"):
                content = content.replace(b'"width": ' + width, b'"width": %d' % side**2)
            path.write_bytes(content)
        found[f"{one.argv}, a width of {side**2}"] = broken(run(one, folder, memory=1 << 30))
    ends(found)


def test_as_many_instances_as_there_are(tmp_path: Path) -> None:
    found = {}
    for one in RUN:
        if any("rle" in name for name in one.inputs):
            for count in (255, 256, 300):
                # Four rows of an image each, so that most of them have no pixel.
                write_inputs(tmp_path / "work", count)
                ended = run(one, tmp_path / "work")
                found[f"{one.argv} with {count}"] = broken(ended, (0,))
    assert found
    ends(found)


# These read with processes, whatever the number of files.
WITH_PROCESSES = ("ins_seg", "pan_seg", "check_dataset", "make_sample")


@SOME_AND_ALL
def test_nobody_waits_for_the_dead(tmp_path: Path, every: bool) -> None:
    found = {}
    for one, folder in sound(tmp_path, every=every):
        if one.heavy:
            continue
        ended = run(one, folder, lose=True)
        loses = any(name in word for name in WITH_PROCESSES for word in one.argv[:2]) and "--workers" in one.argv
        told = "was ended by the system" in ended.err and ended.status in (1, 2)
        found[str(one.argv)] = broken(ended) or ("" if told or not loses else f"{ended.status} {ended.err}")
    ends(found)


def test_ctrl_c_is_one_line(tmp_path: Path) -> None:
    write_inputs(tmp_path / "work")
    found = {}
    for one in {one.command: one for one in INVOCATIONS}.values():
        command = [sys.executable, *one.line(tmp_path / "work")]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        _wait_until_it_listens(process, one)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        start = time.monotonic()
        try:
            err = process.communicate(timeout=20)[1]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            err = process.communicate()[1]
        told = [line for line in err.splitlines() if line.strip() and not line.startswith("INFO")]
        taken = time.monotonic() - start
        done = process.returncode == 0 and not told
        right = done or (process.returncode == 130 and len(told) == 1 and told[0].startswith("stopped"))
        found[one.command] = "" if right and taken < 5 else f"status {process.returncode} after {taken:.1f} s: {err}"
    ends(found)


def _wait_until_it_listens(process: "subprocess.Popen[str]", one: Invocation) -> None:
    """Until its thread for Ctrl-C runs; the two that go without the package's context take a moment to begin."""
    if one.command in ("tools/demo.py", "tools/install_detectron2.py"):
        time.sleep(1)
        return
    tasks = Path(f"/proc/{process.pid}/task")
    while process.poll() is None and len(list(tasks.iterdir())) < 2:
        time.sleep(0.005)
    time.sleep(0.05)


@SOME_AND_ALL
@pytest.mark.parametrize("stdout", ["closed", "no stderr", pytest.param("/dev/full", marks=pytest.mark.slow)])
def test_output_comes_before_the_table(tmp_path: Path, stdout: str, every: bool) -> None:
    found = {}
    for one, folder in sound(tmp_path, every=every):
        as_usual, made = usual(one)
        ended = run(one, folder, stdout=stdout)
        kept = {name for name in contents(folder) if name.startswith("OUT")}
        statuses = (1, 2) if stdout == "/dev/full" else (as_usual.status,)
        wrong = broken(ended, statuses)
        if stdout == "/dev/full":
            wrong = wrong or ("" if "standard output cannot be written" in ended.err else ended.err)
        found[str(one.argv)] = wrong or ("" if made == kept else f"does not write {sorted(made - kept)}")
    ends(found)
