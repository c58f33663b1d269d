"""The text beside a model file tells what it gives, and its lines of Python run as they stand."""

import re
import sys
from pathlib import Path

import cv2
import pytest
from support.export_models import images, segmenter

import bdd100k_d2
from bdd100k_d2.data.categories import Category
from bdd100k_d2.export.readme import readme
from bdd100k_d2.export.run import export_model
from bdd100k_d2.predict.model_card import ModelCard, PanopticThresholds

ENDINGS = {"onnx": "onnx", "openvino": "xml", "torchscript": "torchscript", "torch-export": "pt2"}


def lines_of(language: str, text: str) -> str:
    """The lines of code of a README.txt."""
    block = re.search(rf"^{re.escape(language)} \(.*\)\n\n((?:(?:    .*)?\n)+)", text, re.MULTILINE)[1]
    return re.sub("^    ", "", block, flags=re.MULTILINE)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("to", ENDINGS)
def test_the_lines_of_python_run(
    to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"model.{ENDINGS[to]}"
    export_model(segmenter("sem_seg/semantic_fpn_R_50_40k", tmp_path), to, path, size=(64, 112), batch=2)
    frame = images(1, 64, 112)[0]
    cv2.imwrite(str(tmp_path / "image.jpg"), frame)
    monkeypatch.chdir(tmp_path)
    # OpenVINO would tell its makers that it is imported.
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)
    code = lines_of("Python", (tmp_path / f"{path.name}.README.txt").read_text())
    found: dict[str, object] = {}
    exec(compile(code, "README.txt", "exec"), found)
    assert capsys.readouterr().out.splitlines()[-1] in ("sem_seg (2, 64, 112)", "sem_seg torch.Size([2, 64, 112])")
    assert len(code.splitlines()) <= 12


def card(task: str, categories: tuple[Category, ...], **values: object) -> ModelCard:
    usual = {"size": None, "batch": None, "min_score": 0.05, "precision": "int8", "config": "configs/a.yaml"}
    usual |= {"weights_sha256": "0", "package_version": bdd100k_d2.__version__}
    return ModelCard(task=task, categories=categories, **(usual | values))


def test_what_it_says_of_a_detector() -> None:
    text = readme("model.onnx", card("det", (Category("car", (1, 2, 3), True), Category("bus", (3, 2, 1), True))))
    assert text.startswith(f"model.onnx\ndet, int8, of configs/a.yaml, by bdd100k_d2 {bdd100k_d2.__version__}\n")
    assert "uint8 (N, H, W, 3), RGB, pixels as they are read; any height and width, any number of images." in text
    assert "    scores: float32 (D,), from 0.05 on\n" in text and "    0 car\n    1 bus\n" in text
    assert "masks" not in text and "sem_seg" not in text
    cpp = lines_of("C++", text)
    assert '"model.onnx"' in cpp and '*names[] = {"boxes", "scores", "classes", "counts"};' in cpp
    assert "names, 4);" in cpp and len(cpp.splitlines()) <= 10


def test_what_it_says_of_a_panoptic_model() -> None:
    thresholds = PanopticThresholds(overlap=0.25, stuff_area=4096, instance_score=0.75)
    # In whatever order: things and stuff are counted apart.
    classes = tuple(
        Category(name, (1, 2, i), is_thing)
        for i, (name, is_thing) in enumerate([("road", False), ("car", True), ("sky", False), ("bus", True)])
    )
    text = readme("m.xml", card("pan_seg", classes, panoptic=thresholds, size=(720, 1280), batch=1))
    assert text.startswith("m.xml and m.bin, its weights, which belongs beside it\npan_seg, ")
    assert "; 720 high and 1280 wide, 1 at a time.\n" in text
    assert "sem_seg: uint8 (N, H, W), 0 for all things, then the classes of stuff from 1 on" in text
    assert "\n\nClasses of things, in `classes`\n    0 car\n    1 bus\n\n" in text
    assert "\n\nClasses of stuff, in `sem_seg`\n    1 road\n    2 sky\n\n" in text
    assert "bdd100k_d2/predict/panoptic_merge.py does so in NumPy, with\n    overlap 0.25: " in text
    assert "\n    stuff_area 4096: " in text and "\n    instance_score 0.75: " in text
    assert 'request.get_tensor("boxes").data<float>();' in lines_of("C++", text)


@pytest.mark.parametrize("batch", [None, 1, 3])
@pytest.mark.parametrize("ending", ["onnx", "xml", "torchscript"])
def test_the_lines_of_cpp_take_the_batch(ending: str, batch: int | None) -> None:
    text = readme(f"m.{ending}", card("sem_seg", (Category("road", (1, 2, 3), False),), batch=batch))
    cpp = lines_of("C++", text)
    assert f"{{{batch or 1}, " in cpp and ("cv::Mat>(3, image), images);" in cpp) is (batch == 3)
    assert ("images.data" in cpp) is (batch == 3) and ("image.data" in cpp) is (batch != 3)
    assert ("has to be linked with torchvision's C++ library" in text) is (ending == "torchscript")


def test_no_lines_of_cpp_for_a_program_of_torch_export() -> None:
    text = readme("m.pt2", card("sem_seg", (Category("road", (1, 2, 3), False),)))
    assert text.endswith(
        "C++ runs no program of torch.export as it is; export to onnx, openvino or torchscript for it.\n"
    )
