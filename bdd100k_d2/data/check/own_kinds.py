"""The kinds of findings in data of one's own: how much each matters, and what to do."""

from .report import FINDING_KINDS, Kind, Severity

_B, _W, _N = Severity
_AS_OFFICIAL = FINDING_KINDS
_MEND = "Mend or remove the label."
_RESIZED = "Were images resized after they were labelled?"

OWN_FINDING_KINDS: dict[str, Kind] = {
    "no images": Kind(_B, "Check the path of the images."),
    "no labels": Kind(_B, "Check the path of the labels."),
    "unusable label file": Kind(_B, "Mend what it says, or write the file again."),
    "label without a category": Kind(_B, _MEND),
    "missing image": Kind(_B, "Check the path of the images, or take the frame out of the labels."),
    "two images of a frame": Kind(_B, "Give a folder that has one of them, or rename one."),
    "unreadable image": Kind(_B, "Write it again, or take its frame out of the labels."),
    "image of another size": Kind(_B, f"The labels state another size. {_RESIZED}"),
    "degenerate box": Kind(_B, _MEND),
    "box outside of the image": Kind(_B, f"{_MEND} {_RESIZED}"),
    "unreadable mask": Kind(_B, "Write it again."),
    "bad mask ids": Kind(_B, "Name the classes of all ids, or write 255 where a mask says nothing."),
    "mask of another size": Kind(_B, f"Masks have the size of their image. {_RESIZED}"),
    "mask without image": Kind(_B, "Check the path of the images, or remove the mask."),
    "two masks of a frame": Kind(_B, "Remove one of the two."),
    "bad run lengths": Kind(_B, "Write the label again."),
    "training data without a label": Kind(_B, "Nothing can be trained on them; check the labels."),
    "data set that cannot be loaded": Kind(_B, "Mend what it says."),
    "data set that is not checked": Kind(
        _W, "Known are BDD100K's data sets and those of register_dataset or DATASETS.OWN."
    ),
    "data without a label": Kind(_W, "They are predicted, and have no scores."),
    "class without a label": Kind(_W, "It learns nothing and has no score. Is its name that of the labels?"),
    "label of another class": Kind(_W, "They are left out; name the class among the classes if it is meant."),
    "frame in two splits": _AS_OFFICIAL["frame in two splits"],
    "image that is there twice": Kind(_W, "It counts twice, maybe with other labels; remove one of the two."),
    "damaged image": Kind(_W, "Training takes it with wrong pixels. Write it again."),
    "image without labels": Kind(_W, "No label file of these data sets names it; it is left out."),
    "image without mask": _AS_OFFICIAL["image without mask"],
    "mask without any label": _AS_OFFICIAL["mask without any label"],
    "label without a box": Kind(_W, "It is left out, in training and in evaluation; give it a box."),
    "labels without a mask": Kind(_W, "They are left out; give polygons in COCO, run lengths, or bitmasks."),
    "box without an area": Kind(_W, "It is left out, in training and in evaluation."),
    "box beyond the border": _AS_OFFICIAL["box beyond the border"],
    "duplicate box": _AS_OFFICIAL["duplicate box"],
    "duplicate mask": Kind(_W, "One of the two counts as missed in an evaluation."),
    "box of two classes": _AS_OFFICIAL["box of two classes"],
    "small box": _AS_OFFICIAL["small box"],
    "unknown attribute value": _AS_OFFICIAL["unknown attribute value"],
    "frame without objects": _AS_OFFICIAL["frame without objects"],
    "frame without attributes": _AS_OFFICIAL["frame without attributes"],
    "bytes after the image's end": _AS_OFFICIAL["bytes after the image's end"],
}
"""Every kind of finding in data of one's own."""
