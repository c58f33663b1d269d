import email
import importlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

# The tool looks for pip, upon which setuptools' import hook steps aside for the rest of the process: what would import
# setuptools after that, as Detectron2's log of the environment does by this module, would fail.
import torch.utils.cpp_extension  # noqa: F401
from support import ROOT

TOOLS = ROOT / "tools"
MODULES = (
    "config data engine evaluation modeling checkpoint structures utils.visualizer utils.video_visualizer model_zoo "
    "solver export projects.point_rend projects.deeplab projects.panoptic_deeplab"
)


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("install_detectron2")


@pytest.fixture
def pure_build() -> None:
    version = metadata.version("detectron2")
    if "+pure" not in version:
        pytest.skip(f"Detectron2 {version} was not built by tools/install_detectron2.py")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is the only place from which pip takes distributions."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "distributions"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_patches_replace_text(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = np.int\ny = np.int\nz = 1\n")
    tool.apply_patches(
        tmp_path, (tool.Patch("a.py", "np.int\n", "int\n", "gone", count=2), tool.Patch("a.py", "z", "w", ""))
    )
    assert (tmp_path / "a.py").read_text() == "x = int\ny = int\nw = 1\n"


@pytest.mark.parametrize(("text", "times"), [("x = 1\n", 0), ("np.int np.int\n", 2)])
def test_patch_that_does_not_fit_is_loud(tool: ModuleType, tmp_path: Path, text: str, times: int) -> None:
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(tool.InstallError) as caught:
        tool.apply_patches(tmp_path, (tool.Patch("a.py", "np.int", "int", "NumPy removed it"),))
    for part in ("a.py", "np.int", f"{times} times, not 1", "NumPy removed it"):
        assert part in str(caught.value)
    assert (tmp_path / "a.py").read_text() == text


def test_patch_of_a_file_that_is_not_there_is_loud(tool: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(tool.InstallError, match=r"no file detectron2/gone\.py"):
        tool.apply_patches(tmp_path, (tool.Patch("detectron2/gone.py", "a", "b", "reason"),))


def test_patch_that_does_not_fit_ends_the_tool(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "fetch_source", lambda _: tmp_path)
    assert tool.main(["--wheel", str(tmp_path / "wheels")]) == 1
    assert f"patch does not fit: no file {tool.PATCHES[0].file}" in capsys.readouterr().err
    assert list((tmp_path / "wheels").iterdir()) == []


def test_every_patch_has_a_reason_and_changes_something(tool: ModuleType) -> None:
    assert all(patch.reason and patch.old != patch.new for patch in tool.PATCHES)


def test_other_patches_make_another_version(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    version = tool.build_version()
    assert version.startswith("0.6+pure")
    monkeypatch.setattr(tool, "PATCHES", tool.PATCHES[1:])
    assert tool.build_version() != version


def test_another_file_than_the_expected_one_is_refused_before_it_runs(
    tool: ModuleType, tmp_path: Path, no_network: Path
) -> None:
    files = {
        "setup.py": f"from setuptools import setup\nopen({str(tmp_path / 'ran')!r}, 'w')\nsetup(name='pb1-detectron2')",
        "PKG-INFO": "Metadata-Version: 2.1\nName: pb1-detectron2\nVersion: 0.6\n",
    }
    with tarfile.open(no_network / "pb1-detectron2-0.6.tar.gz", "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"pb1-detectron2-0.6/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    (tmp_path / "scratch").mkdir()
    with pytest.raises(tool.InstallError, match="DO NOT MATCH THE HASHES") as caught:
        tool.fetch_source(tmp_path / "scratch")
    assert tool.SHA256 in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_source_that_cannot_be_had_is_an_error(
    tool: ModuleType, no_network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(no_network.iterdir()) == []
    assert tool.main(["--wheel", str(tmp_path / "wheels")]) == 1
    assert "No matching distribution found for pb1-detectron2==0.6" in capsys.readouterr().err


def refuse(folder: Path) -> Path:
    raise AssertionError(f"built in {folder}")


@pytest.mark.slow
def test_working_detectron2_is_left_alone(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "build_wheel", refuse)
    assert tool.main([]) == 0
    location = importlib.import_module("detectron2").__path__[0]
    assert capsys.readouterr().out.endswith(f"is installed and imports: {location}\n")


@pytest.mark.parametrize(
    ("found", "error", "keeps", "says"),
    [
        (("0.6", "/src/detectron2"), "", True, "0.6 is installed and imports: /src/detectron2"),
        (("0.6+cu132", "/src/detectron2"), "", True, "is installed and imports"),
        (("0.6+pure00000000", "/src/detectron2"), "", False, "built by this tool with other patches"),
        (None, "ImportError: libcudart.so", False, "does not import: ImportError: libcudart.so"),
        (None, "", False, ""),
    ],
)
def test_which_detectron2_stays(
    tool: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: tuple[str, str] | None,
    error: str,
    keeps: bool,
    says: str,
) -> None:
    monkeypatch.setattr(tool, "find_installed", lambda: (found and tool.Installed(*found), error))
    assert tool.keep_installed() is keeps
    assert says in capsys.readouterr().out


def make_package(folder: Path, text: str) -> None:
    for name in ("", "data", "engine", "modeling"):
        (folder / "detectron2" / name).mkdir(parents=True)
        (folder / "detectron2" / name / "__init__.py").write_text(text)


def test_find_installed_says_which_one_imports(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_package(tmp_path, "__version__ = '1.2'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert tool.find_installed() == (("1.2", str(tmp_path / "detectron2")), "")


def test_find_installed_says_why_one_does_not_import(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_package(tmp_path, "raise ImportError('undefined symbol')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert tool.find_installed() == (None, "ImportError: undefined symbol")


@pytest.mark.parametrize(
    ("missing", "remedy"),
    [
        ({"pip"}, "-m ensurepip --upgrade"),
        ({"torch", "torchvision"}, "-m pip install torch torchvision"),
        ({"wheel"}, "-m pip install wheel"),
    ],
)
def test_what_is_missing_is_named(
    tool: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    missing: set[str],
    remedy: str,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in missing else object())
    assert tool.main(["--force"]) == 1
    assert f"{sys.executable} {remedy}\n" in capsys.readouterr().err


def test_pip_installs_where_uv_fails(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def run(*command: str, cwd: Path | None = None) -> None:
        commands.append(command[1:3])
        if "uv" in command:
            raise tool.InstallError("no such mirror")

    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    monkeypatch.setattr(tool, "run", run)
    tool.install(Path("detectron2.whl"))
    assert commands == [("-m", "uv"), ("-m", "pip"), ("-m", "pip")]


@pytest.mark.slow
def test_wheel_is_pure_python_and_complete(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["--wheel", str(tmp_path)]) == 0, capsys.readouterr().err
    (wheel,) = tmp_path.iterdir()
    assert wheel.name == f"detectron2-{tool.build_version()}-py3-none-any.whl"
    assert f"Wrote {wheel}" in capsys.readouterr().out
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (info,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        description = email.message_from_bytes(archive.read(info))
        texts = {
            patch.file: archive.read(patch.file).decode()
            for patch in tool.PATCHES
            if patch.file.startswith("detectron2")
        }
    assert not [name for name in names if name.endswith((".so", ".cpp", ".cu", ".h"))]
    assert {
        "detectron2/_C.py",
        "detectron2/model_zoo/configs/COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml",
        "detectron2/model_zoo/configs/common/models/mask_rcnn_fpn.py",
        "detectron2/projects/point_rend/__init__.py",
        "detectron2/projects/deeplab/__init__.py",
        "detectron2/projects/panoptic_deeplab/__init__.py",
    } <= set(names)
    assert [name for name in names if name.endswith("licenses/LICENSE") or name.endswith("dist-info/LICENSE")]
    assert (description["Name"], description["Version"]) == ("detectron2", tool.build_version())
    assert all(patch.new in texts[patch.file] for patch in tool.PATCHES if patch.file in texts)


@pytest.mark.slow
@pytest.mark.usefixtures("pure_build")
def test_it_imports_without_a_warning() -> None:
    imports = "; ".join(f"import detectron2.{module}" for module in MODULES.split())
    warnings = [f"-Werror::{kind}" for kind in ("DeprecationWarning", "FutureWarning", "SyntaxWarning")]
    done = subprocess.run([sys.executable, *warnings, "-c", imports], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("pure_build")
def test_missing_operator_is_an_error_when_it_is_used() -> None:
    import torch
    from detectron2.layers import nms_rotated

    with pytest.raises(NotImplementedError, match=r"'nms_rotated'.*Build Detectron2 from source"):
        nms_rotated(torch.rand(2, 5), torch.rand(2), 0.5)


@pytest.mark.usefixtures("pure_build")
def test_coco_evaluation_falls_back_to_pycocotools() -> None:
    from detectron2.evaluation.fast_eval_api import COCOeval_opt
    from pycocotools.cocoeval import COCOeval

    assert COCOeval_opt is COCOeval


@pytest.mark.usefixtures("pure_build")
def test_model_zoo_configs_are_found() -> None:
    from detectron2 import model_zoo

    assert (
        model_zoo.get_config("COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml").MODEL.META_ARCHITECTURE == "GeneralizedRCNN"
    )
