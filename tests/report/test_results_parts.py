import logging
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.frames import write_image

from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.files.slices import Slice, SliceScores
from bdd100k_d2.report.analysis.differences import Difference
from bdd100k_d2.report.analysis.frames import most_changed
from bdd100k_d2.report.analysis.records import Estimate
from bdd100k_d2.report.page_images import GalleryImages
from bdd100k_d2.report.plots import THEMES, draw_svg, recolored
from bdd100k_d2.report.results.script_data import error_map
from bdd100k_d2.report.results.tables import changed, estimate, matrix, number, percent, slice_parts
from bdd100k_d2.tasks import TASKS


@pytest.mark.parametrize(
    ("new", "old", "text", "better", "worse"),
    [
        (31.25, 30.0, "+1.2", True, False),
        (30.0, 31.25, "\u22121.2", False, True),
        (30.04, 30.0, "\u00b10.0", False, False),
        (1234.5, 0.0, "+1,234.5", True, False),
    ],
)
def test_a_change_has_a_sign(new: float, old: float, text: str, better: bool, worse: bool) -> None:
    change = changed(new, old)
    assert (change.text, change.better, change.worse) == (text, better, worse)
    fewer = changed(new, old, more_is_better=False)
    assert (fewer.better, fewer.worse) == (worse, better)


@pytest.mark.parametrize(("new", "old"), [(1.0, None), (math.nan, 1.0), (1.0, math.nan)])
def test_what_does_not_exist_has_no_change(new: float, old: float | None) -> None:
    assert changed(new, old) is None


def test_cells() -> None:
    assert percent(math.nan, Difference(math.nan, 3, 0, 0)).value is None and percent(math.nan).text == "-"
    assert estimate(Estimate(40.04, 38.0, 42.06)).interval == "38.0 to 42.1"
    assert estimate(Estimate(40.0, math.nan, math.nan)).interval == ""
    cell = number(1200, 2400, 1000)
    assert (cell.text, cell.share, cell.change.text, cell.change.worse) == ("1,200", 50, "+200", True)
    assert number(0, 0).share is None


@pytest.mark.parametrize(
    ("difference", "said", "better", "worse"),
    [
        (Difference(31.0, 30.0, 0.4, 1.6), "interval of the difference +0.4 to +1.6: more than chance", True, False),
        (Difference(30.0, 31.0, -1.6, -0.4), "\u22121.6 to \u22120.4: more than chance", False, True),
        (Difference(31.0, 30.0, -0.4, 2.4), "\u22120.4 to +2.4: may be chance", False, False),
        (Difference(30.0, 30.0, 0.0, 0.0), "\u00b10.0 to \u00b10.0: the same in every draw", False, False),
        (Difference(31.0, 30.0, math.nan, math.nan), "30.0 in the baseline", False, False),
    ],
)
def test_a_difference_has_a_colour_where_it_is_more_than_chance(
    difference: Difference, said: str, better: bool, worse: bool
) -> None:
    change = percent(difference.run, difference).change
    assert change.title.endswith(said)
    assert (change.better, change.worse) == (better, worse)


def test_a_matrix_shows_shares_of_its_rows() -> None:
    first, second = matrix("m", "boxes", ["a", "b"], ["a", "b"], [[3, 1], [0, 0]]).rows
    assert [cell.text for cell in first.cells] == ["75.0", "25.0"]
    assert [cell.kind for cell in first.cells] == ["diagonal strong", ""]
    assert [(cell.share, cell.kind) for cell in second.cells] == [(0, "none"), (0, "diagonal none")]
    assert first.cells[1].title == "a as b: 1"


def test_a_slice_shows_some_official_scores_and_the_first_of_each_class() -> None:
    def slices(ap: float) -> dict[str, Slice]:
        scores = {metric: [{"car": ap + 5}, {"OVERALL": ap}] for metric in ("APs", "AR100", "AP")}
        return {"weather": Slice("weather", "frames", "A row.", [SliceScores("rainy", 1200, scores, {})])}

    (unknown,) = slice_parts({}, {}, None, {})
    assert unknown.notes[0].endswith("with --attributes FILE, a label file of the same frames that has them.")
    (part,) = slice_parts(slices(20), slices(30), None, {"bus": (0, 0, 0), "car": (0, 0, 0)})
    assert [column.name for column in part.content.columns] == ["Value", "Frames", "AP", "AR100", "car"]
    (row,) = part.content.rows
    assert row.name == "rainy" and [cell.text for cell in row.cells] == ["1,200", "20.0", "20.0", "25.0"]
    assert [cell.change and cell.change.text for cell in row.cells] == [None, *["\u221210.0"] * 3]
    assert part.notes == ("A row. In the columns of the classes: AP.",)


def test_the_frames_that_changed_most_are_chosen() -> None:
    run = {"same": 9, "worse": 8, "little": 3, "new": 2, "good": 0, "mended": 0}
    baseline = {"same": 9, "mended": 7, "little": 2, "worse": 1, "good": 0, "new": 0}
    assert most_changed(run, baseline, overall=1, each=1) == ["same", "worse", "mended"]
    assert most_changed(run, baseline, overall=10, each=0) == ["same", "worse", "little", "new", "mended"]
    assert most_changed({}, {}, 5, 5) == []


def test_the_error_map() -> None:
    truth = np.array([[0, 1, 255, 2]], np.uint8)
    predicted = np.array([[0, 2, 255, 19]], np.uint8)
    assert error_map(TASKS["sem_seg"], truth, predicted).tolist() == [[0, 1, 2, 1]]


def test_the_error_map_of_drivable_leaves_background_out() -> None:
    truth = np.array([[0, 0, 0, 1, 2, 2, 255]], np.uint8)
    predicted = np.array([[0, 1, 2, 0, 0, 2, 0]], np.uint8)
    assert error_map(TASKS["drivable"], truth, predicted).tolist() == [[0, 1, 1, 1, 2, 2, 2]]


def test_another_theme_is_the_same_plot_in_its_colours() -> None:
    light, dark = THEMES["light"], THEMES["dark"]
    plots = [
        draw_svg(theme, 2, 2, lambda axes, t=theme: axes.plot([1, 2], color=t.lines[3])) for theme in (light, dark)
    ]
    assert recolored(plots[0], light, dark) == plots[1] != plots[0]


def test_images_are_copied_and_made_small(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.jpg", 720, 1280)
    write_image(tmp_path / "images/b.png", 90, 100)
    images = GalleryImages(tmp_path / "out")
    start = images.start_frame('<a>/&".jpg')
    assert start == "assets/frame-0001-__"
    first = images.add(start, "a.jpg", tmp_path / "images/a.jpg")
    assert (first.width, first.height) == (1280, 720)
    assert (tmp_path / "out" / first.full).read_bytes() == (tmp_path / "images/a.jpg").read_bytes()
    assert cv2.imread(str(tmp_path / "out" / first.small)).shape == (360, 640, 3)
    second = images.add(images.start_frame("b.png"), "b.png", tmp_path / "images/b.png")
    assert (tmp_path / "out" / second.full).read_bytes()[:3] == b"\xff\xd8\xff"
    assert cv2.imread(str(tmp_path / "out" / second.small)).shape == (90, 100, 3)


def test_images_that_cannot_be_shown_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    images = GalleryImages(tmp_path / "out")
    with caplog.at_level(logging.WARNING):
        for name in ("text.jpg", "empty.jpg", "gone.jpg"):
            assert images.add("assets/x", name, tmp_path / name, (96, 160)) == (None, None, 160, 96)
    assert images.add("assets/x", "none.jpg", None).small is None
    assert (images.missing, images.unreadable) == (2, 2)
    assert not (tmp_path / "out").exists()


def test_an_image_lies_in_its_folder(tmp_path: Path) -> None:
    write_image(tmp_path / "secret.jpg")
    with pytest.raises(DataError, match="not a plain file name"):
        GalleryImages(tmp_path / "out").add("assets/x", "../secret.jpg", tmp_path / "images/../secret.jpg")
