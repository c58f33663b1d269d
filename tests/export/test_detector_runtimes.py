"""What a detector's graph finds in each format and its runtime is what the model finds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.small_detectors import FAMILIES, DetectorGraph, Outputs, assert_equal, found_by, images, small_detector
from torch import Tensor
from torch.export import Dim, ExportedProgram

Run = Callable[[Tensor], dict[str, Any]]

# An exporter takes what is 1 in its example to be always 1: rows of RetinaNet's coarsest level, windows of Swin's.
SIZES = ((288, 352), (256, 320), (275, 333))
FRAME = (180, 320)


def export(graph: DetectorGraph, batch: Tensor, any_size: bool) -> ExportedProgram:
    shapes = ({2: Dim("h", min=256, max=2048), 3: Dim("w", min=256, max=2048)},) if any_size else None
    return torch.export.export(
        graph, (batch,), dynamic_shapes=shapes, strict=False, prefer_deferred_runtime_asserts_over_guards=True
    )


def by_program(program: ExportedProgram, names: list[str], folder: Path) -> Run:
    torch.export.save(program, folder / "model.pt2")
    module = torch.export.load(folder / "model.pt2").module()
    return lambda batch: dict(zip(names, module(batch), strict=True))


def by_onnxruntime(program: ExportedProgram, names: list[str], folder: Path) -> Run:
    onnxruntime = pytest.importorskip("onnxruntime")
    exported = torch.onnx.export(program, dynamo=True, output_names=names, optimize=False, verbose=False)
    exported.save(folder / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    (one,) = session.get_inputs()
    return lambda batch: dict(zip(names, session.run(names, {one.name: batch.numpy()}), strict=True))


def by_openvino(source: Path | torch.jit.ScriptModule, names: list[str]) -> Run:
    openvino = pytest.importorskip("openvino")
    # Some processors would compute in bfloat16.
    compiled = openvino.compile_model(openvino.convert_model(source), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda batch: dict(zip(names, compiled(batch.numpy()).values(), strict=True))


def by_torchscript(module: torch.jit.ScriptModule, names: list[str]) -> Run:
    return lambda batch: dict(zip(names, module(batch), strict=True))


def assert_runs(run: Run, cases: list[tuple[Tensor, Outputs]]) -> None:
    for batch, expected in cases:
        assert_equal(run(batch), expected)


def cases_of(model: torch.nn.Module, number: int, any_size: bool) -> list[tuple[Tensor, Outputs]]:
    batches = [images(number, *size) for size in SIZES[: None if any_size else 1]]
    return [(batch, found_by(model, batch, batch.shape[2:] if any_size else FRAME)) for batch in batches]


@pytest.mark.parametrize("family", ["RetinaNet", "Mask R-CNN"])
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_a_graph_is_traced_at_one_size_and_runs_at_another(family: str) -> None:
    model = small_detector(family)
    cases = cases_of(model, 2, any_size=True)
    names = list(cases[0][1])
    module = torch.jit.trace(DetectorGraph(model).eval(), (cases[0][0],), check_trace=False)
    assert_runs(by_torchscript(module, names), cases)


# One is among the slow tests; all of them take twenty minutes on two cores.
MATRIX = [(family, any_size) for family in FAMILIES for any_size in (False, True)]


@pytest.mark.parametrize(
    ("family", "any_size"),
    [
        pytest.param(*one, marks=pytest.mark.slow if one == ("Faster R-CNN", False) else pytest.mark.exhaustive)
        for one in MATRIX
    ],
)
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_every_runtime_finds_what_the_model_finds(family: str, any_size: bool, tmp_path: Path) -> None:
    if family in ("HRNet", "EfficientNet-Lite0"):
        pytest.importorskip("timm", reason="the extra 'timm' is not installed")
    model = small_detector(family)
    cases = cases_of(model, 2 if any_size else 1, any_size)
    batch, names = cases[0][0], list(cases[0][1])
    graph = DetectorGraph(model, None if any_size else FRAME).eval()
    program = export(graph, batch, any_size)
    # A panoptic program of any size holds a wrong assertion about its sizes, which ONNX leaves out.
    if not (any_size and family == "Panoptic FPN"):
        assert_runs(by_program(program, names, tmp_path), cases)
    assert_runs(by_onnxruntime(program, names, tmp_path), cases)
    module = torch.jit.trace(graph, (batch,), check_trace=False)
    assert_runs(by_torchscript(module, names), cases)
    # OpenVINO reads no deformable convolution of ONNX.
    source = module if family == "deformable" else tmp_path / "model.onnx"
    assert_runs(by_openvino(source, names), cases)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["Mask R-CNN", "RetinaNet"])
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_an_image_on_which_nothing_is_found_runs_everywhere(family: str, tmp_path: Path) -> None:
    model = small_detector(family)
    owner = model.roi_heads.box_predictor if family == "Mask R-CNN" else model
    owner.test_score_thresh = 1.0
    batch = images(1, *SIZES[0])
    names = list(found_by(model, batch, FRAME))
    graph = DetectorGraph(model, FRAME).eval()
    program = export(graph, batch, any_size=False)
    runs = [by_program(program, names, tmp_path), by_onnxruntime(program, names, tmp_path)]
    module = torch.jit.trace(graph, (batch,), check_trace=False)
    runs += [by_openvino(tmp_path / "model.onnx", names), by_torchscript(module, names)]
    for run in runs:
        outputs = run(batch)
        shapes = [tuple(value.shape) for value in outputs.values()]
        assert shapes == [(0, 4), (0,), (0,), (1,), (0, *FRAME)][: len(names)]
        assert int(outputs["counts"][0]) == 0
