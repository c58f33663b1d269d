import errno
import hashlib
import json
import logging
import os
import subprocess
from pathlib import Path

import pytest
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog

import bdd100k_d2
from bdd100k_d2.atomic import disk_errors_explained
from bdd100k_d2.config import load_config
from bdd100k_d2.data.register import register_all
from bdd100k_d2.data.slices import register_slice
from bdd100k_d2.engine import fingerprint as fingerprints
from bdd100k_d2.engine.fingerprint import fingerprint
from bdd100k_d2.engine.hooks import record
from bdd100k_d2.engine.hooks.record import commit, record_start
from bdd100k_d2.errors import OutputError


@pytest.fixture
def cfg(tiny_root: Path, tmp_path: Path) -> CfgNode:
    register_all(tiny_root)
    cfg = bdd100k_d2.get_config("det/faster_rcnn_R_50_FPN_1x")
    cfg.OUTPUT_DIR, cfg.MODEL.DEVICE = str(tmp_path / "out"), "cpu"
    return cfg


def entries(cfg: CfgNode) -> list[dict]:
    return json.loads((Path(cfg.OUTPUT_DIR) / "run.json").read_text())


def git(folder: Path, *arguments: str) -> str:
    names = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_an_entry_a_start(cfg: CfgNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("sys.argv", ["tools/train_net.py", "--config-file", "a b.yaml"])
    record_start(cfg, seed=7, start_iter=0, run="abc")
    with caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        record_start(cfg, seed=7, start_iter=50, run="abc")
    first, second = entries(cfg)
    assert (first["seed"], first["run"], first["start_iter"], second["start_iter"]) == (7, "abc", 0, 50)
    assert first["command"].endswith("tools/train_net.py --config-file 'a b.yaml'")
    assert {"python", "torch", "detectron2", "bdd100k_d2"} <= first["versions"].keys()
    assert (
        first["versions"]["bdd100k_d2"] == bdd100k_d2.__version__ and None not in list(first["versions"].values())[:5]
    )
    assert first["host"] and first["processes"] == 1 and first["devices"][0].startswith("cpu: ")
    assert list(first["data"]["TRAIN"]) == ["bdd100k_det_train"] and list(first["data"]["TEST"]) == ["bdd100k_det_val"]
    assert not caplog.messages
    assert load_config(Path(cfg.OUTPUT_DIR) / "config.yaml").SEED == 7 and cfg.SEED == -1


def test_the_fingerprint_of_a_label_file(cfg: CfgNode, tiny_root: Path) -> None:
    labels = tiny_root / "bdd100k/labels/det_20/det_train.json"
    assert fingerprint("bdd100k_det_train") == {
        "images": str(tiny_root / "bdd100k/images/100k/train"),
        "labels": str(labels),
        "pictures": 3,
        "bytes": labels.stat().st_size,
        "sha256": hashlib.sha256(labels.read_bytes()).hexdigest(),
        "frames": 3,
    }
    labels.write_text('{"images": [{}, {}], "annotations": []}')
    assert fingerprint("bdd100k_det_train")["frames"] == 2
    labels.write_text('{"frames": [{}]}')
    assert fingerprint("bdd100k_det_train")["frames"] == 1
    for content in ("", "[{}", '{"name": "a"}'):
        labels.write_text(content)
        assert fingerprint("bdd100k_det_train")["frames"] is None


def test_the_fingerprint_of_masks(cfg: CfgNode, tiny_root: Path) -> None:
    before = fingerprint("bdd100k_sem_seg_train")
    masks = sorted((tiny_root / "bdd100k/labels/sem_seg/masks/train").iterdir())
    listed = "".join(f"{mask.name}\0{mask.stat().st_size}\n" for mask in masks)
    assert (before["frames"], before["pictures"]) == (3, 3)
    assert before["sha256"] == hashlib.sha256(listed.encode()).hexdigest()
    assert before["bytes"] == sum(mask.stat().st_size for mask in masks)
    masks[0].rename(masks[0].with_name("other.png"))
    assert fingerprint("bdd100k_sem_seg_train")["sha256"] != before["sha256"]


def test_the_fingerprint_of_other_places_and_datasets(cfg: CfgNode, tiny_root: Path, tmp_path: Path) -> None:
    (tiny_root / "bdd100k/seg").mkdir()
    (tiny_root / "bdd100k/images/10k").rename(tiny_root / "bdd100k/seg/images")
    found = fingerprint("bdd100k_sem_seg_train")
    assert (found["images"], found["pictures"]) == (str(tiny_root / "bdd100k/seg/images/train"), 3)
    assert fingerprint("bdd100k_det_test")["labels"] is None
    (tmp_path / "coco.json").write_text('{"images": [{}]}')
    MetadataCatalog.get("mine").set(json_file=str(tmp_path / "coco.json"), image_root=str(tmp_path))
    DatasetCatalog.register("mine", lambda: [{"file_name": "a.jpg"}])
    register_slice("some", "mine", first=1)
    register_slice("same", "some", first=1)
    assert [fingerprint(name)["frames"] for name in ("mine", "some", "same")] == [1, 1, 1]
    for name in ("mine", "some", "same"):
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_the_fingerprint_of_a_slice(cfg: CfgNode, tiny_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = tiny_root / "bdd100k/labels/det_20/det_val.json"
    names = hashlib.sha256(b"val0").hexdigest()
    assert fingerprint("bdd100k_det_val_night") == fingerprint("bdd100k_det_val") | {
        "slice_frames": 1,
        "slice_sha256": names,
    }
    # Masks carry no attributes, so their slice can change where they do not.
    masks = fingerprint("bdd100k_drivable_val_night")
    assert (masks["frames"], masks["slice_frames"], masks["slice_sha256"]) == (3, 1, names)
    cfg.DATASETS.TEST = ("bdd100k_drivable_val_night",)
    record_start(cfg, seed=7, start_iter=0)
    frames = json.loads(labels.read_text())
    frames[1]["attributes"] = {"timeofday": "night"}
    labels.write_text(json.dumps(frames))
    with caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        record_start(cfg, seed=7, start_iter=10)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].endswith("the frames of the slice have changed (1 before, 2 now).")
    # To say that nothing has the attribute is for what loads the slice.
    assert fingerprint("bdd100k_det_val_foggy")["slice_frames"] is None
    labels.unlink()
    assert fingerprint("bdd100k_det_val_night")["slice_frames"] is None


def test_the_fingerprint_of_a_slice_of_the_download_of_2018(cfg: CfgNode, tiny_root: Path) -> None:
    base = tiny_root / "bdd100k"
    (base / "seg").mkdir()
    (base / "images/10k").rename(base / "seg/images")
    register_slice("night", "bdd100k_sem_seg_val", base / "labels/det_20/det_val.json", timeofday="night")
    try:
        found = fingerprint("night")
    finally:
        MetadataCatalog.remove("night")
        DatasetCatalog.remove("night")
    assert (found["images"], found["pictures"], found["slice_frames"]) == (str(base / "seg/images/val"), 3, 1)


def test_a_link_to_a_folder_above_is_not_followed(cfg: CfgNode, tiny_root: Path) -> None:
    before = fingerprint("bdd100k_det_train"), fingerprint("bdd100k_sem_seg_train")
    (tiny_root / "bdd100k/images/100k/train/all").symlink_to("..")
    (tiny_root / "bdd100k/labels/sem_seg/masks/train/up").symlink_to(tiny_root)
    (tiny_root / "bdd100k/labels/sem_seg/masks/train/.hidden").mkdir()
    (tiny_root / "bdd100k/labels/sem_seg/masks/train/.hidden/a.png").touch()
    assert (fingerprint("bdd100k_det_train"), fingerprint("bdd100k_sem_seg_train")) == before


def test_what_cannot_be_read_ends_no_training(
    cfg: CfgNode, tiny_root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("bdd100k_sem_seg_train",), ()
    record_start(cfg, seed=7, start_iter=0)
    scan, folder = os.scandir, str(tiny_root / "bdd100k/images/10k/train")

    def refused(path: str) -> object:
        if path == folder:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    (tiny_root / "bdd100k/labels/sem_seg/masks/train/gone.png").symlink_to("nowhere.png")
    monkeypatch.setattr(os, "scandir", refused)
    found = fingerprint("bdd100k_sem_seg_train")
    assert (found["images"], found["pictures"]) == (folder, None)
    assert "sha256" not in found and "frames" not in found
    assert f"Permission denied: '{folder}'; " in found["partial"] and "gone.png" in found["partial"]
    with caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        record_start(cfg, seed=7, start_iter=10)
        record_start(cfg, seed=7, start_iter=20)
    assert not caplog.messages
    assert entries(cfg)[1]["data"]["TRAIN"]["bdd100k_sem_seg_train"] == found


def test_a_folder_that_holds_a_whole_disk_is_not_looked_through(
    cfg: CfgNode, tiny_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tiny_root / "bdd100k/images/100k/train"
    whole = fingerprint("bdd100k_det_train")
    monkeypatch.setattr(fingerprints, "_MOST_FILES", 2)
    partial = f"{images}: not looked through, it holds too much (3 files so far)"
    assert fingerprint("bdd100k_det_train") == whole | {"pictures": None, "partial": partial}
    monkeypatch.setattr(fingerprints, "_MOST_FILES", 3)
    assert fingerprint("bdd100k_det_train") == whole
    monkeypatch.setattr(fingerprints, "_MOST_SECONDS", 0)
    assert fingerprint("bdd100k_det_train")["pictures"] is None


def test_data_sets_of_any_metadata_have_a_fingerprint(tmp_path: Path) -> None:
    DatasetCatalog.register("in_memory", list)
    nothing = {"images": None, "labels": None, "pictures": None}
    try:
        assert fingerprint("in_memory") == nothing
        MetadataCatalog.get("in_memory").set(image_root=[str(tmp_path)])
        found = fingerprint("in_memory")
        assert found == nothing | {"partial": found["partial"]} and "list" in found["partial"]
        MetadataCatalog.remove("in_memory")
        MetadataCatalog.get("in_memory").set(image_root="a\0b", json_file=str(tmp_path / "pipe"))
        os.mkfifo(tmp_path / "pipe")
        assert fingerprint("in_memory")["pictures"] is None
    finally:
        DatasetCatalog.remove("in_memory")
        MetadataCatalog.remove("in_memory")


def test_data_that_changed_between_two_starts(cfg: CfgNode, tiny_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = tiny_root / "bdd100k/labels/det_20/det_train.json"
    record_start(cfg, seed=7, start_iter=0)
    size = labels.stat().st_size
    frames = json.loads(labels.read_text())
    labels.write_text(json.dumps(frames[:2]))
    (tiny_root / "bdd100k/images/100k/val/val1.jpg").unlink()
    with caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        record_start(cfg, seed=7, start_iter=10)
    changed, fewer = caplog.messages
    assert changed.startswith(
        f"bdd100k_det_train: the data have changed since the run's last start: {labels} has changed "
        f"(3 frames before, 2 now; {size} bytes before, {labels.stat().st_size} now; sha256 "
    )
    assert fewer.endswith(f"{tiny_root / 'bdd100k/images/100k/val'} has 2 images, 3 before.")
    # A new run is not one that goes on.
    caplog.clear()
    labels.write_text("[]")
    record_start(cfg, seed=7, start_iter=0)
    assert not caplog.messages
    cfg.DATASETS.TRAIN = ("bdd100k_det_train", "bdd100k_det_val")
    record_start(cfg, seed=7, start_iter=10)
    assert "DATASETS.TRAIN is ['bdd100k_det_train', 'bdd100k_det_val'], until now it was" in caplog.text


def test_the_same_data_at_another_place_are_the_same(
    cfg: CfgNode, tiny_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record_start(cfg, seed=7, start_iter=0)
    register_all(tiny_root.rename(tiny_root.with_name("moved")))
    with caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        record_start(cfg, seed=7, start_iter=10)
    assert not caplog.messages


@pytest.mark.parametrize(
    "content",
    [
        "[{",
        '{"a": 1}',
        "[1]",
        '[{"data": null}]',
        '[{"data": {"TRAIN": ["bdd100k_det_train"]}}]',
        '[{"data": {"TRAIN": {"bdd100k_det_train": 3}}}]',
        '[{"data": {"TRAIN": {"bdd100k_det_train": {"sha256": [1]}}}}]',
        "[" * 100_000,
        "[" + "9" * 5000 + "]",
    ],
)
def test_a_damaged_record_is_put_aside(cfg: CfgNode, caplog: pytest.LogCaptureFixture, content: str) -> None:
    path = Path(cfg.OUTPUT_DIR) / "run.json"
    path.parent.mkdir()
    path.write_text(content)
    record_start(cfg, seed=7, start_iter=5)
    assert len(entries(cfg)) == 1 and path.with_name("run.json.damaged").read_text() == content
    assert "run.json: unreadable" in caplog.text


def test_a_record_of_other_fields_is_compared_with_as_far_as_it_goes(
    cfg: CfgNode, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(cfg.OUTPUT_DIR) / "run.json"
    path.parent.mkdir()
    path.write_text(json.dumps([{"seed": [], "data": {"TRAIN": {"bdd100k_det_train": {"frames": "\x1b[31m"}}}}]))
    with caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        record_start(cfg, seed=7, start_iter=5)
    assert len(entries(cfg)) == 2 and "\\x1b[31m frames before" in caplog.text and "\x1b" not in caplog.text


def test_the_commit(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert commit(tmp_path) is None
    (tmp_path / "a").write_text("a")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "first")
    clean = {"id": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "untracked").write_text("")
    assert commit(tmp_path) == clean
    (tmp_path / "a").write_text("b")
    assert commit(tmp_path) == {**clean, "dirty": True}


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert commit(tmp_path) is None


def test_a_record_that_cannot_be_written(cfg: CfgNode) -> None:
    Path(cfg.OUTPUT_DIR).write_text("")
    with pytest.raises(OutputError, match=r"run\.json"):
        record_start(cfg, seed=7, start_iter=0)
    assert record.NAME == "run.json"


def test_errors_of_a_full_disk_say_what_to_do() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "out/metrics.json")
    with (
        pytest.raises(
            OutputError, match=r"^out/metrics\.json: cannot be written \(No space.*Free some space.*--resume"
        ),
        disk_errors_explained("out"),
    ):
        raise full
    with pytest.raises(FileNotFoundError), disk_errors_explained("out"):
        raise FileNotFoundError("other")

    def fails_twice() -> None:
        try:
            raise OutputError("model_0000009.pth: cannot be written")
        finally:
            # A hook at the end of the training.
            raise full

    with pytest.raises(OutputError, match=r"^model_0000009\.pth"), disk_errors_explained("out"):
        fails_twice()
