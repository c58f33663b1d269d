"""The templates of the pages, which escape every text and load nothing from elsewhere."""

import base64
import hashlib
import math
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from .folder import GENERATOR

_FOLDER = resources.files(__package__).joinpath("templates")


def render(name: str, scripts: Sequence[str], **values: object) -> str:
    """Fills in a template of ``report/templates`` and returns the page.

    The page's content security policy names its code by a hash. So text from a label file could run nothing and ask
    for nothing even if it came into the page unescaped.

    Args:
        name: of the template, which extends ``base.html``.
        scripts: files of code beside it, in order.
        values: what it shows; texts are escaped.
    """
    code = "\n" + "\n".join(_read(script) for script in scripts)
    code_hash = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return (
        _environment().get_template(name).render(code=Markup(code), code_hash=code_hash, generator=GENERATOR, **values)
    )


def shown_percent(value: float | None) -> str:
    """A score with one decimal; "-" for what does not exist."""
    return "-" if value is None or math.isnan(value) else f"{value:.1f}"


def _read(name: str) -> str:
    return _FOLDER.joinpath(name).read_text(encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = shown_percent
    environment.filters["rgb"] = lambda color: "rgb({}, {}, {})".format(*color)
    return environment
