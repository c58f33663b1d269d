"""The pages of masks and of runs in a real browser."""

from pathlib import Path

import cv2
from support.browser import Browser
from support.frames import write_image
from support.gallery_view import move_slider, show_frames
from support.result_files import write_mask_files
from support.run_folders import write_det_run

from bdd100k_d2.report.page import write_runs_page
from bdd100k_d2.report.results.page import PageOptions, write_results_page

QUICK = PageOptions(bootstrap=20, workers=1)


def test_masks_follow_the_opacity_and_the_class(tab: Browser, tmp_path: Path) -> None:
    files = write_mask_files(tmp_path / "data")
    tab.open(write_results_page("sem_seg", *files[:2], tmp_path / "out", files.images, options=QUICK))
    show_frames(tab)
    assert tab.texts(".frame figcaption b") == ["b", "a"]
    assert tab.texts(".frame:first-child .side") == ["ground truth", "prediction", "errors"]
    move_slider(tab, "opacity", 0.25)
    opacity = "[...document.querySelectorAll('.frame:first-child .drawing img')].map((i) => i.style.opacity)"
    assert tab.run(opacity) == ["0.25"] * 3
    tab.choose("[data-tool=category]", "2")
    assert tab.texts(".frame figcaption b") == ["a"]
    tab.click(".view", 2)
    tab.wait_for("document.querySelector('.stage .drawing img')?.naturalWidth === 1280")
    assert tab.texts(".stage .side") == ["errors"]
    tab.press("Escape")
    tab.wait_for("!document.getElementById('viewer').open")
    assert tab.errors == []


def test_a_class_that_one_run_alone_predicts(tab: Browser, tmp_path: Path) -> None:
    files = write_mask_files(tmp_path / "data")
    # Class 2 is in no ground truth; of the frame "a" this run alone says it, of "b" the baseline.
    baseline = tmp_path / "baseline"
    baseline.mkdir()
    for name in "ab":
        mask = cv2.imread(str(files.predicted / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        mask[648:] = 2 if name == "b" else 0
        cv2.imwrite(str(baseline / f"{name}.png"), mask)
    page = write_results_page("sem_seg", *files[:2], tmp_path / "out", None, baseline, QUICK)
    tab.open(page)
    show_frames(tab)
    tab.choose("[data-tool=category]", "2")
    for order, names in (("worse", ["a"]), ("better", ["b"]), ("score", ["a", "b"])):
        tab.choose("[data-tool=order]", order)
        assert tab.texts(".frame figcaption b") == names
    assert tab.errors == []


def test_more_frames_are_shown_on_demand(tab: Browser, tmp_path: Path) -> None:
    files = write_mask_files(tmp_path / "data")
    for number in range(30):
        for folder in files[:2]:
            (folder / f"n{number:02}.png").write_bytes((folder / "a.png").read_bytes())
    tab.open(write_results_page("sem_seg", *files[:2], tmp_path / "out", options=QUICK))
    assert len(tab.texts(".frame")) == 24
    tab.click("#more")
    assert len(tab.texts(".frame")) == 32 and tab.run("document.getElementById('more').hidden")


def test_the_page_of_runs_works_under_its_policy(tab: Browser, tiny_root: Path, tmp_path: Path) -> None:
    write_image(tiny_root / "bdd100k/images/100k/val/val0.jpg")
    tab.open(write_runs_page([write_det_run(tmp_path / "det")], tmp_path / "page", tiny_root))
    tab.click("table.sortable thead button", 2)
    assert tab.texts("tbody th")[0] == "car"
    tab.click("a.zoom")
    tab.wait_for("document.getElementById('viewer').open && document.querySelector('#viewer img').naturalWidth > 0")
    tab.press("Escape")
    assert tab.errors == []
