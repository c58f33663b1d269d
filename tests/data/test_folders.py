"""Hidden files are in no list, and one lister serves all folders of masks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bdd100k_d2.data.convert.scalabel import read_scalabel
from bdd100k_d2.data.convert.source import source_kind
from bdd100k_d2.data.datasets import load_images, load_masks
from bdd100k_d2.data.folders import files_below, holds, label_files, visible_files
from bdd100k_d2.data.masks import list_masks
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError


@pytest.fixture
def junk(tmp_path: Path) -> Path:
    """Two files of a frame each, and what a Mac and Jupyter leave beside them."""
    for name in ("b.png", "a.png", "._a.png", ".DS_Store", "in/c.png", "__MACOSX/._a.png", ".ipynb_checkpoints/b.png"):
        path = tmp_path / "junk" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0\5\26\7")
    return tmp_path / "junk"


def test_hidden_files_are_none(junk: Path) -> None:
    assert sorted(entry.name for entry in visible_files(junk, ".png", ".jpg")) == ["a.png", "b.png"]
    assert sorted(entry.name for entry in visible_files(junk)) == ["__MACOSX", "a.png", "b.png", "in"]
    assert files_below(junk, ".png") == [junk / "a.png", junk / "b.png", junk / "in/c.png"]
    assert holds(junk, ".png") and not holds(junk / "__MACOSX", ".png") and not holds(junk / "nowhere", ".png")
    assert files_below(junk / "nowhere") == []


def test_masks_are_listed_by_stem(junk: Path) -> None:
    assert list_masks(junk) == {"a": junk / "a.png", "b": junk / "b.png"}
    assert list(list_masks(junk, below=True)) == ["a", "b", "c"]
    (junk / "in/a_train_id.png").touch()
    assert list(list_masks(junk, below=True)) == ["a", "b", "in__a", "c"]
    (junk / "in/a.png").touch()
    with pytest.raises(
        DataError, match=r"junk: in/a.png and in/a_train_id.png are masks of the same frame; remove one"
    ):
        list_masks(junk, below=True)
    (junk / "a_drivable_id.png").touch()
    with pytest.raises(DataError, match="a drivable map of 2018"):
        list_masks(junk)


def test_label_files_lie_at_the_top_or_in_folders(tmp_path: Path) -> None:
    for name in ("video/b.json", "video/a.json", "video/._a.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert label_files(tmp_path) == [tmp_path / "video/a.json", tmp_path / "video/b.json"]
    (tmp_path / "._top.json").touch()
    assert len(label_files(tmp_path)) == 2
    (tmp_path / "top.json").touch()
    assert label_files(tmp_path) == [tmp_path / "top.json"] == label_files(tmp_path / "top.json")


def test_data_sets_have_no_hidden_images_or_masks(tmp_path: Path) -> None:
    for name in ("images/a.jpg", "images/._a.jpg", "masks/a.png", "masks/._a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / name)
    assert [one["image_id"] for one in load_images(tmp_path / "images")] == ["a.jpg"]
    assert [one["image_id"] for one in load_masks(tmp_path / "masks", tmp_path / "images")] == ["a.jpg"]


def test_label_files_in_hidden_folders_are_none(tmp_path: Path) -> None:
    for folder in ("a", ".trash", ".ipynb_checkpoints"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.json").write_text("[]")
    assert label_files(tmp_path) == [tmp_path / "a" / "x.json"]


def test_endings_in_any_case(tmp_path: Path) -> None:
    for name in ("a.PNG", "b.png", "c.jpg"):
        (tmp_path / name).touch()
    assert sorted(entry.name for entry in visible_files(tmp_path, ".png")) == ["a.PNG", "b.png"]
    assert [path.name for path in files_below(tmp_path, ".png")] == ["a.PNG", "b.png"]


def test_label_files_have_several_endings(tmp_path: Path) -> None:
    for name in ("b.jsonl", "d.jsonl.gz", "e.txt", "._f.json", "json", "in/a.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in label_files(tmp_path)] == ["b.jsonl", "d.jsonl.gz"]
    for name in ("a.json.gz", "c.json"):
        (tmp_path / name).touch()
    assert [path.name for path in label_files(tmp_path)] == ["a.json.gz", "c.json"]


def test_label_files_in_capitals_and_unread_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, image in (
        ("a.json", "a"),
        ("b.JSON", "b"),
        ("c.jsonl", "c"),
        ("in/in/d.json", "d"),
        ("frames.jsonl", "e"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'[{{"name": "{image}.jpg", "labels": []}}]')
    assert [frame.name for frame in read_labels(tmp_path).frames] == ["a.jpg", "b.jpg"]
    assert "2 label files are not read beside the 2 that are; the first is " in caplog.text


def test_a_folder_of_predictions_is_labels(tmp_path: Path) -> None:
    (tmp_path / "frames.jsonl").write_text('{"name": "a.jpg", "seconds": 0.1}\n')
    (tmp_path / "det.json").write_text('[{"name": "a.jpg", "labels": []}]')
    assert [frame.name for frame in read_labels(tmp_path).frames] == ["a.jpg"]
    assert source_kind(tmp_path) == "scalabel"
    assert [frame.name for frame in read_scalabel(tmp_path)] == ["a.jpg"]


def test_label_files_below_others_are_counted_as_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.json", "in/b.json", "in/c.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'[{{"name": "{name[-6]}.jpg", "labels": []}}]')
    for read in (lambda: read_labels(tmp_path).frames, lambda: list(read_scalabel(tmp_path))):
        caplog.clear()
        assert len(read()) == 1
        assert caplog.messages == [
            f"{tmp_path}: 2 label files are not read beside the 1 that are; the first is {tmp_path / 'in' / 'b.json'}."
        ]
    caplog.clear()
    assert len(read_labels(tmp_path / "in").frames) == 2 and not caplog.messages
