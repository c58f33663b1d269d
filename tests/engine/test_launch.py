"""How a training is started, and what is refused."""

import os
import subprocess
import sys
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from detectron2.engine import default_argument_parser
from support import ROOT

from bdd100k_d2.config import config_folder
from bdd100k_d2.engine.launch import launch
from bdd100k_d2.engine.rendezvous import fresh_store
from bdd100k_d2.errors import ConfigError, OutputError

SAMPLE = config_folder() / "sample/faster_rcnn_R_18_FPN.yaml"


def start(*arguments: str) -> dict[str, object]:
    """Launches with ``arguments`` and returns those that the training gets."""
    seen: list[dict[str, object]] = []
    flags = [one for one in arguments if one.startswith("--") or one.isdigit()]
    keys = [one for one in arguments if one not in flags]
    args = default_argument_parser().parse_args([*flags, "--config-file", str(SAMPLE), *keys])
    launch(lambda args: seen.append(vars(args)), args)
    return seen[0]


def under_torchrun(monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    """Makes this process look like the only one that torchrun started."""
    places = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"} | more
    for name, value in (places | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dist, "rendezvous", lambda *a, **k: iter([(dist.HashStore(), 0, 1)]))


@pytest.mark.parametrize(
    ("arguments", "gpus", "message"),
    [
        (["--num-gpus", "2", "MODEL.DEVICE", "cpu"], 0, r"--num-gpus 2: .* on the CPU .*torchrun --nproc-per-node 2"),
        (["--num-gpus", "4", "MODEL.DEVICE", "cuda"], 2, "--num-gpus 4: there are 2 GPUs here"),
        (["--num-gpus", "2", "MODEL.DEVICE", "cuda:1"], 2, "MODEL.DEVICE is 'cuda:1', which all processes would share"),
    ],
)
def test_gpus_that_are_not_there(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], gpus: int, message: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ConfigError, match=message):
        start(*arguments)


@pytest.mark.parametrize("by_torchrun", [False, True])
def test_the_second_of_two_trainings_in_one_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by_torchrun: bool
) -> None:
    if by_torchrun:
        under_torchrun(monkeypatch)
    out = str(tmp_path / "out")
    code = f"from pathlib import Path; from bdd100k_d2.lock import locked; import sys\nwith locked(Path({out!r})):"
    command = [sys.executable, "-c", f"{code} print('x', flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as other:
        other.stdout.readline()
        with pytest.raises(OutputError, match="out: another process is writing there"):
            start("OUTPUT_DIR", out)
        other.communicate(b"")
    start("OUTPUT_DIR", out)
    with pytest.raises(ConfigError, match="OUTPUT_DIR is empty"):
        start("OUTPUT_DIR", "")


def test_arguments_for_another_way_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    under_torchrun(monkeypatch)
    for arguments in (["--num-gpus", "8"], ["--num-machines", "2"]):
        with pytest.raises(ConfigError, match="leave out --num-gpus and --num-machines"):
            start(*arguments)


def test_what_is_gone_on_from_after_a_restart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = ["OUTPUT_DIR", str(tmp_path / "out")]
    tag, earlier = tmp_path / "out/last_checkpoint", tmp_path / "out/last_checkpoint.earlier"
    tag.parent.mkdir()
    tag.write_text("model_0000009.pth")
    # Without torchrun it is as in Detectron2.
    assert not start(*keys)["resume"] and tag.is_file()
    under_torchrun(monkeypatch, TORCHELASTIC_RESTART_COUNT="0")
    assert start("--resume", *keys)["resume"] and tag.is_file()
    assert not start("--eval-only", *keys)["resume"] and tag.is_file()
    # A new training forgets the earlier one, also after it is started again before its first checkpoint.
    assert not start(*keys)["resume"] and not tag.exists() and earlier.read_text() == "model_0000009.pth"
    under_torchrun(monkeypatch, TORCHELASTIC_RESTART_COUNT="1")
    assert not start(*keys)["resume"]
    tag.write_text("model_0000004.pth")
    assert start(*keys)["resume"] and tag.is_file()
    # A job of the same name goes on: torchrun does not count machines that join or leave, or a job that is requeued.
    under_torchrun(monkeypatch, TORCHELASTIC_RESTART_COUNT="0", TORCHELASTIC_RUN_ID="7041")
    assert not start(*keys)["resume"] and not tag.exists()
    tag.write_text("model_0000004.pth")
    assert start(*keys)["resume"] and tag.is_file()
    under_torchrun(monkeypatch, TORCHELASTIC_RESTART_COUNT="0", TORCHELASTIC_RUN_ID="7042")
    assert not start(*keys)["resume"]


def test_processes_that_are_gone_are_not_met() -> None:
    store = dist.HashStore()
    names = []
    for _ in range(2):
        # What the processes before left behind stays in the store.
        with ThreadPool(3) as pool:
            stores = pool.map(lambda rank: fresh_store(store, rank, 3), range(3), chunksize=1)
        stores[0].set("address", str(os.getpid()))
        assert all(one.get("address").decode() == str(os.getpid()) for one in stores)
        names.append(stores)
    assert names[1][2].add("failed", 1) == 1 and names[0][2].add("failed", 1) == 1
