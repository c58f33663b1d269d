"""What tests of the check of one's own data share: clean catalogs, and processes that are started once."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import nullcontext

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from bdd100k_d2.data.check import registered
from bdd100k_d2.data.check.images import catch_messages
from bdd100k_d2.parallel import readers


@pytest.fixture
def catalogs_as_they_were() -> Iterator[None]:
    known = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - known:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with readers(1, catch_messages) as pool:
        yield pool


@pytest.fixture
def one_pool(processes: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    """To start processes for each test would take most of the time."""
    monkeypatch.setattr(registered, "readers", lambda workers, prepare: nullcontext(processes))
