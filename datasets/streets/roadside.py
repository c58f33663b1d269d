"""The road, and what lines it: buildings, walls, fences, hedges, trees, lamp posts, and the skyline behind."""

import numpy as np

from .camera import Road
from .scene import Plan, Thing

_FAR = 130.0
_BARRIERS, _CHANCES = ("wall", "fence", "hedge", "open"), (0.4, 0.44, 0.1, 0.06)


def random_road(plan: Plan, rng: np.random.Generator) -> Road:
    """A road that suits the plan: no sidewalks on a highway, no junction beside a train."""
    highway = plan.scene == "highway"
    train = plan.counts["train"] > 0
    walks = not highway
    junction = float(rng.uniform(13, 36)) if walks and not train and rng.random() < 0.45 else None
    return Road(
        heading=float(rng.normal(0, 0.06)),
        curvature=0.0 if junction else float(rng.normal(0, 0.0032)),
        offset=float(rng.normal(0, 0.35)),
        lane=float(rng.uniform(3.2, 3.8)),
        lanes_left=int(rng.integers(0, 3 if highway else 2)),
        lanes_right=int(rng.integers(0, 3) if highway else rng.random() < 0.35),
        lanes_opposing=int(rng.integers(1, 3)),
        parking_left=bool(walks and rng.random() < 0.6),
        parking_right=bool(walks and rng.random() < 0.6),
        sidewalk_left=float(rng.uniform(2.0, 4.4)) if walks else 0.0,
        sidewalk_right=float(rng.uniform(2.0, 4.4)) if walks else 0.0,
        junction=junction,
    )


def roadside(plan: Plan, road: Road, rails: float | None, rng: np.random.Generator) -> list[Thing]:
    """The things on both sides of the road, from the edge of the sidewalk outwards."""
    things: list[Thing] = []
    for side in (-1, 1):
        edge = road.right + road.sidewalk_right if side > 0 else road.left - road.sidewalk_left
        if rails is not None and rails * side > 0:
            edge += side * 5.2
        things += _front(plan, road, side, edge, rng)
        things += _furniture(plan, road, side, edge, rng)
    return things


def _front(plan: Plan, road: Road, side: int, edge: float, rng: np.random.Generator) -> list[Thing]:
    """The row of buildings, houses, walls, fences or hedges that closes the view to one side."""
    urban = {"city street": 0.6, "residential": 0.4, "highway": 0.06}[plan.scene]
    things: list[Thing] = []
    z = rng.uniform(-4, 4)
    barrier = str(rng.choice(_BARRIERS, p=_CHANCES))
    verge = rng.uniform(0.8, 4.0)
    while z < _FAR:
        if road.junction and z < road.junction + 13 and z > road.junction - 14:
            z = road.junction + 13.5
        seed = int(rng.integers(1 << 31))
        if rng.random() < urban:
            length = rng.uniform(8, 18)
            if road.junction and z < road.junction - 1:
                length = min(length, max(road.junction - z - 1, 4))
            setback = rng.uniform(0, 1.2) if plan.scene == "city street" else rng.uniform(4, 9)
            tall = rng.uniform(6, 24) if plan.scene == "city street" else rng.uniform(3.6, 8)
            width = rng.uniform(8, 14)
            middle = z + length / 2
            lateral = edge + side * (setback + width / 2)
            things.append(
                Thing(
                    "building",
                    "building",
                    float(road.x(lateral, middle)),
                    middle,
                    road.yaw(middle),
                    (width, tall, length),
                    seed,
                    state="house" if tall < 6 else "block",
                    layer=0,
                )
            )
            if setback > 3 and rng.random() < 0.7:
                kind = str(rng.choice(["fence", "fence", "hedge", "wall"]))
                things += _barrier(kind, road, side, edge + side * rng.uniform(0.3, 3.0), z, z + length, rng)
            z += length + rng.uniform(0, 3)
        else:
            length = rng.uniform(10, 30)
            if road.junction and z < road.junction - 1:
                length = min(length, max(road.junction - z - 1, 4))
            if rng.random() < 0.3:
                barrier = str(rng.choice(_BARRIERS, p=_CHANCES))
            setback = rng.uniform(0.3, 2.0) if plan.scene == "city street" else verge
            things += _barrier(barrier, road, side, edge + side * setback, z, z + length, rng)
            for _ in range(int(rng.integers(0, 4))):
                things.append(_tree(road, edge + side * rng.uniform(4, 16), z + rng.uniform(0, length), rng, layer=0))
            z += length
    return things


def _barrier(
    kind: str, road: Road, side: int, lateral: float, start: float, end: float, rng: np.random.Generator
) -> list[Thing]:
    """A wall, fence or hedge along the road, in pieces short enough to be sorted by distance."""
    if kind == "open":
        return []
    height = {"wall": rng.uniform(2.4, 4.2), "fence": rng.uniform(1.8, 3.2), "hedge": rng.uniform(1.0, 2.4)}[kind]
    category = "vegetation" if kind == "hedge" else kind
    seed, things = int(rng.integers(1 << 31)), []
    pieces = max(int((end - start) / 4), 1)
    length = (end - start) / pieces
    for i in range(pieces):
        z = start + (i + 0.5) * length
        if z + length / 2 < 1.5:
            continue
        things.append(
            Thing(kind, category, float(road.x(lateral, z)), z, road.yaw(z), (0.25, height, length), seed + i, layer=0)
        )
    return things


def _tree(road: Road, lateral: float, z: float, rng: np.random.Generator, layer: int = 2) -> Thing:
    height = rng.uniform(4, 10)
    kind = "conifer" if rng.random() < 0.25 else "tree"
    return Thing(
        kind,
        "vegetation",
        float(road.x(lateral, z)),
        float(z),
        0.0,
        (height * rng.uniform(0.45, 0.7), height, 1.0),
        int(rng.integers(1 << 31)),
        layer=layer,
    )


def _furniture(plan: Plan, road: Road, side: int, edge: float, rng: np.random.Generator) -> list[Thing]:
    """Lamp posts and trees between the carriageway and the row behind it."""
    things: list[Thing] = []
    curb = road.right if side > 0 else road.left
    lamps = rng.random() < 0.7
    spacing, z = rng.uniform(14, 26), rng.uniform(6, 16)
    while lamps and z < _FAR:
        if not road.junction or abs(z - road.junction - 6) > 7:
            things.append(
                Thing(
                    "lamp",
                    "pole",
                    float(road.x(curb + side * 0.5, z)),
                    float(z),
                    0.0 if side > 0 else np.pi,
                    (2.0, rng.uniform(6.5, 8.5), 0.26),
                    int(rng.integers(1 << 31)),
                )
            )
        z += spacing
    green = {"city street": 0.5, "residential": 0.85, "highway": 0.5}[plan.scene]
    if rng.random() < green:
        z = rng.uniform(9, 24)
        spacing = rng.uniform(8, 20)
        while z < 90:
            if not road.junction or abs(z - road.junction - 6) > 9:
                things.append(_tree(road, edge + side * rng.uniform(0.4, 1.4), z, rng))
            z += spacing * rng.uniform(0.7, 1.4)
    return things


def skyline(plan: Plan, rng: np.random.Generator) -> list[Thing]:
    """Distant towers and woods on the horizon, far to near."""
    things: list[Thing] = []
    towers = {"city street": 14, "residential": 3, "highway": 5}[plan.scene]
    for _ in range(int(rng.integers(towers // 2, towers + 1))):
        z = rng.uniform(180, 320)
        things.append(
            Thing(
                "building",
                "building",
                float(rng.uniform(-0.8, 0.8) * z),
                float(z),
                0.0,
                (rng.uniform(14, 30), rng.uniform(12, 60 if plan.scene == "city street" else 26), 14.0),
                int(rng.integers(1 << 31)),
                state="tower",
            )
        )
    x = -0.9
    while x < 0.9:
        z = rng.uniform(140, 175)
        width = rng.uniform(14, 40)
        if rng.random() < 0.85:
            things.append(
                Thing(
                    "woods",
                    "vegetation",
                    float(x * z),
                    float(z),
                    0.0,
                    (width, rng.uniform(3, 11), 1.0),
                    int(rng.integers(1 << 31)),
                )
            )
        x += width * 0.8 / z
    return sorted(things, key=lambda thing: -thing.z)
