"""Detectron2's dataset mapper with the recipes' augmentations, and errors that name the file."""

from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetMapper
from detectron2.data.detection_utils import SizeMismatchError

from ..errors import DataError
from .augmentation import build_augmentation
from .masks import check_mask, mask_size


class BDD100KDatasetMapper(DatasetMapper):
    """Turns a dataset dict into a model input: reads, augments and converts, as its parent does."""

    @configurable
    def __init__(self, is_train: bool, *, num_mask_classes: int, **kwargs: Any) -> None:  # noqa: ANN401, the parent's
        """Takes the number of classes a semantic mask may hold and `DatasetMapper`'s arguments."""
        super().__init__(is_train, **kwargs)
        self.num_mask_classes = num_mask_classes

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """The constructor's arguments from ``cfg``."""
        arguments = super().from_config(cfg, is_train)
        arguments["augmentations"] = build_augmentation(cfg, is_train)
        arguments["num_mask_classes"] = cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES
        return arguments

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Maps one dict, which stays as it is.

        Raises:
            DataError: the picture or mask is missing, unreadable, or not of the size that the dict says; the mask holds
                an id that is no class.
        """
        mask = dataset_dict.get("sem_seg_file_name")
        if mask is not None and not self.is_train:
            # Evaluators read the ground truth at its own size; here it would be read and resized for nothing.
            dataset_dict = {key: value for key, value in dataset_dict.items() if key != "sem_seg_file_name"}
            mask = None
        if mask is not None:
            # The parent would turn colours or 16-bit ids into wrong ids without a word.
            found, expected = mask_size(mask), (dataset_dict["height"], dataset_dict["width"])
            if found != expected:
                raise DataError(
                    f"{mask}: the mask is {found[1]}x{found[0]}, its picture {expected[1]}x{expected[0]}; "
                    "download or write it again."
                )
        try:
            result = super().__call__(dataset_dict)
        except SizeMismatchError as error:
            raise DataError(
                f"{dataset_dict['file_name']}: {' '.join(str(error).split())}. The labels are for another size: take "
                "the original picture, or write its size into the label file."
            ) from error
        except OSError as error:
            names = " or ".join(filter(None, (dataset_dict["file_name"], mask)))
            raise DataError(f"{names}: the picture cannot be read ({error}); download it again.") from error
        if mask is not None:
            check_mask(result["sem_seg"].numpy(), self.num_mask_classes, mask)
        return result
