"""What the tests of submissions share: three frames, and what the check of a task says of a path."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bdd100k_d2.evaluation.prediction_files import (
    write_submission,
)
from bdd100k_d2.evaluation.submission import Defect, check_submission

FRAMES = ["a.jpg", "b.jpg", "c.jpg"]


SIZE = (72, 128)


def check(task: str, path: Path) -> list[Defect]:
    return check_submission(task, path, FRAMES, SIZE)


def texts(findings: list[Defect]) -> list[str]:
    return [f"{f.kind}: {f.file}: {f.frame}: {f.text}" for f in findings]


def zipped(folder: Path, *parts: str) -> Path:
    path = folder.with_suffix(".zip")
    write_submission(folder, path, parts or (".",))
    return path


Edit = Callable[[list[dict[str, Any]]], object]
