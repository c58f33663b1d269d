"""Seeded damage to files: bytes that are changed, and values of JSON that are of another type."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

_VALUES = (
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "../x",
    "\0",
    "$x^$",
    [],
    {},
    [[]],
    {"": 1},
)
_BYTES = (b"", b"\xff", b"[", b"{", b'"', b"9", b"-", b"\0", b"\n", b": ", b"&a ", b"*a", b"!!int ")


def damaged_bytes(content: bytes, random: Random) -> bytes:
    """``content`` with up to three places changed."""
    damaged = bytearray(content)
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(damaged) + 1)
        damaged[place : place + random.choice((0, 1, 1, 9, 99))] = random.choice(_BYTES)
    return bytes(damaged)


def changed_value(document: Any, random: Random) -> Any:  # noqa: ANN401, JSON
    """A copy of a document of JSON with one value replaced by another one, or removed."""
    document = json.loads(json.dumps(document))
    holder, key = random.choice([*_places(document)])
    if isinstance(holder, dict) and random.random() < 0.2:
        del holder[key]
    else:
        holder[key] = random.choice(_VALUES)
    return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401, JSON
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in list(keys):
        yield document, key
        yield from _places(document[key])
