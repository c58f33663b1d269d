"""Zips of a submission: what is damaged, unpacks to more than it says, or is of another method."""

import re
import shutil
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.submissions import check, texts, zipped

from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.prediction_files import (
    write_submission,
)
from bdd100k_d2.evaluation.submission import describe_defects, members


def test_what_a_mac_leaves_beside_the_files_is_none_of_them(det: Path, masks: Path, tmp_path: Path) -> None:
    junk = {"__MACOSX/._a.png": masks, "__MACOSX/._det.json": tmp_path / "only"}
    (tmp_path / "only").mkdir()
    shutil.copy(det, tmp_path / "only/other.json")
    for (name, folder), task in zip(junk.items(), ("sem_seg", "det"), strict=True):
        path = zipped(folder)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"\0\5\26\7")
        assert texts(check(task, path)) == [f"extra file: {name}: None: does not belong into the zip"]
        (folder / name).parent.mkdir()
        (folder / name).write_bytes(b"\0\5\26\7")
        assert check(task, folder) == []


def test_names_with_backslashes(masks: Path) -> None:
    path = masks.parent / "windows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for mask in masks.iterdir():
            archive.write(mask, f"masks\\{mask.name}")
    found = check("sem_seg", path)
    assert [one.kind for one in found] == ["unsafe name"] * 3 and found[0].file == "masks\\a.png"
    assert found[0].text.startswith("has backslashes where folders end, by which only Windows unpacks them; zip with /")


def test_masks_in_one_folder_of_a_zip(masks: Path) -> None:
    path = masks.parent / "nested.zip"
    write_submission(masks.parent, path, ("masks",))
    assert check("sem_seg", path) == []


def test_bad_zips(masks: Path) -> None:
    path = zipped(masks)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="masks.zip: the zip cannot be opened .*cut off"):
        check("sem_seg", path)
    # A byte within the pixels of b.png.
    place = content.index(b"IDAT", content.index(b"b.png")) + 8
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    (found,) = texts(check("sem_seg", path))
    assert found.startswith("image: b.png: b.jpg: the zip is damaged here (Bad CRC-32")
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../d.png", "/e.png", "c:\\f.png"):
            archive.writestr(name, b"")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.write(masks / "a.png", "a.png")
    found = check("sem_seg", path)
    assert [(f.kind, f.file) for f in found[:4]] == [
        ("unsafe name", "../d.png"),
        ("unsafe name", "/e.png"),
        ("file twice", "a.png"),
        ("unsafe name", "c:\\f.png"),
    ]
    assert len(found) == 4


def test_a_member_that_unpacks_to_far_more_than_a_mask(masks: Path) -> None:
    path = masks.parent / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.png", "c.png"):
            archive.write(masks / name, name)
        with archive.open("b.png", "w") as file:
            for _ in range(65):
                file.write(bytes(1 << 20))
    assert texts(check("sem_seg", path)) == ["image: b.png: b.jpg: unpacks to 68,157,440 bytes, which no mask has"]


def test_a_list_that_unpacks_to_a_hundred_times_its_size(det: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "_SMALL_FILE", 1 << 20)
    path = det.with_name("bomb.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("det.json", bytes(2 << 20))
    first, *_ = texts(check("det", path))
    assert first == "file: det.json: None: unpacks to 2,097,152 bytes, which no list has"


def test_a_zip_that_unpacks_to_a_hundred_times_its_size(masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "_SMALL_ZIP", 1 << 20)
    path = masks.parent / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(64):
            archive.writestr(f"{i}.png", bytes(1 << 18))
    with pytest.raises(DataError, match=r"bomb.zip: the zip unpacks to 16,777,216 bytes, more than 100 times its own"):
        check("sem_seg", path)


def test_a_member_that_says_less_than_it_holds(masks: Path) -> None:
    path = masks.parent / "lie.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.png", "c.png"):
            archive.write(masks / name, name)
        archive.writestr("b.png", bytes(50 << 20))
    content = path.read_bytes()
    path.write_bytes(content.replace((50 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    tracemalloc.start()
    (found,) = texts(check("sem_seg", path))
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()
    assert found.startswith("image: b.png: b.jpg: the zip is damaged here (Bad CRC-32")


@pytest.mark.parametrize(
    ("method", "flags", "expected"),
    [
        (zipfile.ZIP_LZMA, 0, "is packed by another method than deflate; zip the files again"),
        (zipfile.ZIP_BZIP2, 0, "is packed by another method than deflate; zip the files again"),
        (97, 0, "is packed by another method than deflate; zip the files again"),
        (zipfile.ZIP_STORED, 1, "is encrypted; zip the files without a password"),
        (zipfile.ZIP_STORED, 1 << 5, "the zip is damaged here (compressed patched data"),
    ],
)
def test_members_that_servers_do_not_unpack(masks: Path, method: int, flags: int, expected: str) -> None:
    content = bytearray(zipped(masks).read_bytes())
    for signature, name_at in ((b"PK\3\4", 30), (b"PK\1\2", 46)):
        place = next(i for i in found_at(content, signature) if content[i + name_at : i + name_at + 5] == b"b.png")
        start = place + (6 if name_at == 30 else 8)
        content[start : start + 4] = struct.pack("<HH", flags, method)
    masks.with_suffix(".zip").write_bytes(content)
    (found,) = texts(check("sem_seg", masks.with_suffix(".zip")))
    assert found.startswith(f"image: b.png: b.jpg: {expected}")


def found_at(content: bytes, what: bytes) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(what), content)]


def test_a_damaged_zip_has_defects_or_one_error(masks: Path, det: Path) -> None:
    """Each byte of the list of the members is changed, in turn, and bytes of the members at random."""
    (det.parent / "only").mkdir()
    shutil.copy(det, det.parent / "only")
    rng = np.random.default_rng(0)
    for task, path in (("sem_seg", zipped(masks)), ("det", zipped(det.parent / "only"))):
        whole = path.read_bytes()
        listed = whole.index(b"PK\1\2")
        for place in (*range(listed, len(whole)), *rng.integers(0, listed, 100)):
            damaged = bytearray(whole)
            damaged[place] = rng.choice([0, 1, 127, 128, 255, damaged[place] ^ 1])
            path.write_bytes(damaged)
            try:
                defects = check(task, path)
            except DataError as error:
                assert str(error).startswith(f"{path}: ")
            else:
                assert "\0" not in describe_defects(defects)
