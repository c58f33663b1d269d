"""The folder of a page: whether the page may be written there, and what an older page left in it."""

import re
from pathlib import Path

from ..errors import OutputError

GENERATOR = "bdd100k_d2 report"
"""What a page says of itself, by which a later one knows that it may take its place."""

# Texts of the data are escaped wherever they stand, so that none of them can end in such a quote.
_ASSET = re.compile(r'"(assets/[A-Za-z0-9_-]+\.(?:jpg|png|svg))"')


def check_folder(out: Path, inputs: list[Path]) -> None:
    """Holds that a page in ``out`` overwrites neither what it reads nor what is somebody else's.

    Raises:
        OutputError: it would.
    """
    written = (out.resolve(), (out / "assets").resolve())
    for path in inputs:
        if path.resolve() in written:
            raise OutputError(f"{path}: the page would be written among the data that it reads; choose another --out.")
    page = out / "index.html"
    if page.exists() and f'content="{GENERATOR}"' not in _read(page):
        raise OutputError(f"{page}: is no page of a report, and is not replaced; choose another --out or remove it.")


def assets(out: Path) -> set[str]:
    """The pictures and plots that the page in ``out`` names, as "assets/iou-light.svg"; none without a page."""
    page = out / "index.html"
    return set(_ASSET.findall(_read(page))) if page.exists() else set()


def remove_assets(out: Path, left: set[str]) -> None:
    """Removes pictures and plots that no page names any more.

    Raises:
        OutputError: one cannot be removed.
    """
    for name in left:
        try:
            (out / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{out / name}: cannot be removed ({error.strerror}); remove it by hand.") from error


def _read(page: Path) -> str:
    try:
        return page.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(f"{page}: cannot be read ({error.strerror}); choose another --out.") from error
