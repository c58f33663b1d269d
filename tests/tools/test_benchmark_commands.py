import json
import time
from pathlib import Path

import pytest
from benchmarks.commands import CommandReport, Measured, run_command_benchmark
from benchmarks.problem import make_detections
from benchmarks.process import Usage
from support import ROOT
from support.commands import run_tool

TOOLS = ROOT / "tools"


def test_the_report() -> None:
    report = CommandReport({"Python": "3.11"}, [Measured("report.py det", 10_000, Usage(61.2, 1_040_000_000, "noise"))])
    assert report.text().splitlines() == [
        "Python 3.11",
        "",
        "| command | frames | time | memory |",
        "|---|--:|--:|--:|",
        "| report.py det | 10,000 | 61.20 s | 1.04 GB |",
    ]
    (one,) = report.to_json()["measured"]
    assert one == {"command": "report.py det", "frames": 10_000, "usage": {"seconds": 61.2, "peak": 1_040_000_000}}


def test_the_weights_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"weights")
    done = run_tool("benchmark", "predict", "--weights", tmp_path / "w.pth", "--out", tmp_path / "w.pth")
    assert done.returncode == 1 and "w.pth, which is only read; choose another place." in done.stderr
    assert (tmp_path / "w.pth").read_bytes() == b"weights"


@pytest.mark.slow
def test_every_command_is_measured() -> None:
    start = time.perf_counter()
    report = run_command_benchmark(TOOLS, frames=8, masks=2, train_frames=30)
    elapsed = time.perf_counter() - start
    assert {one.command.split()[0] for one in report.measured} == {"report.py", "check_dataset.py", "convert_labels.py"}
    assert len({one.command for one in report.measured}) == len(report.measured) == 11
    assert all(0 < one.usage.seconds < elapsed and one.usage.peak > 1e7 for one in report.measured)


def test_other_detections_of_the_same_labels(tmp_path: Path) -> None:
    first, other = make_detections(tmp_path / "a", 3), make_detections(tmp_path / "b", 3, detections_seed=1)
    assert first.truth.read_bytes() == other.truth.read_bytes()
    scores = [json.loads(one.predicted.read_bytes())[0]["labels"][0]["score"] for one in (first, other)]
    assert scores[0] != scores[1]
