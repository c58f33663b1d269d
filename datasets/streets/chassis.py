"""What all motor vehicles share: wheels, axles and the colours of glass and lamps."""

from .canvas import Color
from .pen import Pen

GLASS: Color = (46, 58, 72)
DARK: Color = (38, 38, 42)
TAIL: Color = (206, 22, 24)
LAMP: Color = (250, 248, 228)
_TYRE: Color = (22, 22, 24)


def draw_wheels(pen: Pen, half: float, places: list[float], radius: float) -> None:
    """Wheels on the sides that the camera sees."""
    for side in (-1, 1):
        if pen.sees((side * half, radius, 0), (side, 0, 0)):
            for z in places:
                pen.arch((side * (half + 0.005), radius, z), radius * 1.25, DARK)
                pen.disc((side * (half + 0.01), radius, z), radius, _TYRE)
                pen.disc((side * (half + 0.02), radius, z), radius * 0.55, (150, 152, 156))


def draw_axles(pen: Pen, half: float, places: list[float], radius: float) -> None:
    """The tyres below the body, seen from the front or from behind."""
    for z in sorted(places, reverse=True):
        for side in (-1, 1):
            low, high = sorted((side * half, side * (half - 0.24)))
            pen.box((low, 0, z - radius * 0.7), (high, radius * 1.2, z + radius * 0.7), _TYRE)
