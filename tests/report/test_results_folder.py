"""What the folder of a page may hold before, and what it holds afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import ROOT
from support.frames import write_image
from support.result_files import HARD_NAME, Files, contents, data_of, write_det_files, write_mask_files

from bdd100k_d2.errors import DataError, OutputError
from bdd100k_d2.report.html import check_page_folder, new_page
from bdd100k_d2.report.results import script_data
from bdd100k_d2.report.results.page import PageOptions, write_results_page
from bdd100k_d2.report.results.script_data import error_map

QUICK = PageOptions(bootstrap=20, workers=1)


@pytest.fixture
def det(tmp_path: Path) -> Files:
    return write_det_files(tmp_path / "det")


def test_a_mistyped_path_leaves_the_old_page(det: Files, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_results_page("det", det.truth, det.predicted, out, options=QUICK._replace(bootstrap=0))
    old = contents(out)
    with pytest.raises(DataError, match="nowhere"):
        write_results_page("det", det.truth, det.predicted, out, det.images, tmp_path / "nowhere", QUICK)
    assert contents(out) == old


def test_a_mask_that_is_damaged_meanwhile_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, out = write_mask_files(tmp_path / "data"), tmp_path / "out"
    write_results_page("sem_seg", *files[:2], out, files.images, options=QUICK)
    (out / "assets/mine.jpg").write_text("mine")
    old = contents(out)
    # Another image, mask and score of the frame that is written first, so that each of its files would change.
    write_image(files.images / "b.jpg", 720, 1280, seed=9)
    cv2.imwrite(str(files.predicted / "b.png"), np.full((720, 1280), 5, np.uint8))
    shown = []

    def damages_the_next(task: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        shown.append(predicted)
        (files.truth / "a.png").write_bytes(b"no mask")
        return error_map(task, truth, predicted)

    monkeypatch.setattr(script_data, "error_map", damages_the_next)
    with pytest.raises(DataError, match=r"a\.png"):
        write_results_page("sem_seg", *files[:2], out, files.images, options=QUICK)
    assert len(shown) == 1
    assert contents(out) == old


def test_a_page_that_is_not_made_leaves_no_folder(det: Files, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        write_results_page("det", det.truth, tmp_path / "nowhere", tmp_path / "new/page", options=QUICK)
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_read_is_not_said_of_the_page(tmp_path: Path) -> None:
    def fails() -> None:
        raise PermissionError(13, "Permission denied", "input.json")

    with pytest.raises(PermissionError, match=r"input\.json"), new_page(tmp_path / "page"):
        fails()
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="page/assets: the output folder cannot be written"),
        new_page(tmp_path / "file/page"),
    ):
        pytest.fail("the folder cannot be made")


def page_of(text: str) -> str:
    return f'<meta name="generator" content="bdd100k_d2 report">{text}'


def test_two_pages_are_made_beside_each_other(tmp_path: Path) -> None:
    # Processes of two containers may have one number, and one that was killed leaves its folder.
    with new_page(tmp_path / "page") as first:
        with new_page(tmp_path / "page") as second:
            (second / "assets/a.svg").write_text("second")
            (second / "assets/b.svg").write_text("second")
            (second / "index.html").write_text(page_of('"assets/a.svg" "assets/b.svg"'))
        (first / "assets/a.svg").write_text("first")
        (first / "index.html").write_text(page_of('"assets/a.svg"'))
    page = page_of('"assets/a.svg"').encode()
    assert contents(tmp_path / "page") == {"assets": None, "assets/a.svg": b"first", "index.html": page}


def test_what_a_killed_process_left_of_a_page_is_removed_and_nothing_else(tmp_path: Path) -> None:
    names = {"left": "assets/a-1_full.jpg", "writing": "assets/.b.svg.17.tmp", "mine": "notes.txt", "other": "a.jpg"}
    for folder, name in {**names, "empty": "index.html", "young": "index.html"}.items():
        (tmp_path / f".page-{folder}" / "assets").mkdir(parents=True)
        (tmp_path / f".page-{folder}" / name).touch()
        for path in (tmp_path / f".page-{folder}" / "assets", tmp_path / f".page-{folder}"):
            os.utime(path, (1e9, 1e9) if folder != "young" else None)
    (tmp_path / ".page-link").symlink_to(tmp_path / ".page-mine")
    with new_page(tmp_path) as page:
        (page / "index.html").write_text(page_of("new"))
    kept = [".page-link", ".page-mine", ".page-other", ".page-young", "assets", "index.html"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    assert (tmp_path / ".page-mine/notes.txt").exists()


def test_a_pipe_in_place_of_a_page_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "index.html")
    with pytest.raises(OutputError, match=r"index\.html: cannot be read \(it is no file\); choose another --out"):
        check_page_folder(tmp_path)


def test_a_page_is_made_in_the_folder_of_a_training_that_runs(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from bdd100k_d2.lock import locked\n"
    code += "for one in sys.argv[1:]:\n with locked(Path(one)): print('locked', flush=True); sys.stdin.readline()"
    out = tmp_path / "run"
    command = [sys.executable, "-c", code, out, out / "assets"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as other:
        other.stdout.readline()
        with new_page(out) as page:
            (page / "index.html").write_text(page_of("new"))
        other.stdin.write(b"\n")
        other.stdin.flush()
        other.stdout.readline()
        # Another page is made there: this one is refused before the work.
        with pytest.raises(OutputError, match="assets: another process is writing there"), new_page(out):
            pytest.fail("two pages are made")
        other.communicate(b"\n")
    assert contents(out) == {"assets": None, "index.html": page_of("new").encode()}


def test_files_of_somebody_else_are_not_replaced(tmp_path: Path) -> None:
    def make(out: Path) -> None:
        with new_page(out) as page:
            (page / "assets/a.svg").write_text("new")
            (page / "index.html").write_text(page_of('"assets/a.svg"'))

    out = tmp_path / "page"
    (out / "assets").mkdir(parents=True)
    (out / "assets/a.svg").write_text("mine")
    with pytest.raises(OutputError, match=r"assets/a\.svg: is there, and of no page; choose another --out"):
        make(out)
    assert contents(out) == {"assets": None, "assets/a.svg": b"mine"}
    (out / "assets").rename(tmp_path / "elsewhere")
    (out / "assets").symlink_to(tmp_path / "elsewhere")
    # Also the page that says that the files are its own.
    (out / "index.html").write_text(page_of('"assets/a.svg"'))
    with pytest.raises(OutputError, match="assets: a link leads out of"):
        make(out)
    assert (tmp_path / "elsewhere/a.svg").read_text() == "mine"


def test_a_page_takes_the_place_of_an_older_one(det: Files, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_results_page("det", det.truth, det.predicted, out, det.images, options=QUICK)
    assert len(list((out / "assets").glob("*"))) > 20
    (out / "assets/mine.jpg").write_text("mine")
    masks = write_mask_files(tmp_path / "masks")
    page = write_results_page("sem_seg", *masks[:2], out, masks.images, options=QUICK)
    shown = {"assets/iou-light.svg", "assets/iou-dark.svg", "assets/mine.jpg"}
    for frame in data_of(page)["frames"]:
        shown |= {one[size] for one in (frame, *frame["masks"]) for size in ("small", "full")}
    assert {f"assets/{path.name}" for path in (out / "assets").iterdir()} == shown


def test_a_page_of_somebody_else_is_left_alone(det: Files, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / "index.html").write_text("<title>mine</title>")
    with pytest.raises(OutputError, match=r"index\.html: is no page of a report, .* choose another --out"):
        write_results_page("det", det.truth, det.predicted, out, det.images, options=QUICK)
    assert [path.name for path in out.iterdir()] == ["index.html"]
    assert (out / "index.html").read_text() == "<title>mine</title>"


def test_the_page_is_not_written_among_the_data(det: Files, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="which is only read; choose another place"):
        write_results_page("det", det.truth, det.predicted, det.images, det.images, options=QUICK)
    assert {path.name for path in det.images.iterdir()} == {"a.jpg", HARD_NAME, "c.jpg"}
    site = tmp_path / "site"
    site.mkdir()
    det.images.rename(site / "assets")
    with pytest.raises(OutputError, match="assets: would overwrite or lie in .*assets, which is only read"):
        write_results_page("det", det.truth, det.predicted, site, site / "assets", options=QUICK)
    assert {path.name for path in site.rglob("*")} == {"assets", "a.jpg", HARD_NAME, "c.jpg"}
