"""Says whether this environment can train, and for each problem the command that mends it.

    python -m bdd100k_d2.doctor [--root FOLDER] [--output FOLDER]

The exit status is 1 if training could not work, else 0; data that is not there is a warning. Every import stands in a
check, so that it runs where torch or Detectron2 is missing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from .cli import command, path, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .data.register import Split

OLDEST_PYTHON = (3, 10)
# Where `make demo` draws.
_SAMPLE = Path("datasets/sample")
# Distribution and module of the other libraries that the package imports.
LIBRARIES = (
    ("numpy", "numpy"),
    ("pillow", "PIL"),
    ("opencv-python-headless", "cv2"),
    ("pycocotools", "pycocotools.mask"),
    ("hotcoco", "hotcoco"),
    ("msgspec", "msgspec"),
    ("scipy", "scipy.optimize"),
    ("fvcore", "fvcore"),
    ("iopath", "iopath"),
    ("markupsafe", "markupsafe"),
    ("matplotlib", "matplotlib"),
    ("jinja2", "jinja2"),
    ("PyYAML", "yaml"),
    ("tabulate", "tabulate"),
    ("tqdm", "tqdm"),
)


class Result(NamedTuple):
    """What a check found; `remedy` is a command or a sentence, empty where nothing has to be done."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str = ""


def pip_install(*names: str) -> str:
    """The command that installs `names` into the environment that runs this."""
    return f"{sys.executable} -m pip install {' '.join(names)}"


def first_line(error: Exception) -> str:
    """The kind of an error and the first line of its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def check_python() -> Result:
    """Whether Python is recent enough."""
    version = sys.version.split()[0]
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        detail = f"{version}, {wanted} or later is needed"
        return Result("python", "fail", detail, f"make install PYTHON=python{wanted}")
    return Result("python", "ok", f"{version} ({sys.executable})")


def check_import(distribution: str, module: str, remedy: str) -> Result:
    """Whether `module` imports; the detail is the version of the distribution, or what the module says."""
    try:
        imported = import_module(module)
    except Exception as error:  # a broken library can raise anything while it is imported
        return Result(distribution, "fail", f"{module} does not import: {first_line(error)}", remedy)
    try:
        return Result(distribution, "ok", metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return Result(distribution, "ok", str(getattr(imported, "__version__", "unknown version")))


def check_detectron2() -> Result:
    """Whether the parts of Detectron2 that training needs import."""
    remedy = f"{sys.executable} tools/install_detectron2.py (in the folder of the repository)"
    for module in ("detectron2.data", "detectron2.modeling", "detectron2.engine"):
        result = check_import("detectron2", module, remedy)
        if result.status != "ok":
            return result
    location = Path(str(import_module("detectron2").__file__)).parent
    return result._replace(detail=f"{result.detail} ({location})")


def check_devices() -> Result:
    """Which devices torch can use; a CPU alone is ok."""
    import torch

    if torch.cuda.is_available():
        found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        return Result("devices", "ok", ", ".join(f"{gpu.name} {gpu.total_memory / 2**30:.0f} GiB" for gpu in found))
    if shutil.which("nvidia-smi"):
        detail = f"CPU only, although an NVIDIA driver is installed; torch is built for CUDA {torch.version.cuda}"
        remedy = "update the NVIDIA driver, or install the torch and torchvision built for its CUDA version"
        return Result("devices", "warn", detail, remedy)
    return Result("devices", "ok", f"CPU only, {torch.get_num_threads()} threads")


def roi_align(device: str) -> list[float]:
    """ROIAlign of a ramp, 2x2 bins, and the sum of its gradient, which hands on 1 from each bin."""
    import torch
    from detectron2.layers import ROIAlign

    ramp = torch.arange(16.0, device=device).view(1, 1, 4, 4).requires_grad_()
    box = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]], device=device)
    bins = ROIAlign((2, 2), spatial_scale=1.0, sampling_ratio=1, aligned=True)(ramp, box)
    (gradient,) = torch.autograd.grad(bins.sum(), ramp)
    return [*bins.flatten().tolist(), gradient.sum().item()]


def nms(device: str) -> list[float]:
    """Which boxes NMS keeps of two that overlap by two thirds, the second scored higher, and one apart."""
    import torch
    from detectron2.layers import batched_nms

    boxes = torch.tensor([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], dtype=torch.float32, device=device)
    scores = torch.tensor([0.8, 0.9, 0.7], device=device)
    return batched_nms(boxes, scores, torch.zeros(3, device=device), 0.5).tolist()


def check_operator(name: str, device: str, operator: Callable[[str], list[float]], right: Sequence[float]) -> Result:
    """Whether `operator` runs on `device` and gives the right values."""
    remedy = pip_install("--force-reinstall", "torch", "torchvision")
    name = f"{name} {device}"
    try:
        values = operator(device)
    except Exception as error:  # a missing kernel, a driver that does not fit, no memory
        return Result(name, "fail", f"does not run: {first_line(error)}", remedy)
    if [round(value, 4) for value in values] != right:
        return Result(name, "fail", f"gives {values}, right is {right}", remedy)
    return Result(name, "ok", "runs, the values are right")


def check_operators() -> list[Result]:
    """One result per operator that Detectron2 takes from torchvision, on each kind of device."""
    import torch

    results = []
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        results.append(check_operator("ROIAlign", device, roi_align, [2.5, 4.5, 10.5, 12.5, 4.0]))
        results.append(check_operator("NMS", device, nms, [1, 2]))
    return results


def check_data(root: Path | None) -> list[Result]:
    """One result per registered data set; `root` holds bdd100k/, None for the one that training uses."""
    from .data.register import all_splits, data_folder, locate

    top = data_folder(root)
    readme = "datasets/README.md says what to download"
    if not top.is_dir():
        there = (_SAMPLE / "bdd100k/sample.json").is_file()
        drawn = f"or draw sample data: python datasets/make_sample.py --out {_SAMPLE} --train 64 --val 16"
        sample = f"or take the sample data: export DETECTRON2_DATASETS={_SAMPLE}" if there else drawn
        export = "export DETECTRON2_DATASETS=<the folder that holds bdd100k/>"
        return [Result("data", "warn", f"no folder {top.absolute()}", f"{export}; {readme}; {sample}")]
    remedy = f"needed for this data set alone; {readme} and where to unpack it"
    return [check_split_folders(locate(row.name, root).present(), remedy) for row in all_splits()]


def check_split_folders(split: Split, remedy: str) -> Result:
    """Whether the folder of images of a data set and its labels are there."""
    from .data.folders import visible_files

    wanted = (("images", split.images), ("labels", split.labels))
    missing = [f"no {what} {path}" for what, path in wanted if path is not None and not path.exists()]
    if missing:
        return Result(split.name, "warn", ", ".join(missing), remedy)
    try:
        count = sum(1 for _ in visible_files(split.images))
    except OSError as error:
        return Result(split.name, "warn", f"{split.images} cannot be read: {error.strerror}", remedy)
    labels = "no labels" if split.labels is None else f"labels {split.labels}"
    return Result(split.name, "ok", f"{count} files in {split.images}, {labels}")


def check_output(folder: Path) -> Result:
    """Whether a file can be written into the output folder, or into the folder in which it would be made."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
    except OSError as error:
        detail = f"{folder} cannot be written: {error.strerror}"
        return Result("output", "fail", detail, "train with OUTPUT_DIR <another folder>")
    return Result("output", "ok", f"{folder} can be written, {shutil.disk_usage(existing).free / 2**30:.0f} GiB free")


def run_checks(root: Path | None, output: Path) -> list[Result]:
    """The results of every check that can run, in the order in which they are worth mending."""
    results = [check_python()]
    if results[0].status == "fail":
        return results
    results.append(check_import("torch", "torch", pip_install("torch", "torchvision")))
    # It does not import where it is a build for another torch.
    results.append(check_import("torchvision", "torchvision", pip_install("--force-reinstall", "torch", "torchvision")))
    results.append(check_detectron2())
    can_compute = all(result.status == "ok" for result in results)
    results += [check_import(name, module, pip_install(name)) for name, module in LIBRARIES]
    if can_compute:
        results += [check_devices(), *check_operators()]
    return [*results, *check_data(root), check_output(output)]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    with command():
        return _run(arguments)


def _run(arguments: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bdd100k_d2.doctor", description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=path, help="the folder that holds bdd100k/ (default: as in training)")
    parser.add_argument("--output", type=path, default=Path("output"), help="the folder to write to (default: output)")
    options = parser.parse_args(arguments)
    results = run_checks(options.root, options.output)
    width = max(len(result.name) for result in results)
    for result in results:
        say(f"{result.status:4}  {result.name:{width}}  {result.detail}")
        if result.remedy:
            say(f"{'':4}  {'':{width}}  -> {result.remedy}")
    failed = [result.name for result in results if result.status == "fail"]
    say(f"\nTraining cannot work: {', '.join(failed)}." if failed else "\nTraining can work.")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
