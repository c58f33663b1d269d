"""Reading a YAML file of a user's: plain values of a bounded size, or an error that says what is wrong."""

import os
from pathlib import Path
from typing import Any

import yaml

from .errors import DataError, shown

_MAX_BYTES = 1 << 20
# Values of a document in which each alias counts as what it stands for.
_MAX_VALUES = 100_000
# What the loader raises where it makes a date, a number or a key of text is of no one kind.
_UNUSABLE = (
    yaml.YAMLError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def read_yaml(path: str | os.PathLike[str]) -> Any:  # noqa: ANN401, whatever a file holds
    """The document of a YAML file, read with the safe loader; None of an empty one.

    Aliases of aliases take exponential memory when they are copied, so what a document amounts to is counted first.

    Raises:
        DataError: the file is missing, no text in UTF-8, larger than 1 MiB, no YAML, or of more than 100,000 values.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise DataError(f"{path}: larger than 1 MiB, which no such file is; is it the right one?")
        return parse_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file in UTF-8; save it as one.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    except _UNUSABLE as error:
        if isinstance(error, DataError):
            raise
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else shown(" ".join(str(error).split()))
        raise DataError(f"{path}: no usable YAML ({reason}); mend it.") from error


def parse_yaml(text: str) -> Any:  # noqa: ANN401, whatever a text holds
    """The document of a YAML text, as :func:`read_yaml`; errors are PyYAML's, and ValueError for too many values."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _num_values(node, {}, set()) > _MAX_VALUES:
            raise ValueError(f"its aliases amount to more than {_MAX_VALUES:,} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _num_values(node: yaml.Node, counted: dict[int, int], above: set[int]) -> int:
    """How many values a node stands for; ``counted`` has those of nodes met before, ``above`` those that hold it."""
    key = id(node)
    if key in above:
        raise ValueError("an alias stands inside of what it stands for")
    if key not in counted:
        above.add(key)
        value = node.value
        children = [one for pair in value for one in pair] if isinstance(node, yaml.MappingNode) else value
        inner = 0 if isinstance(node, yaml.ScalarNode) else sum(_num_values(one, counted, above) for one in children)
        counted[key] = 1 + inner
        above.discard(key)
    return counted[key]
