"""The time of day by the brightness of images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bdd100k_d2.data.labels import FrameAttributes
from bdd100k_d2.suspects.daylight import brightness, daylight_note, daylight_suspects

DAY, NIGHT = 120, 30


def write_images(folder: Path, levels: list[int]) -> dict[str, Path]:
    images = {}
    for i, level in enumerate(levels):
        images[f"{i}.jpg"] = folder / f"{i}.jpg"
        Image.fromarray(np.full((72, 128, 3), level, np.uint8)).save(images[f"{i}.jpg"])
    return images


def tagged(*tags: str, scene: str = "highway") -> dict[str, FrameAttributes]:
    return {f"{i}.jpg": FrameAttributes("clear", scene, tag) for i, tag in enumerate(tags)}


def test_brightness_is_the_mean_level(tmp_path: Path) -> None:
    halves = np.zeros((720, 1280, 3), np.uint8)
    halves[:, 640:] = 200
    Image.fromarray(halves).save(tmp_path / "a.jpg")
    Image.fromarray(halves).save(tmp_path / "a.png")
    assert brightness(tmp_path / "a.jpg") == pytest.approx(100, abs=1)
    assert brightness(tmp_path / "a.png") == pytest.approx(100, abs=1)
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    assert np.isnan(brightness(tmp_path / "bad.jpg")) and np.isnan(brightness(None))


def test_a_night_frame_tagged_daytime_and_the_other_way_round(tmp_path: Path) -> None:
    levels = [DAY + i for i in range(8)] + [NIGHT + i for i in range(8)] + [NIGHT, DAY, 75]
    tags = ["daytime"] * 8 + ["night"] * 8 + ["daytime", "night", "daytime"]
    found = daylight_suspects(tagged(*tags), write_images(tmp_path, levels), 0.05, 1)
    first = {one.change.frame: one for one in found}
    assert set(first) == {"16.jpg", "17.jpg"}
    assert (first["16.jpg"].change.old, first["16.jpg"].change.timeofday) == ("daytime", "night")
    assert first["17.jpg"].change.timeofday == "daytime"
    assert all(one.score > 0.9 for one in found[:2])
    assert first["16.jpg"].evidence == (
        "Tagged daytime, with a mean brightness of 30 of 255; frames tagged daytime have 122 \N{PLUS-MINUS SIGN} 8, "
        "those tagged night 34 \N{PLUS-MINUS SIGN} 8."
    )


def test_tunnels_and_few_frames_say_nothing(tmp_path: Path) -> None:
    levels = [DAY] * 8 + [NIGHT] * 8 + [NIGHT]
    tags = ["daytime"] * 8 + ["night"] * 8 + ["daytime"]
    images = write_images(tmp_path, levels)
    attributes = tagged(*tags)
    assert len(daylight_suspects(attributes, images, 0.05, 1)) == 1
    attributes["16.jpg"] = FrameAttributes("clear", "tunnel", "daytime")
    assert daylight_suspects(attributes, images, 0.05, 1) == []
    few = {name: attributes[name] for name in ("0.jpg", "1.jpg", "8.jpg", "9.jpg")}
    assert daylight_suspects(few, images, 0.05, 1) == []
    assert daylight_note(few, images) == (
        "Time of day was not looked at: 2 frames with an image are tagged daytime and 2 night, "
        "and 5 of each are needed."
    )
    assert daylight_note(attributes, images) is None
    # Where nights are not darker, brightness tells nothing.
    swapped = tagged(*(["night"] * 8 + ["daytime"] * 9))
    assert daylight_suspects(swapped, images, 0.05, 1) == []
