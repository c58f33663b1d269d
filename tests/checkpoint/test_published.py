"""Published weights, served by a server of the test in place of the published one."""

import fcntl
import hashlib
import io
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model
from detectron2.utils.file_io import PathManager
from support.processes import in_processes

import bdd100k_d2
from bdd100k_d2.checkpoint.convert import convert_file
from bdd100k_d2.checkpoint.loading import load_weights
from bdd100k_d2.checkpoint.published import (
    BDD100K_SERVER,
    OPEN_MMLAB_SERVER,
    PublishedFile,
    PublishedWeightsHandler,
    open_mmlab_file,
    zoo_file,
)
from bdd100k_d2.config import load_config
from bdd100k_d2.errors import WeightsError
from bdd100k_d2.tasks import TASKS
from bdd100k_d2.zoo import page
from bdd100k_d2.zoo.table import ROWS

NAME = "bdd100k://det/faster_rcnn_r50_fpn_1x"
CONFIG = "det/faster_rcnn_R_50_FPN_1x"
PATH = "det/models/faster_rcnn_r50_fpn_1x_det_bdd100k.pth"
MD5_PATH = PATH.replace(".pth", ".md5")
ANY = PublishedFile("any.pth")


@dataclass
class Server:
    """What is served at which path, and what was asked for."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            state.asked.append(path)
            if path not in state.files:
                self.send_error(404)
                return
            body = state.files[path]
            self.send_response(200)
            for key, value in ({"Content-Length": str(len(body))} | state.headers).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.address = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("FVCORE_CACHE", str(folder))
    monkeypatch.setenv("no_proxy", "*")
    return folder


def files_in(folder: Path) -> list[str]:
    """What lies below ``folder``, without the locks."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.suffix != ".lock")


def detector() -> torch.nn.Module:
    cfg = bdd100k_d2.get_config(CONFIG)
    cfg.MODEL.DEVICE = "cpu"
    return build_model(cfg)


@pytest.fixture(scope="module")
def trained() -> dict[str, torch.Tensor]:
    """The tensors of a detector, small on disk: each holds one value, and no two the same."""
    state = detector().state_dict()
    return {
        key: torch.full((), i / 1000, dtype=value.dtype).expand(value.shape)
        for i, (key, value) in enumerate(state.items())
    }


@pytest.fixture(scope="module")
def checkpoint(trained: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Those tensors in the layout of mmdet, as the zoo publishes them."""
    folder = tmp_path_factory.mktemp("published")
    torch.save({"model": trained}, folder / "ours.pth")
    convert_file(folder / "ours.pth", folder / "theirs.pth", to="mmdet")
    content = torch.load(folder / "theirs.pth", weights_only=True)
    small = {key: value.flatten()[0].clone().expand(value.shape) for key, value in content["state_dict"].items()}
    buffer = io.BytesIO()
    torch.save({"meta": {"epoch": 12}, "state_dict": small}, buffer)
    return buffer.getvalue()


def handler(server: Server, file: PublishedFile | None = None) -> PublishedWeightsHandler:
    return PublishedWeightsHandler("bdd100k://", (lambda _: file) if file else zoo_file, server.address)


def resolve(server: Server, name: str = NAME, force: bool = False) -> Path:
    return Path(handler(server)._get_local_path(name, force=force))


# Addresses


def test_addresses_of_published_files() -> None:
    file = zoo_file("ins_seg/mask_rcnn_r50_fpn_1x_32bs")
    path = "ins_seg/models/mask_rcnn_r50_fpn_1x_32bs_ins_seg_bdd100k"
    assert (file.path, file.md5_path) == (f"{path}.pth", f"{path}.md5")
    assert BDD100K_SERVER == "https://dl.cv.ethz.ch/bdd100k"
    assert all(zoo_file(row.weights).path.startswith(f"{row.task}/models/") for row in ROWS if row.weights)
    file = open_mmlab_file("resnet50_v1c")
    address = "https://download.openmmlab.com/pretrain/third_party/resnet50_v1c-2cccc1ad.pth"
    assert (f"{OPEN_MMLAB_SERVER}/{file.path}", file.sha256_start) == (address, "2cccc1ad")


def test_the_package_makes_detectron2_know_the_names() -> None:
    assert bdd100k_d2.get_config
    assert PathManager.isfile(NAME) and not PathManager.exists("bdd100k://det/nonsense")
    assert PathManager.isfile("open-mmlab://resnet101_v1c") and not PathManager.isfile("open-mmlab://resnet18_v1c")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "bdd100k://det/faster_rcnn_r50_fpn_2x",
            "no published weights of this name. Did you mean det/faster_rcnn_r50_fpn_",
        ),
        ("bdd100k://det/nonsense", "no published weights of this name. `python -m bdd100k_d2.zoo` lists all"),
        ("bdd100k://../../etc/passwd", "no published weights of this name"),
        ("bdd100k://", "no published weights of this name"),
        ("open-mmlab://resnet50_v1d", "no weights of this name. Did you mean resnet50_v1c"),
        ("open-mmlab://detectron2", "There are resnet50_v1c, resnet101_v1c."),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    assert bdd100k_d2.get_config
    with pytest.raises(WeightsError) as caught:
        load_weights(torch.nn.Conv2d(1, 1, 1), name)
    assert str(caught.value).startswith(f"{name}: ") and message in str(caught.value)


# Downloads


def test_weights_are_fetched_once_and_converted(
    server: Server, cache: Path, checkpoint: bytes, trained: dict[str, torch.Tensor], capfd: pytest.CaptureFixture[str]
) -> None:
    server.files = {PATH: checkpoint, MD5_PATH: f"{hashlib.md5(checkpoint).hexdigest()}  name.pth\n".encode()}
    converted = resolve(server)
    assert server.asked == [PATH, MD5_PATH]
    assert files_in(cache) == [PATH, PATH.replace(".pth", "_detectron2.pth")]
    assert (cache / PATH).read_bytes() == checkpoint and converted == cache / files_in(cache)[1]
    # No bar in a pipe.
    assert capfd.readouterr().err == ""
    model = detector()
    rest = DetectionCheckpointer(model).load(str(converted))
    assert rest["classes"] == {"thing_classes": [*TASKS["det"].names]}
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in trained.items() if "num_batches" not in key)

    modified = converted.stat().st_mtime_ns
    server.files = {}
    assert resolve(server) == converted and converted.stat().st_mtime_ns == modified
    assert server.asked == [PATH, MD5_PATH]
    with pytest.raises(WeightsError, match="404"):
        resolve(server, force=True)


def test_weights_without_an_md5_are_taken(server: Server, checkpoint: bytes) -> None:
    server.files = {PATH: checkpoint}
    assert resolve(server).is_file()


def test_a_page_in_place_of_the_md5_is_no_md5(server: Server, checkpoint: bytes) -> None:
    server.files = {PATH: checkpoint, MD5_PATH: b"<html>d41d8cd98f00b204e9800998ecf8427e</html>"}
    assert resolve(server).is_file()


def expect_refusal(server: Server, cache: Path, *messages: str) -> None:
    """Nothing stays in the cache, and the message says what to fetch and where to put it."""
    with pytest.raises(WeightsError) as caught:
        resolve(server)
    by_hand = f"fetch {server.address}/{PATH} by hand and put it at {cache / PATH}"
    for message in (NAME, by_hand, *messages):
        assert message in str(caught.value)
    assert files_in(cache) == []


def test_a_wrong_md5(server: Server, cache: Path, checkpoint: bytes) -> None:
    server.files = {PATH: checkpoint, MD5_PATH: b"0" * 32}
    found = hashlib.md5(checkpoint).hexdigest()
    expect_refusal(server, cache, f"its md5 is {found}, and {server.address}/{MD5_PATH} says {'0' * 32}")


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_dead_link_that_serves_a_page(server: Server, cache: Path, kind: str) -> None:
    server.files = {PATH: b"<!DOCTYPE html><html>not found</html>"}
    server.headers = {"Content-Type": kind}
    expect_refusal(server, cache, "web page")


def test_a_file_that_is_cut_off(server: Server, cache: Path, checkpoint: bytes) -> None:
    server.files = {PATH: checkpoint}
    server.headers = {"Content-Length": str(len(checkpoint) + 1)}
    expect_refusal(server, cache, f"{len(checkpoint)} of {len(checkpoint) + 1} bytes came")


def test_no_such_file(server: Server, cache: Path) -> None:
    expect_refusal(server, cache, "cannot be fetched (HTTP Error 404: Not Found)")


def test_no_network(server: Server, cache: Path) -> None:
    server.address = "http://127.0.0.1:9"
    expect_refusal(server, cache, "cannot be fetched", "refused")


def test_something_else_than_the_checkpoint_is_served(server: Server, cache: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"state_dict": {"embedding.weight": torch.zeros(2, 2)}}, buffer)
    server.files = {PATH: buffer.getvalue()}
    with pytest.raises(WeightsError, match=f"what {server.address}/{PATH} serves cannot be used: .*embedding"):
        resolve(server)
    assert files_in(cache) == []


def test_a_wrong_sha256(server: Server, cache: Path, checkpoint: bytes) -> None:
    server.files = {ANY.path: checkpoint}
    found = hashlib.sha256(checkpoint).hexdigest()
    wrong = PublishedFile(ANY.path, sha256_start="0000000x")
    with pytest.raises(WeightsError, match=f"its sha256 is {found}, and has to start with 0000000x"):
        handler(server, wrong)._get_local_path(NAME)
    assert files_in(cache) == []
    right = PublishedFile(ANY.path, sha256_start=found[:8])
    assert Path(handler(server, right)._get_local_path(NAME)).is_file()


# Files that were put there by hand


def put(cache: Path, content: bytes) -> Path:
    path = cache / PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_a_file_that_was_put_there_is_used(server: Server, cache: Path, checkpoint: bytes) -> None:
    put(cache, checkpoint)
    server.address = "http://127.0.0.1:9"
    assert resolve(server).is_file()
    assert (cache / PATH).read_bytes() == checkpoint


def test_a_file_that_was_put_there_is_checked(server: Server, cache: Path, checkpoint: bytes) -> None:
    path = put(cache, checkpoint)
    server.files = {MD5_PATH: b"1" * 32}
    with pytest.raises(WeightsError, match=f"{path}: its md5 is .* says 1{{32}}. Remove this file, or put there"):
        resolve(server)
    assert server.asked == [MD5_PATH]
    path.write_bytes(b"<html>please log in</html>")
    with pytest.raises(WeightsError, match=f"{path}: no checkpoint, but a web page"):
        resolve(server)
    # It is the user's.
    assert files_in(cache) == [PATH]


# Several processes, and a person who watches

FETCH = """
import sys
from bdd100k_d2.checkpoint.published import PublishedWeightsHandler, zoo_file
print(PublishedWeightsHandler("bdd100k://", zoo_file, sys.argv[1])._get_local_path(sys.argv[2]))
"""


def fetch(address: str, cache: Path) -> None:
    os.environ.update({"FVCORE_CACHE": str(cache), "no_proxy": "*"})
    path = PublishedWeightsHandler("bdd100k://", zoo_file, address)._get_local_path(NAME)
    assert Path(path) == cache / PATH.replace(".pth", "_detectron2.pth")


def test_two_processes_fetch_once(server: Server, cache: Path, checkpoint: bytes) -> None:
    server.files = {PATH: checkpoint}
    in_processes(2, fetch, server.address, cache)
    assert server.asked == [PATH, MD5_PATH]
    assert files_in(cache) == [PATH, PATH.replace(".pth", "_detectron2.pth")]


def test_a_person_who_watches_sees_a_bar(server: Server, checkpoint: bytes) -> None:
    server.files = {PATH: checkpoint}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 160, 0, 0))
    command = [sys.executable, "-c", FETCH, server.address, NAME]
    subprocess.run(command, stderr=theirs, stdout=subprocess.DEVNULL, check=True, timeout=120)
    os.close(theirs)
    os.set_blocking(ours, False)
    assert b"faster_rcnn_r50_fpn_1x_det_bdd100k.pth: 100%" in os.read(ours, 1 << 16)
    os.close(ours)


# MODEL.WEIGHTS


@pytest.fixture
def registered(server: Server, checkpoint: bytes) -> Iterator[None]:
    """The names as the package registers them, at the test's server."""
    assert bdd100k_d2.get_config
    server.files = {PATH: checkpoint}
    PathManager.register_handler(handler(server))
    yield
    PathManager.register_handler(PublishedWeightsHandler("bdd100k://", zoo_file, BDD100K_SERVER))


@pytest.mark.usefixtures("registered")
def test_a_name_is_loaded_as_weights(trained: dict[str, torch.Tensor]) -> None:
    cfg = load_config("configs/det/faster_rcnn_R_50_FPN_1x.yaml", ["MODEL.WEIGHTS", NAME])
    assert cfg.MODEL.WEIGHTS == bdd100k_d2.get_config(CONFIG, trained=True).MODEL.WEIGHTS
    model = detector()
    load_weights(model, cfg.MODEL.WEIGHTS, exact=True)
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in trained.items() if "num_batches" not in key)


@pytest.mark.usefixtures("registered")
def test_detectron2s_predictor_loads_a_name(trained: dict[str, torch.Tensor]) -> None:
    cfg = bdd100k_d2.get_config(CONFIG, trained=True)
    cfg.MODEL.DEVICE = "cpu"
    state = DefaultPredictor(cfg).model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in trained.items() if "num_batches" not in key)


def test_loading_says_what_to_fetch_by_hand(server: Server, cache: Path) -> None:
    assert bdd100k_d2.get_config
    server.address = "http://127.0.0.1:9"
    PathManager.register_handler(handler(server))
    try:
        with pytest.raises(WeightsError, match=f"by hand and put it at {cache / PATH}"):
            load_weights(detector(), NAME)
    finally:
        PathManager.register_handler(PublishedWeightsHandler("bdd100k://", zoo_file, BDD100K_SERVER))


# A folder of the user's own, and a mirror

STEM = "faster_rcnn_r50_fpn_1x_det_bdd100k"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "mine"
    place.mkdir()
    monkeypatch.setenv("BDD100K_WEIGHTS", str(place))
    return place


@pytest.mark.parametrize("path", [f"{STEM}.pth", f"old/deep/{STEM}.PTH", "x/det/faster_rcnn_r50_fpn_1x.pth"])
def test_a_file_of_the_users_folder_comes_first(
    server: Server, cache: Path, folder: Path, checkpoint: bytes, trained: dict[str, torch.Tensor], path: str
) -> None:
    put(cache, b"not read")
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(checkpoint)
    model = detector()
    DetectionCheckpointer(model).load(str(resolve(server)))
    state = model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in trained.items() if "num_batches" not in key)
    assert server.asked == [] and [*folder.rglob("*.pth"), *folder.rglob("*.PTH")] == [folder / path]


def test_a_changed_file_of_the_folder_is_converted_again(server: Server, folder: Path, checkpoint: bytes) -> None:
    (folder / f"{STEM}.pth").write_bytes(checkpoint)
    first = resolve(server)
    assert resolve(server) == first
    (folder / f"{STEM}.pth").write_bytes(checkpoint + b"\0")
    assert resolve(server) != first
    (folder / f"{STEM}.pth").unlink()
    server.files = {PATH: checkpoint}
    assert resolve(server).name == f"{STEM}_detectron2.pth"


def test_a_file_of_another_task_is_not_taken(server: Server, folder: Path, checkpoint: bytes) -> None:
    (folder / "ins_seg").mkdir()
    (folder / "ins_seg" / "faster_rcnn_r50_fpn_1x.pth").write_bytes(checkpoint)
    (folder / "faster_rcnn_r50_fpn_1x.pth").write_bytes(checkpoint)
    with pytest.raises(WeightsError, match="404"):
        resolve(server)


def test_a_file_is_found_by_its_md5(server: Server, folder: Path, checkpoint: bytes) -> None:
    (folder / "download (3).pth").write_bytes(checkpoint)
    (folder / "other.pth").write_bytes(b"PK\x03\x04")
    (folder / f"{STEM}.md5").write_text(hashlib.md5(checkpoint).hexdigest())
    assert resolve(server).is_file() and server.asked == []


def test_a_damaged_file_of_the_folder(server: Server, folder: Path, checkpoint: bytes) -> None:
    (folder / f"{STEM}.pth").write_bytes(checkpoint[:-100])
    (folder / f"{STEM}.md5").write_text(hashlib.md5(checkpoint).hexdigest())
    with pytest.raises(WeightsError, match=f"{folder / STEM}.pth: its md5 is .* and the .md5 file of its name says"):
        resolve(server)
    # A whole copy is taken in its place.
    (folder / "b").mkdir()
    (folder / "b" / f"{STEM}.pth").write_bytes(checkpoint)
    assert resolve(server).is_file()


def test_two_files_of_one_name_that_differ(server: Server, folder: Path, checkpoint: bytes) -> None:
    for place, content in (("a", checkpoint), ("b", checkpoint + b"\0")):
        (folder / place).mkdir()
        (folder / place / f"{STEM}.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="have the name of the same weights and differ; keep one of them"):
        resolve(server)
    (folder / "b" / f"{STEM}.pth").write_bytes(checkpoint)
    assert resolve(server).is_file()


def test_a_file_of_the_folder_with_detectron2s_names(server: Server, folder: Path) -> None:
    torch.save({"model": {"backbone.a.weight": torch.ones(2)}}, folder / f"{STEM}.pth")
    assert torch.load(resolve(server), weights_only=True)["model"]["backbone.a.weight"].tolist() == [1, 1]


def test_a_folder_that_is_none(server: Server, folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(WeightsError, match=f"{folder}: no folder of weights; check BDD100K_WEIGHTS or the option"):
        resolve(server)


def test_imagenet_weights_of_the_folder_are_checked(server: Server, folder: Path, checkpoint: bytes) -> None:
    (folder / "any.pth").write_bytes(checkpoint)
    with pytest.raises(WeightsError, match="any.pth: its sha256 is .* and has to start with 0000000x"):
        handler(server, PublishedFile("any.pth", sha256_start="0000000x"))._get_local_path(NAME)


def test_a_mirror_comes_before_the_server(
    server: Server, checkpoint: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BDD100K_WEIGHTS_MIRROR", f"{server.address}/mirror/")
    server.files = {f"mirror/{PATH}": checkpoint}
    assert resolve(server).is_file() and server.asked == [f"mirror/{PATH}", f"mirror/{MD5_PATH}"]
    # What it does not have, the server has.
    server.files = {PATH: checkpoint}
    assert resolve(server, force=True).is_file() and server.asked[2:] == [f"mirror/{PATH}", PATH, MD5_PATH]
    server.files = {}
    with pytest.raises(WeightsError, match=r"/mirror/det/models/.*404.*/det/models/.*404.* Try again later"):
        resolve(server, force=True)
    monkeypatch.setenv("BDD100K_WEIGHTS_MIRROR", str(tmp_path))
    with pytest.raises(
        WeightsError, match="no address of a mirror, which begins with https://; check BDD100K_WEIGHTS_M"
    ):
        resolve(server, force=True)


@pytest.mark.usefixtures("registered")
def test_keys_say_where_weights_are(
    server: Server, checkpoint: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / f"{STEM}.pth").write_bytes(checkpoint)
    monkeypatch.setenv("BDD100K_WEIGHTS", "/nowhere")
    options = ["MODEL.WEIGHTS", NAME, "MODEL.DEVICE", "cpu"]
    cfg = load_config("configs/det/faster_rcnn_R_50_FPN_1x.yaml", [*options, "MODEL.ZOO.FOLDER", str(tmp_path / "key")])
    assert bdd100k_d2.Predictor(cfg) and server.asked == []
    # The next config has no such key.
    with pytest.raises(WeightsError, match="/nowhere: no folder of weights"):
        bdd100k_d2.Predictor(load_config("configs/det/faster_rcnn_R_50_FPN_1x.yaml", options))


def test_the_folder_is_listed(
    folder: Path, checkpoint: bytes, trained: dict[str, torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / f"{STEM}.pth").write_bytes(checkpoint)
    assert page.main(["--local", str(folder), "det/faster_rcnn_r50_fpn_1x"]) == 0
    assert capsys.readouterr().out == (
        f"{folder}: 1 of 1 published weights are there, whole and of the right model.\n\n"
        f"{NAME}  {folder / STEM}.pth (every tensor fits; its md5 is not known)\n"
    )
    (folder / "faster_rcnn_r101_fpn_3x_det_bdd100k.pth").write_bytes(checkpoint)
    (folder / f"{STEM}.md5").write_text(hashlib.md5(checkpoint).hexdigest())
    assert page.main(["--local", str(folder), "det/faster_rcnn_r"]) == 1
    shown = capsys.readouterr().out
    assert f"{NAME}  {folder / STEM}.pth (md5 agrees)" in shown
    wrong = f"{folder}/faster_rcnn_r101_fpn_3x_det_bdd100k.pth: these weights are not of this model; missing: "
    assert f"Not usable:\nbdd100k://det/faster_rcnn_r101_fpn_3x: {wrong}" in shown
    assert "Not there: bdd100k://det/faster_rcnn_r50_fpn_3x, " in shown
