import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from bdd100k_d2 import doctor
from bdd100k_d2.data.register import all_splits, locate


def run_with(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the doctor where the modules in `folder` come first."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(doctor.__file__).parents[1])])}
    command = [sys.executable, "-m", "bdd100k_d2.doctor", "--root", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


def break_module(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise ImportError('broken on purpose')\n")


def test_healthy_environment_without_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--root", str(tmp_path), "--output", str(tmp_path / "output")]) == 0
    output = capsys.readouterr().out
    assert f"ok    torch                   {metadata.version('torch')}" in output
    for operator in ("ROIAlign cpu", "NMS cpu"):
        assert f"ok    {operator:22}  runs, the values are right" in output
    assert "warn  data" in output
    assert "export DETECTRON2_DATASETS=" in output
    assert output.endswith("Training can work.\n")
    assert not (tmp_path / "output").exists()


@pytest.mark.slow
def test_broken_detectron2_fails_with_the_remedy(tmp_path: Path) -> None:
    break_module(tmp_path, "detectron2")
    done = run_with(tmp_path)
    assert done.returncode == 1, done.stderr
    assert (
        "fail  detectron2              detectron2.data does not import: ImportError: broken on purpose" in done.stdout
    )
    assert f"-> {sys.executable} tools/install_detectron2.py" in done.stdout
    assert done.stdout.endswith("Training cannot work: detectron2.\n")


def test_runs_without_torch(tmp_path: Path) -> None:
    break_module(tmp_path, "torch")
    done = run_with(tmp_path)
    assert done.returncode == 1, done.stderr
    assert f"-> {sys.executable} -m pip install torch torchvision\n" in done.stdout
    assert "Training cannot work: torch, torchvision, detectron2" in done.stdout
    assert "ok    numpy" in done.stdout
    assert "ok    output" in done.stdout


def test_importing_it_imports_neither_torch_nor_detectron2() -> None:
    code = "import sys, bdd100k_d2.doctor; print({'torch', 'detectron2', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_old_python_is_the_only_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    (result,) = doctor.run_checks(None, Path("output"))
    assert result.status == "fail"
    assert "3.10 or later is needed" in result.detail


def test_library_that_is_not_there() -> None:
    result = doctor.check_import("no-such-thing", "no_such_thing", doctor.pip_install("no-such-thing"))
    assert result.status == "fail"
    assert "ModuleNotFoundError" in result.detail
    assert result.remedy == f"{sys.executable} -m pip install no-such-thing"


def fail_to_launch(device: str) -> list[float]:
    raise RuntimeError("no kernel image is available\nfor this device")


def test_operator_that_does_not_run() -> None:
    result = doctor.check_operator("NMS", "cuda", fail_to_launch, [1, 2])
    assert result.status == "fail"
    assert result.detail == "does not run: RuntimeError: no kernel image is available"
    assert "--force-reinstall torch torchvision" in result.remedy


@pytest.mark.parametrize("values", [[0, 2], [1], [1, 2, 2], [1.001, 2], [float("nan"), 2]])
def test_operator_that_gives_wrong_values(values: list[float]) -> None:
    assert doctor.check_operator("NMS", "cpu", lambda _: values, [1, 2]).status == "fail"


def test_devices_name_the_gpu_and_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    properties = SimpleNamespace(name="Large GPU", total_memory=80 * 2**30)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: properties)
    assert doctor.check_devices() == ("devices", "ok", "Large GPU 80 GiB, Large GPU 80 GiB", "")


def test_driver_that_torch_cannot_use_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/nvidia-smi")
    result = doctor.check_devices()
    assert result.status == "warn"
    assert "update the NVIDIA driver" in result.remedy


def test_data_that_is_partly_there(tmp_path: Path) -> None:
    for split in (locate("bdd100k_det_val", tmp_path), locate("bdd100k_sem_seg_test", tmp_path)):
        split.images.mkdir(parents=True)
        (split.images / "a.jpg").touch()
        (split.images / ".DS_Store").touch()
    labels = locate("bdd100k_det_val", tmp_path).labels
    labels.parent.mkdir(parents=True)
    labels.touch()
    results = {result.name: result for result in doctor.check_data(tmp_path)}
    assert list(results) == [split.name for split in all_splits()]
    assert results["bdd100k_det_val"].status == "ok"
    assert results["bdd100k_det_val"].detail.startswith("1 files in ")
    assert results["bdd100k_sem_seg_test"].status == "ok"
    missing = results["bdd100k_drivable_val"]
    assert missing.status == "warn"
    assert missing.detail == f"no labels {tmp_path / 'bdd100k/labels/drivable/masks/val'}"
    readme = "datasets/README.md says what to download"
    assert missing.remedy == f"needed for this data set alone; {readme} and where to unpack it"


def test_sample_data_that_are_drawn_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (not_drawn,) = doctor.check_data(tmp_path)
    draw = "or draw sample data: python datasets/make_sample.py --out datasets/sample --train 64 --val 16"
    assert not_drawn.remedy.endswith(f"; {draw}")
    (tmp_path / "datasets/sample/bdd100k").mkdir(parents=True)
    (tmp_path / "datasets/sample/bdd100k/sample.json").touch()
    (drawn,) = doctor.check_data(tmp_path)
    assert drawn.remedy.endswith("; or take the sample data: export DETECTRON2_DATASETS=datasets/sample")


def test_images_that_are_a_file_are_a_warning(tmp_path: Path) -> None:
    split = locate("bdd100k_det_test", tmp_path)
    split.images.parent.mkdir(parents=True)
    split.images.touch()
    result = doctor.check_split_folders(split, "download it")
    assert (result.status, result.remedy) == ("warn", "download it")


def test_output_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert doctor.main(["--root", str(tmp_path), "--output", str(tmp_path / "file" / "run")]) == 1
    output = capsys.readouterr().out
    assert "cannot be written: Not a directory" in output
    assert "OUTPUT_DIR" in output
    assert "Training cannot work: output." in output
