"""The official toolkit itself, run in an environment of its own, for whoever wants to see its numbers.

It needs old libraries, so it is not installed beside the package: the first use makes a virtual environment for it in
the user's cache folder, which takes a network, half a minute and half a gigabyte, once.
"""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bdd100k_d2.errors import DataError, OutputError
from bdd100k_d2.evaluation.toolkit_format import ToolkitScores, read_toolkit_scores

logger = logging.getLogger(__name__)

PACKAGES = ("bdd100k==1.0.1", "scalabel==0.3.1", "pydantic<2")
"""Its label classes are written for pydantic 1."""

_LAST_LINES = 20

# motmetrics 1.4, which scores tracking, calls what NumPy 2 no longer has; the tool itself runs as it is.
_RUN_TRACKING = """
import runpy, sys, numpy
numpy.asfarray = lambda array: numpy.asarray(array, numpy.float64)
runpy.run_module("bdd100k.eval.run", run_name="__main__", alter_sys=True)
"""


def toolkit_folder() -> Path:
    """Where the toolkit's environment for this Python goes: below ``$XDG_CACHE_HOME``, else ``~/.cache``."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = PACKAGES[0].partition("==")[2]
    return cache / "bdd100k_d2" / "toolkit" / f"{version}-python{sys.version_info[0]}.{sys.version_info[1]}"


def toolkit_python() -> Path:
    """The Python of the toolkit's environment, which is made if there is none.

    Raises:
        OutputError: the environment cannot be made, for example without a network.
    """
    folder = toolkit_folder()
    if _python(folder).exists():
        return _python(folder)
    logger.info("Installing the official toolkit (%s) into %s, once.", ", ".join(PACKAGES), folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # The Python that it was made from is gone.
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".", ignore_cleanup_errors=True) as temporary:
            made = Path(temporary) / "environment"
            _make_environment(made)
            made.replace(folder)
    except OSError as error:
        # Another process that made it at the same time is as good.
        if not _python(folder).exists():
            raise OutputError(
                f"{folder}: the official toolkit cannot be installed there ({error.strerror or error}); set "
                "XDG_CACHE_HOME to a folder that can be written."
            ) from error
    return _python(folder)


def toolkit_command(
    task: str, truth: Path, predicted: Path, scores: Path, score_file: Path | None = None, processes: int = 1
) -> list[str]:
    """The command line that scores with the toolkit into ``scores``; arguments as of :func:`run_toolkit`.

    Raises:
        OutputError: the toolkit's environment cannot be made.
    """
    if task in ("ins_seg", "pan_seg") and (predicted.suffix == ".json" or any(predicted.glob("*.json"))):
        # scalabel 0.3.1 fails on run lengths with more than one process.
        processes = 1
    # Isolated: neither the user's PYTHONPATH nor a folder bdd100k of data in the working directory may interfere.
    module = ["-c", _RUN_TRACKING] if task == "box_track" else ["-m", "bdd100k.eval.run"]
    command = [toolkit_python(), "-I", *module, "--task", task, "--gt", truth, "--result", predicted]
    command += ["--out-file", scores, "--nproc", processes]
    if score_file is not None:
        command += ["--score-file", score_file]
    return [str(part) for part in command]


def run_toolkit(
    task: str, truth: Path, predicted: Path, score_file: Path | None = None, processes: int = 1
) -> ToolkitScores:
    """Scores with the official toolkit.

    Args:
        task: det, sem_seg, drivable, ins_seg, pan_seg or box_track.
        truth: label file or folder.
        predicted: likewise.
        score_file: of ins_seg with bitmasks.
        processes: of the toolkit; one where it fails with more.

    Raises:
        DataError: the toolkit fails; the message ends with what it printed.
        OutputError: its environment cannot be made.
    """
    with tempfile.TemporaryDirectory() as folder:
        scores = Path(folder) / "scores.json"
        command = toolkit_command(task, truth, predicted, scores, score_file, processes)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not scores.exists():
            raise DataError(
                f"{truth}, {predicted}: the official toolkit fails on them (exit status {done.returncode}); "
                f"docs/EVALUATION.md lists where it does. It says:\n{_last(done.stderr)}"
            )
        return read_toolkit_scores(scores)


def _make_environment(folder: Path) -> None:
    """Makes the environment, with uv where there is one: it takes seconds where pip takes half a minute.

    Raises:
        OutputError: the packages cannot be installed, or do not run.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    uv = shutil.which("uv", path=path)
    python = str(_python(folder))
    install = [python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
    if uv is not None:
        install = [uv, "pip", "install", "--quiet", "--python", python, *PACKAGES]
    steps = [
        [sys.executable, "-I", "-m", "venv", *(["--without-pip"] if uv else []), str(folder)],
        install,
        [python, "-I", "-m", "bdd100k.eval.run", "--help"],
    ]
    for step in steps:
        done = subprocess.run(step, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise OutputError(
                f"{toolkit_folder()}: the official toolkit cannot be installed; is there a network? "
                f"{' '.join(step)} says:\n{_last(done.stderr)}"
            )


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _last(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-_LAST_LINES:])
