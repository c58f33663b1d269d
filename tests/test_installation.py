"""What needs more than is installed says so; other modules that are missing are not taken for that."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT
from support.model_files import write_onnx
from support.prediction_models import write_video

from bdd100k_d2.errors import MissingRuntimeError
from bdd100k_d2.installation import needs_detectron2


def test_what_is_missing_is_named() -> None:
    message = "^this needs PyTorch and Detectron2, and no_such_library is not installed; install them with: pip"
    with pytest.raises(MissingRuntimeError, match=message), needs_detectron2("this"):
        importlib.import_module("no_such_library")


def test_a_module_of_the_package_that_is_missing_is_a_mistake() -> None:
    with pytest.raises(ModuleNotFoundError) as caught, needs_detectron2("this"):
        importlib.import_module("bdd100k_d2.no_such_module")
    assert not isinstance(caught.value, MissingRuntimeError)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ValueError, match="^something$"), needs_detectron2("this"):
        raise ValueError("something")


# Runs the command of the further arguments as if the packages of the first one were not installed.
_RUN = """
import runpy, sys
sys.modules |= dict.fromkeys(sys.argv[1].split(","))
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_without(packages: str, tool: str, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _RUN, packages, str(ROOT / "tools" / tool), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


CONFIG = ("--config-file", ROOT / "configs/det/faster_rcnn_R_50_FPN_1x.yaml")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("export.py", (*CONFIG, "--to", "onnx", "--out", "model.onnx")),
        ("export.py", (*CONFIG, "--check", "model.onnx", "--split", "val")),
        ("train_net.py", CONFIG),
        ("convert_weights.py", ("a.pth", "b.pth")),
    ],
)
def test_commands_that_need_pytorch(tool: str, arguments: tuple[object, ...], tmp_path: Path) -> None:
    done = run_without("torch", tool, *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    message = f"error: tools/{tool} needs PyTorch and Detectron2, and torch is not installed; install them with: pip "
    assert line.startswith(f"{message}install torch torchvision && ")
    assert not [*tmp_path.iterdir()]


def test_tracking_needs_scipy_and_no_pytorch(tmp_path: Path) -> None:
    model, video = write_onnx(tmp_path / "model.onnx"), write_video(tmp_path / "drive.mp4", 4)
    command = ("predict.py", "--model", model, "--input", video, "--output", tmp_path / "out")
    for options in (["--track"], ["--track", "--count-line", "0,50,160,50"]):
        done = run_without("scipy", *command, *options, folder=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "error: --track: needs scipy, which is not installed: pip install scipy\n"
        assert not (tmp_path / "out").exists()
    done = run_without("torch,torchvision,detectron2", *command, "--track", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "") and (tmp_path / "out/box_track.json").is_file()
