from collections.abc import Iterator

import pytest
from support.browser import Browser, browser


# Not of the session: while Playwright is open, its event loop counts as running.
@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as one:
        yield one
