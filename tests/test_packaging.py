import ast
import email
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
import yaml
from support import ROOT

import bdd100k_d2
from bdd100k_d2 import doctor

# Modules whose distribution has another name.
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "yaml": "pyyaml"}
# detectron2 is imported and not declared: PyPI has no distribution of that name that runs on current PyTorch, so pip
# could not install it. tools/install_detectron2.py does.
UNDECLARED = {"detectron2"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy, so that the build leaves nothing in the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source)
    for name in ("bdd100k_d2", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def description(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def requirements(description: Message, extra: str | None = None) -> set[str]:
    """The distributions that are required always, or for one extra."""
    lines = [
        re.match(r"([\w.-]+)[^;]*(?:;.*extra == ['\"](\w+)['\"])?", line)
        for line in description.get_all("Requires-Dist")
    ]
    return {line[1].lower() for line in lines if line[2] == extra}


def imported_modules(*folders: str) -> set[str]:
    """The top-level modules that the Python files below `folders` import, without the standard library and our own."""
    # What makes the golden files, or compares with other libraries, runs in environments of those that it asks.
    elsewhere = {ROOT / "tests/parity/sources", ROOT / "tools/benchmarks/sources"}
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py") if elsewhere.isdisjoint(file.parents)]
    names = {name.split(".")[0] for file in files for name in imports_of(file)}
    own = {"bdd100k_d2", *(file.stem for file in files), *(file.parent.name for file in files)}
    return names - own - set(sys.stdlib_module_names)


def imports_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


def distributions(modules: set[str]) -> set[str]:
    return {DISTRIBUTIONS.get(name, name).lower() for name in modules - UNDECLARED}


def test_wheel_is_pure_python_with_the_version_of_the_package(wheel: Path, description: Message) -> None:
    assert wheel.name == f"bdd100k_d2-{bdd100k_d2.__version__}-py3-none-any.whl"
    assert description["Name"].replace("-", "_") == "bdd100k_d2"
    assert description["Version"] == bdd100k_d2.__version__
    assert description["Requires-Python"] == ">=3.10"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert description.get_payload(decode=True).decode("utf-8").strip() == readme.strip()


def test_wheel_holds_every_module_config_and_template(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {f"bdd100k_d2/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    kinds = ("*.py", "py.typed", "*.html", "*.css", "*.js", "*.json")
    wanted |= {str(path.relative_to(ROOT)) for kind in kinds for path in (ROOT / "bdd100k_d2").rglob(kind)}
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert [name for name in names if name.endswith("LICENSE")]


def test_wheel_holds_no_benchmark_no_sample_painter_and_no_toolkit_runner(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        text = {name: archive.read(name).decode() for name in names if name.endswith(".py")}
    strangers = ("benchmark", "streets", "sample_", "oracles", "toolkit.py")
    assert [name for name in names if any(stranger in name for stranger in strangers)] == []
    # The official toolkit is run by a command line; drawing streets and measuring have no other way in.
    assert [name for name, code in text.items() if "bdd100k.eval.run" in code and "subprocess" in code] == []


def test_pythons_agree(description: Message) -> None:
    """What is required, what is said and what continuous integration runs."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    run = workflow["test"]["strategy"]["matrix"]["python"]
    prefix = "Programming Language :: Python :: "
    said = [line.removeprefix(prefix) for line in description.get_all("Classifier") if line.startswith(prefix)]
    assert said == run and description["Requires-Python"] == f">={run[0]}"
    (setup,) = [step for step in workflow["lowest"]["steps"] if "setup-python" in step.get("uses", "")]
    assert setup["with"]["python-version"] == run[0]
    assert f"Python {run[0]} to {run[-1]}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_requirement_has_a_lowest_version(description: Message) -> None:
    lines = [line.partition(";")[0].strip() for line in description.get_all("Requires-Dist")]
    assert [line for line in lines if ">=" not in line and "==" not in line] == []


def test_configs_are_found_in_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = (
        "import bdd100k_d2; print(bdd100k_d2.__file__)\n"
        "print(bdd100k_d2.get_config('det/faster_rcnn_R_50_FPN_1x').DATASETS.TRAIN[0])"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [str(site / "bdd100k_d2" / "__init__.py"), "bdd100k_det_train"]


def test_declared_dependencies_are_those_imported(description: Message) -> None:
    imported = distributions(imported_modules("bdd100k_d2", "tools", "datasets"))
    runtimes = {*requirements(description, "onnx"), *requirements(description, "openvino")}
    assert runtimes == {"onnxruntime", "openvino"} and runtimes <= requirements(description, "export")
    optional = {"timm", "safetensors"} | requirements(description, "export")
    assert requirements(description) <= imported <= requirements(description) | optional
    assert {"timm", "safetensors"} <= requirements(description, "timm") & imported


def test_tests_import_only_what_is_declared(description: Message) -> None:
    declared = requirements(description)
    for extra in ("dev", "toolkit", "tensorboard", "timm", "export"):
        declared |= requirements(description, extra)
    assert distributions(imported_modules("tests", "bdd100k_d2", "tools", "datasets")) <= declared


def test_linter_is_pinned() -> None:
    assert re.findall(r"ruff[=<>~]+[\d.]+", (ROOT / "setup.py").read_text(encoding="utf-8")) == ["ruff==0.17.6"]


def test_doctor_looks_at_every_dependency(description: Message) -> None:
    assert {name.lower() for name, _ in doctor.LIBRARIES} == requirements(description) - {"torch", "torchvision"}
