"""Checkpoints that are whole or not there, whatever happens while they are written."""

import hashlib
import logging
import multiprocessing
import random
import re
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from bdd100k_d2.checkpoint import checksum
from bdd100k_d2.checkpoint.checksum import read_checked
from bdd100k_d2.checkpoint.saving import TrainingCheckpointer
from bdd100k_d2.errors import OutputError, WeightsError


class State:
    """What stands for a trainer: an iteration."""

    def __init__(self, iteration: int = -1) -> None:
        self.iteration = iteration

    def state_dict(self) -> dict[str, Any]:
        return {"iteration": self.iteration}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.iteration = state["iteration"]


def checkpointer(folder: Path, keep: int = 0, width: int = 3) -> TrainingCheckpointer:
    return TrainingCheckpointer(nn.Linear(width, 2), str(folder), keep=keep, trainer=State())


def save(target: TrainingCheckpointer, *iterations: int) -> None:
    for iteration in iterations:
        target.checkpointables["trainer"].iteration = iteration
        nn.init.constant_(target.model.weight, float(iteration))
        target.save(f"model_{iteration:07d}", iteration=iteration)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


DAMAGE = {"cut off": cut_off, "changed": flip, "empty": lambda path: path.write_bytes(b""), "gone": Path.unlink}


def test_the_checksum_is_one_that_sha256sum_takes(tmp_path: Path) -> None:
    save(checkpointer(tmp_path), 9)
    path = tmp_path / "model_0000009.pth"
    expected = f"{hashlib.sha256(path.read_bytes()).hexdigest()}  model_0000009.pth\n"
    assert (tmp_path / "model_0000009.pth.sha256").read_text() == expected
    done = subprocess.run(["sha256sum", "-c", "model_0000009.pth.sha256"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert (tmp_path / "last_checkpoint").read_text() == path.name
    assert files(tmp_path) == {path.name, f"{path.name}.sha256", "last_checkpoint"}


def test_a_checkpoint_comes_back_and_needs_no_code(tmp_path: Path) -> None:
    first = checkpointer(tmp_path)
    save(first, 9)
    assert torch.load(tmp_path / "model_0000009.pth", weights_only=True)["trainer"] == {"iteration": 9}
    second = checkpointer(tmp_path)
    assert second.resume() == {"iteration": 9}
    assert second.checkpointables["trainer"].iteration == 9 and second.run == first.run
    assert torch.equal(second.model.weight, torch.full((2, 3), 9.0))


def test_a_resumed_run_reads_its_checkpoint_into_memory_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(checkpointer(tmp_path), 1, 9)
    read, loads = [], torch.load
    monkeypatch.setattr(torch, "load", lambda path, **kwargs: read.append(Path(path).name) or loads(path, **kwargs))
    checkpointer(tmp_path).resume()
    assert read == ["model_0000009.pth"]


def test_no_checkpoint(tmp_path: Path) -> None:
    assert checkpointer(tmp_path).last_good() is None
    assert checkpointer(tmp_path).resume() is None
    assert checkpointer(tmp_path / "nowhere").resume() is None


# Without a checksum a changed byte may be one that nobody reads.
@pytest.mark.parametrize(
    ("damage", "with_checksum"),
    [*((damage, True) for damage in DAMAGE), *((damage, False) for damage in DAMAGE if damage != "changed")],
)
def test_a_damaged_last_checkpoint_is_named_and_the_one_before_it_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str, with_checksum: bool
) -> None:
    save(checkpointer(tmp_path), 9, 19, 29)
    last = tmp_path / "model_0000029.pth"
    DAMAGE[damage](last)
    if not with_checksum:
        for path in tmp_path.glob("*.sha256"):
            path.unlink()
    target = checkpointer(tmp_path)
    with caplog.at_level(logging.WARNING, logger="bdd100k_d2"):
        assert target.last_good() == tmp_path / "model_0000019.pth"
        assert target.resume() == {"iteration": 19}
    assert torch.equal(target.model.weight, torch.full((2, 3), 19.0))
    what = {"gone": "no such file"}.get(damage, "damaged; its sha256" if with_checksum else "")
    assert re.match(rf"{re.escape(str(last))}: .*{what}.*the checkpoint before it is tried", caplog.messages[0])
    assert caplog.messages[1] == f"{tmp_path / 'model_0000019.pth'} is whole: the run goes on from it."


def test_two_damaged_ones_and_the_best_as_the_last_resort(tmp_path: Path) -> None:
    target = checkpointer(tmp_path)
    save(target, 9)
    target.save("model_best", tag=False)
    save(target, 19)
    for name in ("model_0000019.pth", "model_0000009.pth"):
        flip(tmp_path / name)
    assert checkpointer(tmp_path).last_good() == tmp_path / "model_best.pth"


def test_no_whole_checkpoint_is_an_error_that_names_them(tmp_path: Path) -> None:
    save(checkpointer(tmp_path), 9, 19)
    flip(tmp_path / "model_0000019.pth")
    cut_off(tmp_path / "model_0000009.pth")
    with pytest.raises(
        WeightsError,
        match=r"no checkpoint to resume from is whole\. .*0019\.pth: damaged.*0009\.pth: .*without --resume",
    ):
        checkpointer(tmp_path).resume()


def test_checkpoints_of_an_earlier_run_in_the_folder_are_not_gone_on_from(tmp_path: Path) -> None:
    save(checkpointer(tmp_path), 99)
    save(checkpointer(tmp_path, keep=1), 4, 9)
    # And they are not this run's to delete.
    assert (tmp_path / "model_0000099.pth").is_file()
    flip(tmp_path / "model_0000009.pth")
    with pytest.raises(WeightsError, match="no checkpoint to resume from is whole"):
        checkpointer(tmp_path).last_good()
    (tmp_path / "last_checkpoint").unlink()
    assert checkpointer(tmp_path).last_good() is None


def test_the_one_before_is_the_one_that_was_written_before(tmp_path: Path) -> None:
    save(checkpointer(tmp_path), 7)
    save(checkpointer(tmp_path), 4, 9)
    flip(tmp_path / "model_0000009.pth")
    assert checkpointer(tmp_path).last_good() == tmp_path / "model_0000004.pth"


def test_an_unreadable_last_checkpoint_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(checkpointer(tmp_path), 9, 19)
    (tmp_path / "last_checkpoint").write_bytes(b"")
    assert checkpointer(tmp_path).last_good() == tmp_path / "model_0000019.pth"
    assert "last_checkpoint: empty or unreadable" in caplog.text


def test_detectron2s_checkpoints_without_a_checksum_load(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    DetectionCheckpointer(model, str(tmp_path), trainer=State(4)).save("model_0000004", iteration=4)
    target = checkpointer(tmp_path)
    assert target.resume() == {"iteration": 4}
    assert torch.equal(target.model.weight, model.weight) and target.checkpointables["trainer"].iteration == 4
    # And the other way round.
    save(target, 9)
    plain = DetectionCheckpointer(nn.Linear(3, 2), str(tmp_path), trainer=State())
    assert plain.resume_or_load("", resume=True)["iteration"] == 9


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": nn.Linear(5, 2).state_dict(), "trainer": {"iteration": 1}}, r"of another shape: weight.*OUTPUT_DIR"),
        ({"model": nn.Linear(3, 2).state_dict(), "trainer": {}}, r"training state is of another config .*'iteration'"),
        ({"model": nn.Linear(3, 2).state_dict()}, r"holds weights without the state of a training; give it as MODEL"),
    ],
)
def test_a_checkpoint_of_another_config(tmp_path: Path, content: dict, message: str) -> None:
    torch.save(content, tmp_path / "model_0000001.pth")
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    with pytest.raises(WeightsError, match=rf"model_0000001\.pth: .*{message}"):
        checkpointer(tmp_path).resume()


def test_the_last_ones_are_kept_and_best_and_final(tmp_path: Path) -> None:
    target = checkpointer(tmp_path, keep=2)
    save(target, 9)
    target.save("model_best", tag=False)
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000009.pth"
    target.save("model_final")
    save(target, 19, 29, 39)
    kept = ("model_0000029", "model_0000039", "model_best", "model_final")
    assert files(tmp_path) == {f"{name}.pth{end}" for name in kept for end in ("", ".sha256")} | {"last_checkpoint"}
    save(keeps_all := checkpointer(tmp_path), 49)
    assert keeps_all.keep == 0 and (tmp_path / "model_0000029.pth").is_file()


def test_nothing_is_deleted_when_the_newest_reads_otherwise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = checkpointer(tmp_path, keep=1)
    save(target, 9)
    tag = target.tag_last_checkpoint
    # A disk that loses what it was given.
    monkeypatch.setattr(target, "tag_last_checkpoint", lambda name: (tag(name), flip(tmp_path / name)))
    save(target, 19)
    assert "model_0000019.pth: reads otherwise than it was written" in caplog.text
    assert checkpointer(tmp_path).last_good() == tmp_path / "model_0000009.pth"


def test_overwriting_never_leaves_a_wrong_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = checkpointer(tmp_path)
    save(target, 9)
    move, seen = Path.replace, []

    def replace(self: Path, destination: Path) -> Path:
        # What a kill just before and just after each move would leave.
        seen.append(read_checked(tmp_path / "model_0000009.pth")["trainer"]["iteration"])
        moved = move(self, destination)
        seen.append(read_checked(tmp_path / "model_0000009.pth")["trainer"]["iteration"])
        return moved

    monkeypatch.setattr(Path, "replace", replace)
    target.checkpointables["trainer"].iteration = 10
    target.save("model_0000009")
    # The checkpoint, its checksum, last_checkpoint.
    assert seen == [9, 10, 10, 10, 10, 10]


def test_what_a_killed_process_left_is_deleted(tmp_path: Path) -> None:
    for name in (".model_0000009.pth.123.tmp", ".model_0000009.pth.sha256.123.tmp", ".last_checkpoint.123.tmp"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".notes.tmp").write_bytes(b"the user's")
    save(checkpointer(tmp_path), 19)
    assert {name for name in files(tmp_path) if name.startswith(".")} == {".notes.tmp"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def check_that_saving_fails(target: TrainingCheckpointer, folder: Path, reason: str) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in ("model_0000019", "model_0000009"):
        with pytest.raises(
            OutputError, match=rf"{name}\.pth: cannot be written \({reason}\).*free some space.*0009\.pth is as it was"
        ):
            target.save(name)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert checkpointer(folder, width=100_000).last_good() == folder / "model_0000009.pth"


def test_a_full_disk(small_disk: Path) -> None:
    # 0.8 MB each: one fits.
    target = checkpointer(small_disk, width=100_000)
    save(target, 9)
    check_that_saving_fails(target, small_disk, "No space left on device")


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    target = checkpointer(tmp_path, width=100_000)
    save(target, 9)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, limit[1]))
    try:
        check_that_saving_fails(target, tmp_path, "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_disk_that_is_full_when_it_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = checkpointer(tmp_path, width=100_000)
    save(target, 9)

    def fsync(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checksum.os, "fsync", fsync)
    check_that_saving_fails(target, tmp_path, "No space left on device")


def test_a_read_only_disk(small_disk: Path) -> None:
    target = checkpointer(small_disk, width=100_000)
    save(target, 9)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    check_that_saving_fails(target, small_disk, "Read-only file system")


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match=r"choose another output folder .*No checkpoint of the run was written yet"):
        checkpointer(tmp_path / "out").save("model_0000009")


def test_a_process_that_is_killed_while_it_saves(tmp_path: Path) -> None:
    """At 20 random moments; fork keeps the imports, so that each costs a moment and not seconds."""
    draw, saved, interrupted = random.Random(0), 0, 0
    context = multiprocessing.get_context("fork")
    start = time.perf_counter()
    save(checkpointer(tmp_path / "timed", width=300_000), 0, 1)
    seconds = time.perf_counter() - start
    for _ in range(20):
        child = context.Process(target=_save_for_ever, args=(tmp_path, saved), daemon=True)
        child.start()
        # Not before the first is there, the first time.
        while not (tmp_path / "last_checkpoint").is_file():
            time.sleep(0.002)
        time.sleep(draw.uniform(0.0, 4 * seconds))
        child.kill()
        child.join()
        interrupted += any(name.endswith(".tmp") for name in files(tmp_path))
        target = checkpointer(tmp_path, width=300_000)
        rest = target.resume()
        iteration = target.checkpointables["trainer"].iteration
        assert rest == {"iteration": iteration} and iteration >= saved - 1
        assert torch.equal(target.model.weight, torch.full((2, 300_000), float(iteration)))
        read_checked(tmp_path / "model_final.pth")
        assert target.last_good() == tmp_path / (tmp_path / "last_checkpoint").read_text()
        saved = iteration + 1
    assert saved > 5 and interrupted > 5
    save(target, saved)
    assert not [name for name in files(tmp_path) if name.endswith(".tmp")]


def _save_for_ever(folder: Path, iteration: int) -> None:
    logging.disable()
    torch.set_num_threads(1)
    target = checkpointer(folder, keep=2, width=300_000)
    while True:
        target.save("model_final", tag=False) if iteration else target.save("model_final")
        save(target, iteration)
        iteration += 1


def test_checkpoints_have_the_names_of_their_classes(tmp_path: Path) -> None:
    def named(*names: str) -> TrainingCheckpointer:
        # Metadata may have tuples, of which a checkpoint makes lists.
        return TrainingCheckpointer(
            nn.Linear(3, 2), str(tmp_path), classes={"thing_classes": names} if names else None, trainer=State()
        )

    save(named("car", "bus"), 9)
    named("car", "bus").save("model_best", tag=False, best={"value": 1.0})
    for name in ("model_0000009", "model_best"):
        assert torch.load(tmp_path / f"{name}.pth", weights_only=True)["classes"] == {"thing_classes": ["car", "bus"]}
    assert named("car", "bus").resume() == {"iteration": 9}
    # Who knows no names, as Detectron2, goes on from it too.
    assert named().resume() == {"iteration": 9}
    plain = DetectionCheckpointer(nn.Linear(3, 2), str(tmp_path), trainer=State())
    assert plain.resume_or_load("", resume=True)["iteration"] == 9
    with pytest.raises(
        WeightsError, match=r"0009\.pth: the thing classes .* order \(class 0 is 'car', not 'bus'.*It is the last check"
    ):
        named("bus", "car").resume()


def test_a_run_goes_on_from_a_checkpoint_without_names(tmp_path: Path) -> None:
    save(checkpointer(tmp_path), 9)
    assert "classes" not in torch.load(tmp_path / "model_0000009.pth", weights_only=True)
    target = TrainingCheckpointer(nn.Linear(3, 2), str(tmp_path), classes={"thing_classes": ["car"]}, trainer=State())
    assert target.resume() == {"iteration": 9}
    save(target, 19)
    assert torch.load(tmp_path / "model_0000019.pth", weights_only=True)["classes"] == {"thing_classes": ["car"]}
