"""Masks and bitmasks <-> run lengths: exactly, as the toolkit does, and what is wrong with files."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.conversion_cases import pixels_of, random_bitmask, random_regions, rle_of, run, through, write

from bdd100k_d2.data.bitmasks import CROWD, IGNORED, read_bitmask
from bdd100k_d2.data.categories import Category
from bdd100k_d2.data.labels import Frame, FrameAttributes, ImageSize, Label, LabelAttributes
from bdd100k_d2.data.vintages import read_labels
from bdd100k_d2.errors import ConfigError, DataError, OutputError
from bdd100k_d2.evaluation.files.evaluate import evaluate_files
from bdd100k_d2.tasks import TASKS

TOOLKIT = {"reason": "the official toolkit is not installed: pip install -e .[toolkit]"}


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def random_mask(seed: int, task: str, height: int = 36, width: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if task == "drivable":
        return rng.permutation(3)[random_regions(rng, height, width, 2)].astype(np.uint8)
    return rng.permutation([*range(19), 255])[random_regions(rng, height, width, 19)].astype(np.uint8)


@pytest.mark.parametrize("to", ("scalabel", "coco"))
@pytest.mark.parametrize("task", ("sem_seg", "drivable"))
def test_masks_come_back_exactly(tmp_path: Path, task: str, to: str) -> None:
    for seed in range(8):
        save(random_mask(seed, task), tmp_path / f"masks/{seed}.png")
    done = run(tmp_path / "masks", tmp_path / "middle.json", to, task=task)
    assert (done.kind, done.task, done.frames) == ("masks", task, 8)
    run(tmp_path / "middle.json", tmp_path / "back", "masks", task=task)
    for seed in range(8):
        assert (load(tmp_path / f"back/{seed}.png") == random_mask(seed, task)).all()


@pytest.mark.parametrize("to", ("scalabel", "masks"))
@pytest.mark.parametrize("task", ("ins_seg", "pan_seg"))
def test_bitmasks_come_back_exactly(tmp_path: Path, task: str, to: str) -> None:
    rng = np.random.default_rng(5)
    pixels = [pixels_of(random_bitmask(rng, task)) for _ in range(8)]
    for i, one in enumerate(pixels):
        save(one, tmp_path / f"bitmasks/{i}.png")
    middle = tmp_path / ("middle.json" if to == "scalabel" else "middle")
    done = run(tmp_path / "bitmasks", middle, to)
    assert (done.kind, done.task, done.dropped) == ("bitmasks", task, {})
    run(middle, tmp_path / "back", "masks", task=task)
    for i, one in enumerate(pixels):
        assert (load(tmp_path / f"back/{i}.png") == one).all()


def test_through_coco_bitmasks_keep_all_but_the_marks(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    originals = [random_bitmask(rng, "ins_seg") for _ in range(4)]
    for i, one in enumerate(originals):
        save(pixels_of(one), tmp_path / f"bitmasks/{i}.png")
    run(tmp_path / "bitmasks", tmp_path / "coco.json", "coco", polygons=True)
    run(tmp_path / "coco.json", tmp_path / "back", "masks", task="ins_seg")
    for i, one in enumerate(originals):
        found = read_bitmask(tmp_path / f"back/{i}.png")
        for column in ("instances", "ids", "categories"):
            assert (getattr(found, column) == getattr(one, column)).all()
        # COCO's crowd is one that is not missed.
        assert (found.attributes == np.where(one.attributes & (CROWD | IGNORED), CROWD | IGNORED, 0)).all()


@pytest.mark.parametrize("task", ("sem_seg", "drivable"))
def test_labels_of_masks_equal_the_toolkit(tmp_path: Path, task: str) -> None:
    pytest.importorskip("bdd100k", **TOOLKIT)
    from bdd100k.common.utils import load_bdd100k_config
    from bdd100k.label.to_rle import semseg_to_rle
    from scalabel.label.typing import Frame as TheirFrame
    from scalabel.label.utils import get_leaf_categories

    for seed in range(6):
        save(random_mask(seed, task), tmp_path / f"masks/{seed}.png")
    run(tmp_path / "masks", tmp_path / "labels.json", "scalabel", task=task)
    classes = get_leaf_categories(load_bdd100k_config(task).scalabel.categories)
    # In the toolkit's configuration of sem_seg a person is still called pedestrian in some releases.
    for frame in read_labels(tmp_path / "labels.json").frames:
        theirs = semseg_to_rle(TheirFrame(name=frame.name), str(tmp_path / "masks"), classes).labels
        assert [(one.id, one.rle.counts, one.rle.size) for one in frame.labels] == [
            (one.id, one.rle.counts, tuple(one.rle.size)) for one in theirs
        ]
        for one, their in zip(frame.labels, theirs, strict=True):
            assert one.category == their.category or (one.category, their.category) == ("person", "pedestrian")


def test_labels_of_bitmasks_equal_the_toolkit(tmp_path: Path) -> None:
    pytest.importorskip("bdd100k", **TOOLKIT)
    from bdd100k.common.bitmask import parse_bitmask
    from scalabel.label.transforms import mask_to_rle, rle_to_box2d

    bitmask = random_bitmask(np.random.default_rng(2), "ins_seg")
    save(pixels_of(bitmask), tmp_path / "bitmasks/a.png")
    run(tmp_path / "bitmasks", tmp_path / "labels.json", "scalabel")
    (frame,) = read_labels(tmp_path / "labels.json").frames
    masks, ids, attributes, categories = parse_bitmask(pixels_of(bitmask))
    assert [int(label.id) for label in frame.labels] == ids.tolist()
    for place, label in enumerate(frame.labels):
        their = mask_to_rle((masks == place + 1).astype(np.uint8))
        assert (label.rle.counts, label.rle.size) == (their.counts, tuple(their.size))
        box, their_box = label.box2d, rle_to_box2d(their)
        assert (box.x1, box.y1, box.x2, box.y2) == (their_box.x1, their_box.y1, their_box.x2, their_box.y2)
        assert label.category == TASKS["ins_seg"].names[categories[place] - 1]
        marks = label.attributes
        found = marks.ignored | marks.crowd << 1 | marks.occluded << 2 | marks.truncated << 3
        assert found == attributes[place]


def rows(*spans: tuple[int, int]) -> np.ndarray:
    """A mask of 4x6 pixels with these rows, ends exclusive."""
    mask = np.zeros((4, 6), bool)
    for first, last in spans:
        mask[first:last] = True
    return mask


def frame_of(*labels: Label, **fields: object) -> Frame:
    return Frame("a.jpg", size=ImageSize(6, 4), labels=list(labels), **fields)


def test_the_later_label_is_on_top(tmp_path: Path) -> None:
    frame = frame_of(
        Label("x", "rider", rle=rle_of(rows((0, 2)))),
        Label("y", "van", None, LabelAttributes(occluded=True), rle=rle_of(rows((1, 3)))),
        Label("z", "other person", rle=rle_of(rows((3, 4)))),
        Label("w", "bus", rle=rle_of(rows((3, 4)))),
        attributes=FrameAttributes("clear"),
    )
    done = run(write(tmp_path, [frame]), tmp_path / "out", "masks")
    assert done.task == "ins_seg"
    found = read_bitmask(tmp_path / "out/a.png")
    assert found.instances[:, 0].tolist() == [1, 2, 2, 3]
    assert found.ids.tolist() == [1, 2, 4]
    assert found.categories.tolist() == [2, 3, 5]
    assert found.attributes.tolist() == [0, 4, 0]
    assert done.dropped == {
        "labels whose id is not kept": 4,
        "labels under another name of their class (bike, motor, person, van, ...) get the official one": 1,
        "labels of ignored classes (other person, other vehicle, trailer) become crowds of the nearest class": 1,
        "frames whose weather, scene and time of day are not kept": 1,
        "labels lose pixels to labels over them": 1,
        "labels are empty, or wholly under others, and are lost": 1,
    }


def test_of_predictions_the_higher_score_is_on_top(tmp_path: Path) -> None:
    frame = frame_of(
        Label("1", "car", 0.9, rle=rle_of(rows((0, 2)))),
        Label("2", "bus", 0.1, rle=rle_of(rows((1, 3)))),
    )
    done = run(write(tmp_path, [frame]), tmp_path / "out", "masks")
    found = read_bitmask(tmp_path / "out/bitmasks/a.png")
    assert found.categories[found.instances[:3, 0] - 1].tolist() == [3, 3, 5]
    assert done.dropped == {
        "labels lose pixels to labels over them": 1,
    }


def scored_bitmasks(folder: Path, seed: int = 4) -> tuple[list[np.ndarray], dict[str, dict[int, float]]]:
    """Bitmasks of ins_seg, and a score file with equal scores and one of an instance without pixels."""
    rng = np.random.default_rng(seed)
    pixels, scores = [], {}
    for i in range(6):
        bitmask = random_bitmask(rng, "ins_seg")
        bitmask = bitmask._replace(attributes=bitmask.attributes * 0)
        pixels.append(pixels_of(bitmask))
        save(pixels[-1], folder / f"bitmasks/{i}.png")
        scores[f"{i}.jpg"] = {int(k): round(float(rng.random()), 1) for k in bitmask.ids}
    records = [
        {"name": name, "labels": [{"index": k, "score": v} for k, v in [*found.items(), (65535, 0.5)]]}
        for name, found in scores.items()
    ]
    (folder / "score.json").write_text(json.dumps(records))
    return pixels, scores


def test_bitmasks_and_their_scores_come_back(tmp_path: Path) -> None:
    pixels, scores = scored_bitmasks(tmp_path)
    files = {"score_file": tmp_path / "score.json"}
    done = run(tmp_path / "bitmasks", tmp_path / "rles.json", "scalabel", task="ins_seg", **files)
    assert done.dropped == {}
    for frame in read_labels(tmp_path / "rles.json").frames:
        assert {int(label.id): label.score for label in frame.labels} == scores[frame.name]
        found = [label.score for label in frame.labels]
        assert found == sorted(found, reverse=True)
    run(tmp_path / "rles.json", tmp_path / "back", "masks", task="ins_seg")
    run(tmp_path / "bitmasks", tmp_path / "direct", "masks", task="ins_seg", **files)
    for folder in (tmp_path / "back", tmp_path / "direct"):
        assert sorted(path.name for path in folder.iterdir()) == ["bitmasks", "score.json"]
        for i, one in enumerate(pixels):
            assert (load(folder / f"bitmasks/{i}.png") == one).all()
        written = {one["name"]: one["labels"] for one in json.loads((folder / "score.json").read_text())}
        assert {name: {one["index"]: one["score"] for one in labels} for name, labels in written.items()} == scores
    with pytest.raises(DataError, match=r"back: holds bitmasks/ and score.json; give bitmasks/ as SRC, and score.json"):
        run(tmp_path / "back", tmp_path / "out.json", "scalabel")
    run(tmp_path / "rles.json", tmp_path / "back", "masks", task="ins_seg", overwrite=True)
    (tmp_path / "back/bitmasks/notes.md").write_text("mine")
    with pytest.raises(OutputError, match=r"back: holds bitmasks, which no conversion wrote, so it is not replaced"):
        run(tmp_path / "rles.json", tmp_path / "back", "masks", task="ins_seg", overwrite=True)


def test_scores_are_the_same_in_both_forms(tmp_path: Path) -> None:
    scored_bitmasks(tmp_path / "pred")
    scored_bitmasks(tmp_path / "gt", seed=4)
    for i in range(6):
        changed = np.roll(load(tmp_path / f"gt/bitmasks/{i}.png"), 2, axis=1)
        save(changed, tmp_path / f"gt/bitmasks/{i}.png")
    score_file = tmp_path / "pred/score.json"
    expected = evaluate_files("ins_seg", tmp_path / "gt/bitmasks", tmp_path / "pred/bitmasks", score_file=score_file)
    run(tmp_path / "gt/bitmasks", tmp_path / "gt.json", "scalabel", task="ins_seg")
    run(tmp_path / "pred/bitmasks", tmp_path / "pred.json", "scalabel", task="ins_seg", score_file=score_file)
    found = evaluate_files("ins_seg", tmp_path / "gt.json", tmp_path / "pred.json")
    assert json.dumps(found.official) == json.dumps(expected.official) and 0 < found.official["AP"][-1]["OVERALL"] < 100


def test_score_files_that_do_not_fit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scored_bitmasks(tmp_path)
    with pytest.raises(
        ConfigError, match=r"--score-file is not of pan_seg, whose bitmasks have no scores; leave it out"
    ):
        options = {"task": "pan_seg", "score_file": tmp_path / "score.json"}
        run(tmp_path / "bitmasks", tmp_path / "out.json", "scalabel", **options)
    run(tmp_path / "bitmasks", tmp_path / "none.json", "scalabel", task="ins_seg")
    assert "bitmasks: has no scores; give those of" in caplog.text and "score.json with --score-file" in caplog.text
    records = json.loads((tmp_path / "score.json").read_text())
    (tmp_path / "some.json").write_text(json.dumps([*records[:-1], {"name": "z.jpg", "labels": []}]))
    with pytest.raises(DataError, match=r"5.png: annotation id \d+ has no score in .*some.json"):
        options = {"task": "ins_seg", "score_file": tmp_path / "some.json"}
        run(tmp_path / "bitmasks", tmp_path / "out.json", "scalabel", **options)
    (tmp_path / "more.json").write_text(json.dumps([*records, {"name": "z.jpg", "labels": []}]))
    options = {"task": "ins_seg", "score_file": tmp_path / "more.json"}
    done = run(tmp_path / "bitmasks", tmp_path / "out.json", "scalabel", **options)
    assert done.dropped == {"frames of the score file that have no bitmask are left out": 1}
    with pytest.raises(OutputError, match=r"more.json: would overwrite what is to be read"):
        run(tmp_path / "bitmasks", tmp_path / "more.json", "scalabel", overwrite=True, **options)


def test_some_labels_without_a_score(tmp_path: Path) -> None:
    labels = [Label("1", "car", 0.9, rle=rle_of(rows((0, 2)))), Label("2", "bus", rle=rle_of(rows((2, 3))))]
    with pytest.raises(DataError, match=r"frame a.jpg, label 2 \(bus\) has no score, and others have; write a finite"):
        run(write(tmp_path, [frame_of(*labels)]), tmp_path / "out", "masks")
    assert not (tmp_path / "out").exists()


def test_panoptic_bitmasks_have_no_scores(tmp_path: Path) -> None:
    labels = [Label("1", "car", 0.9, rle=rle_of(rows((0, 2)))), Label("2", "sky", 0.5, rle=rle_of(rows((2, 3))))]
    done = run(write(tmp_path, [frame_of(*labels)]), tmp_path / "out", "masks", task="pan_seg")
    assert (tmp_path / "out/a.png").exists() and done.dropped["labels whose score is not kept"] == 2


def test_more_masks_than_256_and_ids_of_thousands_of_digits(tmp_path: Path) -> None:
    masks = np.arange(300).reshape(15, 20)
    labels = [Label("9" * 5000 if k == 0 else str(k), "car", rle=rle_of(masks == k)) for k in range(300)]
    source = write(tmp_path, [Frame("a.jpg", size=ImageSize(20, 15), labels=labels)])
    run(source, tmp_path / "out", "masks", task="ins_seg")
    assert (read_bitmask(tmp_path / "out/a.png").instances == masks + 1).all()
    run(source, tmp_path / "coco.json", "coco", task="ins_seg")
    assert [one["area"] for one in json.loads((tmp_path / "coco.json").read_text())["annotations"]] == 300 * [1]


def test_hidden_masks_are_in_no_list(tmp_path: Path) -> None:
    for i in range(2):
        save(random_mask(i, "sem_seg"), tmp_path / f"masks/{i}.png")
    (tmp_path / "masks/__MACOSX").mkdir()
    for name in (".DS_Store", "._0.png", "__MACOSX/._0.png"):
        (tmp_path / "masks" / name).write_bytes(b"\0\5\x16\7")
    assert run(tmp_path / "masks", tmp_path / "out.json", "scalabel", task="sem_seg").frames == 2


@pytest.mark.parametrize(("names", "frames"), [(("a.png", "night/b.png"), 2), (("day/a.png", "night/b.png"), 2)])
def test_masks_in_folders_of_the_folder_count(tmp_path: Path, names: tuple[str, ...], frames: int) -> None:
    for i, name in enumerate(names):
        save(random_mask(i, "sem_seg"), tmp_path / "masks" / name)
    assert run(tmp_path / "masks", tmp_path / "out.json", "scalabel", task="sem_seg").frames == frames
    save(random_mask(2, "sem_seg"), tmp_path / "masks/more/a.png")
    with pytest.raises(DataError, match="masks: frame a.jpg stands twice; remove one of the two"):
        run(tmp_path / "masks", tmp_path / "more.json", "scalabel", task="sem_seg")


@pytest.mark.parametrize("ending", (".jpeg", ".JPG", ".webp"))
def test_masks_are_named_after_images_of_every_ending(tmp_path: Path, ending: str) -> None:
    frame = Frame(f"a{ending}", size=ImageSize(6, 4), labels=[Label("1", "road", rle=rle_of(rows((0, 2))))])
    run(write(tmp_path, [frame]), tmp_path / "out", "masks", task="sem_seg")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_stuff_of_a_class_is_one_segment(tmp_path: Path) -> None:
    frame = frame_of(
        Label("1", "sky", rle=rle_of(rows((0, 1)))),
        Label("2", "sky", rle=rle_of(rows((1, 2)))),
        Label("3", "car", None, LabelAttributes(ignored=True), rle=rle_of(rows((2, 3)))),
        Label("4", "car", rle=rle_of(rows((3, 4)))),
    )
    done = run(write(tmp_path, [frame]), tmp_path / "out", "masks", task="pan_seg")
    found = read_bitmask(tmp_path / "out/a.png")
    assert (done.task, found.ids.tolist(), found.categories.tolist()) == ("pan_seg", [30, 31, 32], [30, 35, 35])
    assert found.attributes.tolist() == [0, IGNORED, 0]
    assert done.dropped["labels are joined with another of their class in their frame"] == 1


def test_semantic_labels_that_overlap_are_counted(tmp_path: Path) -> None:
    frame = frame_of(
        Label("1", "road", rle=rle_of(rows((0, 2)))),
        Label("2", "sky", rle=rle_of(rows((1, 3)))),
        Label("3", "road"),
        Label("4", "parking", rle=rle_of(rows((3, 4)))),
    )
    done = run(write(tmp_path, [frame]), tmp_path / "out", "masks", task="sem_seg")
    assert load(tmp_path / "out/a.png")[:, 0].tolist() == [0, 10, 10, 255]
    assert done.dropped == {
        "labels whose id is not kept": 2,
        "labels without a mask (rle) are left out": 1,
        "labels of classes that the task does not have are left out": 1,
        "frames whose labels overlap, of which a pixel keeps the last": 1,
    }


def test_drivable_is_told_and_knows_no_ignored_pixels(tmp_path: Path) -> None:
    mask = np.array([[0, 0, 1], [2, 2, 255]], np.uint8)
    save(mask, tmp_path / "masks/a.png")
    done = run(tmp_path / "masks", tmp_path / "labels.json", "scalabel", task="drivable")
    assert done.dropped == {"masks with pixels of 255 (ignored), which become background": 1}
    (frame,) = read_labels(tmp_path / "labels.json").frames
    assert [label.category for label in frame.labels] == ["direct", "alternative"]
    assert run(tmp_path / "labels.json", tmp_path / "back", "masks").task == "drivable"
    assert load(tmp_path / "back/a.png").tolist() == [[0, 0, 1], [2, 2, 2]]


def test_a_task_that_is_added_is_converted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its classes and their form are asked of the task's record."""
    own = replace(
        TASKS["sem_seg"],
        name="lane_mark",
        categories=(Category("crosswalk", (0, 0, 0), False), Category("single white", (9, 9, 9), False)),
    )
    monkeypatch.setitem(TASKS, "lane_mark", own)
    mask = np.array([[0, 0, 1], [1, 255, 255]], np.uint8)
    save(mask, tmp_path / "masks/a.png")
    done = run(tmp_path / "masks", tmp_path / "labels.json", "scalabel", task="lane_mark")
    assert (done.task, done.labels, done.dropped) == ("lane_mark", 2, {})
    assert run(tmp_path / "labels.json", tmp_path / "back", "masks").task == "lane_mark"
    assert (load(tmp_path / "back/a.png") == mask).all()


def test_real_masks_and_run_lengths(real_root: Path, tmp_path: Path) -> None:
    folder = real_root / "bdd100k/labels/sem_seg/masks/val"
    assert run(folder, tmp_path / "labels.json", "scalabel").task == "sem_seg"
    run(tmp_path / "labels.json", tmp_path / "back", "masks")
    files = sorted(folder.glob("*.png"))
    assert len(files) == 4
    for file in files:
        assert (load(tmp_path / "back" / file.name) == load(file)).all()


def test_the_real_bitmasks(oracles: Path, tmp_path: Path) -> None:
    folder = oracles / "ins_seg_bitmask/gt"
    frames = through(folder, tmp_path, "masks")
    (file,) = folder.glob("*.png")
    assert (load(tmp_path / "middle_masks" / file.name) == load(file)).all()
    assert len(frames[0].labels) == 6


def test_bad_masks(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    save(np.full((4, 6), 2, np.uint8), folder / "a.png")
    cases = {
        "only ids that sem_seg and drivable both have; say --task sem_seg or --task drivable": {},
        "masks are of sem_seg or drivable, not of ins_seg; give another --task or --from": {"task": "ins_seg"},
        "a bitmask has four channels (RGBA) of 8 bits, this image is grey": {"kind": "bitmasks"},
    }
    for message, arguments in cases.items():
        with pytest.raises(DataError, match=re.escape(message)):
            run(folder, tmp_path / "out.json", "scalabel", **arguments)
    save(np.full((4, 6), 19, np.uint8), folder / "b.png")
    with pytest.raises(DataError, match=r"b.png: the mask holds the ids \[19\]; 0 to 18 and 255 are allowed"):
        run(folder, tmp_path / "out.json", "scalabel")
    save(np.zeros((4, 6), np.uint8), folder / "a_train_id.png")
    with pytest.raises(DataError, match=r"a.png and a_train_id.png are masks of the same frame; remove one"):
        run(folder, tmp_path / "out.json", "scalabel")
    assert not (tmp_path / "out.json").exists()


def test_bad_bitmasks(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[0] = (3, 0, 0, 3)
    save(pixels, tmp_path / "bitmasks/a.png")
    with pytest.raises(DataError, match=r"only ids that ins_seg and pan_seg both have; say --task ins_seg or"):
        run(tmp_path / "bitmasks", tmp_path / "out.json", "scalabel")
    pixels[1] = (9, 0, 0, 9)
    save(pixels, tmp_path / "bitmasks/a.png")
    with pytest.raises(
        DataError,
        match=r"a.png: .* category ids \[9\]; 1 to 8 are allowed .* Say which with --task.",
    ):
        run(tmp_path / "bitmasks", tmp_path / "out.json", "scalabel", task="ins_seg")
    with pytest.raises(DataError, match=r"bitmasks are of ins_seg or pan_seg, not of det"):
        run(tmp_path / "bitmasks", tmp_path / "out.json", "scalabel", task="det")


def test_run_lengths_that_do_not_fit_the_image(tmp_path: Path) -> None:
    for task, category in (("ins_seg", "car"), ("sem_seg", "road")):
        frame = Frame("a.jpg", size=ImageSize(7, 4), labels=[Label("1", category, rle=rle_of(rows((0, 1))))])
        with pytest.raises(
            DataError, match=r"det_val.json: frame a.jpg, label 1 .*the mask has 4x6 pixels, the image 4x7"
        ):
            run(write(tmp_path, [frame]), tmp_path / "out", "masks", task=task)
        assert not (tmp_path / "out").exists()


def test_a_mask_of_nothing_that_the_task_has(tmp_path: Path) -> None:
    frame = frame_of(Label("1", "lane divider", rle=rle_of(rows((0, 1)))), Label("2", "van", rle=rle_of(rows((1, 2)))))
    with pytest.raises(
        DataError, match=r"no task has all the classes of the masks \(lane divider, van\); say with --task"
    ):
        run(write(tmp_path, [frame]), tmp_path / "out", "masks")
    with pytest.raises(ConfigError, match=r"YOLO labels are boxes of det or ins_seg, not of pan_seg"):
        boxes = write(tmp_path, [frame_of(Label("1", "car"))], "other.json")
        run(boxes, tmp_path / "yolo", "yolo", task="pan_seg")
