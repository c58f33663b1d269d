"""The training loader: equal samples for any number of workers, any start, and what unreadable images do."""

import logging
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, DatasetMapper, MetadataCatalog
from detectron2.data.samplers import TrainingSampler
from detectron2.utils import comm
from support.frames import BAD_IMAGES, write_bad_image, write_image

import bdd100k_d2
from bdd100k_d2 import parallel
from bdd100k_d2.data.loader import TrainLoader, build_train_loader, num_workers
from bdd100k_d2.data.randomness import Purpose, drawing, seed_generators
from bdd100k_d2.data.register import register_all
from bdd100k_d2.errors import ConfigError, DataError, UnreadableError, user_message


@pytest.fixture
def cfg(tiny_root: Path) -> CfgNode:
    register_all(tiny_root)
    cfg = bdd100k_d2.get_config("sample/semantic_fpn_R_18")
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.CROP.SIZE = (72,), [64, 96]
    # All augmentations that draw, also the one that leaves it to PyTorch to work.
    cfg.INPUT.COLOR_JITTER.PROB = 0.5
    cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_WORKERS = 2, 0
    return cfg


def take(loader: TrainLoader, count: int) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    return [
        (Path(one["file_name"]).name, one["image"], one["sem_seg"]) for batch in islice(loader, count) for one in batch
    ]


def same(first: list[tuple], second: list[tuple]) -> bool:
    return len(first) == len(second) and all(
        a[0] == b[0] and torch.equal(a[1], b[1]) and torch.equal(a[2], b[2]) for a, b in zip(first, second, strict=True)
    )


def test_samples_are_the_same_for_any_number_of_workers(cfg: CfgNode) -> None:
    found = []
    for workers in (0, 1, 3):
        cfg.DATALOADER.NUM_WORKERS = workers
        found.append(take(build_train_loader(cfg, seed=4), 6))
    assert same(found[0], found[1]) and same(found[0], found[2])
    # Each epoch augments an image in its own way, and another seed does too.
    assert len({tuple(image.flatten().tolist()) for _, image, _ in found[0]}) == 12
    assert not same(found[0], take(build_train_loader(cfg, seed=5), 6))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_start_is_where_the_run_was(cfg: CfgNode, workers: int) -> None:
    cfg.DATALOADER.NUM_WORKERS = workers
    whole = take(build_train_loader(cfg, seed=4), 7)
    assert same(whole[2 * 3 :], take(build_train_loader(cfg, seed=4, start_iter=3), 4))
    loader = build_train_loader(cfg, seed=9)
    batches = iter(loader)
    next(batches)
    loader.restart(4, 5)
    assert same(whole[2 * 5 :], take(batches, 2))


def test_no_worker_starts_before_the_first_batch(cfg: CfgNode, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []
    build = TrainLoader._build
    monkeypatch.setattr(TrainLoader, "_build", lambda self: starts.append(self.start_iter) or build(self))
    loader = build_train_loader(cfg, seed=4)
    batches = iter(loader)
    loader.restart(4, 2)
    assert starts == []
    next(batches), next(batches)
    assert starts == [2]


def draws() -> tuple[float, float, float]:
    return random.random(), np.random.rand(), torch.rand(1).item()


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_generators_of_the_process_alone(cfg: CfgNode, workers: int) -> None:
    cfg.DATALOADER.NUM_WORKERS = workers
    batches = iter(build_train_loader(cfg, seed=4))
    seed_generators(1, Purpose.STEP, 0, 0)
    expected = draws()
    seed_generators(1, Purpose.STEP, 0, 0)
    next(batches)
    assert draws() == expected


def test_draws_are_those_of_their_place() -> None:
    places = [(1, Purpose.AUGMENTATION, 0, 5, 0), (2, Purpose.AUGMENTATION, 0, 5, 0), (1, Purpose.STEP, 0, 5, 0)]
    places += [
        (1, Purpose.AUGMENTATION, 1, 5, 0),
        (1, Purpose.AUGMENTATION, 0, 6, 0),
        (1, Purpose.AUGMENTATION, 0, 5, 1),
    ]
    found = {}
    for place in places:
        seed_generators(99, Purpose.STEP)
        with drawing(*place):
            found[place] = draws()
        after = draws()
        seed_generators(99, Purpose.STEP)
        assert draws() == after
        seed_generators(*place)
        assert draws() == found[place]
    for numbers in zip(*found.values(), strict=True):
        assert len(set(numbers)) == len(places)
    with pytest.raises(ZeroDivisionError), drawing(*places[0]):
        1 / 0  # noqa: B018
    seed_generators(99, Purpose.STEP)
    assert draws() == after


def test_processes_share_a_batch_as_detectron2_deals_it_out(cfg: CfgNode, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg.SOLVER.IMS_PER_BATCH = 4
    whole = [name for name, _, _ in take(build_train_loader(cfg, seed=4), 3)]
    shares = []
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(comm, "get_rank", lambda rank=rank: rank)
        shares.append([name for name, _, _ in take(build_train_loader(cfg, seed=4), 3)])
        stock = list(islice(TrainingSampler(1000, shuffle=False, seed=0), 6))
        assert shares[rank] == [whole[i] for i in stock]


def test_any_mapper_draws_by_the_sample(cfg: CfgNode) -> None:
    mapper = DatasetMapper(cfg, is_train=True)
    found = [take(build_train_loader(cfg, seed=4, mapper=mapper), 2) for _ in range(2)]
    assert same(*found)


def test_an_unreadable_image_ends_the_run_and_is_named(cfg: CfgNode, tiny_root: Path) -> None:
    (tiny_root / "bdd100k/images/10k/train/train1.jpg").write_bytes(b"\xff\xd8")
    for workers in (0, 1):
        cfg.DATALOADER.NUM_WORKERS = workers
        with pytest.raises(UnreadableError, match=r"train1\.jpg") as caught:
            take(build_train_loader(cfg, seed=4), 3)
        assert "train1.jpg" in user_message(caught.value).splitlines()[-1]


@pytest.mark.parametrize("broken", ["images/10k/train/train1.jpg", "labels/sem_seg/masks/train/train1.png"])
def test_an_unreadable_image_is_skipped_and_counted(
    cfg: CfgNode, tiny_root: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    cfg.INPUT.SKIP_UNREADABLE = True
    (tiny_root / "bdd100k" / broken).write_bytes(b"no image")
    found = []
    with caplog.at_level(logging.WARNING, "bdd100k_d2"):
        for workers in (0, 2):
            loader = build_train_loader(cfg, seed=4)
            loader.num_workers = workers
            found.append(take(loader, 6))
            # Twelve samples are four epochs of three images; what is drawn in its place may be itself again.
            assert loader.skipped.total() >= 4 and [Path(name).name for name in loader.skipped] == ["train1.jpg"]
    assert same(*found) and {name for name, _, _ in found[0]} == {"train0.jpg", "train2.jpg"}
    (first, *_) = (message for message in caplog.messages if "Another one was taken in its place" in message)
    assert Path(broken).name in first
    later = build_train_loader(cfg, seed=4, start_iter=4)
    assert same(found[0][8:], take(later, 2))


@pytest.mark.parametrize("bad", [kind for kind in BAD_IMAGES if kind != "narrow"])  # that has no labels here
def test_so_is_one_that_pillow_has_its_own_errors_for(cfg: CfgNode, tiny_root: Path, bad: str) -> None:
    cfg.INPUT.SKIP_UNREADABLE, cfg.DATALOADER.NUM_WORKERS = True, 0
    write_bad_image(tiny_root / "bdd100k/images/10k/train/train1.jpg", bad)
    loader = build_train_loader(cfg, seed=4)
    names = {name for name, _, _ in take(loader, 3)}
    assert names == {"train0.jpg", "train2.jpg"} and [Path(name).name for name in loader.skipped] == ["train1.jpg"]


def test_nothing_readable_ends_the_run_though_skipping_is_on(cfg: CfgNode, tiny_root: Path) -> None:
    cfg.INPUT.SKIP_UNREADABLE = True
    loader = build_train_loader(cfg, seed=4)
    for path in (tiny_root / "bdd100k/images/10k/train").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"10 images .* cannot be used.*train\d\.jpg"):
        next(iter(loader))


def test_skipped_records_are_replaced_from_the_subset(cfg: CfgNode, tiny_root: Path) -> None:
    cfg.INPUT.SKIP_UNREADABLE = True
    cfg.DATALOADER.SAMPLER_TRAIN, cfg.DATALOADER.RANDOM_SUBSET_RATIO = "RandomSubsetTrainingSampler", 0.7
    names = {name for name, _, _ in take(build_train_loader(cfg, seed=4), 4)}
    assert len(names) == 2
    (tiny_root / "bdd100k/images/10k/train" / min(names)).write_bytes(b"")
    assert {name for name, _, _ in take(build_train_loader(cfg, seed=4), 6)} == {max(names)}


def test_repeats_follow_the_rare_classes(tiny_root: Path) -> None:
    register_all(tiny_root)
    cfg = bdd100k_d2.get_config("sample/faster_rcnn_R_18_FPN")
    assert cfg.DATALOADER.SAMPLER_TRAIN == "RepeatFactorTrainingSampler"
    cfg.DATALOADER.NUM_WORKERS, cfg.DATALOADER.REPEAT_THRESHOLD = 0, 2.0
    cfg.INPUT.MIN_SIZE_TRAIN = (64,)
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    names = [[one["file_name"] for one in batch] for batch in islice(build_train_loader(cfg, seed=1), 5)]
    assert names[3:] == [
        [one["file_name"] for one in batch] for batch in islice(build_train_loader(cfg, seed=1, start_iter=3), 2)
    ]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("DATALOADER.SAMPLER_TRAIN", "RandomSampler", "there are TrainingSampler, Rep"),
        ("DATALOADER.NUM_WORKERS", -2, "-1 follows the cores"),
        ("SOLVER.IMS_PER_BATCH", 0, "a multiple of the number of processes, 1"),
    ],
)
def test_impossible_keys_are_refused(cfg: CfgNode, key: str, value: object, message: str) -> None:
    cfg.merge_from_list([key, value])
    with pytest.raises(ConfigError, match=message):
        build_train_loader(cfg, seed=0)


def test_the_workers_follow_the_cores(cfg: CfgNode, monkeypatch: pytest.MonkeyPatch) -> None:
    assert num_workers(cfg) == 0
    cfg.DATALOADER.NUM_WORKERS = -1
    monkeypatch.setattr(parallel, "cores", lambda: 24)
    for processes, workers in ((1, 16), (2, 12), (8, 3), (32, 1)):
        monkeypatch.setattr(comm, "get_local_size", lambda processes=processes: processes)
        assert num_workers(cfg) == workers


@pytest.mark.parametrize("task", ["det", "sem_seg"])
def test_records_without_sizes_train_as_with_them(tiny_root: Path, task: str) -> None:
    """As with stock Detectron2, whose mapper gives a record the size of its image."""
    register_all(tiny_root)
    records = DatasetCatalog.get(f"bdd100k_{task}_val")
    bare = [{key: value for key, value in one.items() if key not in ("height", "width")} for one in records]
    if task == "det":
        # One that is higher than wide.
        write_image(tiny_root / "high.png", 90, 60)
        box = {"bbox": [1, 2, 30, 40], "bbox_mode": 1, "category_id": 0}
        bare.append({"file_name": str(tiny_root / "high.png"), "image_id": "high.png", "annotations": [box]})
    cfg = bdd100k_d2.get_config(f"sample/{'faster_rcnn_R_18_FPN' if task == 'det' else 'semantic_fpn_R_18'}")
    cfg.DATASETS.TRAIN, cfg.DATALOADER.SAMPLER_TRAIN = ("bare",), "TrainingSampler"
    cfg.DATALOADER.ASPECT_RATIO_GROUPING, cfg.DATALOADER.NUM_WORKERS = True, 0
    cfg.INPUT.SKIP_UNREADABLE = True
    cfg.SOLVER.IMS_PER_BATCH = 2
    DatasetCatalog.register("bare", lambda: bare)
    try:
        sizes = [[(one["height"], one["width"]) for one in batch] for batch in islice(build_train_loader(cfg, 1), 6)]
        # What cannot be read is replaced as ever.
        bare.append(bare[0] | {"file_name": str(tiny_root / "none.png")})
        assert len([*islice(build_train_loader(cfg, 1), 6)]) == 6
    finally:
        DatasetCatalog.remove("bare")
        MetadataCatalog.pop("bare", None)
    assert all(len({width > height for height, width in batch}) == 1 for batch in sizes)
    found = {one for batch in sizes for one in batch}
    assert found == {(one["height"], one["width"]) for one in records} | ({(90, 60)} if task == "det" else set())
