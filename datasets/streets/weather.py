"""Light and weather: an image drawn in even daylight -> the image that the camera takes."""

import cv2
import numpy as np

from .camera import HEIGHT, WIDTH
from .canvas import Canvas, Color
from .scene import SEM_SEG, Scene

_SIGHT = {"clear": 1600.0, "partly cloudy": 1400.0, "overcast": 800.0, "rainy": 260.0, "snowy": 260.0, "foggy": 75.0}
_HAZE: dict[str, Color] = {"daytime": (206, 212, 220), "dawn/dusk": (210, 172, 150), "night": (30, 32, 44)}
_GRAIN = {
    SEM_SEG[name]: grain
    for name, grain in {
        "road": 5.0,
        "terrain": 9.0,
        "vegetation": 8.0,
        "sidewalk": 4.0,
        "building": 3.5,
        "wall": 4.0,
        "sky": 0.6,
    }.items()
}
_PAVED = (SEM_SEG["road"], SEM_SEG["sidewalk"])
_SKY = 1500.0
"""Metres; whatever is farther is sky, which has its own colours at night and in haze."""


def develop(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Adds surface grain, haze, light, lamps and what falls from the sky; returns (HEIGHT, WIDTH, 3) uint8, RGB."""
    depth = _depth(canvas)
    image = canvas.image.astype(np.float32)
    image += (_texture(rng) * _lookup(canvas, [_GRAIN.get(item.sem_seg, 2.0) for item in canvas.items]))[..., None]
    if scene.weather == "rainy":
        image = _wet(image, canvas, scene)
    image *= _light(scene, depth, rng)
    haze = 1 - np.exp(depth * (-1 / _SIGHT[scene.weather]))
    haze[depth >= _SKY] = 0
    image += (np.array(haze_color(scene), np.float32) - image) * haze[..., None]
    _lamps(image, canvas, scene)
    if scene.weather in ("rainy", "snowy"):
        image = _fall(image, scene, rng)
    noise = cv2.resize(
        rng.standard_normal((HEIGHT // 2, WIDTH // 2), np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR
    )
    image += noise[..., None] * (4.0 if scene.timeofday == "night" else 2.5)
    return np.clip(image, 0, 255, out=image).astype(np.uint8)


def haze_color(scene: Scene) -> Color:
    """What distance fades into."""
    if scene.weather == "foggy" and scene.timeofday == "night":
        return (62, 65, 76)  # fog scatters the city's lights
    return _HAZE[scene.timeofday]


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Fine and coarse surface noise, (HEIGHT, WIDTH), of unit size."""
    fine = rng.standard_normal((HEIGHT // 2, WIDTH // 2), np.float32)
    coarse = cv2.resize(rng.standard_normal((HEIGHT // 12, WIDTH // 12), np.float32), fine.shape[::-1])
    return cv2.resize(fine + 0.5 * coarse, (WIDTH, HEIGHT))


def _lookup(canvas: Canvas, values: list[float]) -> np.ndarray:
    """A value for each item -> a value for each pixel, (HEIGHT, WIDTH) float32."""
    return np.array(values, np.float32)[canvas.ids]


def _depth(canvas: Canvas) -> np.ndarray:
    """The distance of what each pixel shows, (HEIGHT, WIDTH) metres."""
    ground = np.minimum(canvas.camera.ground_depth(), 1000.0).astype(np.float32)
    own = _lookup(canvas, [-1.0 if item.depth is None else item.depth for item in canvas.items])
    return np.where(own < 0, ground[:, None], own)


def _wet(image: np.ndarray, canvas: Canvas, scene: Scene) -> np.ndarray:
    """A wet road: darker, and it mirrors what stands above it."""
    horizon = int(np.clip(scene.camera.horizon, 60, HEIGHT - 60))
    rows = np.clip(2 * horizon - np.arange(HEIGHT), 0, HEIGHT - 1)
    mirrored = cv2.blur(image[rows], (9, 61))
    wet = _lookup(canvas, [0.38 * (item.sem_seg in _PAVED) for item in canvas.items])[..., None]
    return image * (1 - wet) * (1 - 0.25 * wet) + mirrored * wet


def _light(scene: Scene, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What share of daylight reaches each pixel, (HEIGHT, WIDTH, 3) or (3,)."""
    if scene.timeofday == "daytime":
        level = {"clear": 1.04, "partly cloudy": 1.0, "overcast": 0.88, "rainy": 0.74, "snowy": 0.97, "foggy": 0.92}
        return np.full(3, level[scene.weather] * rng.uniform(0.94, 1.06), np.float32)
    if scene.timeofday == "dawn/dusk":
        return np.array([0.78, 0.66, 0.66], np.float32) * np.float32(rng.uniform(0.85, 1.05))
    ambient = np.array([0.37, 0.36, 0.41], np.float32) * np.float32(rng.uniform(0.85, 1.15))
    x = (np.arange(WIDTH) - WIDTH / 2) / (WIDTH * 0.42)
    y = (np.arange(HEIGHT) - scene.camera.horizon - 70) / 150
    cone = np.exp(-(x[None] ** 2)) * np.exp(-np.where(y > 0, 0.25, 1.0)[:, None] * y[:, None] ** 2)
    beam = cone * np.minimum(1.0, 16 / np.maximum(depth, 4)) ** 0.7
    light = ambient + beam.astype(np.float32)[..., None] * np.array([0.66, 0.63, 0.54], np.float32)
    light[depth >= _SKY] = 1.0
    return light


def _lamps(image: np.ndarray, canvas: Canvas, scene: Scene) -> None:
    """Adds to an image lamps, lit windows and their halos, where nothing covers them."""
    dark = scene.timeofday != "daytime"
    shining = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for sources, halo in ((canvas.windows if dark else [], False), (canvas.glow, True)):
        for index, polygons, color in sources:
            points = np.concatenate(polygons) >> 4
            low = np.clip(points.min(0) - 1, 0, (WIDTH, HEIGHT))
            high = np.clip(points.max(0) + 2, 0, (WIDTH, HEIGHT))
            if (high <= low).any():
                continue
            stencil = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
            cv2.fillPoly(stencil, [polygon - low.astype(np.int32) * 16 for polygon in polygons], 1, cv2.LINE_8, 4)
            window = np.s_[low[1] : high[1], low[0] : high[0]]
            seen = (stencil > 0) & (canvas.ids[window] == index)
            if dark:
                image[window][seen] = np.maximum(image[window][seen], np.array(color, np.float32))
            shining[window][seen] = np.array(color, float) * (1.0 if halo else 0.25)
    small = cv2.resize(shining, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA).astype(np.float32)
    strength = {"daytime": 0.25, "dawn/dusk": 0.7, "night": 1.0}[scene.timeofday]
    spread = cv2.GaussianBlur(small, (0, 0), 2.2) * 0.7 + cv2.GaussianBlur(small, (0, 0), 9) * 0.9
    image += cv2.resize(spread * strength, (WIDTH, HEIGHT))


def _fall(image: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Rain streaks or snow flakes in front of everything."""
    veil = np.zeros((HEIGHT, WIDTH), np.uint8)
    if scene.weather == "rainy":
        slant = rng.normal(0, 3)
        for x, y, long in zip(
            rng.uniform(0, WIDTH, 260), rng.uniform(-20, HEIGHT, 260), rng.uniform(8, 30, 260), strict=True
        ):
            cv2.line(
                veil,
                (int(x), int(y)),
                (int(x + slant * long / 12), int(y + long)),
                int(rng.integers(20, 60)),
                1,
                cv2.LINE_AA,
            )
    else:
        for x, y, size in zip(
            rng.uniform(0, WIDTH, 420), rng.uniform(0, HEIGHT, 420), rng.gamma(2.0, 9.0, 420), strict=True
        ):
            cv2.circle(
                veil,
                (int(x * 16), int(y * 16)),
                int(min(max(size, 10), 56)),
                int(rng.integers(70, 200)),
                -1,
                cv2.LINE_AA,
                4,
            )
        veil = cv2.blur(veil, (2, 2))
    level = 0.5 if scene.timeofday == "night" else 1.0
    return image + (235 - image) * (veil.astype(np.float32) / 255 * level)[..., None]
