"""What the documents for developers name is there."""

import re

import pytest
from support import ROOT

DOCUMENTS = ("CONTRIBUTING.md", "README.md", "docs/ARCHITECTURE.md", "docs/EVALUATION.md", "docs/GETTING_STARTED.md")
# A folder or file in backticks, as `data/convert/` or `tests/test_tasks.py`; no pattern such as `<format>_reader.py`.
PLACE = re.compile(r"`([a-z_0-9/]+(?:/|\.py|\.md))`")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    folder = (ROOT / document).parent
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / document).read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (folder / link).exists()] == []


@pytest.mark.parametrize("document", ("CONTRIBUTING.md", "docs/ARCHITECTURE.md"))
def test_places_are_there(document: str) -> None:
    places = PLACE.findall((ROOT / document).read_text(encoding="utf-8"))
    assert len(places) > 15
    tops = (ROOT, *(ROOT / "bdd100k_d2" / room for room in (".", "evaluation", "report")))
    assert [place for place in places if not any((top / place).exists() for top in tops)] == []


def test_the_map_is_short() -> None:
    assert len((ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 120
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
