"""Kinds of sources, outputs that exist, and the command."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import run_tool
from support.conversion_cases import SIZE, random_det_frames, run, sized, write

import bdd100k_d2
from bdd100k_d2.data.convert.convert import convert
from bdd100k_d2.data.convert.source import source_kind
from bdd100k_d2.data.labels import Box2D, Frame, Label, write_frames
from bdd100k_d2.errors import ConfigError, DataError, OutputError

ROOT = Path(bdd100k_d2.__file__).parents[1]


def boxes(tmp_path: Path) -> Path:
    return write(tmp_path, [sized(Label("1", "car", box2d=Box2D(0, 0, 1, 1)))])


def test_kinds_are_told_by_content(tmp_path: Path) -> None:
    source = boxes(tmp_path)
    renamed = tmp_path / "labels.txt.json"
    run(source, renamed, "coco")
    run(source, tmp_path / "yolo", "yolo")
    for folder, shape in (("masks", (4, 6)), ("bitmasks", (4, 6, 4))):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / folder / "a.png")
    (tmp_path / "videos/v").mkdir(parents=True)
    write_frames([], tmp_path / "videos/v/v.json")
    found = {
        name: source_kind(tmp_path / name)
        for name in ("det_val.json", renamed.name, "yolo", "masks", "bitmasks", "videos")
    }
    assert list(found.values()) == ["scalabel", "coco", "yolo", "masks", "bitmasks", "scalabel"]
    assert source_kind(tmp_path / "yolo/labels/val") == "yolo"


@pytest.mark.parametrize(
    ("name", "message"),
    (
        ("nothing", "nothing: no such file or folder"),
        ("empty", r"empty: holds no labels; give a .json file, or a folder of .json files, of .txt files \(YOLO\)"),
        ("a.png", "a.png: one image; give the folder of the masks"),
        ("a.txt", "a.txt: one text file; give the folder of the YOLO labels"),
    ),
)
def test_sources_of_no_kind(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    for file in ("a.png", "a.txt"):
        (tmp_path / file).touch()
    with pytest.raises(DataError, match=message):
        run(tmp_path / name, tmp_path / "out.json", "coco")


@pytest.mark.parametrize(
    ("kind", "message"),
    (
        ("scalabel", "empty: no .json file in the folder or in the folders in it"),
        ("yolo", "empty: no .txt file in the folder"),
        ("masks", "empty: no .png file in the folder"),
    ),
)
def test_an_empty_folder_of_a_given_kind(tmp_path: Path, kind: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        run(tmp_path / "empty", tmp_path / "out.json", "coco", kind=kind)


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    source = boxes(tmp_path)
    for to, target in (("coco", tmp_path / "c.json"), ("scalabel", tmp_path / "s.json"), ("yolo", tmp_path / "yolo")):
        options = {"split": "val"} if to == "yolo" else {}
        written = run(source, target, to).path
        before = sorted((path, path.read_bytes()) for path in [written, *written.rglob("*")] if path.is_file())
        with pytest.raises(OutputError, match=r": exists; give another place, or --overwrite to replace it"):
            run(source, target, to)
        assert before == sorted((path, path.read_bytes()) for path in [written, *written.rglob("*")] if path.is_file())
        other = write(tmp_path, [sized(Label("2", "bus", box2d=Box2D(0, 0, 5, 5)), name="b.jpg")], "other.json")
        run(other, target, to, overwrite=True, **options)
    assert [path.name for path in (tmp_path / "yolo/labels/val").iterdir()] == ["b.txt"]
    assert json.loads((tmp_path / "c.json").read_text())["images"][0]["file_name"] == "b.jpg"


def test_the_source_is_never_the_target(tmp_path: Path) -> None:
    source = boxes(tmp_path)
    with pytest.raises(OutputError, match=r"would overwrite what is to be read"):
        run(source, source, "coco", overwrite=True)
    with pytest.raises(OutputError, match=r"would overwrite what is to be read"):
        run(source, tmp_path, "masks", overwrite=True)
    with pytest.raises(OutputError, match="would overwrite or lie in .*, which is only read; choose another place"):
        run(tmp_path, tmp_path / "coco.json", "coco")


def test_links_to_the_source_are_the_source(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = boxes(tmp_path / "in")
    before = source.read_bytes()
    (tmp_path / "link.json").symlink_to(source)
    (tmp_path / "hard.json").hardlink_to(source)
    (tmp_path / "folder").symlink_to(tmp_path / "in")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    for target in ("link.json", "hard.json", "folder/out.json", "folder/det_val.json"):
        for one in (source, tmp_path / "in"):
            if one == source and target == "folder/out.json":
                continue
            with pytest.raises(OutputError, match="is to be read|which is only read"):
                run(one, tmp_path / target, "scalabel", overwrite=True)
    with pytest.raises(DataError, match="loop.json: no usable path"):
        run(source, tmp_path / "loop.json", "scalabel", overwrite=True)
    assert source.read_bytes() == before and (tmp_path / "link.json").is_symlink()
    with pytest.raises(OutputError, match=r"folder: would overwrite what is to be read"):
        run(source, tmp_path / "folder", "masks", overwrite=True)


def test_what_is_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(DataError, match=r"pipe.json: neither a file nor a folder; save what it gives as a file"):
        run(tmp_path / "pipe.json", tmp_path / "out.json", "coco")
    with pytest.raises(OutputError, match=r"pipe.json: neither a file nor a folder, so it is not replaced"):
        run(boxes(tmp_path), tmp_path / "pipe.json", "coco", overwrite=True)
    with pytest.raises(DataError, match=r"x: no such file or folder"):
        run(tmp_path / ("x" * 5000), tmp_path / "out.json", "coco")
    with pytest.raises(OutputError, match=r"cannot be written \(File name too long\)"):
        run(boxes(tmp_path), tmp_path / f"{'x' * 5000}.json", "coco")


@pytest.mark.parametrize("target", (".", "..", "/"))
def test_targets_without_a_name(tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work/in").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    source = write(tmp_path, [Frame("a.jpg", size=SIZE, labels=[])])
    with pytest.raises(OutputError, match=r"is a file or a folder with a name; give one|would overwrite what"):
        run(source, Path(target), "masks", task="ins_seg", overwrite=True)


def test_a_linked_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.txt").write_text("mine")
    (tmp_path / "yolo/labels").mkdir(parents=True)
    (tmp_path / "yolo/labels/val").symlink_to(tmp_path / "mine")
    (tmp_path / "yolo/labels/train/sub.txt").mkdir(parents=True)
    for split, held in (("val", "val"), ("train", "sub.txt")):
        with pytest.raises(OutputError, match=rf"{split}: holds {held}, which no conversion wrote, so it is not"):
            run(boxes(tmp_path), tmp_path / "yolo", "yolo", split=split, overwrite=True)
    assert (tmp_path / "mine/a.txt").read_text() == "mine"


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "yolo/labels/val"
    folder.mkdir(parents=True)
    (folder / "notes.md").write_text("mine")
    with pytest.raises(OutputError, match=r"val: holds notes.md, which no conversion wrote, so it is not replaced"):
        run(boxes(tmp_path), tmp_path / "yolo", "yolo", overwrite=True)
    assert (folder / "notes.md").read_text() == "mine"


def test_a_failed_conversion_leaves_the_old_output(tmp_path: Path) -> None:
    source = boxes(tmp_path)
    frames = [*random_det_frames(np.random.default_rng(0)), Frame("z.jpg", labels=[Label("1", "boat")])]
    bad = write(tmp_path, frames, "bad.json")
    for to, target in (("coco", tmp_path / "c.json"), ("yolo", tmp_path / "yolo")):
        written = run(source, target, to).path
        before = sorted((path, path.read_bytes()) for path in [written, *written.rglob("*")] if path.is_file())
        with pytest.raises(DataError, match="boat"):
            run(bad, target, to, overwrite=True, **({"split": "val"} if to == "yolo" else {}))
        assert before == sorted((path, path.read_bytes()) for path in [written, *written.rglob("*")] if path.is_file())
        assert not [path for path in written.parent.iterdir() if path.name.startswith(".")]


def test_arguments_that_do_not_go_together(tmp_path: Path) -> None:
    source = boxes(tmp_path)
    with pytest.raises(ConfigError, match=r"--segmentation is of COCO, not of yolo; leave it out"):
        run(source, tmp_path / "yolo", "yolo", polygons=True)
    with pytest.raises(ConfigError, match=r"det has boxes and no masks; give another --task"):
        run(source, tmp_path / "out", "masks", task="det")
    with pytest.raises(ConfigError, match=r"'lane' is no task; there are det, sem_seg"):
        run(source, tmp_path / "out.json", "coco", task="lane")
    with pytest.raises(OutputError, match=r"out: the target is one JSON file; give a path that ends in .json"):
        run(source, tmp_path / "out", "coco")
    with pytest.raises(DataError, match=r"has boxes and no masks \(rle\), so no masks can be written"):
        run(source, tmp_path / "out", "masks")


def test_labels_without_boxes_are_not_made_an_empty_target(tmp_path: Path) -> None:
    lanes = write(tmp_path, [Frame("a.jpg", labels=[Label("1", "lane")])], "lanes.json")
    for to in ("coco", "yolo", "masks"):
        with pytest.raises(DataError, match=r"lanes.json: no label has a box or a mask \(rle\), so .* would be empty"):
            run(lanes, tmp_path / "out.json", to)
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.full((4, 6), 10, np.uint8)).save(tmp_path / "masks/a.png")
    with pytest.raises(DataError, match=r"masks: no label has a box, so yolo would be empty"):
        run(tmp_path / "masks", tmp_path / "yolo", "yolo")


def test_labels_without_frames_and_frames_without_labels(tmp_path: Path) -> None:
    for frames in ([], [Frame("a.jpg"), Frame("b.jpg", labels=[])]):
        source = write(tmp_path, frames, "few.json")
        done = convert(source, tmp_path / "out.json", "coco", overwrite=True)
        document = json.loads((tmp_path / "out.json").read_text())
        assert (done.frames, len(document["images"]), document["annotations"]) == (len(frames), len(frames), [])


def test_the_command(tmp_path: Path) -> None:
    labels = [Label("1", "car", box2d=Box2D(0, 0, 639, 359)), Label("2", "lane")]
    source = write(tmp_path, [Frame("a.jpg", timestamp=1, labels=labels)])
    done = run_tool(
        "convert_labels", source, tmp_path / "yolo", "--to", "yolo", "--split", "train", "--size", "640x360"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{tmp_path}/yolo/labels/train: 1 frames with 2 labels from scalabel, task det.",
        "What yolo does not hold of them:",
        "  1 frames whose video, index or timestamp are not kept",
        "  1 labels whose id is not kept",
        "  1 labels without a box are left out",
    ]
    assert (tmp_path / "yolo/labels/train/a.txt").read_text() == "2 0.50000000 0.50000000 1.00000000 1.00000000\n"
    again = run_tool("convert_labels", source, tmp_path / "yolo", "--to", "yolo", "--split", "train")
    assert again.returncode == 1 and again.stderr.startswith("error: ") and "--overwrite" in again.stderr
    wrong = run_tool("convert_labels", source, tmp_path / "x", "--to", "yolo", "--size", "640")
    assert wrong.returncode == 2 and "640 is no size; write width and height as 1280x720" in wrong.stderr


@pytest.mark.parametrize("place", range(6))
def test_empty_paths_are_refused(tmp_path: Path, place: int) -> None:
    arguments = ["a.json", "b.json", "--images=i", "--classes=c", "--image-ids=j", "--score-file=s"]
    arguments[place] = arguments[place].partition("=")[0] + "=" if "=" in arguments[place] else ""
    done = run_tool("convert_labels", *arguments, "--to", "coco")
    assert done.returncode == 2 and "'' is no path" in done.stderr


def test_the_command_on_results_and_on_scored_bitmasks(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a.jpg", "width": 64, "height": 36}]
    ids = {"images": images, "annotations": [], "categories": [{"id": 3, "name": "car"}]}
    (tmp_path / "ids.json").write_text(json.dumps(ids))
    result = {"image_id": 7, "category_id": 3, "bbox": [16, 9, 32, 18], "score": 0.5}
    (tmp_path / "r.json").write_text(json.dumps([result]))
    arguments = [tmp_path / "r.json", tmp_path / "yolo", "--to", "yolo", "--image-ids", tmp_path / "ids.json"]
    done = run_tool("convert_labels", *arguments)
    assert done.returncode == 0 and "1 frames with 1 labels from coco_results, task det." in done.stdout
    line = "2 0.50000000 0.50000000 0.50000000 0.50000000 0.50000000\n"
    assert (tmp_path / "yolo/labels/train/a.txt").read_text() == line
    without = run_tool("convert_labels", *arguments[:4], "--overwrite")
    assert without.returncode == 1 and "--image-ids" in without.stderr
    done = run_tool("convert_labels", tmp_path / "ids.json", tmp_path / "x.json", *arguments[2:])
    assert done.returncode == 1 and "--image-ids is for COCO results, the source is coco; leave it out" in done.stderr
