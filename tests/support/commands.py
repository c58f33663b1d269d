"""The commands of `tools/` run in the process of the test: what a user sees, without waiting for an interpreter."""

import io
import logging
import os
import runpy
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from subprocess import CompletedProcess
from unittest import mock

from support import ROOT


def run_tool(name: str, *arguments: object, env: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """Runs ``tools/<name>.py``; its exit status, and what it and its log print, as a process would have them.

    What libraries in C and processes of its own print is not seen.
    """
    script = str(ROOT / "tools" / f"{name}.py")
    argv = [script, *map(str, arguments)]
    stdout, stderr = io.StringIO(), io.StringIO()
    root = logging.getLogger()
    level = root.level
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.dict(os.environ, env or {}),
        # An interpreter has no handlers when it starts, so that the command makes its own.
        mock.patch.object(root, "handlers", []),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        status = 0
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=stderr)
        finally:
            root.setLevel(level)
    return CompletedProcess(argv, status, stdout.getvalue(), stderr.getvalue())
