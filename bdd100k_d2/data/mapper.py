"""Detectron2's dataset mapper with the recipes' augmentations, and errors that name the file."""

from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetMapper
from detectron2.data.detection_utils import SizeMismatchError

from ..errors import DataError
from .augmentation import build_augmentation
from .masks import check_mask, read_mask


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
        if mask is not None:
            dataset_dict = dict(dataset_dict)
            if self.is_train:
                # The parent would turn colours or 16-bit ids into wrong ids without a word.
                shape = check_mask(read_mask(mask), self.num_mask_classes, mask).shape
                if shape != (dataset_dict["height"], dataset_dict["width"]):
                    raise DataError(
                        f"{mask}: the mask is {shape[1]}x{shape[0]}, its picture "
                        f"{dataset_dict['width']}x{dataset_dict['height']}; download or write it again."
                    )
            else:
                # Evaluators read the ground truth at its own size; here it would be read and resized for nothing.
                del dataset_dict["sem_seg_file_name"]
        try:
            return super().__call__(dataset_dict)
        except SizeMismatchError as error:
            raise DataError(
                f"{dataset_dict['file_name']}: {' '.join(str(error).split())}. The labels are for another size: take "
                "the original picture, or write its size into the label file."
            ) from error
        except OSError as error:
            raise DataError(
                f"{dataset_dict['file_name']}: the picture cannot be read ({error}); download it again."
            ) from error
