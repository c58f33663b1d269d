import itertools
import json
import logging
import re
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from support.commands import run_tool
from support.frames import make_frame
from support.result_files import (
    HARD_NAME,
    HARD_SCENE,
    OBJECT,
    OTHER,
    Files,
    data_of,
    detected,
    write_better_run,
    write_det_files,
    write_mask_files,
)

from bdd100k_d2.data.convert.convert import convert
from bdd100k_d2.data.labels import Frame, write_frames
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import ConfigError, DataError
from bdd100k_d2.report.results.page import PageOptions, write_results_page

QUICK = PageOptions(bootstrap=20, workers=1)


@pytest.fixture
def det(tmp_path: Path) -> Files:
    return write_det_files(tmp_path / "det")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = write_det_files(tmp_path_factory.mktemp("det"))
    return write_results_page("det", *files[:2], tmp_path_factory.mktemp("page"), files.images, options=QUICK)


def table(page: Path, key: str) -> dict[str, list[str]]:
    """The rows of a table by name, without what only the pointer shows."""
    text = page.read_text(encoding="utf-8")
    body = re.search(rf'<table[^>]* id="{key}">.*?</table>', text, re.DOTALL)[0]
    rows = {}
    for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)[1:]:
        name, *cells = re.findall(r"<(?:td|th)[^>]*>(.*?)</(?:td|th)>", row, re.DOTALL)
        rows[re.sub(r"<[^>]*>", "", name).strip()] = [" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in cells]
    return rows


def test_the_page_needs_nothing_but_its_folder(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for word in ("http:", "https:", "//cdn", "@import", "url(", "fetch(", " onclick", " onload"):
        # The name of SVG's elements looks like an address, and is none.
        assert word not in text.replace('"http://www.w3.org/2000/svg"', "")
    links = set(re.findall(r'(?:src|srcset|href)="([^"#]*)"', text)) - {"data:,"}
    links |= {frame[size] for frame in data_of(page)["frames"] for size in ("small", "full")}
    assert len(links) > 10
    for link in links:
        assert link.startswith("assets/") and ".." not in link
        assert (page.parent / unquote(link)).stat().st_size > 0
    assert {f"assets/{path.name}" for path in (page.parent / "assets").iterdir()} == links
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text


def test_text_of_the_data_stays_text(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<b>&" not in text and "<i>&" not in text
    assert HARD_NAME in {frame["name"] for frame in data_of(page)["frames"]}
    assert "&lt;i&gt;&amp;&#39;&#34;" in table(page, "slice-scene")
    assert HARD_SCENE in {frame["attributes"]["scene"] for frame in data_of(page)["frames"]}


def test_the_tables_hold_what_was_found(page: Path) -> None:
    classes = table(page, "class-table")
    assert (
        classes["car"][:2] == ["3", "4"] and classes["pedestrian"][2].startswith("0.0") and classes["train"][2] == "-"
    )
    # right, classification, localisation, both, duplicate, background, missed
    errors = table(page, "error-table")
    assert errors["all classes"] == ["2", "1", "0", "0", "1", "1", "2"]
    assert errors["bus"][1] == "1" and errors["rider"][5] == "1" and errors["pedestrian"][6] == "1"
    confusion = table(page, "confusion-matrix")
    assert confusion["truck"][4] == "100.0" and confusion["pedestrian"][-1] == "100.0"
    assert table(page, "slice-weather")["rainy"][0] == "1"


def test_a_baseline_gives_differences_with_their_signs(det: Files, tmp_path: Path) -> None:
    better = write_better_run(tmp_path / "better.json")
    page = write_results_page("det", det.truth, det.predicted, tmp_path / "out", det.images, better, QUICK)
    assert "\u2212100.0" in table(page, "class-table")["pedestrian"][2]
    assert table(page, "error-table")["all classes"] == ["2 \u22123", "1 +1", "0 ±0", "0 ±0", "1 +1", "1 +1", "2 +2"]
    frames = {frame["name"]: frame for frame in data_of(page)["frames"]}
    assert data_of(page)["hasBaseline"] and frames.keys() == {"a.jpg", HARD_NAME, "c.jpg"}
    # The baseline has no errors at the report's threshold, and its boxes are there for the slider all the same.
    for frame in frames.values():
        assert [run.keys() for run in frame["runs"]] == [{"predicted", "found", "blamed"}] * 2
    assert [box[5] for box in frames[HARD_NAME]["runs"][1]["predicted"]] == [0.9, 0.8]
    assert frames[HARD_NAME]["small"] and f"no image in {det.images}" not in page.read_text(encoding="utf-8")


def test_results_are_read_by_the_ids_of_a_coco_file(det: Files, tmp_path: Path) -> None:
    """Of the run, of the baseline, or of both."""
    ids = tmp_path / "ids.json"
    convert(det.truth, ids, "coco")
    document = json.loads(ids.read_text())
    numbers = {one["file_name"]: one["id"] for one in document["images"]}
    numbers |= {one["name"]: one["id"] for one in document["categories"]}
    results = [
        {
            "image_id": numbers[frame.name],
            "category_id": numbers[label.category],
            "bbox": [box.x1, box.y1, box.x2 - box.x1 + 1, box.y2 - box.y1 + 1],
            "score": label.score,
        }
        for frame in read_labels(det.predicted).frames
        for label in frame.labels
        if (box := label.box2d) is not None
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    options = QUICK._replace(image_ids=ids)
    tables = [
        table(write_results_page("det", det.truth, run, tmp_path / f"out{i}", None, baseline, options), "error-table")
        for i, (run, baseline) in enumerate(itertools.product((det.predicted, tmp_path / "results.json"), repeat=2))
        if i
    ]
    assert tables[0] == tables[1] == tables[2]
    with pytest.raises(DataError, match=r"leave out --image-ids"):
        write_results_page("det", det.truth, det.predicted, tmp_path / "out", None, det.predicted, options)


def test_scores_are_those_that_the_tables_count(det: Files, tmp_path: Path) -> None:
    low = [detected("a.jpg", ("car", 0.2996, OBJECT), ("bus", 0.2999999, OTHER))]
    write_frames([make_frame("a.jpg", ("car", *OBJECT), ("truck", *OTHER))], det.truth)
    write_frames(low, det.predicted)
    page = write_results_page("det", det.truth, det.predicted, tmp_path / "out", options=QUICK)
    assert table(page, "error-table")["all classes"] == ["0"] * 6 + ["2"]
    assert "<dt>Detections</dt><dd>2, 0 with a score of at least 0.30</dd>" in page.read_text(encoding="utf-8")
    (run,) = data_of(page)["frames"][0]["runs"]
    assert [box[5] for box in run["predicted"]] == [0.2999999, 0.2996]
    assert run["found"] == [0.2996, None] and run["blamed"] == [None, 0.2999999]


@pytest.mark.parametrize(
    ("run", "baseline", "title"),
    [
        ("new.json", "old.json", "new against old"),
        ("new/det.json", "old/det.json", "new/det against old/det"),
        ("new/val/det.json", "old/val/det.json", "new/val/det against old/val/det"),
        ("det.json", "det.json", "det against det"),
    ],
)
def test_runs_are_called_by_what_differs(run: str, baseline: str, title: str, det: Files, tmp_path: Path) -> None:
    for path in (run, baseline):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(det.predicted.read_bytes())
    options = QUICK._replace(bootstrap=0, max_frames=0, max_frames_each=0)
    out = tmp_path / "out"
    page = write_results_page("det", det.truth, tmp_path / run, out, None, tmp_path / baseline, options)
    assert f'<span class="name">{title}</span>' in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("task", ["sem_seg", "drivable"])
def test_masks_are_shown_in_their_colours(task: str, tmp_path: Path) -> None:
    files = write_mask_files(tmp_path / "data", task)
    page = write_results_page(task, files.truth, files.predicted, tmp_path / "out", files.images, options=QUICK)
    assert table(page, "class-table").keys() >= {"Overall"}
    frames = {frame["name"]: frame for frame in data_of(page)["frames"]}
    assert frames["b"]["runs"][0]["score"] == 0 and frames["b"]["runs"][0]["accuracy"] == 0
    assert frames["a"]["runs"][0]["accuracy"] == pytest.approx(100 * 8 / 9, abs=0.01)
    truth, predicted, errors = (
        cv2.imread(str(tmp_path / "out" / mask["full"]), cv2.IMREAD_UNCHANGED) for mask in frames["a"]["masks"]
    )
    first = (128, 64, 128) if task == "sem_seg" else (219, 94, 86)
    assert truth[300, 10].tolist() == [*first[::-1], 255]
    # Unscored pixels, and drivable's background, let the image through.
    assert truth[10, 10, 3] == 0 and (predicted[700, 10, 3] == 0) == (task == "drivable")
    assert errors[300, 10, 3] == 0 and errors[10, 10].tolist() == [150] * 3 + [255]
    assert errors[700, 10].tolist() == [64, 64, 255, 255]
    if task == "drivable":
        (files.truth / "b.png").write_bytes((files.predicted / "a.png").read_bytes())
        page = write_results_page(task, files.truth, files.predicted, tmp_path / "out", options=QUICK)
        b = next(frame for frame in data_of(page)["frames"] if frame["name"] == "b")
        errors = cv2.imread(str(tmp_path / "out" / b["masks"][2]["full"]), cv2.IMREAD_UNCHANGED)
        # Background in truth, direct in the prediction: the official score does not see it.
        assert errors[700, 10].tolist() == [150] * 3 + [255]
    small = cv2.imread(str(tmp_path / "out" / frames["a"]["masks"][2]["small"]), cv2.IMREAD_UNCHANGED)
    assert small.shape == (360, 640, 4)


def test_a_run_of_masks_is_compared(tmp_path: Path) -> None:
    files = write_mask_files(tmp_path / "data")
    page = write_results_page(
        "sem_seg", files.truth, files.truth, tmp_path / "out", files.images, files.predicted, QUICK
    )
    assert "+" in table(page, "class-table")["road"][2]
    assert {len(frame["masks"]) for frame in data_of(page)["frames"]} == {5}
    assert [run["score"] for run in next(f for f in data_of(page)["frames"] if f["name"] == "b")["runs"]] == [100, 0]


def test_masks_in_label_files_are_drawn_too(oracles: Path, tmp_path: Path) -> None:
    paths = [oracles / f"sem_seg/sem_seg_{name}.json" for name in ("sample", "preds")]
    page = write_results_page("sem_seg", *paths, tmp_path / "out", options=QUICK)
    assert table(page, "class-table")["Overall"][2].startswith("77.7")
    (frame,) = data_of(page)["frames"]
    *_, errors = (cv2.imread(str(tmp_path / "out" / mask["full"]), cv2.IMREAD_UNCHANGED) for mask in frame["masks"])
    right, scored = (errors[..., 3] == 0).sum(), (errors[..., :3] != 150).any(axis=2) | (errors[..., 3] == 0)
    assert 100 * right / scored.sum() == pytest.approx(frame["runs"][0]["accuracy"], abs=0.01)


def test_frames_without_a_predicted_mask_are_counted(tmp_path: Path) -> None:
    files = write_mask_files(tmp_path / "data")
    (files.predicted / "b.png").unlink()
    page = write_results_page("sem_seg", files.truth, files.predicted, tmp_path / "out", options=QUICK)
    assert "1 of these frames has no prediction" in page.read_text(encoding="utf-8")
    masks = {frame["name"]: frame["masks"] for frame in data_of(page)["frames"]}
    assert masks["b"][1:] == [None, None] and all(masks["a"])


def test_images_that_are_missing_or_damaged_are_counted(
    det: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (det.images / "a.jpg").unlink()
    (det.images / "c.jpg").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        page = write_results_page("det", det.truth, det.predicted, tmp_path / "out", det.images, options=QUICK)
    text = page.read_text(encoding="utf-8")
    assert f"1 frame has no image in {det.images}." in text and f"1 frame has a damaged image in {det.images}." in text
    frames = {frame["name"]: frame for frame in data_of(page)["frames"]}
    assert frames["a.jpg"]["small"] is None and frames["c.jpg"]["full"] is None and frames[HARD_NAME]["small"]
    assert "1 images are damaged" in caplog.text


def test_a_name_leads_to_no_other_folder(det: Files, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes((det.images / "a.jpg").read_bytes())
    name = "../../secret.jpg"
    write_frames([make_frame(name, ("car", 1, 1, 30, 30))], det.truth)
    write_frames([Frame(name, labels=[])], det.predicted)
    with pytest.raises(DataError, match="not a plain file name"):
        write_results_page("det", det.truth, det.predicted, tmp_path / "out", det.images, options=QUICK)
    assert not (tmp_path / "out").exists()


def test_empty_predictions_without_images_give_a_page(det: Files, tmp_path: Path) -> None:
    write_frames([Frame(name, labels=[]) for name in ("a.jpg", HARD_NAME, "c.jpg")], det.predicted)
    page = write_results_page("det", det.truth, det.predicted, tmp_path / "out", options=QUICK._replace(bootstrap=0))
    text = page.read_text(encoding="utf-8")
    assert "There are no detections: every object is missed." in text
    assert table(page, "error-table")["all classes"] == ["0"] * 6 + ["5"]
    assert "No folder of images was given (--images)" in text and 'class="interval"' not in text
    assert {frame["small"] for frame in data_of(page)["frames"]} == {None}


def test_other_tasks_have_no_report(det: Files, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no report of 'box_track'; there are det, sem_seg, drivable"):
        write_results_page("box_track", det.truth, det.predicted, tmp_path / "out")


def test_the_tool_prints_where_the_page_is(det: Files, tmp_path: Path) -> None:
    arguments = ("det", "--gt", det.truth, "--pred", det.predicted, "--images", det.images, "--out", tmp_path / "out")
    result = run_tool(
        "report", *arguments, "--score-thr", "0.1", "--bootstrap", "0", "--frames", "0", "--frames-each", "0"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "out/index.html")
    data = data_of(tmp_path / "out/index.html")
    assert data["threshold"] == 0.1 and data["frames"] == []
    assert not list((tmp_path / "out/assets").glob("*.jpg"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--gt": "nowhere.json"}, "error: nowhere.json: no such file or folder"),
        ({"--images": "nowhere"}, "error: nowhere: no such folder; give the folder of the images"),
        ({"--score-thr": "2"}, "2 is not between 0 and 1"),
        ({"--frames": "-1"}, "-1 is negative"),
    ],
)
def test_the_tool_ends_with_a_message(change: dict[str, str], message: str, det: Files, tmp_path: Path) -> None:
    options = {"--gt": det.truth, "--pred": det.predicted, "--out": tmp_path / "out", "--bootstrap": 0} | change
    result = run_tool("report", "det", *(part for pair in options.items() for part in pair))
    assert result.returncode != 0 and message in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_real_frames(real_root: Path, tmp_path: Path) -> None:
    labels = real_root / "bdd100k/labels/det_20/det_train.json"
    frames = json.loads(labels.read_text())
    for frame in frames:
        for label in frame.get("labels") or []:
            label["score"] = 0.9
    (tmp_path / "run.json").write_text(json.dumps(frames))
    options = QUICK._replace(score_threshold=0.95)
    images = real_root / "bdd100k/images/100k/train"
    page = write_results_page("det", labels, tmp_path / "run.json", tmp_path / "out", images, options=options)
    shown = data_of(page)["frames"]
    assert shown and all((frame["width"], frame["height"]) == (1280, 720) for frame in shown)
    for frame in shown:
        # The full image is the official file itself.
        assert (page.parent / frame["full"]).read_bytes() == (images / frame["name"]).read_bytes()
        assert cv2.imread(str(page.parent / frame["small"])).shape == (360, 640, 3)
        assert np.isfinite([box[1:5] for box in frame["truth"]]).all()


def test_pages_of_own_classes_have_those_alone(det: Files, tmp_path: Path) -> None:
    options = QUICK._replace(bootstrap=0, classes=["car", "bus"])
    page = write_results_page("det", det.truth, det.predicted, tmp_path / "own", options=options)
    assert [*table(page, "class-table")] == ["car", "bus", "Overall"]
    assert "These are not the official scores: own classes (car, bus)." in page.read_text()
    assert [one["name"] for one in data_of(page)["classes"]] == ["car", "bus"]
    masks = write_mask_files(tmp_path / "masks")
    names = [f"own {k}" for k in range(19)]
    options = options._replace(classes=names)
    page = write_results_page("sem_seg", masks.truth, masks.predicted, tmp_path / "own", options=options)
    assert [*table(page, "class-table")] == [*names, "Overall"]
    assert [one["name"] for one in data_of(page)["classes"]] == names
