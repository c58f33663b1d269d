"""The demo's command, with steps of its own in place of the trainings."""

import dataclasses
import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from support.commands import run_tool

import bdd100k_d2

ROOT = Path(bdd100k_d2.__file__).parents[1]


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "tools" / "demo.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module
    spec.loader.exec_module(module)
    return module


def script(demo: ModuleType, folder: Path, name: str, code: str, **fields: object) -> object:
    """A step that runs ``code``, whose result is the file ``name``."""
    result = folder / name
    command = (sys.executable, "-S", "-c", f"from pathlib import Path; result = Path({str(result)!r})\n{code}")
    return demo.Step(f"making {name}", command, result, 1.0, folder / f"{name}.log", **fields)


def test_the_steps_train_the_sample_configs_on_the_sample_data(demo: ModuleType) -> None:
    draw, sem_seg, det, page = demo.demo_steps("python", Path("data"), Path("out"))
    for step in (draw, sem_seg, det, page):
        assert Path(step.command[1]).is_file()
    for step in (sem_seg, det):
        cfg = bdd100k_d2.load_config(step.command[4])
        assert step.command[4] == str(step.config)
        assert cfg.MODEL.WEIGHTS == "pip://efficientnet-lite0"
        assert step.result == step.folder / "inference" / "scores.json"
        assert str(step.folder) in page.command and step.result in page.inputs
    assert draw.always and "16" in draw.command


def test_steps_run_in_their_order_and_once(
    demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [script(demo, tmp_path, name, "result.write_text('made')") for name in ("a", "b")]
    demo.run_steps(steps, {})
    assert capsys.readouterr().out == "making a ...\nmaking b ...\n"
    steps[0].result.unlink()
    demo.run_steps(steps, {})
    assert capsys.readouterr().out == "making a ...\n"
    demo.run_steps(steps, {})
    assert capsys.readouterr().out == ""
    demo.run_steps([dataclasses.replace(steps[0], always=True)], {})
    assert capsys.readouterr().out == "checking what is there ...\n"


def test_the_time_that_is_left_goes_by_the_work_of_this_run(demo: ModuleType) -> None:
    assert demo._seconds_left(100, 0, 0) == demo._seconds_left(100, 5, 60) == 100
    assert demo._seconds_left(100, 20, 40) == 200


@pytest.mark.parametrize("code", ["print('the reason'); raise SystemExit(3)", "print('the reason')"])
def test_a_step_that_fails_says_why(demo: ModuleType, tmp_path: Path, code: str) -> None:
    last = script(demo, tmp_path, "b", "result.touch()")
    status = 3 if "3" in code else 0
    with pytest.raises(demo.StepError, match=rf"(?s)reason.*a failed \(exit status {status}\); .*a\.log has"):
        demo.run_steps([script(demo, tmp_path, "a", code), last], {})
    assert not last.result.exists()


def test_a_result_that_is_older_than_its_inputs_is_made_again(
    demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = tmp_path / "scores.json"
    scores.touch()
    step = script(demo, tmp_path, "page", "result.touch()", inputs=(scores,))
    demo.run_steps([step], {})
    os.utime(scores, (time.time() + 10, time.time() + 10))
    demo.run_steps([step], {})
    assert capsys.readouterr().out == "making page ...\n" * 2


@pytest.fixture
def training(demo: ModuleType, tmp_path: Path) -> object:
    """A training that is done, of 80 iterations."""
    data, config = tmp_path / "data", tmp_path / "leaf.yaml"
    (data / "bdd100k").mkdir(parents=True)
    (data / "bdd100k" / "sample.json").write_text('{"seed": 0}')
    (tmp_path / "Base-a.yaml").write_text("MODEL: {}")
    config.write_text("_BASE_: [Base-a.yaml]\nSOLVER: {MAX_ITER: 80}")
    result = tmp_path / "run" / "inference" / "scores.json"
    step = demo.Training("training", (), result, 60, tmp_path / "log", config=config, data=data)
    step.prepare()
    result.parent.mkdir()
    result.touch()
    return step


def test_a_training_is_as_far_as_its_metrics_say(demo: ModuleType, training: object) -> None:
    """Between two of their lines it goes on with the time, and no further than to the next one."""
    assert [training.progress(seconds) for seconds in (0, 6, 600)] == [0, 0.1, 0.25]
    (training.folder / "metrics.json").write_text('{"iteration": 19}\n{"iteration": 39, "total_loss": 1}\n{"itera')
    assert [training.progress(seconds) for seconds in (0, 36, 600)] == [0.5, 0.6, 0.75]
    drawing = demo.Step("drawing", (), Path("sample.json"), 20, Path("log"))
    assert [drawing.progress(seconds) for seconds in (0, 5, 100)] == [0, 0.25, 0.95]


@pytest.mark.parametrize("changed", ["leaf.yaml", "Base-a.yaml", "data/bdd100k/sample.json", "run/demo.txt"])
def test_scores_of_another_config_or_other_data_are_not_shown(
    demo: ModuleType, training: object, tmp_path: Path, changed: str
) -> None:
    assert training.is_done()
    with (tmp_path / changed).open("a") as file:
        file.write("\n")
    with pytest.raises(demo.StepError, match=r"run: holds a training by another config or on other data; remove it"):
        training.is_done()


def test_a_folder_of_an_earlier_release_is_refused(demo: ModuleType, training: object) -> None:
    (training.folder / "demo.txt").unlink()
    with pytest.raises(demo.StepError, match="holds a training by another config"):
        training.is_done()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_the_command_save(demo: ModuleType, tmp_path: Path, number: signal.Signals) -> None:
    """The command gets one SIGINT and is waited for, and the next call runs it again."""
    waits = (
        "import signal, sys, time\n"
        "def save(*_):\n"
        "    with Path(f'{result}.saved').open('a') as file: file.write('x')\n"
        "    time.sleep(1); sys.exit(130)\n"
        "signal.signal(signal.SIGINT, save)\n"
        "if Path(f'{result}.saved').exists(): result.touch(); sys.exit()\n"
        "Path(f'{result}.ready').touch()\n"
        "time.sleep(60)"
    )
    step = script(demo, tmp_path, "a", waits)
    driver = (
        "import importlib.util, sys; from pathlib import Path\n"
        f"spec = importlib.util.spec_from_file_location('demo', {str(ROOT / 'tools/demo.py')!r})\n"
        "demo = importlib.util.module_from_spec(spec); sys.modules['demo'] = demo; spec.loader.exec_module(demo)\n"
        f"step = demo.Step('waiting', {step.command!r}, Path({str(step.result)!r}), 1, Path({str(step.log)!r}))\n"
        "demo.demo_steps, demo.summary = lambda *_: [step], lambda *_: 'the end'\n"
        "sys.exit(demo.main([]))"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", driver], **pipes)
    ready, deadline = tmp_path / "a.ready", time.monotonic() + 60
    while not ready.exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from here" in errors and "Traceback" not in errors
    assert (tmp_path / "a.saved").read_text() == "x"
    again = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True, check=False, timeout=60)
    assert again.returncode == 0 and again.stdout.endswith("the end\n")


def test_the_end_has_scores_the_page_and_commands(demo: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    for name, scores in (
        (demo.SEM_SEG, {"IoU": [{}, {"AVERAGE": 53.04}]}),
        (demo.DET, {"AP": [{}, {"OVERALL": 19.26}], "AP50": [{}, {"OVERALL": 43.71}]}),
    ):
        folder = out / name / "inference"
        folder.mkdir(parents=True)
        (folder / "scores.json").write_text(json.dumps(scores))
    text = demo.summary(".venv/bin/python", Path("datasets/sample"), out)
    assert "53.0 mIoU" in text and "43.7 box AP50, 19.3 AP" in text and "on 16 drawn frames" in text
    assert str((out / "report" / "index.html").resolve()) in text
    predict, report, doctor = (shlex.split(line) for line in text.splitlines() if line.startswith("  .venv/bin/python"))
    assert predict[-1] == str(out / demo.DET / "model_final.pth")
    assert report[report.index("--pred") + 1] == str(out / demo.DET / "inference" / "det.json")
    assert doctor[1:] == ["-m", "bdd100k_d2.doctor", "--root", "/data"]
    for command in (predict, report):
        asked = run_tool(Path(command[1]).stem, "det", "--help")
        assert asked.returncode == 0 and command[1].startswith("tools/")
        assert all(word in asked.stdout for word in command if word.startswith("--"))
