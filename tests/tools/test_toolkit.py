"""The official toolkit as a subprocess. Only the slow test installs it; the others run the one beside the package."""

import sys
from pathlib import Path

import pytest
from benchmarks import toolkit
from benchmarks.compare import largest_difference
from oracles.make_oracles import CASES, FOLDER

from bdd100k_d2.errors import DataError, OutputError
from bdd100k_d2.evaluation.toolkit_format import read_toolkit_scores


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bdd100k", reason="the official toolkit is not installed: pip install -e .[toolkit]")
    monkeypatch.setattr(toolkit, "toolkit_python", lambda: Path(sys.executable))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["ins_seg", "pan_seg_rle"])
def test_it_gives_its_own_scores(name: str, installed: None) -> None:
    case = CASES[name]
    score_file = FOLDER / case.score_file if case.score_file else None
    scores = toolkit.run_toolkit(case.task, FOLDER / case.truth, FOLDER / case.predicted, score_file, processes=2)
    assert largest_difference(read_toolkit_scores(FOLDER / name / "scores.json"), scores) <= 1e-9


def test_what_it_says_when_it_fails_is_passed_on(installed: None) -> None:
    with pytest.raises(
        DataError, match=r"pred.json: the official toolkit fails on them \(exit status 1\)[\s\S]*KeyError"
    ):
        toolkit.run_toolkit("det", FOLDER / "det" / "scores.json", FOLDER / "det" / "pred.json")


def test_run_lengths_get_one_process(tmp_path: Path, installed: None) -> None:
    def processes(task: str, predicted: Path) -> str:
        command = toolkit.toolkit_command(task, tmp_path, predicted, tmp_path / "scores.json", processes=4)
        return command[command.index("--nproc") + 1]

    (tmp_path / "rles").mkdir()
    (tmp_path / "rles" / "a.json").touch()
    assert processes("ins_seg", tmp_path / "a.json") == processes("pan_seg", tmp_path / "rles") == "1"
    assert processes("ins_seg", tmp_path) == processes("det", tmp_path / "a.json") == "4"


def test_an_environment_that_cannot_be_made_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolkit, "PACKAGES", ("./no-such-package==1.0.1",))
    with pytest.raises(OutputError, match=r"the official toolkit cannot be installed; is there a network\?"):
        toolkit.toolkit_python()
    assert list((cache / "bdd100k_d2" / "toolkit").iterdir()) == []


def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    (cache / "bdd100k_d2").touch()
    with pytest.raises(OutputError, match="set XDG_CACHE_HOME to a folder that can be written"):
        toolkit.toolkit_python()


@pytest.mark.slow
def test_the_environment_is_made_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One whose Python is gone is made again.
    python = toolkit.toolkit_folder() / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/nowhere/python3")
    scores = toolkit.run_toolkit("det", FOLDER / "det" / "gt.json", FOLDER / "det" / "pred.json")
    assert largest_difference(read_toolkit_scores(FOLDER / "det" / "scores.json"), scores) <= 1e-9
    assert [path.name for path in toolkit.toolkit_folder().parent.iterdir()] == [toolkit.toolkit_folder().name]
    monkeypatch.setattr(toolkit, "_make_environment", lambda folder: pytest.fail("made again"))
    assert toolkit.toolkit_python() == python
