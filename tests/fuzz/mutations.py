"""Files of other hands and hostile ones, made of sound ones by a seeded generator."""

import copy
import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

Form = Callable[[bytes, Random], "Mutation"]
"""A sound file -> what becomes of it."""


class Mutation(NamedTuple):
    """A file; ``hides_labels`` says that labels are still in it, where no reader can take them for labels."""

    content: bytes
    hides_labels: bool = False


class Raw(str):
    """Text that stands in a JSON file as it is."""


STRINGS = (
    *("", " ", ".", "..", "../../x.jpg", "/etc/passwd", "a/b", "a\\b", "a\0b", "\x1b[2J", "\r\n", "\u202e", "é", "文"),
    *("\ud800", "x" * 300, "x" * 70_000, "car", "bus", "NaN", "null", "1", "-1", "1e999", "a.jpg", "A.JPG", "._a.jpg"),
)
NUMBERS = (
    *(
        0,
        1,
        -1,
        2,
        255,
        256,
        65_535,
        65_536,
        100_000,
        2**31 - 1,
        2**31,
        2**32,
        2**53 + 1,
        2**63,
        2**64,
        10**30,
        -(2**63),
    ),
    *(0.5, -0.5, 1e-320, 1e20, 1e308, -1e308, 99_999_999, 719, 720, 1279, 1280, 1281),
)
OTHERS = (
    *(None, True, False, [], {}, [None], [[]], {"": None}, [1, 2, 3, 4], ["car"], {"x1": 1}),
    *map(Raw, ("NaN", "Infinity", "-Infinity", "1" * 5_000, "-0", "1e400", "01", "'a'", "undefined", '"\\ud800"')),
    *map(Raw, ('"\\udc00\\ud800"', "[" * 500 + "]" * 500, '{"a":' * 300 + "1" + "}" * 300, "[" * 100_000)),
)
# What others call the parts of labels.
OTHER_NAMES = {
    "labels": ("objects", "annotations", "predictions", "Labels"),
    "annotations": ("labels", "anns"),
    "box2d": ("bbox", "box", "Box2D"),
    "bbox": ("box2d", "box"),
    "category": ("class", "label", "Category"),
    "category_id": ("category", "class_id"),
    "image_id": ("image", "file_name"),
    "rle": ("segmentation", "mask"),
    "x1": ("left", "x"),
    "name": ("file_name", "image"),
    "objects": ("labels", "shapes"),
    "frames": ("images", "data"),
}
# Without these no label can be told.
_NEEDED = ("labels", "annotations", "box2d", "bbox", "category", "category_id", "rle", "objects")


def dump(value: Any) -> bytes:  # noqa: ANN401, JSON
    return b"".join(part.encode("utf-8", "surrogatepass") for part in _dumped(value))


def _dumped(value: Any) -> Iterator[str]:  # noqa: ANN401, JSON
    if isinstance(value, Raw):
        yield str(value)
    elif isinstance(value, dict | list):
        is_list = isinstance(value, list)
        yield "[" if is_list else "{"
        for i, item in enumerate(value if is_list else value.items()):
            yield "," * bool(i)
            if not is_list:
                yield json.dumps(item[0].partition("\0twice")[0]) + ":"
            yield from _dumped(item if is_list else item[1])
        yield "]" if is_list else "}"
    else:
        yield json.dumps(value)


def _places(value: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401, JSON
    """Each container with each of its keys or indices."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys = range(len(one)) if isinstance(one, list) else list(one) if isinstance(one, dict) else ()
        for key in keys:
            found.append((one, key))
            waiting.append(one[key])
    return found


def odd_value(rng: Random) -> Any:  # noqa: ANN401, JSON
    return copy.deepcopy(rng.choice(rng.choice((STRINGS, NUMBERS, OTHERS))))


def json_file(content: bytes, rng: Random) -> Mutation:
    """Types swapped, parts gone, twice or elsewhere, keys of other formats, odd values; or bytes that have changed."""
    kind = rng.random()
    if kind < 0.2:
        return text_file(content, rng)
    document = json.loads(content)
    if kind < 0.35:
        return _renamed(document, rng)
    if kind < 0.4:
        return Mutation(dump(rng.choice(([document], {"frames": document}, {"data": document}, [[document]]))))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        places = _places(document)
        if not places:
            break
        _change(*rng.choice(places), places, rng)
    return Mutation(dump(document))


def _change(container: Any, key: Any, places: list[tuple[Any, Any]], rng: Random) -> None:  # noqa: ANN401, JSON
    value = container[key]
    kind = rng.randrange(7)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, list):
        container[key:key] = [copy.deepcopy(value) for _ in range(rng.choice((1, 1, 2, 300)))]
    elif kind == 1:
        container[f"{key}\0twice"] = odd_value(rng)
    elif kind == 2:
        other, place = rng.choice(places)
        if place in range(len(other)) if isinstance(other, list) else place in other:
            container[key] = copy.deepcopy(other[place])
    elif kind == 3:
        container[key] = rng.choice(([value], {"value": value}, str(value), json.dumps(value)))
    elif kind == 4 and isinstance(container, dict):
        container[rng.choice((*OTHER_NAMES.get(key, (key.upper(),)), f"{key}s", *STRINGS[:6]))] = container.pop(key)
    else:
        container[key] = odd_value(rng)


def _renamed(document: Any, rng: Random) -> Mutation:  # noqa: ANN401, JSON
    """A key has another name wherever it is."""
    keys = sorted({key for container, key in _places(document) if isinstance(container, dict)})
    key = rng.choice([key for key in keys if key in OTHER_NAMES] or keys)
    name = rng.choice(OTHER_NAMES.get(key, (f"{key}_",)))
    for container, place in _places(document):
        if isinstance(container, dict) and place == key:
            container[name] = container.pop(key)
    return Mutation(dump(document), key in _NEEDED)


def json_lines(content: bytes, rng: Random) -> Mutation:
    """A file of one JSON document a line."""
    lines = content.splitlines()
    if rng.random() < 0.3:
        return text_file(content, rng)
    place = rng.randrange(len(lines))
    lines[place] = json_file(lines[place], rng).content
    return Mutation(b"\n".join(lines) + b"\n")


_PIECES = (
    *(
        b"",
        b"\0",
        b"\xff",
        b"\xe9",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\x1b[31m",
        b"\r",
        b"\n",
        b"\n\n",
        b"\t",
        b" ",
        b"nan",
    ),
    *(
        b"-1",
        b"1e999",
        b"9" * 400,
        b"9" * 5_000,
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"'",
        b":",
        b",",
        b"#",
        b"null",
        b"1.001",
    ),
    *(b": 2001-99-99", b": !!int abc", b": &a [*a]", b": &a {x: *a}", b": *b", b"<<: *a", b"!!python/name:os.system "),
    *(
        b"_BASE_: http://127.0.0.1:9/a.yaml\n",
        b"_BASE_: config.yaml\n",
        b"SLICES:\n",
        b"OUTPUT_DIR: ../../x\n",
        b"? [a]\n",
    ),
)


def text_file(content: bytes, rng: Random) -> Mutation:
    """Bytes and lines that are changed, gone, twice or cut off, and other encodings."""
    kind = rng.random()
    if kind < 0.1:
        text = content.decode(errors="replace")
        return Mutation(
            rng.choice(
                (
                    b"\xef\xbb\xbf" + content,
                    text.encode("utf-16"),
                    text.encode("latin-1", "replace").replace(b"a", b"\xe9", 1),
                    gzip.compress(content, mtime=0),
                    b"",
                    b"[" * 200_000,
                    content + content,
                    content.replace(b"\n", b"\r\n"),
                )
            )
        )
    if kind < 0.3:
        lines = content.splitlines(keepends=True)
        place, other = rng.randrange(len(lines) + 1), rng.randrange(len(lines) or 1)
        lines[place : place + rng.randrange(2)] = lines[other : other + rng.randrange(3)] or [rng.choice(_PIECES)]
        return Mutation(b"".join(lines))
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(changed) + 1)
        end = min(place + rng.choice((0, 1, 1, 2, 4, 30)), len(changed))
        changed[place:end] = rng.choice(
            (rng.choice(_PIECES), bytes(changed[end : end + 20]), rng.randbytes(end - place))
        )
    return Mutation(bytes(changed))


def binary_file(content: bytes, rng: Random) -> Mutation:
    """Bits and bytes that are changed, gone, twice or cut off."""
    changed = bytearray(content)
    if rng.random() < 0.15:
        del changed[rng.randrange(len(changed)) :]
    for _ in range(rng.choice((1, 1, 2, 8)) if changed else 0):
        # What comes first says how the rest is read.
        place = rng.randrange(min(len(changed), rng.choice((32, 200, 10**9))))
        changed[place] = rng.choice((changed[place] ^ 1 << rng.randrange(8), 0, 255, rng.randrange(256)))
    return Mutation(bytes(changed))


_SIDES = (0, 1, 2, 63, 255, 15_000, 65_535, 100_000, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def png_file(content: bytes, rng: Random) -> Mutation:
    """A PNG file with another header, whose checksum is right, with chunks gone or twice, or with other bytes."""
    if rng.random() < 0.4:
        return binary_file(content, rng)
    chunks, place = [], 8
    while place + 8 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        chunks.append((content[place + 4 : place + 8], bytearray(content[place + 8 : place + 8 + length])))
        place += 12 + length
    kind = rng.randrange(4)
    if kind == 0:
        struct.pack_into(">I", chunks[0][1], rng.choice((0, 4)), rng.choice(_SIDES))
    elif kind == 1:
        chunks[0][1][rng.randrange(8, 13)] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    elif kind == 2:
        chunk = rng.randrange(len(chunks))
        chunks[chunk : chunk + 1] = rng.choice(([], [chunks[chunk]] * 2, chunks[chunk : chunk + 2][::-1]))
    else:
        pixels = zlib.decompress(b"".join(data for name, data in chunks if name == b"IDAT"))
        pixels = rng.choice(
            (pixels[:-1], pixels * 3, pixels + b"\0" * 10**6, bytes(len(pixels)), binary_file(pixels, rng)[0])
        )
        data = (b"IDAT", bytearray(zlib.compress(pixels)))
        chunks = [
            chunks[0],
            *(one for one in chunks[1:] if one[0] not in (b"IDAT", b"IEND")),
            data,
            (b"IEND", bytearray()),
        ]
    made = [
        len(data).to_bytes(4, "big") + name + bytes(data) + zlib.crc32(name + data).to_bytes(4, "big")
        for name, data in chunks
    ]
    return Mutation(content[:8] + b"".join(made))


def other_picture(content: bytes, rng: Random) -> Mutation:
    """A picture of another format under the name, or one whose frame header says another size, or other bytes."""
    kind = rng.randrange(6)
    if kind == 0:
        return Mutation(
            rng.choice((b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"GIF89a\x01\0\x01\0\0\0\0;", b"BM"))
        )
    start = content.find(b"\xff\xc0")
    if kind < 3 and start >= 0:
        side = struct.pack(">H", rng.choice([side for side in _SIDES if side < 65_536]))
        place = start + rng.choice((5, 7))
        return Mutation(content[:place] + side + content[place + 2 :])
    return binary_file(content, rng)


def zip_file(content: bytes, rng: Random) -> Mutation:
    """A zip with members that have odd names, are twice or gone, or with other bytes."""
    if rng.random() < 0.5:
        return binary_file(content, rng)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place = rng.randrange(len(members))
    name, data = members[place]
    odd = rng.choice([one for one in STRINGS if len(one) < 1000 and one.isprintable()])
    members[place : place + 1] = rng.choice(
        (
            [],
            [(name, data)] * 2,
            [(f"{odd}/{name}", data)],
            [(odd or "x", data)],
            [(name, png_file(data, rng).content if data.startswith(b"\x89PNG") else json_file(data, rng).content)],
            [(f"__MACOSX/._{name}", b"\0\5"), (name, data)],
            [(name, bytes(10**7))],
        )
    )
    made = io.BytesIO()
    with zipfile.ZipFile(
        made, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    ) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return Mutation(made.getvalue())
