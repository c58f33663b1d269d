"""What is said where a package that an export needs is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConfigError


@contextmanager
def needs(*packages: str) -> Iterator[None]:
    """A context that imports ``packages``; raises a ConfigError that says how to install one that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in packages:
            raise
        raise ConfigError(
            f"the export needs {error.name}, which is not installed: pip install 'bdd100k_d2[export]'."
        ) from error
