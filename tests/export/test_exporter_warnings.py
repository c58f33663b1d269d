"""An export says what this package says, and nothing of the inside of PyTorch's exporters."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from detectron2.layers import Conv2d
from support.export_models import segmenter
from support.prediction_models import config_file
from support.processes import run_command
from torch import Tensor, nn

from bdd100k_d2.export.exporter_warnings import without_exporter_warnings


class AsksForALength(nn.Module):
    """What a class of a user's may do."""

    def forward(self, boxes: Tensor) -> Tensor:
        return boxes + len(boxes)


class Suppresses(nn.Module):
    def forward(self, boxes: Tensor, scores: Tensor) -> Tensor:
        return boxes[torchvision.ops.nms(boxes, scores, 0.5)]


def trace_of_detectron2() -> None:
    torch.jit.trace(Conv2d(3, 3, 1), torch.ones(1, 3, 8, 8), check_trace=False)


def script() -> None:
    torch.jit.script(nn.ReLU())


def unknown_number_of_boxes() -> None:
    torch.export.export(Suppresses(), (torch.ones(3, 4), torch.ones(3)), strict=False)


@pytest.mark.parametrize("to", ["onnx", "torchscript"])
def test_the_command_says_what_it_wrote(to: str, tmp_path: Path) -> None:
    config = config_file(segmenter("sem_seg/semantic_fpn_R_50_40k", tmp_path), tmp_path)
    out = tmp_path / f"model.{to}"
    done = run_command("tools/export.py", "--config-file", config, "--to", to, "--out", out, "--size", "96x160")
    assert (done.returncode, done.stderr) == (0, "") and out.is_file()
    assert done.stdout == f"{out}: written; it gives sem_seg.\n"


@pytest.mark.parametrize("exports", [trace_of_detectron2, script, unknown_number_of_boxes])
def test_warnings_of_the_exporters_are_not_said(exports: Callable[[], None]) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        # As Python does.
        warnings.simplefilter("ignore", DeprecationWarning)
        with without_exporter_warnings():
            exports()
        assert [str(one.message) for one in said] == []
        # Others of those categories are.
        with without_exporter_warnings():
            torch.jit.trace(AsksForALength(), torch.ones(3, 4), check_trace=False)
            warnings.warn("of something else", FutureWarning, stacklevel=1)
    assert [one.category for one in said] == [torch.jit.TracerWarning, FutureWarning]
    assert str(said[0].message).startswith("Using len to get tensor shape")


def test_what_exporters_log_is_not_said_and_all_else_is(caplog: pytest.LogCaptureFixture) -> None:
    convenience = pytest.importorskip("onnx_ir._convenience")
    logger = logging.getLogger(convenience.__name__)
    with without_exporter_warnings():
        convenience.convert_attribute("axes", [])
        logger.warning("something else")
    assert caplog.messages == ["something else"]
    convenience.convert_attribute("axes", [])
    assert len(caplog.messages) == 2 and caplog.messages[1].startswith("Attribute type is ambiguous")
