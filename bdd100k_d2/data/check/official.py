"""What the complete release holds, to compare a copy with. Sources: https://doc.bdd100k.com and the released files."""

_CATEGORIES = ("car", "traffic sign", "traffic light", "person", "truck", "bus", "bike", "rider", "motor", "train")
_TRAIN_BOXES = (713_211, 239_686, 186_117, 91_349, 29_971, 11_672, 7_210, 4_517, 3_002, 136)
_VAL_BOXES = (102_506, 34_908, 26_885, 13_262, 4_245, 1_597, 1_007, 649, 452, 15)
BOXES_2018 = {
    split: dict(zip(_CATEGORIES, boxes, strict=True)) for split, boxes in (("train", _TRAIN_BOXES), ("val", _VAL_BOXES))
}
"""The boxes of the lists of 2018, by split and the category names of that release."""

VAL_FRAMES = {
    "weather": {
        "clear": 5_346,
        "overcast": 1_239,
        "undefined": 1_157,
        "snowy": 769,
        "rainy": 738,
        "partly cloudy": 738,
        "foggy": 13,
    },
    "scene": {
        "city street": 6_112,
        "highway": 2_499,
        "residential": 1_253,
        "undefined": 53,
        "parking lot": 49,
        "tunnel": 27,
        "gas stations": 7,
    },
    "timeofday": {"daytime": 5_258, "night": 3_929, "dawn/dusk": 778, "undefined": 35},
}
"""The detection frames of val by the value of each attribute: what each slice of val holds."""

IMAGES_WITHOUT_LABELS = 137
"""Of the training images these have no detection labels (https://github.com/bdd100k/bdd100k/issues/210)."""

# Of the released segmentation set these images have no mask (https://github.com/bdd100k/bdd100k/issues/103).
IMAGES_WITHOUT_MASK = {"3d581db5-2564fb7e", "52e3fd10-c205dec2", "781756b0-61e0a182"}
IMAGES_WITHOUT_MASK |= {"78ac84ba-07bd30c2", "80a9e37d-e4548ac1", "9342e334-33d167eb"}
