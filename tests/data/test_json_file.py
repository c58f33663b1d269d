"""JSON saved in other ways than UTF-8: the same labels, whoever reads them, or a sentence."""

import gzip
import json
import os
import re
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from support.conversion_cases import run

from bdd100k_d2.data import json_file
from bdd100k_d2.data.coco import is_coco
from bdd100k_d2.data.json_file import read_beginning, read_content, read_json
from bdd100k_d2.data.labels import Frame
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation import box_reader
from bdd100k_d2.evaluation.box_reader import reading_boxes

LABEL = {"id": "0", "category": "car", "score": 0.5, "box2d": {"x1": 1, "y1": 2, "x2": 30, "y2": 40}}
FRAMES = [{"name": f"ä{i}.jpg", "labels": [LABEL]} for i in range(3)]
COCO = {
    "images": [{"id": 1, "file_name": "ä0.jpg", "width": 160, "height": 96}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 30, 39]}],
    "categories": [{"id": 3, "name": "car"}],
}
TEXT = json.dumps(FRAMES, ensure_ascii=False)

SAVED: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "with a byte-order mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, the other way around": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip of a mark": lambda text: gzip.compress(text.encode("utf-8-sig")),
    "gzip in two": lambda text: gzip.compress(text.encode()[:50]) + gzip.compress(text.encode()[50:]),
}


@pytest.mark.parametrize("saved", SAVED)
def test_what_is_read_does_not_depend_on_how_it_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: str
) -> None:
    path, coco = tmp_path / "in.json", tmp_path / "coco.json"
    path.write_bytes(SAVED[saved](TEXT))
    coco.write_bytes(SAVED[saved](json.dumps(COCO, ensure_ascii=False)))
    expected = [one["name"] for one in FRAMES]
    assert [frame.name for frame in read_labels(path).frames] == expected
    assert is_coco(coco) and not is_coco(path)
    assert [frame.name for frame in read_labels(coco).frames] == expected[:1]
    assert run(path, tmp_path / "out.json", "coco").labels == 3
    assert run(coco, tmp_path / "out.json", "scalabel", overwrite=True).labels == 1
    # A file that is large enough is cut where it can be.
    monkeypatch.setattr(box_reader, "_LARGE", 0)
    monkeypatch.setattr(box_reader, "_PART", 20)
    with reading_boxes(path) as boxes:
        assert boxes().names == expected


LINES = "\n".join(json.dumps(frame) for frame in FRAMES)


@pytest.mark.parametrize("text", (LINES, LINES + "\n\n", LINES.replace("\n", "\r\n"), LINES.replace("\n", "\n\n")))
def test_json_lines_are_a_list(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(text.encode())
    for place in (path, tmp_path):
        assert [frame.name for frame in read_labels(place).frames] == ["ä0.jpg", "ä1.jpg", "ä2.jpg"]
        assert run(place, tmp_path.parent / f"{tmp_path.name}.json", "coco", overwrite=True).labels == 3


def test_one_frame_is_a_file(tmp_path: Path) -> None:
    for i, frame in enumerate(FRAMES):
        (tmp_path / f"{i}.json").write_text(json.dumps(frame, indent=1))
    assert [frame.name for frame in read_labels(tmp_path).frames] == ["ä0.jpg", "ä1.jpg", "ä2.jpg"]
    assert run(tmp_path / "1.json", tmp_path / "out.json", "scalabel").labels == 1


@pytest.mark.parametrize("form", ({"frames": FRAMES}, FRAMES))
@pytest.mark.parametrize("indent", (None, 0, 1))
def test_other_json_is_not_taken_for_lines(tmp_path: Path, form: object, indent: int | None) -> None:
    path = tmp_path / "in.json"
    path.write_text(text := json.dumps(form, indent=indent))
    assert read_json(path).decode() == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(TEXT.encode(), mtime=0)[:-9], "the gzip file is cut off; copy or export it again"),
        (b"\x1f\x8b", "the gzip file is cut off"),
        (gzip.compress(TEXT.encode(), mtime=0)[:30] + b"x" * 40, "the gzip file is damaged"),
        (TEXT.encode("utf-16")[:-1], "is not the UTF-16 that it begins as; save it as UTF-8"),
        (TEXT.encode("latin-1"), r"not UTF-8 \(byte 0xe4 in line 1\); save the file as UTF-8"),
        (json.dumps(FRAMES, indent=1, ensure_ascii=False).encode("latin-1"), "byte 0xe4 in line 3"),
        (f"{LINES}\n{{".encode(), "not valid JSON .*line 4"),
        (LINES.replace('"name"', '"nam"', 1).encode(), "frame number 0: .*missing required field `name`"),
    ],
)
def test_what_is_damaged_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "in.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: .*{message}"):
        read_labels(path)
    with pytest.raises(DataError, match=message):
        run(path, tmp_path / "out.json", "coco")


def test_a_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "MOST_UNPACKED", 1 << 20)
    path = tmp_path / "in.json"
    path.write_bytes(gzip.compress(b"[" + b" " * (2 << 20) + b"]"))
    with pytest.raises(DataError, match="in.json: more than 1,048,576 bytes come of this gzip file.*unpack it"):
        read_labels(path)


def test_what_becomes_much_larger_than_labels_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "_SMALL", 1 << 20)
    path = tmp_path / "in.json"
    path.write_bytes(content := gzip.compress(b"[" + b" " * (8 << 20) + b"]"))
    most = 250 * len(content)
    assert 1 << 20 < most < 8 << 20
    with pytest.raises(DataError, match=f"in.json: more than {most:,} bytes come of this gzip file.*unpack it"):
        read_labels(path)
    # What is small may be packed by any factor, and labels that repeat by some.
    path.write_bytes(gzip.compress(b"[" + b" " * (1 << 19) + b"]"))
    assert read_json(path).strip(b"[] ") == b""
    frame = json.dumps({"labels": [{"category": "car", "box2d": {"x1": i, "y1": 1, "x2": 9}} for i in range(20)]})
    text = "[" + ",".join(f'{{"name": "{i * 7919:08x}.jpg", {frame[1:]}' for i in range(3000)) + "]"
    path.write_bytes(gzip.compress(text.encode()))
    assert len(text) > 3 << 20 and read_json(path).decode() == text


def test_a_pipe_is_read_once_and_a_device_not_at_all(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for text in (TEXT.encode(), gzip.compress(TEXT.encode())):
        writer = threading.Thread(target=pipe.write_bytes, args=[text], daemon=True)
        writer.start()
        assert read_beginning(pipe, 100) == b"" and read_json(pipe).decode() == TEXT
        writer.join(20)
    (tmp_path / "device.json").symlink_to("/dev/zero")
    assert read_beginning(tmp_path / "device.json", 100) == b""
    with pytest.raises(DataError, match=r"device\.json: the label file cannot be read \(it is a device\)"):
        read_json(tmp_path / "device.json")


@pytest.mark.parametrize("target", ["pipe", "/dev/zero", "nowhere"])
def test_what_is_no_file_among_those_of_a_folder_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.json").write_text(TEXT)
    if target == "pipe":
        os.mkfifo(tmp_path / "labels/b.json")
    else:
        (tmp_path / "labels/b.json").symlink_to(target)
    with pytest.raises(DataError, match=r"labels/b\.json: no file that can be read; mend the link or remove it"):
        read_labels(tmp_path / "labels")


@pytest.mark.parametrize("limit", (1 << 20, 1 << 40))
@pytest.mark.parametrize("level", (0, 1))
def test_each_byte_of_a_gzip_file_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, level: int
) -> None:
    read = []

    class Counted(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            read.append(len(found))
            return found

    monkeypatch.setattr(json_file, "BytesIO", Counted)
    monkeypatch.setattr(json_file, "MOST_UNPACKED", limit)
    path = tmp_path / "in.json"
    path.write_bytes(gzip.compress(b" " * (100 << 20), level))
    if limit == 1 << 20:
        with pytest.raises(DataError, match="more than 1,048,576 bytes come of this gzip file"):
            read_json(path)
    else:
        assert len(read_json(path)) == 100 << 20
    assert sum(read) <= path.stat().st_size + (1 << 20)


def test_the_beginning_is_that_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    for save in SAVED.values():
        path.write_bytes(save(TEXT))
        assert TEXT.encode().startswith(read_beginning(path, 40)) and len(read_beginning(path, 40)) > 8
    path.write_bytes(b"\x1f\x8bxxxxxxxxxxx")
    assert read_beginning(path, 40) == b"" == read_beginning(tmp_path / "none", 40)


def test_raw_content_is_what_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_bytes(SAVED["with a byte-order mark"]("[]"))
    assert read_content(path) == b"\xef\xbb\xbf[]" and read_json(path) == b"[]"
    assert read_labels(path).frames == list[Frame]()
