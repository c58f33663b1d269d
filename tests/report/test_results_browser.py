"""The pages in a real browser, as a person uses them."""

from pathlib import Path

import pytest
from support.browser import Browser
from support.frames import make_frame
from support.gallery_view import card, move_slider, outcomes, show_frames
from support.result_files import HARD_NAME, detected, write_better_run, write_det_files

from bdd100k_d2.data.labels import write_frames
from bdd100k_d2.report.results.page import PageOptions, write_results_page

QUICK = PageOptions(bootstrap=20, workers=1)


@pytest.fixture(scope="module")
def det_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("det")
    files = write_det_files(folder)
    better = write_better_run(folder / "better.json")
    (files.images / "a.jpg").unlink()
    return write_results_page("det", *files[:2], folder / "out", files.images, better, QUICK)


@pytest.fixture
def det(tab: Browser, det_page: Path) -> Browser:
    tab.open(det_page)
    show_frames(tab)
    return tab


def test_names_of_boxes_stand_where_there_is_room(tab: Browser, det_page: Path, tmp_path: Path) -> None:
    """Beside a baseline the images are too small for them; a click shows them large, with names."""
    files = write_det_files(tmp_path)
    texts = "document.querySelectorAll('.frame svg text').length"
    for page, some in ((det_page, False), (write_results_page("det", *files[:2], tmp_path / "out"), True)):
        tab.open(page)
        show_frames(tab)
        assert (tab.run(texts) > 0) == some
    tab.open(det_page)
    show_frames(tab)
    tab.click(".frame .view:nth-child(2)")
    assert tab.run("document.querySelectorAll('.stage svg text').length") > 0


def names_of_rows(tab: Browser) -> list[str]:
    return tab.texts("#class-table tbody th")


def test_it_loads_without_errors(det: Browser) -> None:
    assert det.errors == []
    assert len(det.texts(".frame")) == 3


@pytest.mark.parametrize("width", [1400, 400])
def test_nothing_is_wider_than_the_window(width: int, tab: Browser, det_page: Path) -> None:
    tab.open(det_page, width)
    show_frames(tab)
    assert tab.run("document.documentElement.scrollWidth") <= width


def test_a_click_on_a_title_sorts(det: Browser) -> None:
    official = names_of_rows(det)
    assert official[:3] == ["pedestrian", "rider", "car"]
    objects = "#class-table thead th:nth-child(2) button"
    det.click(objects)
    assert names_of_rows(det)[0] == "car"
    det.click(objects)
    assert names_of_rows(det)[-1] == "car"
    det.click(objects)
    assert names_of_rows(det) == official


def test_the_choice_of_a_class_changes_the_plots(det: Browser) -> None:
    visible = "[...document.querySelectorAll('#class-plots picture:not([hidden]) img')].map((i) => i.alt)"
    assert det.run(visible)[0] == "precision over recall of all classes at IoU 0.50"
    det.choose("[data-plots]", "2")
    assert det.run(visible) == [
        "precision over recall of car at IoU 0.50",
        "precision over recall of car at IoU 0.75",
        "sizes of car",
    ]


def test_the_matrix_shows_shares_and_counts(det: Browser) -> None:
    row = "#confusion-matrix tbody tr:nth-child(3) td"
    assert det.texts(row)[2] == "66.7"
    det.choose("[data-matrix]", "count")
    assert det.texts(row)[2] == "2"
    det.choose("[data-matrix]", "column")
    assert det.texts(row)[2] == "66.7" and det.texts("#confusion-matrix tbody tr:nth-child(4) td")[4] == "100.0"


def test_the_slider_draws_the_boxes_anew(det: Browser) -> None:
    assert outcomes(det, HARD_NAME, 0) == ["confused", "right"]
    assert outcomes(det, HARD_NAME, 1) == ["background", "classification", "duplicate", "right"]
    move_slider(det, "threshold", 0.65)
    assert outcomes(det, HARD_NAME, 1) == ["classification", "right"]
    assert det.texts("#tools output") == ["0.65"]
    move_slider(det, "threshold", 0.75)
    # Without the detection that misnames it, the truck is missed.
    assert outcomes(det, HARD_NAME, 0) == ["missed", "right"] and outcomes(det, HARD_NAME, 1) == ["right"]
    move_slider(det, "threshold", 0.1)
    assert outcomes(det, "c.jpg", 0) == ["ignored", "right"] and outcomes(det, "c.jpg", 1) == ["ignored", "right"]
    assert "1 of 1 object found" in det.run(f"{card('c.jpg')}.innerText")


@pytest.mark.parametrize(
    ("tool", "value", "names"),
    [
        ("error", "missed", {"a.jpg", "c.jpg"}),
        ("error", "localisation", set()),
        ("category", "4", {HARD_NAME}),
        ("boxes", "small", {HARD_NAME}),
        ("weather", "clear", {"a.jpg", "c.jpg"}),
        ("order", "worse", {"a.jpg", "c.jpg", HARD_NAME}),
        ("order", "better", set()),
    ],
)
def test_filters(tool: str, value: str, names: set[str], det: Browser) -> None:
    det.choose(f"[data-tool={tool}]", value)
    assert set(det.texts(".frame figcaption b")) == names
    assert det.texts(".shown")[0].startswith(f"{len(names)} frame" if names else "No frame")


def test_a_run_without_errors_says_so(tab: Browser, det_page: Path, tmp_path: Path) -> None:
    tab.open(det_page)
    show_frames(tab)
    assert outcomes(tab, HARD_NAME, 2) == ["right", "right"]
    files = write_det_files(tmp_path / "det")
    better = write_better_run(tmp_path / "better.json")
    options = QUICK._replace(bootstrap=0)
    page = write_results_page("det", files.truth, better, tmp_path / "out", files.images, files.predicted, options)
    tab.open(page)
    tab.choose("[data-tool=order]", "better")
    show_frames(tab)
    assert tab.texts(".frame figcaption b")[0] == HARD_NAME and len(tab.texts(".frame")) == 3
    assert (
        "no errors" in tab.texts(".frame figcaption")[0] and "3 errors less than" in tab.texts(".frame figcaption")[0]
    )
    assert tab.errors == []


def test_the_slider_compares_both_runs(det: Browser) -> None:
    assert "3 errors more than the baseline" in det.run(f"{card(HARD_NAME)}.innerText")
    # Of the baseline, which has no error at 0.3, only the truck is found at 0.85.
    move_slider(det, "threshold", 0.85)
    assert outcomes(det, HARD_NAME, 2) == ["right"]
    assert "1 error more than the baseline" in det.run(f"{card(HARD_NAME)}.innerText")
    # And nothing in both runs at 0.95: the same errors.
    move_slider(det, "threshold", 0.95)
    assert outcomes(det, HARD_NAME, 1) == outcomes(det, HARD_NAME, 2) == []
    assert "the baseline" not in " ".join(det.texts(".frame figcaption"))
    for order in ("worse", "better"):
        det.choose("[data-tool=order]", order)
        assert det.texts(".frame") == []
    move_slider(det, "threshold", 0.85)
    det.choose("[data-tool=order]", "worse")
    # Of each frame the run finds one object less: a's pedestrian, the truck, and c's car.
    assert set(det.texts(".frame figcaption b")) == {"a.jpg", HARD_NAME, "c.jpg"}


def test_the_limits_of_sizes_and_scores_are_those_of_the_tables(tab: Browser, tmp_path: Path) -> None:
    write_frames([make_frame("a.jpg", ("car", 10, 10, 41, 41))], tmp_path / "truth.json")
    write_frames([detected("a.jpg", ("rider", 0.2996, (60, 60, 90, 90)))], tmp_path / "run.json")
    page = write_results_page("det", tmp_path / "truth.json", tmp_path / "run.json", tmp_path / "out", options=QUICK)
    tab.open(page)
    show_frames(tab)
    assert outcomes(tab, "a.jpg", 0) == ["missed"] and outcomes(tab, "a.jpg", 1) == []
    # COCO counts a box of 32 x 32 pixels among the small and among the medium ones.
    for size, names in (("small", ["a.jpg"]), ("medium", ["a.jpg"]), ("large", [])):
        tab.choose("[data-tool=boxes]", size)
        assert tab.texts(".frame figcaption b") == names


def test_boxes_that_are_not_asked_for_are_dimmed(det: Browser) -> None:
    det.choose("[data-tool=error]", "duplicate")
    outcomes(det, HARD_NAME, 1)
    bright = f"[...{card(HARD_NAME)}.querySelectorAll('svg')[1].querySelectorAll('rect:not(.dim)')]"
    assert det.run(f"{bright}.map((r) => r.dataset.outcome)") == ["duplicate"]


def test_a_box_says_what_it_is(det: Browser) -> None:
    outcomes(det, HARD_NAME, 1)
    titles = det.run(
        f"[...{card(HARD_NAME)}.querySelectorAll('svg')[1].querySelectorAll('title')].map((t) => t.textContent)"
    )
    assert "bus 0.70, classification, IoU 1.00 with truck, 49 pixels" in titles


def test_colours_of_outcomes_and_of_classes(det: Browser) -> None:
    boxes = f"[...{card(HARD_NAME)}.querySelectorAll('svg')[1].querySelectorAll('rect')]"
    strokes = f"{boxes}.map((r) => r.getAttribute('stroke'))"
    outcomes(det, HARD_NAME, 1)
    before = det.run(strokes)
    det.choose("[data-tool=colors]", "class")
    assert det.run(strokes) != before and "#1eaaff" in det.run(strokes)
    assert "traffic sign" in det.texts("#legend li")


def test_zoom_by_mouse_and_keys(det: Browser) -> None:
    is_open = "document.getElementById('viewer').open"
    order = det.texts(".frame figcaption b")
    det.click(".view", 1)
    det.wait_for(f"{is_open} && document.querySelectorAll('.stage rect').length > 0")
    assert det.texts(".stage .side") == ["prediction"] and det.texts("#viewer .caption b") == [order[0]]
    det.press("ArrowRight")
    assert det.texts(".stage .side") == ["baseline"]
    det.press("ArrowRight")
    assert det.texts(".stage .side") == ["ground truth"] and det.texts("#viewer .caption b") == [order[1]]
    det.press("b")
    assert det.run("document.querySelector('.stage .drawing').hidden")
    det.press("ArrowLeft")
    det.press("Escape")
    det.wait_for(f"!{is_open}")
    # The focus is again where it was.
    assert det.run("document.activeElement.getAttribute('aria-label')") == f"prediction of {order[0]}, full size"
    det.press("Enter")
    det.click("#viewer .close")
    assert not det.run(is_open) and det.errors == []


def test_the_zoom_shows_the_image_in_full(det: Browser) -> None:
    place = det.texts(".frame figcaption b").index(HARD_NAME)
    det.click(".view", 3 * place)
    det.wait_for("document.querySelector('.stage img')?.naturalWidth === 160")
    assert det.run("document.querySelector('.stage img').src").endswith("-full.jpg")
    width, height = det.run(
        "(({width, height}) => [width, height])(document.querySelector('.stage svg').getBoundingClientRect())"
    )
    assert width / height == pytest.approx(160 / 96, rel=0.01)
    det.press("Escape")


def test_a_frame_without_image_has_a_placeholder_and_its_boxes(det: Browser) -> None:
    assert outcomes(det, "a.jpg", 1) == ["right"]
    assert set(det.run(f"[...{card('a.jpg')}.querySelectorAll('.placeholder')].map((e) => e.innerText)")) == {
        "no image"
    }
    assert set(det.texts(".placeholder")) == {"no image"} and len(det.texts(".placeholder")) == 3


def test_an_image_that_is_gone_has_one_too(tab: Browser, det_page: Path) -> None:
    images = list((det_page.parent / "assets").glob("frame-*-c.jpg"))
    assert len(images) == 1
    content = images[0].read_bytes()
    images[0].unlink()
    try:
        tab.open(det_page)
        show_frames(tab)
        tab.wait_for(f"{card('c.jpg')}.innerText.includes('the image cannot be shown')")
    finally:
        images[0].write_bytes(content)


def test_dark_plots_on_a_dark_page(tab: Browser, det_page: Path) -> None:
    source = "document.querySelector('#class-plots img').currentSrc"
    tab.open(det_page)
    tab.wait_for(f"{source}.endsWith('-light.svg')")
    tab.open(det_page, dark=True)
    tab.wait_for(f"{source}.endsWith('-dark.svg')")


def test_the_policy_runs_no_other_code(det: Browser) -> None:
    det.run("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"window.ran = true\">')")
    det.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = true'}))")
    # The browser says what it refused.
    det.wait_for("document.images.length > 0")
    assert any("Content Security Policy" in error for error in det.errors)
    assert det.run("window.ran === undefined")
