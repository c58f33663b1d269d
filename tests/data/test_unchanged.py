"""What was read of files that have not changed is not read again, and what has changed is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from support.frames import write_image

from bdd100k_d2.data import coco, vintages
from bdd100k_d2.data.own_dataset import register_dataset
from bdd100k_d2.data.unchanged import KeptRecords, content_state, kept_unless_changed


def test_the_state_of_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.json").write_text("[]")
    paths = [tmp_path, tmp_path / "in/a.json", tmp_path / "nowhere"]
    first = content_state(paths)
    assert content_state(paths) == first
    (tmp_path / "in/notes").write_text("no data")
    assert content_state(paths) == first
    (tmp_path / "in/b.jpg").touch()
    second = content_state(paths)
    assert second[0] != first[0] and second[1:] == first[1:]
    (tmp_path / "in/a.json").write_text("{}")
    third = content_state(paths)
    assert third[0] != second[0] and third[1] != second[1]
    (tmp_path / "in/c.jpg").symlink_to(tmp_path / "gone.jpg")
    # What cannot be listed is as no other, not even as itself.
    assert content_state([tmp_path]) != content_state([tmp_path])


def test_results_of_files_are_kept_up_to_so_many(tmp_path: Path) -> None:
    read: list[str] = []

    @kept_unless_changed(most=2)
    def text(path: Path, more: str) -> str:
        read.append(path.name + more)
        return path.read_text() + more

    for name in "abc":
        (tmp_path / name).write_text(name)
    assert [text(tmp_path / name, "1") for name in "aab"] == ["a1", "a1", "b1"] and read == ["a1", "b1"]
    (tmp_path / "a").write_text("longer")
    assert text(tmp_path / "a", "1") == "longer1" and text(tmp_path / "c", "1") == "c1"
    assert read == ["a1", "b1", "a1", "c1"] and text(tmp_path / "b", "1") == "b1" and read[-1] == "b1"


def test_records_are_copies_and_kept_up_to_so_many_bytes() -> None:
    kept = KeptRecords(most_bytes=100_000)
    loaded: list[int] = []

    def records(size: int) -> list[dict[str, Any]]:
        loaded.append(size)
        return [{"name": "x" * size, "annotations": []}]

    for key, size in (("a", 40_000), ("a", 40_000), ("b", 50_000), ("a", 40_000), ("c", 40_000), ("b", 50_000)):
        found = kept.get(key, ((),), lambda size=size: records(size))
        assert found == [{"name": "x" * size, "annotations": []}]
        found[0]["annotations"].append("changed")
    # "b" had to go for "c", as "a" was asked for after it.
    assert loaded == [40_000, 50_000, 40_000, 50_000]
    assert kept.get("b", ((1,),), list) == []
    for _ in range(2):
        kept.get("large", ((),), lambda: records(200_000))
    assert loaded[-2:] == [200_000] * 2


@pytest.fixture
def pets(tmp_path: Path) -> Iterator[Path]:
    write_image(tmp_path / "images/a.jpg", 60, 100)
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "my.json").write_text(json.dumps(document))
    yield tmp_path
    DatasetCatalog.remove("kept_pets")
    MetadataCatalog.remove("kept_pets")


def test_labels_of_ones_own_are_read_once_for_several_evaluations(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    for module in (coco, vintages):
        original = module.read_json
        monkeypatch.setattr(module, "read_json", lambda path, original=original: read.append(path) or original(path))
    register_dataset("kept_pets", pets / "my.json", pets / "images")
    first = DatasetCatalog.get("kept_pets")
    several = len(read)
    first[0]["annotations"].clear()
    for _ in range(3):
        register_dataset("kept_pets", pets / "my.json", pets / "images")
        ((one,),) = ([record["annotations"] for record in DatasetCatalog.get("kept_pets")],)
        assert one[0]["bbox"] == [1, 2, 3, 4]
    # To register is to ask for the kind of the labels, and that alone.
    assert len(read) - several <= 3
    text = (pets / "my.json").read_text().replace("[1, 2, 3, 4]", "[1, 2, 3, 5]")
    (pets / "my.json").write_text(text)
    ((one,),) = ([record["annotations"] for record in DatasetCatalog.get("kept_pets")],)
    assert one[0]["bbox"] == [1, 2, 3, 5]
    # The size of an image that labels do not state is its own.
    write_image(pets / "images/a.jpg", 80, 120)
    assert DatasetCatalog.get("kept_pets")[0]["height"] == 80
