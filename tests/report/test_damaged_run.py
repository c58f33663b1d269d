"""Run folders of other hands: whatever their files hold, they are reported or refused; nothing is written elsewhere."""

import json
import logging
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import pytest
import yaml
from support.commands import run_tool
from support.mutations import changed_value, damaged_bytes
from support.run_folders import write_config, write_det_run

from bdd100k_d2.errors import BDD100KError, DataError, OutputError
from bdd100k_d2.report.page import write_runs_page
from bdd100k_d2.report.plots import THEMES, draw_panel, draw_svg, panels
from bdd100k_d2.report.run import read_run

ROUNDS = 250


@pytest.mark.parametrize("name", ["config.yaml", "metrics.json", "inference/scores.json"])
def test_whatever_a_file_holds_the_run_is_read_or_refused(tmp_path: Path, name: str) -> None:
    logging.getLogger("bdd100k_d2").setLevel(logging.ERROR)
    folder, random = write_det_run(tmp_path / "det"), Random(name)
    path = folder / name
    whole = path.read_bytes()
    for turn in range(ROUNDS):
        if turn % 2:
            content = damaged_bytes(whole, random)
        elif name == "config.yaml":
            content = yaml.safe_dump(changed_value(yaml.safe_load(whole), random)).encode()
        elif name == "metrics.json":
            content = "".join(
                json.dumps(changed_value(json.loads(line), random)) + "\n" for line in whole.splitlines()
            ).encode()
        else:
            content = json.dumps(changed_value(json.loads(whole), random)).encode()
        path.write_bytes(content)
        with suppress(BDD100KError):
            read_run(folder, tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
@pytest.mark.parametrize("name", ["config.yaml", "metrics.json", "inference/scores.json"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str, kind: str) -> None:
    folder = write_det_run(tmp_path / "det")
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(kind)
    with pytest.raises(DataError, match=f"{name}: .*no( such)? file"):
        read_run(folder, tmp_path)


def test_names_and_values_of_a_log_are_drawn(tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det")
    odd = {"loss_$\\frac": 1.0, "loss_../../x": 1e99, "loss_<b>": -1e99, "loss_%s{}": 0.0, "total_loss": 5e-324}
    lines = [json.dumps({"iteration": i, "time": 1e300, **odd}) for i in (19, 10**12)]
    (folder / "metrics.json").write_text("\n".join(lines))
    history = read_run(folder, tmp_path).history
    light = THEMES["light"]
    for panel in panels(history):
        draw = partial(draw_panel, theme=light, panel=panel, last_iteration=history.iterations)
        assert "<svg" in draw_svg(light, 5, 3, draw)


def test_a_poisoned_config_writes_nothing_elsewhere(tiny_root: Path, tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "runs/det")
    poisoned = "../../../../escaped"
    write_config(folder, poisoned, "bdd100k_det_val")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["DATASETS"]["SLICES"] = [{"name": poisoned, "base": "bdd100k_det_val", "timeofday": "night"}]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    before = {*tmp_path.rglob("*")}
    done = run_tool("report", "runs", folder, "--out", tmp_path / "page", "--root", tiny_root)
    assert done.returncode == 1 and "letters, digits and _.- alone; rename it" in done.stderr
    assert {*tmp_path.rglob("*")} == before


def test_a_name_with_dots_gives_a_page_that_knows_its_own_images(tiny_root: Path, tmp_path: Path) -> None:
    folder = write_det_run(tmp_path / "det")
    write_config(folder, "v1.0")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["DATASETS"]["SLICES"] = [{"name": "v1.0", "base": "bdd100k_det_val", "timeofday": "night"}]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for _ in range(2):
        page = write_runs_page([folder], tmp_path / "page", tiny_root)
    assert "assets/run-1-1-v1_0-0001-val0-truth.jpg" in page.read_text()


def test_the_page_is_not_written_into_the_data(tiny_root: Path, tmp_path: Path) -> None:
    folder, store = write_det_run(tmp_path / "det"), tmp_path / "store"
    images = tiny_root / "bdd100k/images"
    images.rename(store)
    images.symlink_to(store)
    for out in (tiny_root / "bdd100k/page", store / "100k", images / "100k/val"):
        with pytest.raises(OutputError, match="would overwrite or lie in .*bdd100k, which is only read"):
            write_runs_page([folder], out, tiny_root)
    assert not [*tiny_root.rglob("*.html"), *store.rglob("*.html")]
