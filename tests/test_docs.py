"""What the documents for developers name is there."""

import ast
import inspect
import re
import shlex
from pathlib import Path

import pytest
from support import ROOT
from support.frames import write_image
from support.prediction_models import detector

import bdd100k_d2

DOCUMENTS = (
    "CONTRIBUTING.md",
    "README.md",
    "docs/ARCHITECTURE.md",
    "docs/DATA_ENGINE.md",
    "docs/EVALUATION.md",
    "docs/EXPORT.md",
    "docs/GETTING_STARTED.md",
    "docs/OWN_DATA.md",
)
# A folder or file in backticks, as `data/convert/` or `tests/test_tasks.py`; no pattern such as `<format>_reader.py`.
PLACE = re.compile(r"`([a-z_0-9/]+(?:/|\.py|\.md))`")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    folder = (ROOT / document).parent
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / document).read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (folder / link).exists()] == []


def test_the_script_of_the_readme_runs(
    tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a small model in place of the published one, whose weights are not here."""
    cfg = detector(tmp_path / "weights")
    monkeypatch.setattr(bdd100k_d2, "get_config", lambda name, trained: cfg, raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("street.jpg", "night.jpg"):
        write_image(tmp_path / name, 720, 1280, seed=1)
    bdd100k_d2.register_all(tiny_root)
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    variables: dict[str, object] = {}
    exec(script, variables)
    assert capsys.readouterr().out == "street.jpg 12\nnight.jpg 12\n"
    assert Path("out.jpg").stat().st_size > 0 and len(variables["frames"]) == 3


@pytest.mark.parametrize("document", ("CONTRIBUTING.md", "docs/ARCHITECTURE.md"))
def test_places_are_there(document: str) -> None:
    places = PLACE.findall((ROOT / document).read_text(encoding="utf-8"))
    assert len(places) > 15
    tops = (ROOT, *(ROOT / "bdd100k_d2" / room for room in (".", "evaluation", "report")))
    assert [place for place in places if not any((top / place).exists() for top in tops)] == []


def blocks(document: str, kind: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [content for of_kind, content in found if of_kind == kind]


def test_own_data_is_a_config_and_calls_that_there_are(tmp_path: Path) -> None:
    (config,) = blocks("docs/OWN_DATA.md", "yaml")
    (tmp_path / "own.yaml").write_text(config.replace("_BASE_: ", f"_BASE_: {ROOT}/"))
    cfg = bdd100k_d2.load_config(tmp_path / "own.yaml")
    (row,) = cfg.DATASETS.OWN
    assert len(row["classes"]) == cfg.MODEL.ROI_HEADS.NUM_CLASSES == 3
    inspect.signature(bdd100k_d2.register_dataset).bind(**row)
    (code,) = blocks("docs/OWN_DATA.md", "python")
    calls = [node.value for node in ast.parse(code).body if isinstance(node, ast.Expr)]
    for call in calls:
        keywords = {one.arg: ast.literal_eval(one.value) for one in call.keywords}
        inspect.signature(getattr(bdd100k_d2, call.func.attr)).bind(*map(ast.literal_eval, call.args), **keywords)
    assert len(calls) == 7


def test_the_commands_of_own_data_are_there() -> None:
    lines = "".join(blocks("docs/OWN_DATA.md", "")).splitlines()
    for line in lines:
        words = [word for word in shlex.split(line) if "=" not in word]
        assert words[0] == "python" and (ROOT / words[1]).is_file(), line
    assert len(lines) == 7


def test_the_map_is_short() -> None:
    assert len((ROOT / "docs/OWN_DATA.md").read_text(encoding="utf-8").splitlines()) <= 60
    assert len((ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 130
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
