"""What a detector's graph finds in each format and its runtime is what the model finds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.small_detectors import FAMILIES, DetectorGraph, Outputs, assert_equal, found_by, small_detector
from test_detection import images
from torch import Tensor
from torch.export import Dim, ExportedProgram

Run = Callable[[Tensor], dict[str, Any]]

# With a length of 1 on the coarsest level an exporter takes it to be always 1.
SIZES = ((192, 320), (160, 224), (215, 333))
FRAME = (180, 320)


def exported(graph: DetectorGraph, batch: Tensor, any_size: bool) -> ExportedProgram:
    shapes = ({2: Dim("h", min=160, max=2048), 3: Dim("w", min=160, max=2048)},) if any_size else None
    return torch.export.export(
        graph, (batch,), dynamic_shapes=shapes, strict=False, prefer_deferred_runtime_asserts_over_guards=True
    )


def by_program(program: ExportedProgram, names: list[str], folder: Path) -> Run:
    torch.export.save(program, folder / "model.pt2")
    module = torch.export.load(folder / "model.pt2").module()
    return lambda batch: dict(zip(names, module(batch), strict=True))


def by_onnxruntime(program: ExportedProgram, names: list[str], folder: Path) -> Run:
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.onnx.export(program, dynamo=True, output_names=names, optimize=False, verbose=False).save(
        folder / "model.onnx"
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    (one,) = session.get_inputs()
    return lambda batch: dict(zip(names, session.run(names, {one.name: batch.numpy()}), strict=True))


def by_openvino(program: ExportedProgram, names: list[str], folder: Path) -> Run:
    openvino = pytest.importorskip("openvino")
    has_file = (folder / "model.onnx").exists()
    model = openvino.convert_model(folder / "model.onnx" if has_file else program)
    # Some processors would compute in bfloat16.
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda batch: {
        name: np.array(value) for name, value in zip(names, compiled(batch.numpy()).values(), strict=True)
    }


def traced(graph: DetectorGraph, batch: Tensor, names: list[str]) -> Run:
    module = torch.jit.trace(graph, (batch,), check_trace=False)
    return lambda other: dict(zip(names, module(other), strict=True))


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
    run = traced(DetectorGraph(model).eval(), cases[0][0], list(cases[0][1]))
    assert_runs(run, cases)
    # Nothing is found.
    model.test_score_thresh = 1.0
    if family == "Mask R-CNN":
        model.roi_heads.box_predictor.test_score_thresh = 1.0
    run = traced(DetectorGraph(model).eval(), cases[0][0], list(cases[0][1]))
    assert run(cases[1][0])["boxes"].shape == (0, 4)


@pytest.mark.slow
@pytest.mark.parametrize("any_size", [False, True], ids=["fixed", "any size"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_every_runtime_finds_what_the_model_finds(family: str, any_size: bool, tmp_path: Path) -> None:
    if family in ("HRNet", "EfficientNet-Lite0"):
        pytest.importorskip("timm", reason="the extra 'timm' is not installed")
    model = small_detector(family)
    cases = cases_of(model, 2 if any_size else 1, any_size)
    batch, names = cases[0][0], list(cases[0][1])
    graph = DetectorGraph(model, None if any_size else FRAME).eval()
    program = exported(graph, batch, any_size)
    assert_runs(by_program(program, names, tmp_path), cases)
    assert_runs(by_onnxruntime(program, names, tmp_path), cases)
    # OpenVINO reads no deformable convolution of ONNX.
    if family != "deformable":
        assert_runs(by_openvino(program, names, tmp_path), cases)
    assert_runs(traced(graph, batch, names), cases)


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
    program = exported(graph, batch, any_size=False)
    for make in (by_program, by_onnxruntime, by_openvino):
        outputs = make(program, names, tmp_path)(batch)
        shapes = [tuple(value.shape) for value in outputs.values()]
        assert shapes == [(0, 4), (0,), (0,), (1,), (0, *FRAME)][: len(names)], make.__name__
        assert int(outputs["counts"][0]) == 0
