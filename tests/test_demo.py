"""The demo's command, with steps of its own in place of the trainings."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

import bdd100k_d2

ROOT = Path(bdd100k_d2.__file__).parents[1]


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "tools" / "demo.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module
    spec.loader.exec_module(module)
    return module


def script(demo: ModuleType, folder: Path, name: str, code: str) -> object:
    """A step that runs ``code``, whose result is the file ``name``."""
    result = folder / name
    command = (sys.executable, "-S", "-c", f"from pathlib import Path; result = Path({str(result)!r})\n{code}")
    return demo.Step(f"making {name}", command, result, 1.0, folder / f"{name}.log")


def test_the_steps_are_commands_of_the_readme(demo: ModuleType) -> None:
    draw, sem_seg, det, page = demo.demo_steps("python", Path("data"), Path("out"))
    for step in (draw, sem_seg, det, page):
        assert (ROOT / step.command[1]).is_file()
    for step, name in ((sem_seg, "semantic_fpn_efficientnet_lite0"), (det, "faster_rcnn_efficientnet_lite0_FPN")):
        cfg = bdd100k_d2.get_config(f"sample/{name}")
        assert step.command[4] == f"configs/sample/{name}.yaml"
        assert step.iterations == cfg.SOLVER.MAX_ITER
        assert cfg.MODEL.WEIGHTS == "pip://efficientnet-lite0"
    assert {"out/sem_seg", "out/det"} <= {*page.command}


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


@pytest.mark.parametrize("code", ["print('the reason'); raise SystemExit(3)", "print('the reason')"])
def test_a_step_that_fails_says_why(demo: ModuleType, tmp_path: Path, code: str) -> None:
    last = script(demo, tmp_path, "b", "result.touch()")
    status = 3 if "3" in code else 0
    with pytest.raises(demo.StepError, match=rf"(?s)reason.*a failed \(exit status {status}\); .*a\.log has"):
        demo.run_steps([script(demo, tmp_path, "a", code), last], {})
    assert not last.result.exists()


def test_a_training_is_as_far_as_its_metrics_say(demo: ModuleType, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.json"
    step = demo.Step("training", (), tmp_path / "scores.json", 60, tmp_path / "log", metrics, 80)
    assert step.progress(30) == 0
    metrics.write_text('{"iteration": 19}\n{"iteration": 39, "total_loss": 1.0}\n{"itera')
    assert step.progress(30) == 0.5
    drawing = demo.Step("drawing", (), tmp_path / "sample.json", 20, tmp_path / "log")
    assert [drawing.progress(seconds) for seconds in (0, 5, 100)] == [0, 0.25, 0.95]


def test_ctrl_c_lets_the_command_save(demo: ModuleType, tmp_path: Path) -> None:
    """The command gets one signal, is waited for, and the demo goes on from there."""
    waits = (
        "import signal, sys, time\n"
        "def save(*_):\n"
        "    Path(f'{result}.saved').write_text('x'); sys.exit(130)\n"
        "signal.signal(signal.SIGINT, save)\n"
        "Path(f'{result}.ready').touch()\n"
        "time.sleep(60)"
    )
    step = script(demo, tmp_path, "a", waits)
    driver = (
        "import importlib.util, sys; from pathlib import Path\n"
        f"spec = importlib.util.spec_from_file_location('demo', {str(ROOT / 'tools/demo.py')!r})\n"
        "demo = importlib.util.module_from_spec(spec); sys.modules['demo'] = demo; spec.loader.exec_module(demo)\n"
        f"step = demo.Step('waiting', {step.command!r}, Path({str(step.result)!r}), 1, Path({str(step.log)!r}))\n"
        "demo.demo_steps = lambda *_: [step]\n"
        "sys.exit(demo.main([]))"
    )
    process = subprocess.Popen([sys.executable, "-c", driver], stderr=subprocess.PIPE, text=True)
    ready, deadline = tmp_path / "a.ready", time.monotonic() + 60
    while not ready.exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from here" in errors and "Traceback" not in errors
    assert (tmp_path / "a.saved").read_text() == "x"


def test_the_end_has_scores_the_page_and_commands_that_exist(demo: ModuleType, tmp_path: Path) -> None:
    for task, scores in (("sem_seg", {"IoU": [{}, {"AVERAGE": 53.04}]}), ("det", {"AP": [{}, {"OVERALL": 19.26}]})):
        folder = tmp_path / task / "inference"
        folder.mkdir(parents=True)
        scores |= {"AP50": [{}, {"OVERALL": 43.71}]} if task == "det" else {}
        (folder / "scores.json").write_text(json.dumps(scores))
    text = demo.summary(".venv/bin/python", Path("datasets/sample"), tmp_path)
    assert "53.0 mIoU" in text and "43.7 box AP50, 19.3 AP" in text
    assert str((tmp_path / "report" / "index.html").resolve()) in text
    commands = [line.split() for line in text.splitlines() if line.startswith("  .venv/bin/python")]
    assert len(commands) == 3
    for _, tool, *_ in commands:
        assert tool == "-m" or (ROOT / tool).is_file()
