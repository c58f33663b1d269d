"""Which classes of a model's parts a graph follows."""

from ..errors import ConfigError

Part = tuple[str, object, tuple[type, ...]]
"""The key below MODEL that chooses a part, the part, and the classes that it may have."""


def check_parts(*parts: Part) -> None:
    """Raises a ConfigError for a part of another class than is known, which may do otherwise than what is written out.

    A class that derives from one of them is another one.
    """
    for key, part, known in parts:
        if type(part) not in known:
            names = ", ".join(sorted(one.__name__ for one in known))
            raise ConfigError(f"MODEL.{key} {type(part).__name__} cannot be exported; these can: {names}.")
