"""Names out of files stay in their folder, and what is read is not overwritten, by whatever name it is called."""

import os
from pathlib import Path

import pytest

from bdd100k_d2.errors import DataError, OutputError
from bdd100k_d2.inside import inside, lies_in, refuse_overwriting


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/etc/passwd", "a\0b", "/", "x" * 256, "\ud800" * 86])
def test_what_is_no_plain_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="is no plain name of a file or folder"):
        inside(tmp_path, name)
    with pytest.raises(DataError, match="is no plain name of a file or folder"):
        inside(tmp_path, "results", name)


@pytest.mark.parametrize("names", [("a.jpg",), ("masks", "a b.png"), ("...",), ("~", "ü.jpg"), ("a\\b",)])
def test_plain_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert inside(tmp_path, *names) == tmp_path.joinpath(*names)


def test_links_that_lead_out_are_refused_and_others_are_not(tmp_path: Path) -> None:
    folder, outside = tmp_path / "run", tmp_path / "outside"
    (folder / "masks").mkdir(parents=True)
    outside.mkdir()
    (folder / "overlays").symlink_to(outside)
    (folder / "det.json").symlink_to(outside / "missing.json")
    (folder / "again").symlink_to("again")
    (folder / "same").symlink_to("masks")
    for names in (("overlays",), ("overlays", "a.jpg"), ("det.json",)):
        with pytest.raises(DataError, match="a link leads out of"):
            inside(folder, *names)
    with pytest.raises(DataError, match="no usable path"):
        inside(folder, "again")
    assert inside(folder, "same", "a.png") == folder / "same/a.png"
    (tmp_path / "linked").symlink_to(folder)
    assert inside(tmp_path / "linked", "masks").is_dir()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of data, parts of which are elsewhere by links."""
    store = tmp_path / "store"
    for name in ("images/val", "files", "deep"):
        (store / name).mkdir(parents=True)
    (store / "files/a.png").touch()
    data = tmp_path / "data"
    (data / "labels/masks").mkdir(parents=True)
    (data / "labels/own.json").touch()
    (data / "images").symlink_to(store / "images")
    (data / "labels/masks/a.png").symlink_to(store / "files/a.png")
    (store / "images/val/more").symlink_to(store / "deep")
    (data / "back").symlink_to(data)
    (data / "nothing").symlink_to(tmp_path / "nothing")
    os.link(data / "labels/own.json", tmp_path / "hard.json")
    (tmp_path / "soft.json").symlink_to(data / "labels/own.json")
    return data


@pytest.mark.parametrize(
    "place",
    [
        "data",
        "data/new/file.json",
        "data/labels/../x.json",
        "store/images",
        "store/images/val/new.png",
        "store/files",
        "store/files/a.png",
        "store/deep/new",
        "soft.json",
        "hard.json",
        "nothing",
    ],
)
def test_what_lies_in_the_data(data: Path, tmp_path: Path, place: str) -> None:
    assert lies_in(tmp_path / place, data)
    with pytest.raises(OutputError, match="would overwrite or lie in .*data, which is only read; choose another"):
        refuse_overwriting(tmp_path / place, [tmp_path / "missing", data])


def test_a_link_that_leads_to_itself_leads_nowhere(data: Path, tmp_path: Path) -> None:
    (data / "itself").symlink_to(data / "itself")
    assert not lies_in(tmp_path / "out.json", data)


@pytest.mark.parametrize("place", [".", "data2", "store", "store/files/new.png", "out/a.json"])
def test_what_does_not(data: Path, tmp_path: Path, place: str) -> None:
    assert not lies_in(tmp_path / place, data)
    refuse_overwriting(tmp_path / place, [data])


def test_a_file_that_is_read(data: Path, tmp_path: Path) -> None:
    labels = data / "labels/own.json"
    for name in ("soft.json", "hard.json", "data/labels/own.json", "data/labels/../labels/own.json"):
        with pytest.raises(OutputError, match="choose another place"):
            refuse_overwriting(tmp_path / name, [labels])
    refuse_overwriting(data / "labels/new.json", [labels])
