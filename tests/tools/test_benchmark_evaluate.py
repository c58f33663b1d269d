import json
from pathlib import Path

import pytest
from benchmarks import toolkit
from benchmarks.evaluate import Comparison, Reading, Report
from benchmarks.process import Usage
from support.commands import run_tool


def test_the_report() -> None:
    theirs, ours = Usage(214.0, 4_300_000_000, "noise"), Usage(2.0, 500_000_000, "")
    both = Comparison("det", 10_000, 1, 2, theirs, ours, 0.0)
    report = Report({"Python": "3.11"}, [both, both._replace(toolkit=None, difference=None)], Reading(5, 1.5, ours))
    assert report.text().splitlines() == [
        "Python 3.11",
        "",
        "| problem | toolkit's processes | time | memory | our workers | time | memory | times faster "
        "| largest difference |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        "| det, 10,000 frames | 1 | 214.00 s | 4.30 GB | 2 | 2.00 s | 0.50 GB | 107.0 | 0e+00 |",
        "| det, 10,000 frames | - | - | - | 2 | 2.00 s | 0.50 GB | - | - |",
        "",
        "Training labels of 5 frames -> dataset dicts: 1.50 s; the whole process 2.00 s, 0.50 GB.",
    ]
    first = report.to_json()["comparisons"][0]
    assert first["toolkit"] == {"seconds": 214.0, "peak": 4_300_000_000} and first["task"] == "det"
    assert report.exact() and not report._replace(comparisons=[both._replace(difference=1e-6)]).exact()


def measure(*arguments: str) -> str:
    done = run_tool("benchmark", "evaluate", "--train-frames", "30", "--repeat", "1", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_tool_without_the_toolkit(tmp_path: Path) -> None:
    out = tmp_path / "benchmark.json"
    text = measure("--frames", "20", "--masks", "3", "--processes", "1", "--skip-toolkit", "--out", str(out))
    assert "| sem_seg, 3 frames | - | - | - | 1 |" in text and "Training labels of 30 frames" in text
    report = json.loads(out.read_text())
    assert {one["task"] for one in report["comparisons"]} == {"det", "sem_seg"}
    assert all(0 < one["ours"]["seconds"] < 60 and one["ours"]["peak"] > 1e7 for one in report["comparisons"])


@pytest.mark.slow
def test_the_tool_beside_the_toolkit() -> None:
    if not toolkit.toolkit_folder().exists():
        pytest.skip("the official toolkit has no environment yet: tools/benchmark.py makes it")
    text = measure("--frames", "20", "--masks", "3", "--processes", "2")
    assert len([line for line in text.splitlines() if line.startswith("| ") and "GB" in line]) == 2
