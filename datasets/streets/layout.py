"""A frame's plan -> a scene: the road, what stands beside it, and where everything goes."""

import numpy as np

from .camera import HEIGHT, WIDTH, Camera
from .roadside import random_road, roadside, skyline
from .scene import Plan, Scene, Thing

SIZES = {
    "car": (1.85, 1.5, 4.5),
    "truck": (2.5, 3.4, 7.5),
    "bus": (2.55, 3.1, 11.0),
    "train": (2.8, 3.7, 26.0),
    "motorcycle": (0.8, 1.2, 2.1),
    "bicycle": (0.6, 1.05, 1.75),
    "rider": (0.55, 1.7, 0.9),
    "pedestrian": (0.6, 1.75, 0.4),
    "traffic light": (0.46, 1.25, 0.3),
    "traffic sign": (0.9, 0.9, 0.05),
}
_TRIES, _ATTEMPTS = 40, 12
_CITY_SIGNS = ("stop", "yield", "speed", "warning", "round", "street", "parking", "no entry")
_HIGHWAY_SIGNS = ("speed", "warning", "street", "yield")


class _Layout:
    """Places objects one by one and refuses a place that hides too much of them, or of what is there already."""

    def __init__(self, plan: Plan, rng: np.random.Generator) -> None:
        self.rng, self.road = rng, random_road(plan, rng)
        horizon, height = float(rng.normal(345, 38)), float(rng.uniform(1.25, 1.6))
        self.camera = Camera(float(rng.uniform(820, 1080)), horizon, height, WIDTH / 2 + float(rng.normal(0, 30)))
        self.rails: float | None = None
        if plan.counts["train"]:
            right = rng.random() < 0.5
            edge = self.road.right + self.road.sidewalk_right if right else self.road.left - self.road.sidewalk_left
            self.rails = edge + (2.6 if right else -2.6)
        self.things: list[Thing] = []
        self._boxes: list[tuple[float, float, float, float, float, bool]] = []

    def populate(self, plan: Plan) -> int:
        """Places what the plan asks for, the rare first; returns how many but cars found no place."""
        counts, highway = plan.counts, plan.scene == "highway"
        mounts = ["motorcycle"] * counts["motorcycle"] + ["bicycle"] * counts["bicycle"]
        self.rng.shuffle(mounts)
        placed = [self.train() for _ in range(counts["train"])]
        placed += [self.cycle(mount, index < counts["rider"]) for index, mount in enumerate(mounts)]
        placed += [self.vehicle("bus", 11, 45, 0.4) for _ in range(counts["bus"])]
        placed += [self.vehicle("truck", 9, 45, 0.4) for _ in range(counts["truck"])]
        placed += [self.sign(highway) for _ in range(counts["traffic sign"])]
        placed += [self.light() for _ in range(counts["traffic light"])]
        placed += [self.pedestrian() for _ in range(counts["pedestrian"])]
        for _ in range(counts["car"]):
            self.vehicle("car", 6, 90, 0.55)
        return placed.count(False)

    def seed(self) -> int:
        return int(self.rng.integers(1 << 31))

    def extent(self, thing: Thing) -> tuple[float, float, float, float]:
        """The projected box of a thing, about, in pixels."""
        width, height, length = thing.size
        sine, cosine = abs(np.sin(thing.yaw)), abs(np.cos(thing.yaw))
        # A long thing along the road leans with it; its own width is what counts at either end.
        half = (width * cosine + length * sine) / 2 if length <= 12 else width / 2
        reach = (length * cosine + width * sine) / 2
        depths = max(thing.z - reach, 1.2), max(thing.z + reach, 1.3)
        drift = [self.road.x(0, z) - self.road.x(0, thing.z) if length > 12 else 0.0 for z in depths]
        corners = np.array(
            [
                (thing.x + side * half + shift, thing.base + up, z)
                for side in (-1, 1)
                for up in (0, height)
                for z, shift in zip(depths, drift, strict=True)
            ]
        )
        flat = self.camera.project(corners)
        return (*flat.min(0), *flat.max(0))

    def add(self, thing: Thing, limit: float = 0.35, apart: bool = True) -> bool:
        """Adds a thing unless it would be hidden, or hide another, by more than ``limit``."""
        x1, y1, x2, y2 = self.extent(thing)
        seen = _overlap((x1, y1, x2, y2), (0, 0, WIDTH, HEIGHT))
        area = (x2 - x1) * (y2 - y1)
        if seen < 0.35 * area or area < 60:
            return False
        for a, b, c, d, depth, solid in self._boxes:
            shared = _overlap((x1, y1, x2, y2), (a, b, c, d))
            if not shared:
                continue
            if apart and solid and abs(depth - thing.z) < 1.0 and shared > 0.05 * area:
                return False
            if shared > limit * (area if depth < thing.z else (c - a) * (d - b)):
                return False
        self.things.append(thing)
        self._boxes.append((x1, y1, x2, y2, thing.z, apart))
        return True

    def thing(self, det: str, lateral: float, z: float, turn: float = 0.0, **changes: object) -> Thing:
        category = "person" if det == "pedestrian" else det
        fields = {"kind": det, "category": category, "size": SIZES[det], "det": det, "seed": self.seed()} | changes
        return Thing(x=float(self.road.x(lateral, z)), z=z, yaw=self.road.yaw(z) + turn, **fields)

    def distance(self, low: float, high: float) -> float:
        """A distance, more often near than far, as images show it."""
        return float(1 / self.rng.uniform(1 / high, 1 / low))

    def lanes(self) -> list[tuple[float, float]]:
        """(lateral position, direction) of each moving lane; direction 0 away from the camera, pi towards it."""
        road = self.road
        own = [(lane * road.lane, 0.0) for lane in range(-road.lanes_left, road.lanes_right + 1)]
        return own + [(road.center_line - (i + 0.5) * road.lane, np.pi) for i in range(road.lanes_opposing)]

    def parking(self) -> list[tuple[float, float]]:
        road = self.road
        places = [(road.right - 1.25, 0.0)] if road.parking_right else []
        return places + ([(road.left + 1.25, np.pi)] if road.parking_left else [])

    def vehicle(self, det: str, low: float, high: float, limit: float) -> bool:
        rng, junction = self.rng, self.road.junction
        width, height, length = SIZES[det]
        size = (width, height * rng.uniform(0.92, 1.08), length * rng.uniform(0.85, 1.15))
        for _ in range(_TRIES):
            z = self.distance(low, high)
            if junction and rng.random() < 0.25:
                z = junction + rng.choice([5.2, 8.6])
                lateral, turn = rng.uniform(-16, 16), rng.choice([-1, 1]) * np.pi / 2
            else:
                spots = self.lanes() + (self.parking() * 2 if det in ("car", "truck") else [])
                lateral, turn = spots[rng.integers(len(spots))]
                if junction and junction - 1 < z < junction + 13:
                    continue
                lateral, turn = lateral + rng.uniform(-0.25, 0.25), turn + rng.normal(0, 0.03)
            if z - (length / 2 if abs(np.sin(turn)) < 0.5 else width / 2) < 3.5:
                continue
            if self.add(self.thing(det, lateral, z, turn, size=size), limit):
                return True
        return False

    def cycle(self, det: str, with_rider: bool) -> bool:
        """A bicycle or motorcycle at the edge of the road, ridden or parked."""
        rng, road = self.rng, self.road
        for _ in range(_TRIES):
            z = self.distance(5, 13)
            side = rng.choice([-1, 1])
            edge = road.right if side > 0 else road.left
            if with_rider:
                reach = rng.uniform(0.2, 3.2)
                lateral, turn = edge - side * reach, (0.0 if side > 0 else np.pi) + rng.normal(0, 0.35)
                if rng.random() < 0.3:
                    lateral, turn = rng.uniform(-4, 4), side * np.pi / 2 + rng.normal(0, 0.2)
            else:
                lateral, turn = (
                    edge + side * rng.uniform(0.5, 1.2),
                    rng.choice([0.25, 0.5, -0.5]) * np.pi + rng.normal(0, 0.2),
                )
            bike = self.thing(det, lateral, z, turn)
            if not self.add(bike, 0.25):
                continue
            if with_rider:
                rider = self.thing("rider", lateral, z, turn, state=det)
                self.things.append(rider)
                x1, y1, x2, y2 = self.extent(rider)
                self._boxes.append((x1, y1, x2, y2, z, True))
            return True
        return False

    def pedestrian(self) -> bool:
        rng, road = self.rng, self.road
        for _ in range(_TRIES):
            z = self.distance(5, 17)
            if road.junction and rng.random() < 0.35:
                z, lateral = road.junction - rng.uniform(0.3, 2.6), rng.uniform(road.left, road.right)
                turn = rng.choice([-1, 1]) * np.pi / 2
            else:
                side = rng.choice([-1, 1])
                reach = rng.uniform(0.7, max(road.sidewalk_right if side > 0 else road.sidewalk_left, 1.2))
                lateral = (road.right if side > 0 else road.left) + side * reach
                turn = rng.choice([0, np.pi]) + rng.normal(0, 0.4)
            size = (0.6, rng.uniform(1.5, 1.9), 0.4)
            if self.add(self.thing("pedestrian", lateral, z, turn, size=size), 0.3):
                return True
        return False

    def train(self) -> bool:
        """A train on the rails beside the road."""
        if self.rails is None:
            return False
        for _ in range(_TRIES):
            thing = self.thing("train", self.rails, self.rng.uniform(20, 36), self.rng.choice([0, np.pi]), layer=1)
            if self.add(thing, 0.3, apart=False):
                return True
        return False

    def post(self, x: float, z: float, height: float) -> None:
        self.things.append(Thing("pole", "pole", x, z + 0.06, 0, (0.22, height, 0.22), self.seed()))

    def light(self) -> bool:
        """A traffic light, on a pole beside the road or on an arm above it."""
        rng, road = self.rng, self.road
        for _ in range(_TRIES):
            z = road.junction + rng.uniform(-4, 12) if road.junction else self.distance(12, 34)
            if z < 9:
                z = rng.uniform(9, 16)
            side = rng.choice([-1, 1])
            stand = (road.right + rng.uniform(0.5, 1.2)) if side > 0 else (road.left - rng.uniform(0.5, 1.2))
            state = str(rng.choice(["red", "green", "yellow", "NA"], p=[0.42, 0.38, 0.12, 0.08]))
            size = tuple(s * rng.uniform(0.9, 1.25) for s in SIZES["traffic light"])
            arm = side * rng.uniform(1.5, 5.5) if rng.random() < 0.45 else 0.0
            base = rng.uniform(4.6, 5.6) if arm else rng.uniform(2.5, 3.4)
            if not self.add(self.thing("traffic light", stand - arm, z, size=size, base=base, state=state), 0.15):
                continue
            x, top = float(road.x(stand, z)), base + size[1] * 0.6
            self.post(x, z, max(top, base + size[1]))
            if arm:
                reach = float(road.x(stand - arm, z)) - x
                self.things.append(Thing("arm", "pole", x, z + 0.05, 0, (reach, 0.12, 0.12), self.seed(), top))
            return True
        return False

    def sign(self, highway: bool) -> bool:
        rng, road = self.rng, self.road
        for _ in range(_TRIES):
            z, side = self.distance(7, 32), rng.choice([-1, 1])
            stand = (road.right + rng.uniform(0.4, 1.6)) if side > 0 else (road.left - rng.uniform(0.4, 1.6))
            if highway and rng.random() < 0.5:
                z, wide = rng.uniform(22, 60), rng.uniform(3.2, 5.5)
                lateral = rng.uniform(road.center_line + 2, road.right)
                size, base, state = (wide, wide * rng.uniform(0.45, 0.6), 0.1), rng.uniform(5.2, 6.0), "guide"
                if self.add(self.thing("traffic sign", lateral, z, size=size, base=base, state=state), 0.1):
                    edge = float(road.x(road.right + 1.2, z))
                    self.post(edge, z, base + 0.9)
                    reach = float(road.x(lateral, z)) - wide / 2 - edge
                    self.things.append(
                        Thing("arm", "pole", edge, z + 0.2, 0, (reach, 0.3, 0.2), self.seed(), base + 0.7)
                    )
                    return True
                continue
            shapes = _HIGHWAY_SIGNS if highway else _CITY_SIGNS
            state = shapes[rng.integers(len(shapes))]
            side_length = rng.uniform(0.7, 1.05)
            size = (
                side_length * (1.9 if state == "street" else 0.8 if state in ("speed", "parking") else 1),
                side_length * (0.42 if state == "street" else 1),
                0.05,
            )
            base = rng.uniform(1.9, 2.7)
            thing = self.thing("traffic sign", stand, z, rng.normal(0, 0.12), size=size, base=base, state=state)
            if self.add(thing, 0.12):
                self.post(thing.x, z, base + size[1] * 0.9)
                return True
        return False


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return max(min(a[2], b[2]) - max(a[0], b[0]), 0.0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)


def make_scene(plan: Plan, rng: np.random.Generator) -> Scene:
    """A random scene that holds what ``plan`` asks for; cars alone may be fewer, where the road is full."""
    best: tuple[int, _Layout] | None = None
    for _ in range(_ATTEMPTS):
        layout = _Layout(plan, rng)
        missing = layout.populate(plan)
        if best is None or missing < best[0]:
            best = missing, layout
        if not missing:
            break
    layout = best[1]
    surroundings = roadside(plan, layout.road, layout.rails, rng)
    return Scene(
        plan.weather,
        plan.scene,
        plan.timeofday,
        layout.camera,
        layout.road,
        layout.things + surroundings,
        skyline(plan, rng),
        bool(rng.random() < 0.45),
        layout.rails,
        int(rng.integers(1 << 31)),
    )


def further_things(plan: Plan, scene: Scene, rng: np.random.Generator) -> list[Thing]:
    """Other things that ``plan`` asks for, but for a train, on the road of ``scene`` as seen from there."""
    layout = _Layout(plan, rng)
    layout.road, layout.camera, layout.rails = scene.road, scene.camera, None
    layout.populate(plan)
    return layout.things
