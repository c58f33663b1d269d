"""The benchmark of model files: its table, what it compares, and each of its processes."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.export import ExportReport, Measured, export_ways
from benchmarks.exported import measure_exported
from benchmarks.models import agreement
from benchmarks.scoring import score_variant
from support.model_files import write_onnx
from support.prediction_models import config_file, detector

import bdd100k_d2
from bdd100k_d2.tasks import TASKS

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_report() -> None:
    measured = [
        Measured("det/a", "stock", 1.5, 1.0, 2_000_000_000, 9.5, 50_000_000, 1.0, None, None),
        Measured("det/a", "OpenVINO", 3.0, 2.0, 500_000_000, 0.875, 48_000_000, 0.9987, "AP", 30.125),
    ]
    report = ExportReport({"torch": "2.15"}, measured)
    assert report.text().splitlines()[4:] == [
        "| det/a | stock | 1.5 | 1.00 | 2.00 GB | 9.50 s | 50.0 MB | 100.0% | - |",
        "| det/a | OpenVINO | 3 | 2.00 | 0.50 GB | 0.88 s | 48.0 MB | 99.9% | AP 30.12 |",
    ]
    assert report.to_json()["measured"][1]["score"] == 30.125


def test_what_is_compared() -> None:
    ways = export_ways(Path("images"), 7, ("ours", "file"))
    assert ways[0].kind == "stock" and len({way.name for way in ways}) == len(ways)
    for kinds in ((), ("ours",), ("file",)):
        assert [way for way in ways if not way.amp or way.kind in kinds] == export_ways(Path("images"), 7, kinds)
    # A file is made once, in one way.
    assert len({(way.file, way.options) for way in ways}) == len({way.file for way in ways})
    assert all(way.options[-4:] == ("--calibrate", "images", "--limit", "7") for way in ways if "int8" in way.file)


def test_each_way_is_run(tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bdd100k_d2.register_all(tiny_root)
    cfg = detector(tmp_path)
    config = config_file(cfg, tmp_path)
    monkeypatch.setattr(bdd100k_d2, "get_config", lambda _: bdd100k_d2.load_config(config))
    images, file = tiny_root / "bdd100k/images/100k/val", write_onnx(tmp_path / "a.onnx")
    found = {}
    for kind in ("stock", "ours", "file"):
        out = tmp_path / f"{kind}.npz"
        found[kind] = measure_exported(kind, "a", cfg.MODEL.WEIGHTS, file, images, out, 1, 3, False)
        assert found[kind]["images_per_second"] > 0 and found[kind]["start"] > 0
    assert agreement(tmp_path / "stock.npz", tmp_path / "ours.npz") == 1.0
    assert agreement(tmp_path / "stock.npz", tmp_path / "file.npz") < 0.5
    scores = [score_variant(kind, "a", cfg.MODEL.WEIGHTS, file, False) for kind in ("stock", "ours")]
    assert scores[0]["metric"] == "AP" and scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_results_of_a_segmenters_file(tmp_path: Path, images: Path) -> None:
    file = write_onnx(tmp_path / "a.onnx", TASKS["sem_seg"])
    measure_exported("file", "a", tmp_path, file, images, tmp_path / "out.npz", 1, 3, False)
    results = np.load(tmp_path / "out.npz")
    assert sorted(results) == [f"{i}_ids" for i in range(4)] and results["0_ids"].shape == (720, 1280)
