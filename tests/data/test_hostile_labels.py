"""What a label file may hold that no label file should: refused in one line, in no time, by everyone who reads it."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.conversion_cases import run

from bdd100k_d2.data.labels import is_frame_name
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.files.evaluate import evaluate_files

LABEL = {"id": "0", "category": "car", "score": 0.5, "box2d": {"x1": 1, "y1": 2, "x2": 30, "y2": 40}}
TEXT = json.dumps([{"name": "a.jpg", "timestamp": 1, "labels": [LABEL]}])
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 160, "height": 96}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 30, 39], "score": 0.5}],
    "categories": [{"id": 3, "name": "car"}],
}


def coco(part: str = "images", **changes: object) -> str:
    return json.dumps(COCO | {part: [COCO[part][0] | changes]})


def read_by_all(path: Path, folder: Path) -> list[Callable[[], Any]]:
    truth = folder / "gt.json"
    truth.write_text(TEXT)
    return [
        lambda: read_labels(path),
        lambda: run(path, folder / "out.json", "scalabel"),
        lambda: run(path, folder / "out.json", "coco"),
        lambda: evaluate_files("det", path, truth, workers=1),
        lambda: evaluate_files("det", truth, path, workers=1),
    ]


DIGITS = "9" * 6000
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "a Latin-1 byte in a category": (TEXT.replace("car", "ç").encode("latin-1"), "not UTF-8 .byte 0xe7 in line 1."),
    "a Latin-1 byte in a name": (TEXT.replace("a.jpg", "ç.jpg").encode("latin-1"), "not UTF-8"),
    "a Latin-1 byte in COCO": (coco(file_name="ç").replace("\\u00e7", "ç").encode("latin-1"), "not UTF-8"),
    "lists in lists": (TEXT.replace("1,", "[" * 9000 + "]" * 9000 + ",", 1), "lists or objects lie too deep"),
    "objects in objects": ('{"frames":' * 9000, "lists or objects lie too deep"),
    "lists in the list of frames": ('{"frames": ' + "[" * 90_000, "lists or objects lie too deep"),
    "lists beside the list of frames": (f'{{"frames": {TEXT}, "x": ' + "[" * 90_000, "lists or objects lie too deep"),
    "a field of lists": (TEXT[:-2] + ',"x":' + "[" * 90_000, "lists or objects lie too deep"),
    "thousands of digits": (TEXT.replace("1,", f"{DIGITS},", 1), "frame a.jpg holds a number that is NaN or infinite"),
    "an id of thousands of digits": (TEXT.replace('"0"', DIGITS), "frame a.jpg, label inf, holds a number"),
    "NaN beside labels that are no list": ('[{"name": "a.jpg", "labels": 5, "x": NaN}]', "frame a.jpg holds a number"),
    "labels that are no list": ('[{"name": "a.jpg", "labels": {"a": 1}}]', "frame a.jpg: Expected `array"),
    "half a character in a category": (TEXT.replace("car", "\\ud800"), "frame a.jpg: half of a character"),
    "half a character in a name": (TEXT.replace("a.jpg", "\\ud800.jpg"), r"frame \\ud800.jpg: half of a character"),
    "half a character in a key": (TEXT.replace("timestamp", "\\ud800"), "frame a.jpg: half of a character"),
    "NUL in a name": (TEXT.replace("a.jpg", "a\\u0000.jpg"), r"a frame is called 'a\\x00.jpg'; the name of an image"),
    "an escape sequence in a name": (TEXT.replace("a.jpg", "\\u001b[2J"), r"a frame is called '\\x1b\[2J'"),
    "right to left in a name": (TEXT.replace("a.jpg", "a\\u202egpj"), r"a frame is called 'a\\u202egpj'"),
    "no name": (TEXT.replace("a.jpg", ""), "a frame is called ''; the name of an image has 1 to 255 bytes"),
    "a long name": (TEXT.replace("a.jpg", "é" * 128), r"a frame is called '(\\u00e9|é)+.*'; the name"),
    "a name that is a folder": (coco(file_name="a/"), "a frame is called ''"),
    "NUL in a name of COCO": (coco(file_name="a\0.jpg"), r"a frame is called 'a\\x00.jpg'"),
    "no size": (TEXT[:-2] + ',"size":{"width":0,"height":0}}]', "frame a.jpg is 0x0 pixels; an image has one or more"),
    "a negative size": (TEXT[:-2] + ',"size":{"width":9,"height":-9}}]', "frame a.jpg is 9x-9 pixels"),
    "a huge size": (
        TEXT[:-2] + ',"size":{"width":100000000,"height":100000000}}]',
        "frame a.jpg is 100000000x100000000 pixels, more than 100,000,000 in all; .*BDD100K_MAX_PIXELS",
    ),
    "a size of a hundred digits": (TEXT[:-2] + f',"size":{{"width":{DIGITS[:900]},"height":9}}}}]', "is 9+...9+x9 pix"),
    "a negative size in COCO": (coco(width=-160), "frame a.jpg is -160x96 pixels"),
    "half a size in COCO": (coco(width=0), "frame a.jpg is 0x96 pixels"),
    "a negative size beside 0 in COCO": (coco(width=-160, height=0), "frame a.jpg is -160x0 pixels"),
    "a huge size in COCO": (coco(width=10**8, height=10**8), "frame a.jpg is 100000000x100000000 pixels"),
    "a huge config": (f'{{"config":{{"imageSize":{{"width":{10**9},"height":9}}}},"frames":{TEXT}}}', "1000000000x9"),
    "a huge mask of run lengths in COCO": (
        coco("annotations", segmentation={"counts": [10**16], "size": [10**8, 10**8]}),
        "annotation 1: the mask is 100000000x100000000 pixels",
    ),
    "run lengths of thousands of digits": (
        coco("annotations", segmentation={"counts": ["x"], "size": [1, 1]}).replace('"x"', DIGITS[:4200]),
        "annotation 1: the run lengths hold a length that no mask of 1x1 has",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_all_who_read_labels_refuse_the_same(tmp_path: Path, case: str) -> None:
    content, message = REFUSED[case]
    path = tmp_path / "in.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for read in read_by_all(path, tmp_path):
        with pytest.raises(DataError, match=f"in.json: (.*{message}|{message})") as error:
            read()
        text = str(error.value)
        assert len(text) < 1000 and text.isprintable()


@pytest.fixture
def one_minute() -> Iterator[None]:
    """Ends a test in which a reader takes minutes, because it is not linear in the size; all of them take a second."""

    def end(*_: object) -> None:
        raise TimeoutError("a minute has passed")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "content",
    (
        b"[" * 30_000_000,
        b'[{"a":' * 5_000_000,
        b'"' * 5_000_000,
        b" " * 5_000_000,
        b"[" + b" " * 5_000_000,
        b"{\n" * 5_000_000,
    ),
)
@pytest.mark.usefixtures("one_minute")
def test_megabytes_of_nothing_are_refused_at_once(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "in.json"
    path.write_bytes(content)
    for read in read_by_all(path, tmp_path):
        with pytest.raises(DataError, match="in.json: "):
            read()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"timestamp": 1', '"timestamp": 66.6'),
        ('"timestamp": 1', '"timestamp": {"s": 1}, "frameIndex": "3", "videoName": 7'),
        ('"timestamp": 1', '"timestamp": 123456789012345678901234567890'),
        ('"id": "0"', '"id": 7.0'),
        ('"id": "0"', '"id": 123456789012345678901234567890'),
        ('"id": "0"', '"id": null'),
    ],
)
def test_fields_that_are_only_carried_may_be_anything(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "in.json"
    path.write_text(TEXT.replace(old, new))
    for read in read_by_all(path, tmp_path)[:1] + read_by_all(path, tmp_path)[3:]:
        read()
    run(path, tmp_path / "out.json", "scalabel")
    assert json.loads((tmp_path / "out.json").read_text()) == [
        frame | {"labels": [{k: v for k, v in one.items() if v is not None}]}
        for frame in json.loads(path.read_text())
        for one in frame["labels"]
    ]


@pytest.mark.parametrize("name", ("a", "0a0a0b1a-7c39d841.jpg", "video/é 1.jpg", "日本　語.png", "x" * 255))
def test_names_of_images(name: str) -> None:
    assert is_frame_name(name)


@pytest.mark.parametrize("name", ("", "a\n", "a\0", "\x7f", "\ud800", "\u202e", "\u2028", "x" * 256, "é" * 128))
def test_names_that_no_image_has(name: str) -> None:
    assert not is_frame_name(name)


@pytest.mark.parametrize(
    ("attribute", "flag"),
    [("Occluded", "occluded"), ("Truncated", "truncated"), ("Crowd", "crowd"), ("Ignored", "ignored")],
)
def test_capital_attributes_are_read_in_every_vintage(tmp_path: Path, attribute: str, flag: str) -> None:
    # No other text of these letters is changed, and among both the small ones are right.
    label = LABEL | {"id": attribute, "attributes": {attribute: True}, "poly2d": {attribute: 1}}
    both = LABEL | {"attributes": {flag: False, attribute: True, "own": attribute}}
    forms: list[object] = [
        [{"name": "a.jpg", "labels": [label, both]}],
        {"config": None, "frames": [{"name": "a.jpg", "labels": [label, both]}]},
        {"name": "a.jpg", "labels": [label, both]},
        {"name": "a", "frames": [{"objects": [label, both]}]},
    ]
    written = [
        label | {"attributes": {flag: True}},
        both | {"attributes": {flag: False, "own": attribute}},
    ]
    path = tmp_path / "in.json"
    for form in forms:
        path.write_text(json.dumps(form))
        run(path, tmp_path / "out.json", "scalabel", overwrite=True)
        for place in (path, tmp_path / "out.json"):
            (frame,) = read_labels(place).frames
            assert [getattr(one.attributes, flag) for one in frame.labels] == [True, False]
            assert frame.labels[0].id == attribute
        ((frame, *_),) = [json.loads((tmp_path / "out.json").read_text())]
        assert frame["labels"] == written
