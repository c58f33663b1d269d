"""The sample's trained models in 8 bits by both tools: at most 1.0 point of AP or mIoU is lost.

They are those of `make demo`; BDD100K_DEMO names another folder that holds ``<config>/model_final.pth``.
"""

import os
from pathlib import Path

import pytest

import bdd100k_d2
from bdd100k_d2.export.calibration import Calibration
from bdd100k_d2.export.check import check_export
from bdd100k_d2.export.run import export_model

ROOT = Path(bdd100k_d2.__file__).parents[1]
DEMO = Path(os.environ.get("BDD100K_DEMO", ROOT / "output/demo"))
DATA = Path(os.environ.get("DETECTRON2_DATASETS", ROOT / "datasets/sample"))
MODELS = {"semantic_fpn_efficientnet_lite0": "10k", "faster_rcnn_efficientnet_lite0_FPN": "100k"}

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("to", ["onnx", "openvino"])
@pytest.mark.parametrize("config", MODELS)
def test_int8_loses_little(config: str, to: str, tmp_path: Path) -> None:
    weights = DEMO / config / "model_final.pth"
    if not weights.is_file() or not (DATA / "bdd100k").is_dir():
        pytest.skip(f"no {weights} or no data in {DATA}; `make demo` makes them")
    bdd100k_d2.register_all(DATA)
    cfg = bdd100k_d2.get_config(f"sample/{config}")
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", str(weights)
    path = tmp_path / ("model.onnx" if to == "onnx" else "model.xml")
    images = DATA / "bdd100k/images" / MODELS[config] / "train"
    export_model(cfg, to, path, int8=Calibration(str(images)))
    found = check_export(path, cfg)
    assert found.expected[found.metric] > 10
    assert found.is_good, found.text()
    # That something was quantised at all.
    assert found.found != found.expected
