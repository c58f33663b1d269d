import runpy
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from support import ROOT
from support.commands import run_tool
from support.frames import make_frame, write_image
from support.result_files import contents
from support.run_folders import write_config, write_det_predictions, write_det_run, write_mask_run

from bdd100k_d2.data.labels import Frame, write_frames
from bdd100k_d2.errors import DataError, OutputError
from bdd100k_d2.report.page import write_runs_page

TOOL = ROOT / "tools/report.py"
VOID = {"meta", "link", "img", "source", "br"}


class Document(HTMLParser):
    """What the tests ask about a page; fails on tags that do not match."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.headings: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.ids: set[str] = set()
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.links += [attributes[key] for key in ("src", "href", "srcset") if attributes.get(key)]
        self.ids |= {attributes["id"]} if "id" in attributes else set()
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.texts[tag][-1] += data
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data.strip()


@pytest.fixture
def both(tiny_root: Path, tmp_path: Path) -> Document:
    det, seg = write_det_run(tmp_path / "det"), write_mask_run(tmp_path / "seg")
    return Document(write_runs_page([det, seg], tmp_path / "page", tiny_root))


def test_the_page_needs_nothing_but_its_folder(both: Document, tmp_path: Path) -> None:
    page = tmp_path / "page"
    files = [link for link in both.links if not link.startswith(("#", "data:"))]
    # Of six frames two sides in two sizes, and of three plots two themes.
    assert len(set(files)) == 6 * 2 * 2 + 4 * 2
    for link in files:
        assert not link.startswith("/") and ".." not in link
        assert (page / unquote(link)).stat().st_size > 0
    assert {path.name for path in page.iterdir()} == {"index.html", "assets"}
    assert {f"assets/{path.name}" for path in (page / "assets").iterdir()} == set(files)
    assert all(link[1:] in both.ids for link in both.links if link.startswith("#"))


def test_an_older_report_is_replaced_and_no_other_page(both: Document, tiny_root: Path, tmp_path: Path) -> None:
    page = Document(write_runs_page([tmp_path / "seg"], tmp_path / "page", tiny_root))
    files = {link for link in page.links if link.startswith("assets/")}
    assert {f"assets/{path.name}" for path in (tmp_path / "page/assets").iterdir()} == files < set(both.links) | files
    (tmp_path / "page/index.html").write_text("<title>mine</title>")
    with pytest.raises(OutputError, match=r"index\.html: is no page of a report"):
        write_runs_page([tmp_path / "seg"], tmp_path / "page", tiny_root)
    assert (tmp_path / "page/index.html").read_text() == "<title>mine</title>"


def test_the_page_asks_no_network(both: Document, tmp_path: Path) -> None:
    text = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    for word in ("http:", "https:", "//cdn", "@import", "url(", "fetch("):
        assert word not in text
    assert "prefers-color-scheme: dark" in text


def test_the_tables_hold_the_scores(both: Document) -> None:
    det, seg = both.tables
    assert det == [
        ["Class", "Objects", "AP", "AP50", "AR100"],
        ["pedestrian", "1", "41.2", "60.0", "50.0"],
        ["car", "1", "62.5", "88.4", "70.0"],
        ["train", "0", "-", "-", "-"],
        ["motorcycle", "1", "3.0", "7.7", "9.0"],
        ["Overall", "3", "35.6", "52.0", "43.0"],
    ]
    assert seg == [
        ["Class", "IoU", "Precision"],
        ["road", "91.2", "95.5"],
        ["sky", "80.1", "85.4"],
        ["train", "-", "-"],
        ["Overall", "85.7", "90.5"],
    ]


def test_headline_and_facts(both: Document) -> None:
    assert both.texts["title"] == ["BDD100K training report: det, seg"]
    items = [" ".join(text.split()) for text in both.texts["li"]]
    assert {"35.6 AP", "52.0 AP50", "85.7 mIoU", "88.8 fIoU", "93.3 pAcc", "90.5 mean precision"} <= set(items)
    facts = dict(zip(both.texts["dt"], both.texts["dd"], strict=True))
    assert facts["Model"] == "GeneralizedRCNN"
    assert facts["Tested on"] == "bdd100k_sem_seg_val, 3 frames"


def test_captions_hold_name_attributes_and_counts(both: Document) -> None:
    captions = [" ".join(text.split()) for text in both.texts["figcaption"]]
    assert "val0.jpg clear highway night 2 objects 1 detection" in captions
    assert {"Total loss", "Terms of the loss", "Validation scores"} <= set(captions)


def test_a_test_split_gives_a_page_without_scores_and_ground_truth(tiny_root: Path, tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det", "test", scores=None)
    (folder / "metrics.json").unlink()
    document = Document(write_runs_page([folder], tmp_path / "page", tiny_root))
    assert document.tables == []
    assert document.texts["h3"] == ["Predictions on bdd100k_det_test"]
    assert not any("truth" in link or "svg" in link for link in document.links)


def test_scores_of_several_test_sets_are_told_apart(tiny_root: Path, tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det")
    names = ("bdd100k_det_val", "bdd100k_det_train")
    for name in names:
        inference = folder / "inference" / name
        inference.mkdir()
        (inference / "scores.json").write_text((folder / "inference/scores.json").read_text())
        write_frames([Frame(f"{name.rpartition('_')[2]}0.jpg")], inference / "det.json")
    write_config(folder, *names)
    with (folder / "metrics.json").open("a") as log:
        for at in (99, 119):
            log.write(f'{{"iteration": {at}, "bdd100k_det_val/bbox/AP": 3.5, "bdd100k_det_train/bbox/AP": 4.5}}\n')
    document = Document(write_runs_page([folder], tmp_path / "page", tiny_root))
    assert document.texts["h3"][:2] == [f"Scores on {name}" for name in names]
    assert len(document.tables) == 2
    assert "assets/run-1-scores-light.svg" in document.links


def test_names_are_escaped(tiny_root: Path, tmp_path: Path) -> None:
    name = "<b>&amp;'x.jpg"
    write_image(tiny_root / "bdd100k/images/100k/val" / name)
    write_frames([make_frame(name, ("car", 1, 1, 30, 30))], tiny_root / "bdd100k/labels/det_20/det_val.json")
    folder = write_det_run(tmp_path / "<i>run")
    write_det_predictions(folder, Frame(name, labels=[]))
    document = Document(write_runs_page([folder], tmp_path / "page", tiny_root))
    assert any(name in caption for caption in document.texts["figcaption"])
    assert document.texts["h2"] == ["Object detection <i>run"]
    assert "i" not in document.texts


def test_without_frames_there_is_no_gallery(tiny_root: Path, tmp_path: Path) -> None:
    document = Document(write_runs_page([write_det_run(tmp_path / "det")], tmp_path / "page", tiny_root, max_frames=0))
    assert len(document.tables) == 1 and not any(link.endswith(".jpg") for link in document.links)


def test_a_run_that_cannot_be_read_leaves_the_old_page(tiny_root: Path, tmp_path: Path) -> None:
    det = write_det_run(tmp_path / "det")
    page = write_runs_page([det], tmp_path / "page", tiny_root)
    before = page.read_bytes()
    with pytest.raises(DataError, match="nowhere"):
        write_runs_page([det, tmp_path / "nowhere"], tmp_path / "page", tiny_root)
    assert page.read_bytes() == before


def test_a_mask_that_cannot_be_shown_leaves_the_old_page(tiny_root: Path, tmp_path: Path) -> None:
    det, seg = write_det_run(tmp_path / "det"), write_mask_run(tmp_path / "seg")
    out = tmp_path / "page"
    write_runs_page([det, seg], out, tiny_root)
    (out / "assets/mine.jpg").write_text("mine")
    old = contents(out)
    write_det_predictions(det, Frame("val0.jpg", labels=[]))
    (seg / "inference/masks/val2.png").write_bytes(b"no mask")
    with pytest.raises(DataError, match=r"val2\.png"):
        write_runs_page([det, seg], out, tiny_root)
    assert contents(out) == old


def test_the_tool_prints_where_the_page_is(tiny_root: Path, tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det")
    arguments = ["runs", folder, "--out", tmp_path / "page", "--frames", "1", "--score-thr", "0.1"]
    result = run_tool("report", *arguments, env={"DETECTRON2_DATASETS": str(tiny_root)})
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "page/index.html")
    text = Path(result.stdout.strip()).read_text(encoding="utf-8")
    assert "score of at least 0.10" in text and "1 of 3 frames" in text


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "error: nowhere/config.yaml: no such file; give the OUTPUT_DIR of a run of tools/train_net.py."),
        (("--frames", "-1"), 2),
        (("--score-thr", "30"), 2),
    ],
)
def test_the_tool_ends_with_a_message(
    arguments: tuple[str, ...], code: str | int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["report.py", "runs", "nowhere", "--out", str(tmp_path), *arguments])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert caught.value.code == code


def test_a_page_of_ones_own_data_shows_their_pictures_and_classes(tmp_path: Path) -> None:
    scores = {"AP": [{"tram": 50.0, "car": 30.0}, {"OVERALL": 40.0}]}
    folder = write_det_run(tmp_path / "det", scores=scores)
    write_image(tmp_path / "images/below/a.png", 90, 160, seed=1)
    write_image(tmp_path / "images/b.jpg", 90, 160, seed=2)
    write_frames(
        [make_frame("a.jpg", ("tram", 1, 1, 30, 30), ("deer", 50, 1, 80, 30)), make_frame("b.jpg")],
        tmp_path / "val.json",
    )
    found = make_frame("a.jpg", ("tram", 1, 1, 30, 30))
    found.labels[0].score = 0.9
    write_det_predictions(folder, found, Frame(name="b.jpg", labels=[]))
    write_config(folder, "mine_val")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["DATASETS"]["OWN"] = [
        {"name": "mine", "labels": str(tmp_path / "{split}.json"), "images": str(tmp_path / "images")}
        | {"classes": ["tram", "car"]}
    ]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    page = Document(write_runs_page([folder], tmp_path / "page"))
    assert [row[:2] for row in page.tables[0]] == [["Class", "Objects"], ["tram", "1"], ["car", "0"], ["Overall", "1"]]
    assert "Ground truth beside prediction" in page.texts["h3"]
    assert any("These are not the official scores: own classes (tram, car)." in text for text in page.texts["p"])


def test_a_data_set_of_a_script_has_scores_and_a_sentence(tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det", scores={"AP": [{"tram": 50.0, "car": 30.0}, {"OVERALL": 40.0}]})
    write_config(folder, "of_a_script")
    page = Document(write_runs_page([folder], tmp_path / "page"))
    assert [row[0] for row in page.tables[0]] == ["Class", "tram", "car", "Overall"]
    assert any("of_a_script is no data set of BDD100K" in text for text in page.texts["p"])
    assert not list((tmp_path / "page/assets").glob("*.jpg"))
