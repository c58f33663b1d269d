"""A street that a camera drives along: the scenes of a film, in which each object keeps its number.

The road has one shape before the camera wherever that is, so that to drive on is to move along it what stands there.
"""

from dataclasses import replace

import numpy as np

from .camera import Road
from .layout import further_things, make_scene
from .roadside import roadside
from .scene import Plan, Scene, Thing

FRAMES_A_SECOND = 10
# Metres a second.
_SPEEDS = {"city street": 7.0, "residential": 5.0, "highway": 15.0}
_WALK, _RIDE = 1.3, 3.5
# A plan's things and those beside the road stand within these metres.
_PART, _ROADSIDE = 55.0, 132.0
# What moves is out of view before its middle is so near; what stands, when its far end is.
_NEAREST, _PASSED = 2.4, 1.0


def film_street(plan: Plan, rng: np.random.Generator, frames: int) -> Scene:
    """The scene at the first of ``frames``, as long as the film needs it; each thing has a number, ``Thing.track``."""
    # A train beside the road would reach over several parts, and a junction has traffic across it.
    plan = replace(plan, counts=plan.counts | {"train": 0})
    scene = make_scene(plan, rng)
    while scene.road.junction is not None:
        scene = make_scene(plan, rng)
    length = _SPEEDS[plan.scene] * frames / FRAMES_A_SECOND
    things = [*scene.things]
    for part in range(1, int(length / _PART) + 2):
        things += [_moved(one, scene.road, part * _PART, 0.0) for one in further_things(plan, scene, rng)]
    for part in range(1, int(length / _ROADSIDE) + 2):
        more = roadside(plan, scene.road, None, rng)
        things += [_moved(one, scene.road, part * _ROADSIDE, 0.0) for one in more]
    return replace(scene, things=[replace(thing, track=number) for number, thing in enumerate(things)])


def film_scene(street: Scene, index: int) -> Scene:
    """The scene at frame ``index``: the camera has driven on, and what moves has moved; nothing changes its number."""
    seconds, speed = index / FRAMES_A_SECOND, _SPEEDS[street.scene]
    ridden = {(thing.x, thing.z) for thing in street.things if thing.kind == "rider"}
    moved = []
    for thing in street.things:
        along, across = _motion(thing, street.road, speed, (thing.x, thing.z) in ridden)
        now = _moved(thing, street.road, (along - speed) * seconds, across * seconds)
        if thing.det is None:
            is_ahead = now.z + max(thing.size[0], thing.size[2]) / 2 > _PASSED
        else:
            is_ahead = now.z > _NEAREST
        if is_ahead:
            moved.append(now)
    return replace(street, things=moved, travelled=speed * seconds)


def _lateral(thing: Thing, road: Road) -> float:
    return thing.x - float(road.x(0.0, thing.z))


def _moved(thing: Thing, road: Road, along: float, across: float) -> Thing:
    """The thing some metres farther along the road, and to its right; it keeps its direction to the road."""
    z = thing.z + along
    x = float(road.x(_lateral(thing, road) + across, z))
    return replace(thing, x=x, z=z, yaw=thing.yaw - road.yaw(thing.z) + road.yaw(z))


def _motion(thing: Thing, road: Road, speed: float, is_ridden: bool) -> tuple[float, float]:
    """The metres a second that a thing moves along the road and to its right; ``speed`` is the camera's.

    All in a lane have one speed, so that nothing drives into another; in the camera's own they drive away from it.
    """
    turn = thing.yaw - road.yaw(thing.z)
    if thing.kind in ("car", "truck", "bus"):
        lane = round(_lateral(thing, road) / road.lane)
        if abs(_lateral(thing, road) - lane * road.lane) > 0.7 or not road.left + 1.6 < lane * road.lane < road.right:
            return 0.0, 0.0
        draw = np.random.default_rng(1000 + lane).uniform(0.75, 1.15)
        if _lateral(thing, road) < road.center_line:
            return -draw * speed, 0.0
        return (1.04 if lane == 0 else draw) * speed, 0.0
    if thing.kind == "pedestrian":
        return _WALK * float(np.cos(turn)), _WALK * float(np.sin(turn))
    if thing.kind == "rider" or is_ridden:
        return _RIDE * float(np.cos(turn)), _RIDE * float(np.sin(turn))
    return 0.0, 0.0
