import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.random_files import mask_frame, random_masks, write_masks

from bdd100k_d2.data.labels import ImageSize, write_frames
from bdd100k_d2.errors import DataError
from bdd100k_d2.evaluation.files import segmentation
from bdd100k_d2.evaluation.files.segmentation import open_masks
from bdd100k_d2.evaluation.metrics.segmentation import confusion_matrix
from bdd100k_d2.evaluation.toolkit_format import summary
from bdd100k_d2.tasks import TASKS


@pytest.mark.parametrize("task", ["sem_seg", "drivable"])
def test_folders_equal_the_toolkit(tmp_path: Path, task: str) -> None:
    seg = pytest.importorskip("bdd100k.eval.seg", reason="the toolkit is not installed: pip install -e .[toolkit]")
    truth, found = random_masks(task, 6)
    del found["f5"]
    # Officially masks may lie in folders within the folder, and an extra prediction is nobody's.
    write_masks(tmp_path / "gt", truth)
    write_masks(tmp_path / "pred" / "part", found | {"other": truth["f0"]})
    paths = [[str(path) for path in sorted((tmp_path / side).rglob("*.png"))] for side in ("gt", "pred")]
    theirs = seg.evaluate_segmentation(*paths, mode=task, nproc=1, with_logs=False)
    matched = open_masks(TASKS[task], tmp_path / "gt", tmp_path / "pred", 2)
    assert matched.names == sorted(truth)
    ours = matched.toolkit_scores()
    assert list(ours) == list(dict(theirs))
    assert summary(ours) == pytest.approx(theirs.summary(), abs=1e-9, rel=0)
    for metric in ("IoU", "Acc"):
        assert ours[metric][0] == pytest.approx(getattr(theirs, metric)[0], abs=1e-9, rel=0)


@pytest.mark.parametrize("task", ["sem_seg", "drivable"])
def test_run_lengths_equal_the_toolkit(tmp_path: Path, task: str) -> None:
    pytest.importorskip("scalabel", reason="the official toolkit is not installed: pip install -e .[toolkit]")
    from bdd100k.common.utils import load_bdd100k_config
    from bdd100k.label.to_scalabel import bdd100k_to_scalabel
    from scalabel.eval.sem_seg import evaluate_sem_seg
    from scalabel.label.io import load

    truth, found = random_masks(task, 5)
    truth = {name: np.kron(mask, np.ones((30, 40), np.uint8)) for name, mask in truth.items()}
    found = {name: np.kron(mask, np.ones((30, 40), np.uint8)) for name, mask in found.items() if name != "f3"}
    for side, masks in (("gt", truth), ("pred", found)):
        write_frames([mask_frame(name, mask, task) for name, mask in masks.items()], tmp_path / f"{side}.json")
    config = load_bdd100k_config(task)
    frames = [bdd100k_to_scalabel(load(str(tmp_path / f"{side}.json")).frames, config) for side in ("gt", "pred")]
    theirs = evaluate_sem_seg(*frames, config.scalabel, nproc=1)
    ours = open_masks(TASKS[task], tmp_path / "gt.json", tmp_path / "pred.json", 1).toolkit_scores()
    assert summary(ours) == pytest.approx(theirs.summary(), abs=1e-9, rel=0)
    assert ours["IoU"][0] == pytest.approx(theirs.IoU[0], abs=1e-9, rel=0)


def test_the_oracle_from_files(oracles: Path) -> None:
    expected = json.loads((oracles / "expected.json").read_text())["sem_seg"]
    matched = open_masks(TASKS["sem_seg"], oracles / expected["gt"], oracles / expected["pred"], 1)
    assert summary(matched.toolkit_scores()) == pytest.approx(expected["scores"], abs=1e-9, rel=0)
    empty = open_masks(TASKS["sem_seg"], oracles / expected["gt"], oracles / "sem_seg/sem_seg_preds_empty.json", 1)
    assert summary(empty.toolkit_scores()) == dict.fromkeys(expected["scores"], 0)


def test_a_folder_and_run_lengths_agree(tmp_path: Path) -> None:
    truth, _ = random_masks("sem_seg", 3)
    truth = {name: np.kron(mask, np.ones((30, 40), np.uint8)) for name, mask in truth.items()}
    folder = write_masks(tmp_path / "gt", truth)
    write_frames([mask_frame(name, mask, "sem_seg") for name, mask in truth.items()], tmp_path / "pred.json")
    official = open_masks(TASKS["sem_seg"], folder, tmp_path / "pred.json", 1).toolkit_scores()
    assert summary(official)["mIoU"] == 100


@pytest.mark.parametrize("task", ["sem_seg", "drivable"])
def test_the_fast_counter_counts_like_the_plain_one(tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, found = random_masks(task, 4)
    classes = len(TASKS[task].names)
    fast = []
    count = segmentation._count_files
    monkeypatch.setattr(segmentation, "_count_files", lambda *a: fast.append(count(*a)) or fast[-1])
    folders = write_masks(tmp_path / "gt", truth), write_masks(tmp_path / "pred", found)
    matched = open_masks(TASKS[task], *folders, 1)
    assert [matrix is not None for matrix in fast] == [True, False, False, True]
    for name, matrix in zip(matched.names, matched.matrices, strict=True):
        np.testing.assert_array_equal(matrix, confusion_matrix(truth[name], found[name], classes))
    assert matched.matrices.dtype == np.int64


def test_palette_masks_are_ids_as_officially(tmp_path: Path) -> None:
    truth, _ = random_masks("sem_seg", 1)
    folder = write_masks(tmp_path / "gt", truth)
    (tmp_path / "pred").mkdir()
    colored = Image.fromarray(truth["f0"])
    colored.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    colored.save(tmp_path / "pred/f0.png")
    assert Image.open(tmp_path / "pred/f0.png").mode == "P"
    assert summary(open_masks(TASKS["sem_seg"], folder, tmp_path / "pred", 1).toolkit_scores())["mIoU"] == 100


def test_a_mask_that_is_named_with_the_images_ending_is_of_no_frame(tmp_path: Path) -> None:
    truth = write_masks(tmp_path / "gt", {"a": MASK, "b": MASK})
    matched = open_masks(TASKS["sem_seg"], truth, write_masks(tmp_path / "pred", {"a.jpg": MASK, "b": MASK}), 1)
    assert matched.matrices[0][:, -1].sum() == (MASK != 255).sum() and matched.matrices[1][:, -1].sum() == 0


@pytest.mark.parametrize(("colors", "bits"), [(2, 1), (3, 2), (9, 4)])
def test_a_palette_of_few_colours_is_as_good(tmp_path: Path, colors: int, bits: int) -> None:
    """Pillow writes so the masks of three classes that have a palette."""
    mask = (np.arange(6 * 8).reshape(6, 8) % min(colors, 3)).astype(np.uint8)
    truth = write_masks(tmp_path / "gt", {"a": mask})
    (tmp_path / "pred").mkdir()
    colored = Image.fromarray(mask)
    colored.putpalette([7, 8, 9] * colors)
    colored.save(tmp_path / "pred/a.png", bits=bits)
    assert (tmp_path / "pred/a.png").read_bytes()[24] == bits
    assert summary(open_masks(TASKS["drivable"], truth, tmp_path / "pred", 1).toolkit_scores())["pAcc"] == 100
    Image.fromarray(mask > 0).save(tmp_path / "pred/a.png")
    with pytest.raises(
        DataError,
        match=r"pred.a.png: .*this image is grey of 1 bits; save it with 8 bits, the values 0, 1, ... as they",
    ):
        open_masks(TASKS["drivable"], truth, tmp_path / "pred", 1)


def test_drivable_has_the_strict_score_beside_the_official_one(tmp_path: Path) -> None:
    truth = write_masks(tmp_path / "gt", {"a": np.array([[0, 0, 1, 2, 2, 2, 255]], np.uint8)})
    found = write_masks(tmp_path / "pred", {"a": np.array([[0, 0, 1, 0, 0, 0, 0]], np.uint8)})
    matched = open_masks(TASKS["drivable"], truth, found, 1)
    assert matched.toolkit_scores()["IoU"] == [{"direct": 100, "alternative": 100}, {"AVERAGE": 100}]
    further = matched.extra_metrics()
    assert further["IoU-strict"] == [{"direct": 40, "alternative": 100, "background": 0}, {"AVERAGE": 140 / 3}]
    assert further["Recall"] == [{"direct": 100, "alternative": 100}, {"AVERAGE": 100}]
    assert summary(further) == {"mRecall": 100, "mIoU-strict": 140 / 3}


def test_the_2018_layout_is_read(tmp_path: Path, real_root: Path) -> None:
    labels = real_root / "bdd100k/seg_2018/labels/val"
    matched = open_masks(TASKS["sem_seg"], labels, labels, 1)
    assert matched.names[0] == "7d06fefd-f7be05a6" and summary(matched.toolkit_scores())["mIoU"] == 100


MASK = np.zeros((24, 32), np.uint8)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (MASK[:20], r"pred.a.png: the mask is 32x20, the ground truth 32x24 \(.*gt.a.png\)"),
        (np.dstack([MASK] * 3), "pred.a.png: a mask has one channel of 8-bit class ids, this image is RGB"),
        (MASK.astype(np.uint16), "8-bit class ids, this image is grey of 16 bits; save it with 8 bits"),
    ],
)
def test_masks_that_cannot_be_scored_are_named(tmp_path: Path, found: np.ndarray, message: str) -> None:
    truth = write_masks(tmp_path / "gt", {"a": MASK})
    with pytest.raises(DataError, match=message):
        open_masks(TASKS["sem_seg"], truth, write_masks(tmp_path / "pred", {"a": found}), 1)


@pytest.mark.parametrize("place", [-13, -17, -12])
def test_masks_that_are_damaged_by_their_checksums_are_not_scored(tmp_path: Path, place: int) -> None:
    """A byte of the checksum of the pixels, one of the pixels, and without the end."""
    truth = write_masks(tmp_path / "gt", {"a": MASK})
    path = write_masks(tmp_path / "pred", {"a": MASK}) / "a.png"
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:place] + (bytes([content[place] ^ 1]) + content[place + 1 :] if place != -12 else b""))
    with pytest.raises(
        DataError, match=r"pred.a.png: the mask cannot be read .(the checksum of its IDAT|it is cut off)"
    ):
        open_masks(TASKS["sem_seg"], truth, tmp_path / "pred", 1)


@pytest.mark.parametrize(("keep", "reason"), [(0, "it is an empty file"), (60, "")])
def test_cut_off_masks_are_named(tmp_path: Path, keep: int, reason: str) -> None:
    truth = write_masks(tmp_path / "gt", {"a": MASK})
    path = write_masks(tmp_path / "pred", {"a": MASK}) / "a.png"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=f"pred.a.png: the mask cannot be read .{reason}"):
        open_masks(TASKS["sem_seg"], truth, tmp_path / "pred", 1)


def test_ground_truth_with_other_ids_is_named(tmp_path: Path) -> None:
    truth = write_masks(tmp_path / "gt", {"a": np.full_like(MASK, 33)})
    with pytest.raises(DataError, match=r"gt.a.png: the mask holds the ids \[33\]"):
        open_masks(TASKS["sem_seg"], truth, write_masks(tmp_path / "pred", {"a": MASK}), 1)


def test_two_masks_of_a_frame_are_named(tmp_path: Path) -> None:
    truth = write_masks(tmp_path / "gt", {"a": MASK})
    write_masks(tmp_path / "pred/one", {"a": MASK})
    write_masks(tmp_path / "pred/two", {"a": MASK})
    with pytest.raises(
        DataError, match=r"pred: frame one__a may be a of .*gt, as images of one name are told apart by their"
    ):
        open_masks(TASKS["sem_seg"], truth, tmp_path / "pred", 1)


@pytest.mark.parametrize("side", ["gt", "pred"])
def test_background_in_run_lengths_is_no_class_officially(tmp_path: Path, side: str) -> None:
    """Painted over the others it takes nothing from them; the strict score has background where nothing else is."""
    pytest.importorskip("scalabel", reason="the official toolkit is not installed: pip install -e .[toolkit]")
    from bdd100k.common.utils import load_bdd100k_config
    from bdd100k.label.to_scalabel import bdd100k_to_scalabel
    from scalabel.eval.sem_seg import evaluate_sem_seg
    from scalabel.label.io import load

    mask = np.full((720, 1280), 2, np.uint8)
    mask[:300], mask[300:500] = 0, 1
    frames = {name: mask_frame("a", mask, "drivable") for name in ("gt", "pred")}
    over = np.full_like(mask, 9)
    over[200:400] = 2
    frames[side].labels[2] = mask_frame("a", over, "drivable").labels[2]
    for name, frame in frames.items():
        write_frames([frame], tmp_path / f"{name}.json")
    config = load_bdd100k_config("drivable")
    theirs = [bdd100k_to_scalabel(load(str(tmp_path / f"{name}.json")).frames, config) for name in ("gt", "pred")]
    matched = open_masks(TASKS["drivable"], tmp_path / "gt.json", tmp_path / "pred.json", 1)
    assert summary(matched.toolkit_scores()) == pytest.approx(
        evaluate_sem_seg(*theirs, config.scalabel, nproc=1).summary(), abs=1e-9, rel=0
    )
    assert summary(matched.extra_metrics())["mIoU-strict"] == 100
    # The same as masks, and without labels of the background at all.
    frames["gt"].labels.pop()
    write_frames([frames["gt"]], tmp_path / "gt.json")
    masks = write_masks(tmp_path / "masks", {"a": mask})
    for truth, found in ((tmp_path / "gt.json", masks), (masks, tmp_path / "gt.json")):
        assert summary(open_masks(TASKS["drivable"], truth, found, 1).extra_metrics())["mIoU-strict"] == 100


def test_label_files_are_matched_by_whole_names_and_masks_by_stems(tmp_path: Path) -> None:
    small = np.zeros((24, 32), np.uint8)
    frames = [mask_frame("a", small + k, "sem_seg") for k in range(3)]
    for frame, name in zip(frames, ("v1/a.jpg", "v2/a.jpg", "a.png"), strict=True):
        frame.name = name
    write_frames(frames, tmp_path / "gt.json")
    write_frames(frames[:2], tmp_path / "pred.json")
    matched = open_masks(TASKS["sem_seg"], tmp_path / "gt.json", tmp_path / "pred.json", 1)
    assert matched.names == ["a.png", "v1/a.jpg", "v2/a.jpg"]
    assert summary(matched.toolkit_scores())["mIoU"] == pytest.approx(200 / 3)
    frames[1].name = "a.jpg"
    write_frames(frames, tmp_path / "gt.json")
    with pytest.raises(DataError, match="gt.json: two frames are called a; masks cannot be matched to both"):
        open_masks(TASKS["sem_seg"], tmp_path / "gt.json", write_masks(tmp_path / "masks", {"a": small}), 1)


def test_labels_without_a_mask_are_counted_and_not_scored_as_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, oracles: Path
) -> None:
    frame = mask_frame("a", MASK, "sem_seg")
    frame.labels[1].rle = None
    write_frames([frame], tmp_path / "gt.json")
    with caplog.at_level(logging.WARNING, "bdd100k_d2"):
        open_masks(TASKS["sem_seg"], tmp_path / "gt.json", tmp_path / "gt.json", 1)
    assert caplog.messages == [f"{tmp_path / 'gt.json'}: 1 labels have no mask (rle) and are left out."] * 2
    boxes = oracles / "det/gt.json"
    for task in ("sem_seg", "drivable"):
        with pytest.raises(DataError, match="gt.json: no label has a mask in run lengths .rle.; give"):
            open_masks(TASKS[task], boxes, boxes, 1)


def test_predicted_ids_that_are_no_class_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth = write_masks(tmp_path / "gt", dict.fromkeys("abc", MASK))
    found = write_masks(tmp_path / "pred", {"a": MASK, "b": MASK + 19, "c": MASK + 255})
    (found / "._a.png").write_bytes(b"macOS writes these")
    with caplog.at_level(logging.WARNING, "bdd100k_d2"):
        matched = open_masks(TASKS["sem_seg"], truth, found, 1)
    assert caplog.messages == [
        f"{truth}: no frame is named as BDD100K's; its ids are scored as BDD100K's 19 classes, road to bicycle: "
        "--classes names yours.",
        f"{found}: 2 masks have pixels whose id is no class, which count as wrong; the first is {found / 'b.png'}.",
    ]
    assert summary(matched.toolkit_scores())["pAcc"] == pytest.approx(100 / 3)


def test_folders_without_a_match_are_refused(tmp_path: Path) -> None:
    truth = write_masks(tmp_path / "gt", {"a": MASK})
    with pytest.raises(DataError, match="none of the 1 predicted frames is in"):
        open_masks(TASKS["sem_seg"], truth, write_masks(tmp_path / "pred", {"b": MASK}), 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no .png and no .json file in the folder; give a folder of masks"):
        open_masks(TASKS["sem_seg"], truth, tmp_path / "empty", 1)


def test_run_lengths_of_another_size_or_category(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = mask_frame("a", MASK, "sem_seg")
    frame.size = ImageSize(32, 24)
    write_frames([frame], tmp_path / "gt.json")
    small = mask_frame("a", MASK[:20], "sem_seg")
    small.size = ImageSize(32, 24)
    write_frames([small], tmp_path / "pred.json")
    with pytest.raises(DataError, match=r"pred.json: frame a.jpg.*20x32.*24x32"):
        open_masks(TASKS["sem_seg"], tmp_path / "gt.json", tmp_path / "pred.json", 1)
    frame.labels[0].category = "boat"
    write_frames([frame], tmp_path / "pred.json")
    with pytest.raises(DataError, match=r"pred.json: frame a.jpg, label 0: unknown category 'boat'"):
        open_masks(TASKS["sem_seg"], tmp_path / "gt.json", tmp_path / "pred.json", 1)
    # Officially, a class of another task is left out.
    frame.labels[0].category = "ego vehicle"
    write_frames([frame], tmp_path / "pred.json")
    with caplog.at_level(logging.WARNING, "bdd100k_d2"):
        open_masks(TASKS["sem_seg"], tmp_path / "gt.json", tmp_path / "pred.json", 1)
    assert caplog.messages == [
        f"{tmp_path / 'pred.json'}: 1 labels of classes that this task does not score are left out."
    ]
