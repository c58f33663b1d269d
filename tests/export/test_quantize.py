"""Graphs in 8 bits by both tools, and as OpenVINO's files: a small network from an image to class ids."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.frames import write_image
from support.model_files import card

import bdd100k_d2
from bdd100k_d2.errors import ConfigError
from bdd100k_d2.export.calibration import Calibration, CalibrationImages
from bdd100k_d2.export.openvino_file import read_onnx, write_openvino
from bdd100k_d2.export.quantize import quantize
from bdd100k_d2.export.run import export_model
from bdd100k_d2.predict.model_card import CARD_KEY
from bdd100k_d2.tasks import TASKS

HEIGHT, WIDTH = 32, 64
CARD = card(TASKS["sem_seg"], size=(HEIGHT, WIDTH), batch=1)


def float_graph(path: Path, *, antialias: bool = False) -> Path:
    """Normalisation, three convolutions with a sum, a resize and an argmax; only the middle can be in 8 bits."""
    random = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.normal(0, 0.3, shape).astype(np.float32), f"model.{name}.weight")

    def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
        return numpy_helper.from_array(value, name)

    half = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], "transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "scale"], ["scaled"], "normalise"),
        helper.make_node("Conv", ["scaled", "model.stem.weight"], ["a"], "conv_a", strides=[2, 2], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "model.middle.weight"], ["c"], "conv_c", pads=[1] * 4),
        helper.make_node("Add", ["b", "c"], ["d"], "sum"),
        helper.make_node("Conv", ["d", "model.head.predictor.weight"], ["e"], "conv_e"),
        helper.make_node("Resize", ["e", "", "scales"], ["logits"], "resize", antialias=int(antialias), **half),
        helper.make_node("ArgMax", ["logits"], ["ids"], "argmax", axis=1, keepdims=0),
        helper.make_node("Cast", ["ids"], ["sem_seg"], "as_bytes", to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "segmenter",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])],
        [helper.make_tensor_value_info("sem_seg", TensorProto.UINT8, [1, HEIGHT, WIDTH])],
        [
            constant("scale", np.float32(1 / 64)),
            constant("scales", np.array([1, 1, 2, 2], np.float32)),
            weights("stem", 16, 3, 3, 3),
            weights("middle", 16, 16, 3, 3),
            weights("head.predictor", 19, 16, 1, 1),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {CARD_KEY: CARD.to_json()})
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    for i in range(4):
        write_image(folder / f"images/{i}.jpg", HEIGHT, WIDTH, seed=i)
    return float_graph(folder / "float.onnx")


def ids(path: Path, images: list[Path]) -> np.ndarray:
    predictor = bdd100k_d2.Predictor(path, threads=1)
    return np.stack([predictor(image)["sem_seg"] for image in images])


@pytest.mark.parametrize("ending", [".onnx", ".xml"])
def test_a_quantised_file_gives_nearly_the_same_classes(
    graph: Path, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = CalibrationImages(str(graph.parent / "images"), 300, (HEIGHT, WIDTH), 1)
    out = tmp_path / f"int8{ending}"
    assert quantize(graph, out, CARD, images) == []
    expected, found = ids(graph, images.paths), ids(out, images.paths)
    assert len(np.unique(expected)) > 3
    assert 0.9 < (expected == found).mean() < 1
    assert bdd100k_d2.Predictor(out).runtime.card == card(TASKS["sem_seg"], size=(32, 64), batch=1, precision="int8")
    again = tmp_path / f"again{ending}"
    quantize(graph, again, CARD, images)
    assert capsys.readouterr().out == ""
    assert (ids(again, images.paths) == found).all()


def test_only_layers_and_what_lies_between_them_is_in_8_bits(graph: Path, tmp_path: Path) -> None:
    images = CalibrationImages(str(graph.parent / "images"), 2, (HEIGHT, WIDTH), 1)
    assert quantize(graph, tmp_path / "int8.onnx", CARD, images, ["head"]) == ["model.head.predictor.weight"]
    model = onnx.load(tmp_path / "int8.onnx")
    producers = {output: node for node in model.graph.node for output in node.output}
    of_8_bits = {
        node.name
        for node in model.graph.node
        if node.op_type in ("Conv", "Add", "Mul", "Resize", "Transpose")
        and {producers[name].op_type for name in node.input if name in producers} == {"DequantizeLinear"}
    }
    assert {"conv_a", "conv_c", "sum"} <= of_8_bits and not of_8_bits & {"normalise", "resize", "transpose"}
    weights = {one.name: one.data_type for one in model.graph.initializer}
    assert weights["model.head.predictor.weight"] == TensorProto.FLOAT
    scales = {
        one.name: list(one.dims) for one in model.graph.initializer if one.name.startswith("model.stem.weight_sc")
    }
    assert list(scales.values()) == [[16]]


def test_a_file_of_openvino(graph: Path, tmp_path: Path) -> None:
    images = sorted((graph.parent / "images").iterdir())
    write_openvino(graph, tmp_path / "float.xml", CARD)
    write_openvino(graph, tmp_path / "half.xml", CARD, half=True)
    sizes = [(tmp_path / name).stat().st_size for name in ("float.bin", "half.bin")]
    assert sizes[1] < 0.6 * sizes[0]
    assert (ids(graph, images) == ids(tmp_path / "float.xml", images)).all()
    assert (ids(graph, images) == ids(tmp_path / "half.xml", images)).mean() > 0.98
    assert bdd100k_d2.Predictor(tmp_path / "float.xml").runtime.card == CARD
    assert sorted(path.name for path in tmp_path.iterdir()) == ["float.bin", "float.xml", "half.bin", "half.xml"]


def test_a_resize_that_openvino_would_compute_otherwise(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="resizes without antialiasing, which the graph asks for at .*--to onnx"):
        read_onnx(float_graph(tmp_path / "a.onnx", antialias=True))


def test_what_openvino_cannot_take(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"no graph")
    with pytest.raises(ConfigError, match="cannot take the graph"):
        read_onnx(tmp_path / "a.onnx")


def test_neither_openvino_nor_nncf_tells_its_makers(graph: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bdd100k_d2.export.quantize import quantize;"
        "from bdd100k_d2.export.calibration import CalibrationImages; from bdd100k_d2.predict.model_file import *;"
        "folder = Path(sys.argv[1]); file = open_model_file(folder / 'float.onnx', task=None, amp=False, threads=1);"
        "images = CalibrationImages(str(folder / 'images'), 1, file.card.size, 1);"
        "quantize(file.path, Path(sys.argv[2]), file.card, images);"
        "print('nncf' in sys.modules, *[name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    command = [sys.executable, "-c", code, str(graph.parent), str(tmp_path / "int8.xml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "True"


def test_what_is_not_of_a_format(tmp_path: Path) -> None:
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    with pytest.raises(ConfigError, match="--fp16: is of --to openvino without --int8"):
        export_model(cfg, "onnx", tmp_path / "a.onnx", half=True)
    with pytest.raises(ConfigError, match="--int8: only onnx and openvino are quantised; leave it out for torchscript"):
        export_model(cfg, "torchscript", tmp_path / "a.torchscript", int8=Calibration("images"))
