"""The page in a real browser, as a person uses it, from the first key to the corrected labels."""

import json
from pathlib import Path

import pytest
from support.browser import Browser
from support.commands import run_tool
from support.result_files import data_of
from support.suspect_sets import SuspectSet, detected_frames, write_suspect_set

from bdd100k_d2.data.labels import Frame, write_frames
from bdd100k_d2.errors import OutputError
from bdd100k_d2.report.results.page import write_results_page
from bdd100k_d2.suspects.correct import apply_decisions
from bdd100k_d2.suspects.find import SuspectOptions
from bdd100k_d2.suspects.page import write_suspects_page
from bdd100k_d2.tasks import TASKS

OPTIONS = SuspectOptions(4, workers=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SuspectSet:
    return write_suspect_set(tmp_path_factory.mktemp("suspects"))


@pytest.fixture(scope="module")
def page(files: SuspectSet) -> Path:
    out = files.truth.parent / "out"
    return write_suspects_page("det", files.truth, [files.predicted], out, files.images, OPTIONS)[0]


def test_the_page_is_a_page_of_its_own(page: Path, files: SuspectSet) -> None:
    text = page.read_text()
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
    data = data_of(page)
    assert len(data["suspects"]) == 4 and data["labels"]["path"] == str(files.truth)
    first = [data["frames"][one["frame"]] for one in data["suspects"]]
    assert all((page.parent / frame["full"]).is_file() for frame in first)
    with pytest.raises(OutputError, match="would overwrite or lie in"):
        write_suspects_page("det", files.truth, [files.predicted], files.images, files.images, OPTIONS)


def test_a_page_is_replaced_by_one_of_its_kind_alone(files: SuspectSet, tmp_path: Path) -> None:
    out = tmp_path / "suspects"
    page, _ = write_suspects_page("det", files.truth, [files.predicted], out, options=OPTIONS)
    write_suspects_page("det", files.truth, [files.predicted], out, options=OPTIONS)
    before = page.read_bytes()
    with pytest.raises(OutputError, match=r"index\.html: is no page of a report, and is not replaced"):
        write_results_page("det", files.truth, files.predicted, out)
    assert page.read_bytes() == before
    report = write_results_page("det", files.truth, files.predicted, tmp_path / "report")
    before = report.read_bytes()
    with pytest.raises(OutputError, match=r"index\.html: is no page of suspects, and is not replaced; choose another"):
        write_suspects_page("det", files.truth, [files.predicted], report.parent, options=OPTIONS)
    assert report.read_bytes() == before


@pytest.mark.parametrize("width", [1400, 500])
def test_it_fits_the_window(tab: Browser, page: Path, width: int) -> None:
    tab.open(page, width)
    assert tab.errors == []
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert len(tab.texts("#list li")) == 4 and tab.texts("#place") == ["1 of 4"]


def test_keys_decide_and_step(tab: Browser, page: Path) -> None:
    tab.open(page)
    for key in "ars":
        tab.press(key)
    assert tab.texts("#place") == ["4 of 4"]
    assert tab.texts("#progress") == ["3 of 4 decided: 1 accepted, 1 rejected, 1 skipped"]
    tab.press("ArrowLeft")
    assert tab.run("document.querySelector('[data-verdict=skip]').getAttribute('aria-pressed')") == "true"
    tab.press("u")
    assert tab.texts("#progress") == ["2 of 4 decided: 1 accepted, 1 rejected, 0 skipped"]
    # And without a step back: what was decided last, not the next one.
    tab.open(page)
    for key in "ar":
        tab.press(key)
    tab.press("u")
    assert tab.texts("#place") == ["2 of 4"]
    assert tab.texts("#progress") == ["1 of 4 decided: 1 accepted, 0 rejected, 0 skipped"]
    tab.press("ArrowRight")
    tab.press("ArrowRight")
    tab.press("u")
    assert tab.texts("#place") == ["1 of 4"]
    tab.press("u")
    assert tab.texts("#progress") == ["0 of 4 decided: 0 accepted, 0 rejected, 0 skipped"]
    tab.press("a")
    tab.press("ArrowLeft")
    tab.press("r")
    tab.press("u")
    assert tab.texts("#progress") == ["1 of 4 decided: 1 accepted, 0 rejected, 0 skipped"]
    tab.press("ArrowRight")
    # Also where a filter hides it.
    tab.press("r")
    tab.choose("#state", "accept")
    tab.press("u")
    assert tab.texts("#place") == ["2 of 4"]
    view = "document.querySelector('#close-up svg').getAttribute('viewBox')"
    tab.press("f")
    assert tab.run(view) == "0 0 160 96"
    tab.press("b")
    assert tab.run("document.body.classList.contains('plain')")
    tab.choose("#state", "accept")
    assert tab.texts("#place") == ["1 of 1"] and len(tab.texts("#list li")) == 1
    tab.choose("#state", "")
    tab.choose("#kinds", "phantom")
    assert tab.texts("#kind") == ["phantom"] and tab.texts("#change")[0].startswith("Remove this")
    assert tab.errors == []


def test_decisions_are_saved_read_and_applied(tab: Browser, page: Path, files: SuspectSet, tmp_path: Path) -> None:
    tab.open(page)
    for key in "aaas":
        tab.press(key)
    tab.click("[data-verdict=accept]")
    saved = tab.download("#save", tmp_path / "decisions.json")
    content = json.loads(saved.read_text())
    assert [one["verdict"] for one in content["decisions"]] == ["accept"] * 4
    log = apply_decisions(TASKS["det"], files.truth, saved, tmp_path / "corrected.json")
    changes = json.loads(log.read_text())["changes"]
    assert sorted(one["action"] for one in changes) == ["add", "move", "remove", "rename"]
    tab.open(page)
    assert tab.texts("#progress")[0].startswith("0 of 4")
    tab.upload("#file", saved)
    tab.wait_for("document.getElementById('message').textContent === '4 decisions read.'")
    assert tab.texts("#progress") == ["4 of 4 decided: 4 accepted, 0 rejected, 0 skipped"]
    # One that is of no suspect of this page is kept.
    content["decisions"][0]["change"]["frame"] = "other.jpg"
    (tmp_path / "more.json").write_text(json.dumps(content))
    tab.open(page)
    tab.upload("#file", tmp_path / "more.json")
    tab.wait_for("document.getElementById('message').textContent.includes('1 of them on suspects that are not here')")
    again = json.loads(tab.download("#save", tmp_path / "again.json").read_text())
    assert len(again["decisions"]) == 4 and again["decisions"][-1]["change"]["frame"] == "other.jpg"


def test_a_page_without_suspects_says_why(tab: Browser, files: SuspectSet, tmp_path: Path) -> None:
    frames = [Frame(frame.name, labels=[]) for frame in detected_frames()]
    write_frames(frames, tmp_path / "run.json")
    argv = ["det", "--gt", files.truth, "--pred", tmp_path / "run.json", "--images", files.images]
    run = run_tool("suspects", *argv, "--out", tmp_path / "out", "--workers", 1)
    why = f"No suspects: no detections with a score of 0.05 or more in {tmp_path / 'run.json'}."
    time = (
        "Time of day was not looked at: 4 frames with an image are tagged daytime and 0 night, "
        "and 5 of each are needed."
    )
    assert run.stdout.splitlines() == [why, time, str(tmp_path / "out/index.html")]
    tab.open(tmp_path / "out/index.html")
    assert tab.texts("#empty") == [why] and time in tab.texts(".note")[0] and tab.errors == []


def test_options_that_apply_does_not_use_are_refused(files: SuspectSet, tmp_path: Path) -> None:
    argv = ["det", "--gt", files.truth, "--apply", tmp_path / "d.json", "--out", tmp_path / "out.json"]
    for option, value in (("--masks", "m"), ("--most", 5), ("--images", "i"), ("--prior", 0.1), ("--image-ids", "c")):
        run = run_tool("suspects", *argv, option, value)
        assert run.returncode == 2 and f"--apply takes no {option}, which is for finding suspects" in run.stderr


def test_several_files_of_decisions_are_merged(tab: Browser, page: Path, tmp_path: Path) -> None:
    data = data_of(page)

    def write(name: str, *decisions: tuple[str, str]) -> Path:
        change = {"action": "add", "category": "car", "box": [1.5, 2, 30, 40]}
        content = {one: data[one] for one in ("format", "task", "labels")}
        content["decisions"] = [
            {"verdict": verdict, "kind": "missing label", "score": 0.5, "change": {**change, "frame": frame}}
            for frame, verdict in decisions
        ]
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path / name

    is_unsaved = "!window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    first = write("first.json", ("a.jpg", "accept"), ("b.jpg", "accept"))
    second = write("second.json", ("b.jpg", "reject"), ("c.jpg", "accept"))
    tab.open(page)
    tab.upload("#file", first)
    tab.wait_for("document.getElementById('message').textContent.startsWith('2 decisions read, 2 of them')")
    assert not tab.run(is_unsaved)
    tab.run("document.getElementById('message').textContent = ''")
    tab.upload("#file", second)
    tab.wait_for("document.getElementById('message').textContent.startsWith('2 decisions read, 2 of them')")
    assert tab.run(is_unsaved)
    saved = json.loads(tab.download("#save", tmp_path / "merged.json").read_text())
    assert {one["change"]["frame"]: one["verdict"] for one in saved["decisions"]} == {
        "a.jpg": "accept",
        "b.jpg": "reject",
        "c.jpg": "accept",
    }
    assert len(saved["decisions"]) == 3 and not tab.run(is_unsaved)


def test_other_files_are_refused(tab: Browser, page: Path, tmp_path: Path) -> None:
    tab.open(page)
    data = data_of(page)
    bad = {"format": data["format"], "task": "det", "labels": {"path": "old.json", "sha256": "0"}, "decisions": []}
    for content, message in (
        ("[", "is no JSON file"),
        (json.dumps({"format": "another"}), "holds no decisions on labels of det"),
        (json.dumps(bad), "is of other labels: old.json"),
    ):
        (tmp_path / "bad.json").write_text(content)
        tab.upload("#file", tmp_path / "bad.json")
        tab.wait_for(f"document.getElementById('message').textContent.includes({message!r})")
    assert tab.texts("#progress")[0].startswith("0 of 4")
