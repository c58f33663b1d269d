import json
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import models
from benchmarks.decoders import run_decoder_benchmark
from benchmarks.models import Speed, SpeedReport, agreement
from benchmarks.variants import predicting_variants, training_variants
from detectron2.modeling import build_model
from support.commands import run_tool
from support.small_models import SMALL_MODELS

import bdd100k_d2
from bdd100k_d2.errors import DataError

SMALL = [
    "MODEL.DEVICE",
    "cpu",
    "INPUT.MIN_SIZE_TRAIN",
    "(64,)",
    "INPUT.MIN_SIZE_TEST",
    "64",
    "INPUT.CROP.SIZE",
    "[32,64]",
]


def test_the_report() -> None:
    speeds = [
        Speed("det/a", "stock", 12.34, 1.0, 5_000_000_000, 0.0),
        Speed("det/a", "ours", 24.68, 2.0, 4_000_000_000, 0.00123),
    ]
    report = SpeedReport({"torch": "2.15"}, "train", speeds)
    assert report.text().splitlines() == [
        "torch 2.15",
        "",
        "| model | variant | images/s | times stock | memory | loss difference |",
        "|---|---|--:|--:|--:|--:|",
        "| det/a | stock | 12.3 | 1.00 | 5.00 GB | 0.0e+00 |",
        "| det/a | ours | 24.7 | 2.00 | 4.00 GB | 1.2e-03 |",
    ]
    assert "| ours | 24.7 | 2.00 | 4.00 GB | 0.1% |" in report._replace(kind="predict").text()
    assert report.to_json()["speeds"][1]["ratio"] == 2.0


@pytest.mark.parametrize("on_gpu", [False, True])
def test_stock_is_the_first_and_each_lever_is_measured(on_gpu: bool) -> None:
    for variants, few in (
        (training_variants(on_gpu, True), training_variants(on_gpu, False)),
        (predicting_variants(on_gpu, True, 4), predicting_variants(on_gpu, False, 4)),
    ):
        assert variants[0].kind == "stock" and variants[: len(few)] == few and len(set(variants)) == len(variants)
        alone = {one.name for one in variants if one.name.endswith("alone")}
        assert {"channels last alone", "AMP alone", "compiled alone"} <= alone
        assert ("cuDNN's autotuning alone" in alone) == on_gpu


def test_agreement_of_boxes_and_pixels(tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 20, 40, 40], [5, 5, 9, 9], [50, 50, 60, 60]], np.float32)
    scores, classes = np.array([0.9, 0.8, 0.7, 0.6], np.float32), np.array([2, 2, 1, 0])
    np.savez(tmp_path / "stock.npz", **{"0_boxes": boxes, "0_scores": scores, "0_classes": classes})
    # Of the other: the first as it is in another place, a shifted one, one of another class, one of another score.
    moved = boxes + np.array([[0], [3], [0], [0]], np.float32)
    order = [3, 0, 1, 2]
    other = {
        "0_boxes": moved[order],
        "0_scores": (scores + np.array([0.01, 0, 0, 0.03]))[order],
        "0_classes": np.array([2, 2, 0, 0])[order],
    }
    np.savez(tmp_path / "ours.npz", **other)
    assert agreement(tmp_path / "stock.npz", tmp_path / "ours.npz") == 0.25
    assert agreement(tmp_path / "stock.npz", tmp_path / "stock.npz") == 1.0
    ids = np.zeros((4, 5), np.uint8)
    np.savez(tmp_path / "stock.npz", **{"0_ids": ids, "1_ids": ids})
    ids[0] = 3
    np.savez(tmp_path / "ours.npz", **{"0_ids": ids, "1_ids": ids * 0})
    assert agreement(tmp_path / "stock.npz", tmp_path / "ours.npz") == 35 / 40


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Of a small model."""
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_R_18")
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", *SMALL_MODELS["sem_seg"]])
    torch.manual_seed(0)
    torch.save({"model": build_model(cfg).state_dict()}, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


# The first draws the weights, the second is given them.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "variants"),
    [("run_training_benchmark", "training_variants"), ("run_predicting_benchmark", "predicting_variants")],
)
def test_both_are_measured(
    monkeypatch: pytest.MonkeyPatch, images: Path, weights: Path, run: str, variants: str
) -> None:
    all_variants = getattr(models, variants)
    monkeypatch.setattr(models, variants, lambda *args: all_variants(*args)[:2])
    monkeypatch.setattr(models, "_has_gpu", lambda: False)
    start = {"keys": SMALL} if "training" in run else {"keys": [*SMALL, *SMALL_MODELS["sem_seg"]], "weights": weights}
    report = getattr(models, run)(["sample/semantic_fpn_R_18"], 1, 1, images=images, **start)
    stock, ours = report.speeds
    assert (stock.variant, ours.variant, stock.ratio) == ("stock", "ours", 1.0)
    assert 0 < ours.images_per_second == pytest.approx(ours.ratio * stock.images_per_second)
    assert all(1e8 < one.memory < 2e10 for one in report.speeds)
    if report.kind == "train":
        assert stock.agreement == 0 and 0 <= ours.agreement < 1e-2
    else:
        assert stock.agreement == 1 and 0.99 < ours.agreement <= 1


def test_decoders(tmp_path: Path, images: Path) -> None:
    arguments = ["--repeat", "1", "--pictures", str(images), "--out", str(tmp_path / "out.json")]
    done = run_tool("benchmark", "decoders", *arguments)
    assert done.returncode == 0, done.stderr
    decoders = json.loads((tmp_path / "out.json").read_text())["decoders"]
    assert len(decoders) >= 4 and all(one["milliseconds"] > 0 for one in decoders)
    # What the mapper reads is what Detectron2 reads.
    assert [one["difference"] for one in decoders[:2]] == [0, 0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no JPEG files"):
        run_decoder_benchmark(images=tmp_path / "empty")


def test_tracking(tmp_path: Path) -> None:
    arguments = ["--films", "1", "--frames", "6", "--out", tmp_path / "out.json"]
    done = run_tool("benchmark", "tracking", *arguments)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["frames"] == 6 and "| ours, 0.6 and 0.7 |" in done.stdout
    assert all(0 < one["scores"]["IDF1"] < 100 and 0 < one["milliseconds"] < 2 for one in report["trackers"])
