"""Masks -> COCO polygons, without loss.

The polygons follow the edges between pixels, so their corners are whole numbers and pycocotools fills exactly the mask
again. Each connected part is one polygon. A hole is reached from the outline by a cut of no width, because COCO has no
holes: the parts of an object are united.
"""

import numpy as np

Polygon = list[float]
"""x and y of each corner in turn, in pixels from the upper left corner of the image."""

_Corner = tuple[int, int]
_RIGHT, _DOWN, _LEFT, _UP = range(4)


def mask_to_polygons(mask: np.ndarray) -> list[Polygon]:
    """The outlines of a mask (H, W) of bool or uint8; none for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    rings = _rings(mask[top : rows[-1] + 1, left : columns[-1] + 1] > 0)
    return [[float(value) for x, y in ring for value in (x + left, y + top)] for ring in _without_holes(rings)]


def _rings(mask: np.ndarray) -> list[list[_Corner]]:
    """The closed outlines of a mask, each a list of corners (x, y): clockwise around pixels, the reverse around holes.

    Pixels that touch at a corner only belong to two parts.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    edges: dict[int, dict[_Corner, _Corner]] = {_RIGHT: {}, _DOWN: {}, _LEFT: {}, _UP: {}}
    # All edges have the mask to the right of their way.
    for y, low, high, step in _runs(np.diff(padded, axis=0)[:, 1:-1]):
        if step > 0:
            edges[_RIGHT][low, y] = high, y
        else:
            edges[_LEFT][high, y] = low, y
    for x, low, high, step in _runs(np.diff(padded, axis=1)[1:-1].T):
        if step > 0:
            edges[_UP][x, high] = x, low
        else:
            edges[_DOWN][x, low] = x, high
    rings, seen = [], set()
    # Every outline has an edge to the right.
    for start in edges[_RIGHT]:
        if start in seen:
            continue
        ring: list[_Corner] = []
        corner, way = start, _RIGHT
        while not ring or (corner, way) != (start, _RIGHT):
            ring.append(corner)
            if way == _RIGHT:
                seen.add(corner)
            corner = edges[way][corner]
            # Where pixels touch diagonally there are two ways on; the right turn stays with the same pixel.
            right_turn = (way + 1) % 4
            way = right_turn if corner in edges[right_turn] else (way + 3) % 4
        rings.append(ring)
    return rings


def _runs(steps: np.ndarray) -> list[tuple[int, int, int, int]]:
    """The runs of equal values other than 0 in the rows of ``steps``: row, first and last place (exclusive), value."""
    # A row after the other, with a 0 between them; NumPy finds places in one dimension faster than in two.
    flat = np.pad(steps, ((0, 0), (0, 1))).ravel()
    changes = np.flatnonzero(np.diff(flat, prepend=np.int8(0), append=np.int8(0)))
    values = flat[changes[:-1]]
    starts, ends = changes[:-1][values != 0], changes[1:][values != 0]
    rows, firsts = np.divmod(starts, steps.shape[1] + 1)
    columns = (rows, firsts, ends - starts + firsts, values[values != 0])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _without_holes(rings: list[list[_Corner]]) -> list[list[_Corner]]:
    """The outlines, each hole's outline spliced in by a cut straight up to what is above the hole."""
    # Each begins at its leftmost corner of the top, where the cut of a hole starts.
    rings = [_turned(ring) for ring in rings]
    is_hole = [_area(ring) < 0 for ring in rings]
    if not any(is_hole):
        return rings
    level = [
        (*sorted((ring[i][0], ring[(i + 1) % len(ring)][0])), ring[i][1], number, i)
        for number, ring in enumerate(rings)
        for i in range(len(ring))
        if ring[i][1] == ring[(i + 1) % len(ring)][1]
    ]
    low, high, heights, owners, places = np.array(level).T
    cuts: dict[tuple[int, int], list[list[_Corner]]] = {}
    # From the bottom up: what hangs below a hole is spliced into it before the hole itself is.
    for number in sorted(range(len(rings)), key=lambda number: rings[number][0][1], reverse=True):
        ring = rings[number]
        full = []
        for i, corner in enumerate(ring):
            full.append(corner)
            hanging = cuts.get((number, i), ())
            to_the_right = ring[(i + 1) % len(ring)][0] > corner[0]
            for hole in sorted(hanging, key=lambda hole: hole[0][0], reverse=not to_the_right):
                foot = hole[0][0], corner[1]
                full += [foot, *hole, hole[0], foot]
        rings[number] = full
        if is_hole[number]:
            x, y = ring[0]
            above = np.flatnonzero((low <= x) & (high > x) & (heights < y))
            edge = above[heights[above].argmax()]
            cuts.setdefault((int(owners[edge]), int(places[edge])), []).append(full)
    return [ring for ring, hole in zip(rings, is_hole, strict=True) if not hole]


def _turned(ring: list[_Corner]) -> list[_Corner]:
    first = min(range(len(ring)), key=lambda i: (ring[i][1], ring[i][0]))
    return ring[first:] + ring[:first]


def _area(ring: list[_Corner]) -> int:
    """Positive for an outline, negative for a hole's."""
    ends = ring[1:] + ring[:1]
    return sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in zip(ring, ends, strict=True))
