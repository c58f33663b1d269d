"""ONNX and OpenVINO files are predicted without PyTorch and Detectron2, soon after the start."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import ROOT
from support.frames import write_image
from support.model_files import write_onnx, write_openvino
from support.prediction_models import write_video

from bdd100k_d2.tasks import TASKS

TOOL = ROOT / "tools" / "predict.py"
WRITERS: dict[str, Callable[..., Path]] = {"onnx": write_onnx, "xml": write_openvino}

# Runs the command of the arguments, then says what was imported for it, and what the processor took in seconds.
_RUN = """
import json, resource, runpy, sys
tool, sys.argv = sys.argv[1], sys.argv[1:]
try:
    runpy.run_path(tool, run_name="__main__")
except SystemExit as end:
    status = end.code
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([status, sorted({name.split(".")[0] for name in sys.modules}), used.ru_utime + used.ru_stime]))
"""
HEAVY = {
    *("torch", "torchvision", "detectron2", "fvcore", "iopath", "matplotlib", "scipy", "pandas", "yaml", "jinja2"),
    *("pycocotools", "hotcoco", "tabulate", "onnx", "openvino_telemetry"),
}


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("task", ["det", "ins_seg", "sem_seg", "pan_seg"])
def test_neither_is_imported_and_the_first_result_comes_soon(tmp_path: Path, ending: str, task: str) -> None:
    model = WRITERS[ending](tmp_path / f"model.{ending}", TASKS[task])
    for i in range(3):
        write_image(tmp_path / "in" / f"{i}.jpg", seed=i)
    command = [sys.executable, "-c", _RUN, str(TOOL), "--model", str(model), "--input", str(tmp_path / "in")]
    for options in (["--overlay"], ["--overlay", "--resume"]):
        line = [*command, "--output", str(tmp_path / "out"), *options]
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        said, found = done.stdout.splitlines()
        status, modules, seconds = json.loads(found)
        assert status == 0 and said.startswith("3 frames"), done.stderr
        assert not HEAVY & {*modules}
        # Of the processor, because other tests run beside this one: of a machine at rest it is the whole time.
        assert seconds < 2
    assert len([*(tmp_path / "out/overlays").iterdir()]) == 3


def documented_install() -> list[str]:
    """The lines of docs/GETTING_STARTED.md that install what predicting a model file needs, and no more."""
    text = (ROOT / "docs" / "GETTING_STARTED.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```\n(pip install --no-deps .*?)```", text, re.DOTALL)
    return block.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("ending", WRITERS)
def test_in_an_environment_with_nothing_else(tmp_path: Path, ending: str) -> None:
    """Installed as the documentation says it."""
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(environment), "--without-pip"], check=True)
    runtime = {"onnx": "onnxruntime", "xml": "openvino"}[ending]
    # Of a copy, so that the build leaves nothing in the repository.
    source = tmp_path / "source"
    for name in ("bdd100k_d2", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source)
    for line in documented_install():
        words = [str(source) if word == "." else word for word in line.partition(" #")[0].split()[2:]]
        words = [runtime if word == "onnxruntime" else word for word in words]
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python), *words]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if "error sending request" in done.stderr or "Failed to fetch" in done.stderr:
            pytest.skip(f"no package index: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "list", "--format", "json", "--python", str(python)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = {one["name"] for one in json.loads(listed.stdout)}
    assert {"bdd100k-d2", "numpy", runtime} <= names and not names & {"torch", "torchvision", "detectron2"}

    model = WRITERS[ending](tmp_path / f"model.{ending}", TASKS["ins_seg"])
    image = tmp_path / "in" / "0.jpg"
    write_image(image)
    for given, frames in ((image.parent, 1), (write_video(tmp_path / "drive.mp4", 4), 4)):
        for options in ([], ["--resume"]):
            folder = tmp_path / f"out-{given.stem}"
            line = [str(python), str(TOOL), "--model", str(model), "--input", str(given), "--output", str(folder)]
            done = subprocess.run([*line, *options, "--overlay"], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        assert len([*(folder / "bitmasks").iterdir()]) == frames
    code = f"import bdd100k_d2; print(len(bdd100k_d2.Predictor({str(model)!r})({str(image)!r})['instances']))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.split() == ["3"], done.stderr
    # What needs more says so.
    line = [str(python), str(TOOL), "--config-file", "a.yaml", "--input", str(image), "--output", "out"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("error: bdd100k_d2.load_config needs PyTorch and Detectron2")
