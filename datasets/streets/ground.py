"""How the sky, the ground, the road with its markings, and the camera car's hood are drawn."""

import cv2
import numpy as np

from .camera import HEIGHT, NEAR, WIDTH, Road
from .canvas import Canvas, Color, Item
from .scene import SEM_SEG, Scene
from .weather import haze_color

_FAR = 400.0
_STEPS = np.concatenate([np.linspace(NEAR + 0.05, 12, 12), np.geomspace(13, _FAR, 34)])

# Zenith and horizon by time of day, then by weather.
_SKIES: dict[str, tuple[Color, Color]] = {
    "clear": ((64, 118, 190), (186, 212, 234)),
    "partly cloudy": ((72, 122, 188), (196, 214, 230)),
    "overcast": ((150, 156, 164), (206, 210, 214)),
    "rainy": ((112, 118, 126), (168, 174, 180)),
    "snowy": ((178, 184, 192), (218, 222, 226)),
    "foggy": ((190, 194, 198), (208, 210, 212)),
    "dawn/dusk": ((84, 96, 150), (250, 176, 118)),
    "night": ((10, 13, 26), (34, 36, 52)),
}
_CLOUDS = {"clear": 0.15, "partly cloudy": 0.85, "overcast": 0.5, "rainy": 0.55, "snowy": 0.25, "foggy": 0.0}
_CLOUD_COLORS: dict[str, Color] = {"night": (40, 42, 56), "dawn/dusk": (236, 176, 160)}
_TERRAIN = np.array([(104, 124, 60), (126, 132, 70), (142, 126, 88), (90, 112, 58)])


def sky(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """The sky down to the horizon and below it, where the ground will cover it."""
    canvas.begin(Item(SEM_SEG["sky"], depth=3000.0))
    canvas.fill(
        [np.array([(-4, -4), (WIDTH + 4, -4), (WIDTH + 4, HEIGHT + 4), (-4, HEIGHT + 4)], float)], (128, 128, 128)
    )
    canvas.end()
    key = scene.timeofday if scene.timeofday in _SKIES else scene.weather
    top, low = (np.array(color, np.float32) for color in _SKIES[key])
    if key == "dawn/dusk" and scene.weather not in ("clear", "partly cloudy"):
        top, low = top * 0.3 + (86, 88, 94), low * 0.4 + (92, 96, 102)  # clouds hide the red
    if key == "night" and scene.weather == "foggy":
        top = low = np.array(haze_color(scene), np.float32)
    half = (HEIGHT // 2, WIDTH // 2)
    share = (np.clip(np.arange(half[0]) * 2 / max(scene.camera.horizon, 1), 0, 1) ** 1.2)[:, None, None].astype(
        np.float32
    )
    noise = np.zeros(half, np.float32)
    for cells, weight in ((4, 0.5), (9, 0.3), (22, 0.2)):
        noise += weight * cv2.resize(rng.random((cells, cells), np.float32), half[::-1], interpolation=cv2.INTER_CUBIC)
    cover = np.clip((noise - 0.5) * 6 + 0.4, 0, 1)[..., None] * _CLOUDS[scene.weather]
    bright = _CLOUD_COLORS.get(key, (246, 247, 250) if scene.weather not in ("overcast", "rainy") else (178, 180, 184))
    image = (top + (low - top) * share) * (1 - cover) + np.array(bright, np.float32) * cover
    cv2.resize(np.clip(image, 0, 255).astype(np.uint8), (WIDTH, HEIGHT), canvas.image)


def ground(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """Terrain, sidewalks, the carriageway with its drivable lanes, and everything painted on it."""
    road, snow = scene.road, scene.weather == "snowy"
    green = _TERRAIN[rng.integers(len(_TERRAIN))] + rng.normal(0, 6, 3)
    _surface(
        canvas, "terrain", [_strip(road, -900, 900, flat=True)], (214, 218, 224) if snow else tuple(green.tolist())
    )
    pavement = np.array([168, 164, 158]) * rng.uniform(0.85, 1.1)
    asphalt = np.array([92, 93, 97]) * rng.uniform(0.75, 1.15) + rng.normal(0, 3, 3)
    if snow:
        pavement, asphalt = pavement * 0.55 + 100, asphalt * 0.7 + 48
    stone, tar = tuple(pavement.tolist()), tuple(asphalt.tolist())
    edges = [(road.left - road.sidewalk_left, road.left), (road.right, road.right + road.sidewalk_right)]
    walks = [edge for edge in edges if edge[1] - edge[0] > 0.3]
    if walks:
        strips = [_strip(road, a, b) for a, b in walks]
        if road.junction:
            strips += [_cross(road.junction + near, road.junction + near + 2.2) for near in (1.0, 10.4)]
        _surface(canvas, "sidewalk", strips, stone)
        _curbs(canvas, road, stone)
    if scene.rails is not None:
        _rails(canvas, scene)
    _carriageway(canvas, road, tar)
    _markings(canvas, road, tar, rng, scene.travelled)
    if scene.timeofday == "daytime" and scene.weather in ("clear", "partly cloudy") and scene.scene == "city street":
        _roof_shadow(canvas, road, rng)


def _roof_shadow(canvas: Canvas, road: Road, rng: np.random.Generator) -> None:
    """What the buildings on the sunny side shade: the ground from their feet to a stepped line."""
    z = np.cumsum(rng.uniform(3, 14, 12)).repeat(2)[:-1]
    reach = (road.left + rng.uniform(0.5, 4.5) + rng.uniform(-1.5, 1.5, 12)).repeat(2)[1:]
    near = np.concatenate([[NEAR + 0.05], z[:-1]])
    line = np.stack([road.x(reach, near), np.zeros_like(near), near], axis=1)
    feet = np.stack([road.x(road.left - 9, near), np.zeros_like(near), near], axis=1)
    canvas.shadow(np.concatenate([line, feet[::-1]]), 0.34)


def _strip(
    road: Road, left: float, right: float, near: float = 0.0, far: float = _FAR, flat: bool = False
) -> np.ndarray:
    """The outline, (N, 3), of the ground between two lateral positions."""
    z = np.unique(np.clip(_STEPS, max(near, _STEPS[0]), far))
    course = np.zeros_like(z) if flat else road.x(0.0, z)
    a = np.stack([course + left, np.zeros_like(z), z], axis=1)
    b = np.stack([course + right, np.zeros_like(z), z], axis=1)
    return np.concatenate([a, b[::-1]])


def _cross(near: float, far: float) -> np.ndarray:
    """The outline of a strip across the image, for a side road."""
    return np.array([(-300, 0, near), (300, 0, near), (300, 0, far), (-300, 0, far)], float)


def _surface(canvas: Canvas, category: str, strips: list[np.ndarray], color: Color, drivable: int = 2) -> None:
    canvas.begin(Item(SEM_SEG[category], drivable=drivable))
    for strip in strips:
        canvas.polygons([strip], color)
    canvas.end()


def _curbs(canvas: Canvas, road: Road, stone: Color) -> None:
    """The light edge of the sidewalks."""
    for position in (road.left, road.right):
        canvas.polygons(
            [_strip(road, position - 0.12, position + 0.12, far=80)],
            tuple(min(c * 1.15, 255) for c in stone),
            solid=False,
        )


def _rails(canvas: Canvas, scene: Scene) -> None:
    """A track bed, which BDD100K's masks do not train, and its rails."""
    middle = scene.rails
    _surface(canvas, "ignored", [_strip(scene.road, middle - 1.9, middle + 1.9)], (112, 100, 92))
    for z in np.arange(4, 70, 0.8):
        x = scene.road.x(middle, z)
        canvas.polygons(
            [np.array([(x - 1.3, 0, z), (x - 1.3, 0, z + 0.3), (x + 1.3, 0, z + 0.3), (x + 1.3, 0, z)])],
            (80, 66, 58),
            solid=False,
        )
    for offset in (-0.75, 0.75):
        rail = _strip(scene.road, middle + offset - 0.06, middle + offset + 0.06, far=150)
        canvas.polygons([rail], (176, 178, 184), solid=False)


def _carriageway(canvas: Canvas, road: Road, tar: Color) -> None:
    half = road.lane / 2
    _surface(canvas, "road", [_strip(road, road.left, road.right)], tar)
    if road.junction:
        _surface(canvas, "road", [_cross(road.junction + 3.0, road.junction + 10.6)], tar)
    for lane in range(-road.lanes_left, road.lanes_right + 1):
        middle = lane * road.lane
        # Annotators follow a lane as far as they can tell it apart; a junction has none.
        far = min(road.junction + 0.4 if road.junction else 85.0, 85.0)
        _surface(
            canvas, "road", [_strip(road, middle - half, middle + half, far=far)], tar, drivable=0 if lane == 0 else 1
        )


def _markings(canvas: Canvas, road: Road, tar: Color, rng: np.random.Generator, travelled: float) -> None:
    """Lane lines, the double line, edge lines, wear, cracks and a zebra crossing; all of them are road."""
    white = tuple((np.array([232, 232, 226]) * rng.uniform(0.8, 1.0)).tolist())
    yellow = (226, 176, 44)
    stop = road.junction - 4.2 if road.junction else 160.0
    start = road.junction + 14 if road.junction else 160.0

    def line(lateral: float, width: float, color: Color, near: float, far: float) -> None:
        canvas.polygons([_strip(road, lateral - width / 2, lateral + width / 2, near, far)], color, solid=False)

    for lane in range(-road.lanes_left, road.lanes_right + 1):
        for track in (-0.8, 0.8):
            line(lane * road.lane + track, 0.5, tuple(c * 0.95 for c in tar), 1, min(stop, 60))
    for _ in range(int(rng.integers(2, 7))):
        z, x = rng.uniform(4, 30), rng.uniform(road.left, road.right - 1.8)
        shade = rng.uniform(0.82, 1.08)
        width, length = rng.uniform(0.5, 1.8), rng.uniform(0.5, 3)
        if z - travelled > NEAR:
            line(x + 0.9, width, tuple(v * shade for v in tar), z - travelled, z - travelled + length)
    for near, far in ((0.8, stop), (start, 160.0)):
        if far - near < 2:
            continue
        for offset in (-0.16, 0.16):
            line(road.center_line + offset, 0.13, yellow, near, far)
        for edge in (road.left + 0.25, road.right - 0.25):
            line(edge, 0.12, white, near, far)
        phase = rng.uniform(0, 8) + travelled % 9.0
        dividers = [(lane + 0.5) * road.lane for lane in range(-road.lanes_left, road.lanes_right)]
        dividers += [road.center_line - i * road.lane for i in range(1, road.lanes_opposing)]
        for lateral in dividers:
            for z in np.arange(near - phase, min(far, 90), 9.0):
                if z + 3.2 > near:
                    line(lateral, 0.14, white, max(z, near), min(z + 3.2, far))
    if road.junction:
        z, right = road.junction, road.right - 0.4
        line((road.center_line + right) / 2, right - road.center_line, white, z - 3.6, z - 3.2)
        for lateral in np.arange(road.left + 0.5, right, 1.1):
            line(lateral + 0.28, 0.55, white, z - 2.6, z - 0.2)


def hood(canvas: Canvas, rng: np.random.Generator) -> None:
    """The camera car's own hood, which no mask trains."""
    canvas.begin(Item(SEM_SEG["ignored"], depth=1.5))
    top = HEIGHT - rng.uniform(28, 78)
    x = np.linspace(-10, WIDTH + 10, 60)
    bulge = 1 - ((x - WIDTH / 2 - rng.normal(0, 60)) / (WIDTH * rng.uniform(0.62, 0.8))) ** 2
    color = np.array([(34, 36, 40), (110, 114, 120), (120, 24, 30), (30, 48, 86)][rng.integers(4)], float)
    for step in range(7):
        y = HEIGHT + 6 - (HEIGHT + 6 - top - step * 9) * np.clip(bulge, 0.05, 1)
        outline = np.concatenate([np.stack([x, y], axis=1), [(WIDTH + 10, HEIGHT + 10), (-10, HEIGHT + 10)]])
        canvas.fill([outline], tuple(np.clip(color * (1.5 - 0.12 * step), 0, 255).tolist()))
    canvas.end()
