"""What cannot be exported is refused in one sentence, and nothing is written."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.export_models import segmenter

import bdd100k_d2
from bdd100k_d2.errors import BDD100KError, ConfigError, OutputError, WeightsError
from bdd100k_d2.export.check import check_export
from bdd100k_d2.export.graph import ExportGraph
from bdd100k_d2.export.run import export_model

SEMANTIC_FPN = "sem_seg/semantic_fpn_R_50_40k"


@pytest.fixture
def cfg(tmp_path: Path) -> object:
    return segmenter(SEMANTIC_FPN, tmp_path)


def refused(cfg: object, tmp_path: Path, error: type[BDD100KError], message: str, **how: object) -> None:
    arguments = {"to": "onnx", "out": tmp_path / "model.onnx", "size": (64, 112)} | how
    before = {*tmp_path.iterdir()}
    with pytest.raises(error, match=message):
        export_model(cfg, **arguments)
    assert {*tmp_path.iterdir()} == before


def test_a_config_without_weights(cfg: object, tmp_path: Path) -> None:
    cfg.MODEL.WEIGHTS = ""
    refused(cfg, tmp_path, WeightsError, r"No weights to export: add MODEL.WEIGHTS and a file to the command")


def test_a_recipe_without_weights_of_its_own(tmp_path: Path) -> None:
    cfg = bdd100k_d2.get_config(SEMANTIC_FPN)
    file, named = Path("configs/a.yaml"), re.escape(cfg.MODEL.WEIGHTS)
    message = rf"^{file} names weights of a backbone alone \({named}\); add MODEL.WEIGHTS with those of a tr"
    refused(cfg, tmp_path, WeightsError, message, config=file)
    with pytest.raises(WeightsError, match=message):
        check_export(tmp_path / "model.onnx", cfg, config=file)


def test_weights_of_another_model(cfg: object, tmp_path: Path) -> None:
    cfg.MODEL.SEM_SEG_HEAD.CONVS_DIM = 16
    refused(
        cfg, tmp_path, WeightsError, r"model.pth: these weights are not of this model; of another shape.*Give the con"
    )


def test_weights_that_are_not_there(cfg: object, tmp_path: Path) -> None:
    cfg.MODEL.WEIGHTS = str(tmp_path / "none.pth")
    refused(cfg, tmp_path, WeightsError, r"none.pth")


def test_an_unknown_format(cfg: object, tmp_path: Path) -> None:
    message = r"--to onxx: there are onnx, openvino, torchscript, torch-export. Did you mean onnx\?"
    refused(cfg, tmp_path, ConfigError, message, to="onxx")


@pytest.mark.parametrize("opset", [7, 17, 99])
def test_an_unknown_opset(cfg: object, tmp_path: Path, opset: int) -> None:
    refused(cfg, tmp_path, ConfigError, rf"--opset {opset}: PyTorch and onnx .* write 18 to \d+\.", opset=opset)


def test_an_opset_of_a_format_without(cfg: object, tmp_path: Path) -> None:
    how = {"to": "torchscript", "out": tmp_path / "m.torchscript", "opset": 20}
    refused(cfg, tmp_path, ConfigError, r"--opset 20: only ONNX, .*, has opsets; leave it out", **how)


def test_an_ending_of_another_format(cfg: object, tmp_path: Path) -> None:
    message = r"model.pt: a file of onnx ends in .onnx, by which it is known; give such a name"
    refused(cfg, tmp_path, OutputError, message, out=tmp_path / "model.pt")


@pytest.mark.parametrize("there", ["model.onnx", "model.onnx.README.txt"])
def test_what_is_there_stays(cfg: object, tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    refused(cfg, tmp_path, OutputError, rf"{there}: exists; choose another --out, or replace it with --overwrite")
    assert (tmp_path / there).read_text() == "precious"


def test_the_weights_stay(cfg: object, tmp_path: Path) -> None:
    weights = tmp_path / "model.onnx"
    Path(cfg.MODEL.WEIGHTS).rename(weights)
    cfg.MODEL.WEIGHTS = str(weights)
    refused(cfg, tmp_path, OutputError, r"model.onnx: would overwrite or lie in .*, which is only read", overwrite=True)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((64, 9_000_000), r"--size: an image is 9000000x64 pixels, more than 100,000,000 in all"),
        ((1, 9000), r"--size 1x9000: resized as INPUT says, the image is 112x0 pixels; an image has one or more"),
    ],
)
def test_a_size_that_no_image_has(cfg: object, tmp_path: Path, size: tuple[int, int], message: str) -> None:
    refused(cfg, tmp_path, ConfigError, message, size=size)


def test_a_size_that_the_model_cannot_take(tmp_path: Path) -> None:
    keys = ("MODEL.HRNET.WIDTH", 18, "MODEL.HRNET.BILINEAR", False, "INPUT.MIN_SIZE_TEST", 0)
    cfg = segmenter("sem_seg/fcn_hrnet_W48_40k", tmp_path, *keys)
    message = r"--size: the model cannot take images of 70x100 \(.*\); give another size"
    refused(cfg, tmp_path, ConfigError, message, size=(70, 100))


def test_predictions_that_are_merged(cfg: object, tmp_path: Path) -> None:
    cfg.TEST.AUG.ENABLED = True
    refused(
        cfg, tmp_path, ConfigError, r"TEST.AUG.ENABLED is True; a graph predicts an image once .*TEST.AUG.ENABLED False"
    )


def test_a_data_set_of_another_task(cfg: object, tmp_path: Path) -> None:
    cfg.DATASETS.TEST = ("bdd100k_det_val",)
    with pytest.raises(BDD100KError):
        ExportGraph(cfg)


def test_any_number_of_images_into_a_detector(tmp_path: Path) -> None:
    from support.prediction_models import detector

    refused(detector(tmp_path), tmp_path, ConfigError, r"--batch dynamic: a detector takes a number of im", batch=None)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "openvino"])
def test_a_package_that_is_not_installed(
    cfg: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    how = {"to": "openvino", "out": tmp_path / "model.xml"} if package == "openvino" else {}
    message = rf"the export needs {package}, which is not installed: pip install 'bdd100k_d2\[export\]'"
    refused(cfg, tmp_path, ConfigError, message, **how)


@pytest.mark.slow
def test_an_operator_that_the_opset_has_not(tmp_path: Path) -> None:
    cfg = segmenter("sem_seg/semantic_fpn_R_50_40k_gn_dconv", tmp_path)
    refused(cfg, tmp_path, ConfigError, r"cannot write SemanticFPN as ONNX of opset 18 \(.*DeformConv", opset=18)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "720"), "720 is neither a size such as 720x1280, height and width, nor dynamic"),
        (("--size", "720x0"), "0 is not positive"),
        (("--batch", "0"), "0 is not positive"),
        (("--opset", "new"), "new is no whole number"),
    ],
)
def test_an_argument_that_is_none(export: Callable[..., str], arguments: tuple[str, ...], message: str) -> None:
    assert message in export("--config-file", "c.yaml", "--to", "onnx", "--out", "m.onnx", *arguments)


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Calls the command, which ends with status 2, and returns what it says."""

    def call(*arguments: str) -> str:
        import export as tool

        monkeypatch.setattr(sys, "argv", ["export.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            tool.main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    return call


SEGMENTER_OF_WINDOWS = ("MODEL.SLIDING_WINDOW.SIZE", [48, 64], "MODEL.SLIDING_WINDOW.STRIDE", [30, 40])
EARLY: dict[str, tuple[str, tuple[object, ...], dict[str, object]]] = {
    r"--opset 99: PyTorch and onnx .* write 18 to": (SEMANTIC_FPN, (), {"opset": 99}),
    r"RESIZE_ANTIALIAS is True, which is in a graph for one size": (
        SEMANTIC_FPN,
        ("INPUT.RESIZE_ANTIALIAS", True),
        {"size": None},
    ),
    r"how many windows an image has depends on its size": (
        "sem_seg/gcnet_R_50_D8_769_40k",
        SEGMENTER_OF_WINDOWS,
        {"size": None},
    ),
    r"--batch dynamic: a detector takes a number": ("det/faster_rcnn_R_50_FPN_1x", (), {"batch": None}),
    r"cannot follow the sizes through both INPUT's resize and the model\. Give the": (
        SEMANTIC_FPN,
        (),
        {"to": "torch-export", "out": "model.pt2", "size": None},
    ),
    r"cannot follow the sizes through a panoptic model\. Give the": (
        "pan_seg/panoptic_fpn_R_50_FPN_1x",
        ("INPUT.MIN_SIZE_TEST", 0),
        {"to": "torch-export", "out": "model.pt2", "size": None},
    ),
    r"TEST.AUG.ENABLED is True": (SEMANTIC_FPN, ("TEST.AUG.ENABLED", True), {}),
    r"--size: an image is .*, more than 100,000,000 in all": (SEMANTIC_FPN, (), {"size": (64, 9_000_000)}),
    r"file/model.onnx.*|/file: the output folder cannot be written": (SEMANTIC_FPN, (), {"out": "file/model.onnx"}),
    r"/proc: the output folder cannot be written": (SEMANTIC_FPN, (), {"out": "/proc/model.onnx"}),
    r"/sys: the output folder cannot be written": (SEMANTIC_FPN, (), {"out": "/sys/new/model.onnx"}),
}


@pytest.mark.parametrize("message", EARLY)
def test_what_arguments_and_config_tell_is_refused_before_the_model_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    name, keys, how = EARLY[message]
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "weights.pth").write_text("never read")
    cfg = bdd100k_d2.get_config(name)
    cfg.merge_from_list(["MODEL.WEIGHTS", str(tmp_path / "weights.pth"), *keys])
    monkeypatch.setattr("bdd100k_d2.export.graph.ConfigModel", None)
    if "out" in how:
        how = how | {"out": tmp_path / str(how["out"])}
    refused(cfg, tmp_path, BDD100KError, message, **how)


def test_folders_that_are_missing_are_made_with_the_file_alone(cfg: object, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder" / "model.torchscript"
    refused(cfg, tmp_path, ConfigError, r"--opset 20: only ONNX", to="torchscript", out=out, opset=20)
    export_model(cfg, "torchscript", out, size=(64, 112))
    assert out.is_file()
