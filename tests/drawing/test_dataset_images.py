"""Ground truth of registered sets and samples of the training loader, drawn."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.structures import BitMasks, Boxes, Instances
from support import ROOT
from support.commands import run_tool

import bdd100k_d2
from bdd100k_d2.drawing.dataset_images import draw_record, draw_sample, write_dataset_images, write_loader_images
from bdd100k_d2.drawing.legend import add_legend
from bdd100k_d2.drawing.overlay import classes_of_task, panoptic_classes
from bdd100k_d2.errors import ConfigError, DataError, OutputError
from bdd100k_d2.tasks import TASKS

TOOL = ROOT / "tools" / "visualize_data.py"
IMAGE = np.full((60, 80, 3), 100, np.uint8)
RED, GREEN = (255, 0, 0), (0, 255, 0)


class Metadata(SimpleNamespace):
    def get(self, key: str, default: object = None) -> object:
        return getattr(self, key, default)


THINGS = Metadata(thing_classes=["car", "bus"], thing_colors=[RED, GREEN])
BOTH = Metadata(
    thing_classes=["car"], thing_colors=[RED], stuff_classes=["things", "road"], stuff_colors=[(0, 0, 0), (0, 0, 255)]
)


def box(x: float, y: float, width: float, height: float, k: int = 0, **fields: object) -> dict:
    return {"bbox": [x, y, width, height], "bbox_mode": 1, "category_id": k, "iscrowd": 0, **fields}


def is_color(image: np.ndarray, color: tuple[int, ...]) -> np.ndarray:
    return (image == color).all(axis=2)


def test_boxes_end_with_their_last_pixel_and_crowds_are_dashed() -> None:
    record = {"file_name": "a.jpg", "annotations": [box(10, 20, 30, 25), box(50, 20, 20, 25, 1, iscrowd=1)]}
    drawn = draw_record(IMAGE, record, THINGS)
    rows, columns = np.nonzero(is_color(drawn[20:60], RED))
    assert (columns.min(), columns.max(), rows.max() + 20) == (10, 39, 44)
    assert is_color(drawn[:60], (200, 200, 200)).any() and not is_color(drawn[:60], GREEN).any()


def test_corners_are_taken_as_well_and_other_modes_refused() -> None:
    sized = {"file_name": "a.jpg", "annotations": [box(10, 20, 30, 25)]}
    corners = {"file_name": "a.jpg", "annotations": [{**box(10, 20, 40, 45), "bbox_mode": 0}]}
    np.testing.assert_array_equal(draw_record(IMAGE, sized, THINGS), draw_record(IMAGE, corners, THINGS))
    with pytest.raises(DataError, match="a.jpg: boxes of mode 4; XYXY_ABS and XYWH_ABS can be drawn"):
        draw_record(IMAGE, {"file_name": "a.jpg", "annotations": [{**box(1, 2, 3, 4), "bbox_mode": 4}]}, THINGS)


def test_polygons_are_filled() -> None:
    polygon = [[10, 20, 40, 20, 40, 45, 10, 45]]
    drawn = draw_record(IMAGE, {"file_name": "a", "annotations": [box(10, 20, 30, 25, segmentation=polygon)]}, THINGS)
    assert abs(drawn[30, 25].astype(int) - (178, 50, 50)).max() <= 1 and (drawn[5, 70] == 100).all()


def test_a_frame_without_labels_is_its_image_and_the_legend() -> None:
    drawn = draw_record(IMAGE, {"file_name": "a.jpg", "annotations": []}, THINGS)
    np.testing.assert_array_equal(drawn[:60], IMAGE)
    assert drawn.shape[0] > 60


def test_things_and_stuff_of_panoptic_segments() -> None:
    from pycocotools import mask as coco_mask

    def segment(columns: slice, **fields: object) -> dict:
        mask = np.zeros((60, 80), np.uint8, order="F")
        mask[:, columns] = 1
        return {"segmentation": coco_mask.encode(mask), "iscrowd": 0, **fields}

    infos = [
        segment(slice(0, 20), id=1, isthing=True, category_id=0),
        segment(slice(20, 40), id=2, isthing=False, category_id=1),
    ]
    drawn = draw_record(IMAGE, {"file_name": "a.jpg", "segments_info": infos}, BOTH)
    assert abs(drawn[30, 10].astype(int) - (178, 50, 50)).max() <= 1
    assert abs(drawn[30, 30].astype(int) - (50, 50, 178)).max() <= 1 and (drawn[30, 50] == 100).all()


def test_targets_of_a_panoptic_model() -> None:
    """Stuff from a mask, things over it, and nothing where neither is labelled or a crowd of things is."""
    stuff = torch.full((60, 80), 1)
    stuff[:30], stuff[50:] = 0, 255
    things = Instances((60, 80))
    mask = torch.zeros(1, 60, 80, dtype=torch.bool)
    mask[0, 10:20, 10:20] = True
    things.gt_boxes, things.gt_classes = Boxes(torch.tensor([[10.0, 10, 20, 20]])), torch.tensor([0])
    things.gt_masks = BitMasks(mask)
    image = torch.from_numpy(IMAGE.copy()).permute(2, 0, 1)
    sample = {"file_name": "a.jpg", "image": image, "sem_seg": stuff, "instances": things}
    drawn = draw_sample(sample, "RGB", BOTH)
    assert abs(drawn[15, 15].astype(int) - (178, 50, 50)).max() <= 1
    assert abs(drawn[40, 40].astype(int) - (50, 50, 178)).max() <= 1
    assert (drawn[25, 40] == 100).all() and (drawn[55, 40] == 100).all()


def test_segments_of_cocos_panoptic_masks(tmp_path: Path) -> None:
    # Ids of more than 16 bits: red, green and blue are their bytes; OpenCV writes blue first.
    mask = np.zeros((60, 80, 3), np.uint8)
    mask[:, :20], mask[:, 20:40], mask[:, 40:50] = (1, 2, 3), (0, 0, 7), (0, 0, 9)
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    infos = [
        {"id": 3 + 2 * 256 + 65536, "isthing": True, "category_id": 0},
        {"id": 7, "isthing": False, "category_id": 1},
    ]
    record = {"file_name": "a.jpg", "segments_info": infos, "pan_seg_file_name": str(tmp_path / "mask.png")}
    drawn = draw_record(IMAGE, record, BOTH)
    assert abs(drawn[30, 10].astype(int) - (178, 50, 50)).max() <= 1
    assert abs(drawn[30, 30].astype(int) - (50, 50, 178)).max() <= 1 and (drawn[30, 45] == 100).all()
    cv2.imwrite(str(tmp_path / "mask.png"), mask[:30])
    with pytest.raises(DataError, match="mask.png: the mask is 80x30, its image 80x60"):
        draw_record(IMAGE, record, BOTH)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros((30, 40), np.uint8))
    metadata = Metadata(stuff_classes=["road"], stuff_colors=[RED])
    with pytest.raises(DataError, match="mask.png: the mask is 40x30, its image 80x60"):
        draw_record(IMAGE, {"file_name": "a.jpg", "sem_seg_file_name": str(tmp_path / "mask.png")}, metadata)


def test_run_lengths_of_another_size_are_refused() -> None:
    segmentation = {"size": [40, 30], "counts": [0, 1200]}
    annotations = [box(1, 2, 3, 4, segmentation=segmentation), box(1, 2, 3, 4)]
    wrong = "a.jpg: the mask is 30x40, its image 80x60"
    with pytest.raises(DataError, match=wrong):
        draw_record(IMAGE, {"file_name": "a.jpg", "annotations": annotations}, THINGS)
    infos = [{"id": 1, "isthing": True, "category_id": 0, "segmentation": segmentation}]
    with pytest.raises(DataError, match=wrong):
        draw_record(IMAGE, {"file_name": "a.jpg", "segments_info": infos}, BOTH)


def test_own_classes_without_colors_are_drawn(tiny_root: Path, tmp_path: Path) -> None:
    """A COCO data set tells its classes when it is loaded, and no colours."""
    from detectron2.data import DatasetCatalog, MetadataCatalog

    image = tiny_root / "bdd100k/images/100k/val/val0.jpg"

    def load() -> list[dict]:
        MetadataCatalog.get("cows").thing_classes = ["cow", "car"]
        return [{"file_name": str(image), "annotations": [box(10, 20, 30, 25), box(60, 20, 30, 25, 1)]}]

    DatasetCatalog.register("cows", load)
    try:
        (path,) = write_dataset_images("cows", tmp_path / "out")
        drawn = cv2.imread(str(path))[..., ::-1]
        # The hue opposite to that of BDD100K's class of the name; the legend's swatches too.
        for color, column in (((255, 136, 64), 10), ((30, 170, 255), 60)):
            assert tuple(drawn[40, column]) == color and is_color(drawn[96:], color).any()
        MetadataCatalog.get("cows").thing_classes.pop()
        with pytest.raises(DataError, match=r"a.jpg: category_id 1, but there are 1 thing_classes"):
            draw_record(
                IMAGE,
                {"file_name": "a.jpg", "annotations": [box(10, 20, 30, 25, 1)]},
                MetadataCatalog.get("cows"),
            )
    finally:
        DatasetCatalog.remove("cows")
        MetadataCatalog.remove("cows")


def test_the_command_draws_a_slice_of_a_config(
    small_cfg: Callable[..., CfgNode], tiny_root: Path, tmp_path: Path
) -> None:
    entry = "[{'name': 'few', 'base': 'bdd100k_det_val', 'timeofday': ['night', 'daytime', 'dawn/dusk', 'undefined']}]"
    (tmp_path / "config.yaml").write_text(small_cfg().dump())
    start = [
        "--root",
        tiny_root,
        "--out",
        tmp_path / "out",
        "--dataset",
        "few",
        "--config-file",
        tmp_path / "config.yaml",
    ]
    done = run_tool("visualize_data", *start)
    assert done.returncode == 1 and "no data set 'few' is registered" in done.stderr
    done = run_tool("visualize_data", *start, "DATASETS.SLICES", entry)
    assert done.returncode == 0, done.stderr
    assert "in " in done.stdout and [*(tmp_path / "out").glob("val*.png")]


def test_frames_are_taken_at_equal_distances(tiny_root: Path, tmp_path: Path) -> None:
    bdd100k_d2.register_all(tiny_root)
    written = write_dataset_images("bdd100k_det_val", tmp_path / "out", 2)
    assert [path.name for path in written] == ["val0.png", "val2.png"]
    assert len(write_dataset_images("bdd100k_sem_seg_val", tmp_path / "masks", None)) == 3
    found, source = cv2.imread(str(written[1])), cv2.imread(str(tiny_root / "bdd100k/images/100k/val/val2.jpg"))
    np.testing.assert_array_equal(found[:96], source)  # without labels


@pytest.mark.parametrize("task", TASKS)
def test_of_images_without_labels_the_legend_is_the_tasks(task: str, tiny_root: Path, tmp_path: Path) -> None:
    from detectron2.data import MetadataCatalog

    bdd100k_d2.register_all(tiny_root)
    (drawn,) = write_dataset_images(f"bdd100k_{task}_test", tmp_path / "out", 1)
    image = cv2.imread(str(tiny_root / "bdd100k" / TASKS[task].images.format(split="test") / "test0.jpg"))
    metadata = MetadataCatalog.get(f"bdd100k_{task}_test")
    classes = panoptic_classes(metadata) if task == "pan_seg" else classes_of_task(TASKS[task])
    expected = add_legend(image[..., ::-1].copy(), classes, ())
    np.testing.assert_array_equal(cv2.imread(str(drawn))[..., ::-1], expected)


def test_unknown_sets_and_sets_without_classes_are_refused(tiny_root: Path, tmp_path: Path) -> None:
    from detectron2.data import DatasetCatalog

    bdd100k_d2.register_all(tiny_root)
    with pytest.raises(
        ConfigError, match="'bdd100k_det_nite' is registered. Did you mean .* Of BDD100K there are bdd100k_det_tr"
    ) as caught:
        write_dataset_images("bdd100k_det_nite", tmp_path)
    # Of hundreds of slices one is named.
    assert str(caught.value).endswith("bdd100k_pan_seg_test, and slices of them such as bdd100k_det_val_night.")
    assert str(caught.value).count("bdd100k_") == 1 + 1 + 15 + 1
    with pytest.raises(ConfigError, match=r"val_nigth' is registered. Did you mean bdd100k_det_val_night\?"):
        write_dataset_images("bdd100k_det_val_nigth", tmp_path)
    DatasetCatalog.register("bare", lambda: [{"file_name": "a.jpg", "annotations": []}])
    try:
        with pytest.raises(ConfigError, match="bare: its metadata have no thing_classes or stuff_classes"):
            write_dataset_images("bare", tmp_path)
    finally:
        DatasetCatalog.remove("bare")


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_labels_are_not_drawn_over(tiny_root: Path, overwrite: bool) -> None:
    bdd100k_d2.register_all(tiny_root)
    masks = tiny_root / "bdd100k/labels/sem_seg/masks/val"
    before = {path: path.read_bytes() for path in masks.iterdir()}
    (tiny_root / "link").symlink_to(masks)
    for folder in (masks, masks / ".." / "val", tiny_root / "link"):
        with pytest.raises(OutputError, match="holds files of the data set, which are only read; choose another fold"):
            write_dataset_images("bdd100k_sem_seg_val", folder, None, overwrite)
    with pytest.raises(OutputError, match="holds files of the data set"):
        write_dataset_images("bdd100k_sem_seg_val", tiny_root / "bdd100k/images/10k/val", None, overwrite)
    assert {path: path.read_bytes() for path in masks.iterdir()} == before


def test_the_command_draws_nothing_into_linked_data(tiny_root: Path, tmp_path: Path) -> None:
    labels, store = tiny_root / "bdd100k/labels", tmp_path / "store"
    labels.rename(store)
    labels.symlink_to(store)
    before = sorted(store.rglob("*"))
    arguments = ["--dataset", "bdd100k_sem_seg_val", "--root", tiny_root, "--overwrite", "--out"]
    for place in (store / "sem_seg/masks/val", store / "new", labels / "new"):
        done = run_tool("visualize_data", *arguments, place)
        assert done.returncode == 2 and "lies in the data, which is only read" in done.stderr
    assert sorted(store.rglob("*")) == before


def test_images_are_not_replaced_unasked(tiny_root: Path, tmp_path: Path) -> None:
    bdd100k_d2.register_all(tiny_root)
    out = tmp_path / "out"
    out.mkdir()
    (out / "val2.png").write_text("mine")
    with pytest.raises(OutputError, match=r"val2.png: exists; choose another folder, or --overwrite to replace it"):
        write_dataset_images("bdd100k_det_val", out, None)
    assert [path.read_text() for path in out.iterdir()] == ["mine"]
    assert len(write_dataset_images("bdd100k_det_val", out, None, overwrite=True)) == 3
    assert cv2.imread(str(out / "val2.png")) is not None


def test_the_loaders_images_spare_the_data_and_what_is_there(small_cfg: Callable[..., CfgNode], tmp_path: Path) -> None:
    from detectron2.data import MetadataCatalog

    cfg = small_cfg("SEED", 5)
    labels = Path(MetadataCatalog.get(cfg.DATASETS.TRAIN[0]).label_path)
    with pytest.raises(OutputError, match="holds files of the data set"):
        write_loader_images(cfg, labels, 1)
    (path,) = write_loader_images(cfg, tmp_path / "out", 1)
    path.write_text("mine")
    with pytest.raises(OutputError, match=rf"{path.name}: exists; choose another folder"):
        write_loader_images(cfg, tmp_path / "out", 1)
    assert path.read_text() == "mine"
    assert write_loader_images(cfg, tmp_path / "out", 1, overwrite=True) == [path]
    assert path.read_bytes() != b"mine"


def test_the_loader_needs_a_registered_training_set(small_cfg: Callable[..., CfgNode], tmp_path: Path) -> None:
    cfg = small_cfg()
    cfg.DATASETS.TRAIN = ()
    with pytest.raises(ConfigError, match="DATASETS.TRAIN is empty, so there is nothing to train on"):
        write_loader_images(cfg, tmp_path)
    cfg.DATASETS.TRAIN = ("bdd100k_sem_seg_trian",)
    with pytest.raises(ConfigError, match=r"trian' is registered. Did you mean bdd100k_sem_seg_train\?"):
        write_loader_images(cfg, tmp_path)


def test_the_loaders_samples_are_drawn_as_they_are(small_cfg: Callable[..., CfgNode], tmp_path: Path) -> None:
    from detectron2.data import MetadataCatalog

    from bdd100k_d2.data.loader import build_train_loader

    cfg = small_cfg("SEED", 5)
    written = write_loader_images(cfg, tmp_path / "out", 3)
    assert [path.name[:5] for path in written] == ["0000_", "0001_", "0002_"]
    batches = iter(build_train_loader(cfg, 5))
    samples = [*next(batches), *next(batches)][:3]
    for path, sample in zip(written, samples, strict=True):
        assert path.stem[5:] == Path(sample["file_name"]).stem
        expected = draw_sample(sample, cfg.INPUT.FORMAT, MetadataCatalog.get(cfg.DATASETS.TRAIN[0]))
        np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], expected)
        # Inside of the regions each pixel is half the sample's, half its class's colour.
        ids = sample["sem_seg"].numpy().astype(np.uint8)
        inside = (cv2.erode(ids, np.ones((3, 3))) == cv2.dilate(ids, np.ones((3, 3)))) & (ids < 19)
        pixels = sample["image"].permute(1, 2, 0).numpy()
        mixed = (pixels[inside] + np.array(TASKS["sem_seg"].colors, float)[ids[inside]]) / 2
        assert cfg.INPUT.FORMAT == "RGB" and inside.any()
        assert abs(expected[: ids.shape[0]][inside] - mixed).max() <= 1


def test_samples_with_boxes_keep_detectron2s_last_pixel() -> None:
    import torch
    from detectron2.structures import Boxes, Instances

    instances = Instances((60, 80))
    instances.gt_boxes = Boxes(torch.tensor([[10.0, 20, 40, 45]]))
    instances.gt_classes = torch.tensor([0])
    image = torch.full((3, 60, 80), 100, dtype=torch.uint8)
    drawn = draw_sample({"image": image, "instances": instances, "file_name": "a.jpg"}, "BGR", THINGS)
    record = {"file_name": "a.jpg", "annotations": [box(10, 20, 30, 25)]}
    np.testing.assert_array_equal(drawn, draw_record(IMAGE, record, THINGS))


def test_samples_outside_of_the_range_are_cut_to_it() -> None:
    import torch
    from detectron2.structures import Boxes, Instances

    instances = Instances((60, 80), gt_boxes=Boxes(torch.zeros(0, 4)), gt_classes=torch.zeros(0, dtype=torch.int64))
    image = torch.tensor([-20.0, 300.0, 99.6])[:, None, None].expand(3, 60, 80)
    for image_format, expected in (("RGB", [0, 255, 100]), ("BGR", [100, 255, 0])):
        sample = {"image": image, "instances": instances, "file_name": "a.jpg"}
        assert (draw_sample(sample, image_format, THINGS)[:60] == expected).all()


def test_the_command_on_the_real_images(
    real_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [TOOL, "--root", real_root, "--out", tmp_path, "--dataset", "bdd100k_det_val"]
    monkeypatch.setattr(sys, "argv", [str(part) for part in command])
    runpy.run_path(str(TOOL), run_name="__main__")
    assert "1 image is in" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "b1c66a42-6f7d68ca.png")).shape == (744, 1280, 3)
    for wrong, message in (
        (["--source", "loader"], "--source loader takes --config-file, no --dataset"),
        (["SEED", "1"], "--source dataset takes --dataset, and keys and values only with --config-file"),
        (["--out", real_root / "bdd100k/new"], "lies in the data, which is only read"),
    ):
        monkeypatch.setattr(sys, "argv", [str(part) for part in (*command, *wrong)])
        with pytest.raises(SystemExit):
            runpy.run_path(str(TOOL), run_name="__main__")
        assert message in capsys.readouterr().err
