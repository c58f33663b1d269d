import json
from pathlib import Path

import pytest
from benchmarks.loader import Load, LoaderReport, run_loader_benchmark
from support.commands import run_tool

from bdd100k_d2.errors import DataError


def test_the_report() -> None:
    few = Load("ours", 1_000, 4, 80.04, 900_000_000, 500_000_000)
    report = LoaderReport({"Python": "3.11"}, [few, few._replace(frames=69_863, anonymous=750_000_000)])
    assert report.text().splitlines() == [
        "Python 3.11",
        "",
        "| loader | frames | workers | images/s | memory | more than with 1,000 frames |",
        "|---|--:|--:|--:|--:|--:|",
        "| ours | 1,000 | 4 | 80.0 | 0.90 GB | - |",
        "| ours | 69,863 | 4 | 80.0 | 0.90 GB | 250 MB |",
    ]
    assert report.to_json()["loads"][1]["anonymous"] == 750_000_000


# Four interpreters that import PyTorch and Detectron2, because a run's memory is that of its process.
@pytest.mark.slow
def test_both_loaders_are_measured(tmp_path: Path, images: Path) -> None:
    out = tmp_path / "loader.json"
    arguments = ["--frames", "20", "--workers", "1", "--batch-size", "2", "--batches", "3", "--repeat", "1"]
    done = run_tool("benchmark", "loader", *arguments, "--pictures", images, "--out", out)
    assert done.returncode == 0, done.stderr
    loads = json.loads(out.read_text())["loads"]
    assert [(one["kind"], one["frames"], one["workers"]) for one in loads] == [("stock", 20, 1), ("ours", 20, 1)]
    assert all(0 < one["images_per_second"] < 5000 for one in loads)
    assert all(1e8 < one["anonymous"] < one["memory"] < 2e10 for one in loads)
    assert "| ours | 20 | 1 |" in done.stdout


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no JPEG files"):
        run_loader_benchmark(frames=3, images=tmp_path)
