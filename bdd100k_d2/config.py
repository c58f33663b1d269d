"""The config keys of the package, and the configs it ships."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode, get_cfg
from PIL import Image

from .errors import ConfigError, DataError, did_you_mean, shown
from .parallel import loader_workers
from .yaml_file import read_yaml
from .zoo.table import ROWS, published_weights

# Of pixels, beside the modes of Pillow, which Detectron2 takes too.
_CHANNELS = ("BGR", "RGB", "YUV-BT.601")
_LONGEST_PATH = 4096
# Files that a config may be made of.
_MOST_BASES = 32


def add_bdd100k_config(cfg: CfgNode) -> None:
    """Adds the package's keys; their defaults change nothing in a stock config but the device and the workers."""
    # Detectron2's default is "cuda", which fails where there is none.
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

    # Detectron2's default is 4: here each GPU has its share of the machine's cores, at most 16. In several processes on
    # the CPU -1 shares them. The data are the same for any number.
    cfg.DATALOADER.NUM_WORKERS = loader_workers(max(torch.cuda.device_count(), 1))

    # Let convolutions on NVIDIA's newer GPUs round to TF32, as PyTorch does; the published recipes did not.
    # tools/train_net.py applies it; a script sets ``torch.backends.cudnn.allow_tf32``.
    cfg.CUDNN_ALLOW_TF32 = True

    # Keep convolutions channels last in memory, which is faster on the CPU, and on a GPU with SOLVER.AMP.ENABLED.
    cfg.MODEL.CHANNELS_LAST = True
    # Compile the backbone with its FPN by torch.compile, which takes a minute or more at the first step and needs a C++
    # compiler; again at each new size, and after some sizes PyTorch gives up and runs as without.
    cfg.MODEL.COMPILE = False

    # The classes that MODEL.WEIGHTS were trained for, where they do not say it: a data set that has names, such as
    # coco_2017_train, or the names between commas. Classes of the same names take their rows of the last layers.
    cfg.MODEL.WEIGHTS_CLASSES = ""
    # Where the weights called bdd100k://... and open-mmlab://... are looked for before their servers: a folder of any
    # layout, and the address of a mirror. Empty: the environment's BDD100K_WEIGHTS and BDD100K_WEIGHTS_MIRROR.
    cfg.MODEL.ZOO = CfgNode()
    cfg.MODEL.ZOO.FOLDER = ""
    cfg.MODEL.ZOO.MIRROR = ""

    # Let a step of several processes leave parameters without a gradient, which costs a walk over the graph.
    cfg.MODEL.DDP_FIND_UNUSED_PARAMETERS = False

    # Three 3x3 convolutions in place of the 7x7 one: the ResNet-v1c of the segmentation zoo.
    cfg.MODEL.RESNETS.DEEP_STEM = False
    # 8: res4 and res5 keep the size of res3 and dilate in place, the ResNet-D8 of the segmentation zoo. 32 is usual.
    cfg.MODEL.RESNETS.OUTPUT_STRIDE = 32

    # Batch norm by the loaded statistics while its scale and shift are trained: Vis4D's and mmdet's detectors. With
    # RESNETS.NORM "BN" and the package's backbones, and timm's; Detectron2's "FrozenBN" fixes scale and shift too.
    cfg.MODEL.BACKBONE.FIXED_NORM_STATISTICS = False
    # The model of timm, by its name there, that BACKBONE.NAME build_timm_fpn_backbone and
    # build_timm_semantic_fpn_backbone build. MODEL.WEIGHTS fills it, from a file of timm's, or from a name such as
    # pip://efficientnet-lite0 (an installed package) or timm://convnext_tiny.fb_in22k_ft_in1k (timm's hub).
    cfg.MODEL.TIMM = CfgNode()
    cfg.MODEL.TIMM.NAME = ""
    # timm's out_indices, empty for its own. Maps of strides 4, 8, 16 and 32 are res2 to res5 in FPN.IN_FEATURES.
    cfg.MODEL.TIMM.OUT_INDICES = []
    # Fix so many of timm's feature stages, with what is before them; BACKBONE.FREEZE_AT is for ResNets.
    cfg.MODEL.TIMM.FROZEN_STAGES = 0
    # The greatest probability with which a residual branch is left out in training (stochastic depth).
    cfg.MODEL.TIMM.DROP_PATH = 0.0
    # The HRNet of timm that BACKBONE.NAME build_hrnet_fpn_backbone, with its own pyramid of features, and
    # build_hrnet_backbone build: channels of the finest branch, "BN" or "SyncBN", and whether branches are resized
    # between four pixels and to each other's size (mmsegmentation) or by repeating pixels (mmdet and timm).
    cfg.MODEL.HRNET = CfgNode()
    cfg.MODEL.HRNET.WIDTH = 18
    cfg.MODEL.HRNET.NORM = "BN"
    cfg.MODEL.HRNET.BILINEAR = False
    # The ConvNeXt or Swin of torchvision that BACKBONE.NAME build_torchvision_fpn_backbone, or without an FPN
    # build_torchvision_backbone, builds: convnext_tiny, convnext_small, convnext_base, swin_t, swin_s or swin_b.
    cfg.MODEL.TORCHVISION = CfgNode()
    cfg.MODEL.TORCHVISION.NAME = ""
    cfg.MODEL.TORCHVISION.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    # The greatest probability with which a residual branch is left out in training (stochastic depth).
    cfg.MODEL.TORCHVISION.DROP_PATH = 0.0
    # A layer norm on each output, as the zoo's models have; torchvision has none.
    cfg.MODEL.TORCHVISION.OUT_NORMS = True
    # The epsilon of the norms before ConvNeXt's downsampling convolutions: 1e-6 in torchvision and mmpretrain, 1e-5 in
    # the zoo's models, which are older.
    cfg.MODEL.TORCHVISION.DOWNSAMPLE_EPS = 1e-6
    # A ReLU between RetinaNet's P6 and P7: Detectron2 has it, the RetinaNets of the zoo have not.
    cfg.MODEL.FPN.RELU_BEFORE_P7 = True
    # What dense detectors make P6 of: "res5", as RetinaNet, or "p5", as ATSS.
    cfg.MODEL.FPN.TOP_BLOCK_IN_FEATURE = "res5"
    # ATSS takes these and, of MODEL.RETINANET, the keys of classes, head, deltas, focal loss and test: how many anchors
    # of each level, the nearest ones, may learn a box, and the weight of the loss of boxes.
    cfg.MODEL.ATSS = CfgNode()
    cfg.MODEL.ATSS.CANDIDATES = 9
    cfg.MODEL.ATSS.BOX_LOSS_WEIGHT = 2.0
    # Clip RetinaNet's boxes to the image and drop the empty ones before NMS, as mmdet does, or after it.
    cfg.MODEL.RETINANET.CLIP_BEFORE_NMS = False

    # Leave anchors that cross the image's border by more pixels than this out of the RPN's training, before they are
    # matched; -1 keeps all. Vis4D allows 0. (Detectron2's BOUNDARY_THRESH leaves them out after matching.)
    cfg.MODEL.RPN.ALLOWED_BORDER = -1
    # The best anchor of a box is positive only from this IoU on: 0.3 in Vis4D and mmdet, any in Detectron2.
    cfg.MODEL.RPN.MIN_LOW_QUALITY_IOU = 0.0
    # With a MIN_LOW_QUALITY_IOU, let such an anchor learn the box whose best it is, as in mmdet, or the one that it
    # overlaps most, as in Vis4D and Detectron2.
    cfg.MODEL.RPN.LOW_QUALITY_MOVES = False
    # Divide the RPN's losses by the anchors that were sampled, as Vis4D and mmdet do, or by BATCH_SIZE_PER_IMAGE.
    cfg.MODEL.RPN.AVERAGE_OVER_SAMPLED = False

    # Limit how far a box may shrink, as Detectron2 limits how far it may grow: in Vis4D and mmdet both by 1000 / 16.
    cfg.MODEL.CLIP_DELTAS_BELOW = False
    # Weights of the stages' losses, one each: train as mmdet's Cascade R-CNN does, with the whole gradient on the
    # features, and proposals that each stage samples anew, the labelled boxes among them. Empty: as Detectron2's does.
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.LOSS_WEIGHTS = []
    # Average the stages' logits before the softmax, as mmdet's Cascade R-CNN does, or the probabilities after it.
    cfg.MODEL.ROI_BOX_CASCADE_HEAD.AVERAGE_LOGITS = False

    # With ROI_HEADS.NAME BDD100KROIHeads: let a proposal learn the box whose best it is, from this IoU on, as mmdet's
    # Mask R-CNN does with 0.5, or, with 0, the box that it overlaps most.
    cfg.MODEL.ROI_HEADS.MIN_LOW_QUALITY_IOU = 0.0
    # With BDD100KROIHeads too: one NMS for the boxes of all classes, as in mmdet's Panoptic FPN, or one for each class.
    cfg.MODEL.ROI_HEADS.CLASS_AGNOSTIC_NMS = False

    # With BDD100KROIHeads and its cascades: the loss of the boxes' classes, "softmax", the background among them, or
    # "sigmoid_focal", by these keys, of each class for itself and divided by the foreground proposals (Lin et al.).
    cfg.MODEL.ROI_BOX_HEAD.CLS_LOSS = "softmax"
    cfg.MODEL.ROI_BOX_HEAD.FOCAL_LOSS_GAMMA = 2.0
    cfg.MODEL.ROI_BOX_HEAD.FOCAL_LOSS_ALPHA = 0.25
    # The score that each class begins with under "sigmoid_focal".
    cfg.MODEL.ROI_BOX_HEAD.PRIOR_PROB = 0.01

    # Initial values of the heads: "detectron2", or "vis4d" as the published recipes start.
    cfg.MODEL.ROI_BOX_HEAD.INIT = "detectron2"
    cfg.MODEL.SEM_SEG_HEAD.INIT = "detectron2"

    # Share of the head's feature channels that are zeroed in training.
    cfg.MODEL.SEM_SEG_HEAD.DROPOUT = 0.0
    # Take the loss at the head's stride, of every COMMON_STRIDE-th pixel of the mask, as mmdet's Panoptic FPN does, or
    # of logits that are resized to the mask.
    cfg.MODEL.SEM_SEG_HEAD.LOSS_AT_STRIDE = False
    # Make SemanticFPNHead's 3x3 convolutions deformable ones with a mask (version 2).
    cfg.MODEL.SEM_SEG_HEAD.DEFORMABLE = False
    # Divide the loss by all pixels, as the zoo's recipe does, or by the ones that are not ignored, as Detectron2 does.
    cfg.MODEL.SEM_SEG_HEAD.AVERAGE_OVER_IGNORED = False
    # How the heads of EncoderDecoder resize maps: the zoo's models of 769x769 align the corners' centres.
    cfg.MODEL.SEM_SEG_HEAD.ALIGN_CORNERS = False
    # FCNHead: its convolutions, their kernel, and whether the map is put before what they made of it.
    cfg.MODEL.SEM_SEG_HEAD.FCN = CfgNode()
    cfg.MODEL.SEM_SEG_HEAD.FCN.NUM_CONVS = 2
    cfg.MODEL.SEM_SEG_HEAD.FCN.KERNEL = 3
    cfg.MODEL.SEM_SEG_HEAD.FCN.CONCATENATE = True
    # A second head of EncoderDecoder in training, on this map of the backbone; empty for none.
    cfg.MODEL.SEM_SEG_HEAD.AUXILIARY = CfgNode()
    cfg.MODEL.SEM_SEG_HEAD.AUXILIARY.IN_FEATURE = ""
    cfg.MODEL.SEM_SEG_HEAD.AUXILIARY.CONVS_DIM = 256
    cfg.MODEL.SEM_SEG_HEAD.AUXILIARY.LOSS_WEIGHT = 0.4
    # SEM_SEG_HEAD.NAME PointRendHead: the keys of Detectron2's project PointRend, whose classes are SEM_SEG_HEAD's.
    cfg.MODEL.POINT_HEAD = CfgNode()
    cfg.MODEL.POINT_HEAD.NAME = "StandardPointHead"
    # The head whose logits are refined, and the maps that the points are looked up in.
    cfg.MODEL.POINT_HEAD.COARSE_SEM_SEG_HEAD_NAME = "SemSegFPNHead"
    cfg.MODEL.POINT_HEAD.IN_FEATURES = ("p2",)
    # In training: so many points of an image, the share of them that is uncertain, and of how many times as many.
    cfg.MODEL.POINT_HEAD.TRAIN_NUM_POINTS = 14 * 14
    cfg.MODEL.POINT_HEAD.IMPORTANCE_SAMPLE_RATIO = 0.75
    cfg.MODEL.POINT_HEAD.OVERSAMPLE_RATIO = 3
    # In inference: how often the size is doubled, and the most uncertain points that are computed anew each time.
    cfg.MODEL.POINT_HEAD.SUBDIVISION_STEPS = 5
    cfg.MODEL.POINT_HEAD.SUBDIVISION_NUM_POINTS = 28 * 28
    cfg.MODEL.POINT_HEAD.FC_DIM = 256
    cfg.MODEL.POINT_HEAD.NUM_FC = 3
    cfg.MODEL.POINT_HEAD.COARSE_PRED_EACH_LAYER = True
    cfg.MODEL.POINT_HEAD.CLS_AGNOSTIC_MASK = False
    # EncoderDecoder predicts an image in windows of this height and width, so far apart; empty: as a whole.
    cfg.MODEL.SLIDING_WINDOW = CfgNode()
    cfg.MODEL.SLIDING_WINDOW.SIZE = []
    cfg.MODEL.SLIDING_WINDOW.STRIDE = []

    # Resize by Pillow, which smooths when it shrinks, as Detectron2 does, or between the four nearest pixels, as Vis4D
    # and mmdet do; in training and in evaluation.
    cfg.INPUT.RESIZE_ANTIALIAS = True
    # Clip the boxes to train with to the image, as Detectron2 does, or leave them as labelled, as Vis4D does.
    cfg.INPUT.CLIP_BOXES = True
    # Train with another image in place of one that cannot be read, or whose mask cannot, unless the disk is gone.
    cfg.INPUT.SKIP_UNREADABLE = False
    # Draw a segmentation crop again, at most ten times, while one class covers this share of its labelled pixels.
    cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA = 1.0
    # Of this share of the images, crop around an object, or where there are masks alone a pixel, of a class that is
    # drawn of those in the image by its repeat factor, see DATALOADER.REPEAT_THRESHOLD; of the others anywhere.
    cfg.INPUT.CROP.CLASS_BALANCED_PROB = 0.0

    # Brightness, contrast, saturation and hue, changed together and in random order.
    cfg.INPUT.COLOR_JITTER = CfgNode()
    # Share of the images that are changed.
    cfg.INPUT.COLOR_JITTER.PROB = 0.0
    # Factors are drawn from 1 - x to 1 + x, the hue's shift from -x to x of the colour circle.
    cfg.INPUT.COLOR_JITTER.BRIGHTNESS = 0.125
    cfg.INPUT.COLOR_JITTER.CONTRAST = 0.5
    cfg.INPUT.COLOR_JITTER.SATURATION = 0.5
    cfg.INPUT.COLOR_JITTER.HUE = 0.05

    # mmsegmentation's changes of the same four, each of half of the images, in place of or after COLOR_JITTER.
    cfg.INPUT.PHOTOMETRIC_DISTORTION = False
    # mmdetection 2.x's changes of the same four in floating point, and of the order of channels, each of half of the
    # images: those of the zoo's strong recipes.
    cfg.INPUT.FLOAT_PHOTOMETRIC_DISTORTION = False
    # Train detectors on four images around a point of a canvas of 2 * SIZE (height, width), which each one is fitted
    # into; the point is drawn within CENTER_RANGE, in widths and heights of SIZE. What follows resizes and crops it.
    cfg.INPUT.MOSAIC = CfgNode()
    cfg.INPUT.MOSAIC.ENABLED = False
    cfg.INPUT.MOSAIC.SIZE = (720, 1280)
    cfg.INPUT.MOSAIC.CENTER_RANGE = (0.5, 1.5)
    # Then average it with another image, which is fitted into SIZE, resized by a factor within RATIO_RANGE and flipped
    # with FLIP_PROB; the boxes of both are trained on.
    cfg.INPUT.MIXUP = CfgNode()
    cfg.INPUT.MIXUP.ENABLED = False
    cfg.INPUT.MIXUP.SIZE = (720, 1280)
    cfg.INPUT.MIXUP.RATIO_RANGE = (0.5, 1.5)
    cfg.INPUT.MIXUP.FLIP_PROB = 0.5
    # Paste objects of other images into each, with MODEL.MASK_ON by their masks, else as rectangles: from the least to
    # the most of NUM_OBJECTS, each of a class that is drawn by its repeat factor, at its height in the frame, resized
    # by a factor within SCALE_RANGE and flipped with FLIP_PROB. None hides more than MAX_COVER of what is seen of
    # another; a Gaussian of BLEND_SIGMA pixels softens the border.
    cfg.INPUT.COPY_PASTE = CfgNode()
    cfg.INPUT.COPY_PASTE.ENABLED = False
    cfg.INPUT.COPY_PASTE.NUM_OBJECTS = (1, 3)
    cfg.INPUT.COPY_PASTE.SCALE_RANGE = (0.8, 1.25)
    cfg.INPUT.COPY_PASTE.FLIP_PROB = 0.5
    cfg.INPUT.COPY_PASTE.MAX_COVER = 0.5
    cfg.INPUT.COPY_PASTE.BLEND_SIGMA = 0.0
    # Combine images in so many epochs from the first, and train on single ones at MIN_SIZE_TEST after them; 0: in all.
    cfg.INPUT.COMBINED_EPOCHS = 0

    # Data sets of your own to register before TRAIN and TEST are looked up, each a mapping of the arguments of
    # `register_dataset`: {name: mine, labels: "coco/{split}.json", images: "images/{split}", classes: [car, tram]}.
    cfg.DATASETS.OWN = []
    # Slices to register before TRAIN and TEST are looked up, each a mapping of the arguments of `register_slice`:
    # {name: wet_night, base: bdd100k_det_val, timeofday: night, weather: [rainy, snowy]} or
    # {name: some, base: mine_val, share: 0.2}.
    cfg.DATASETS.SLICES = []

    # The share for SAMPLER_TRAIN "RandomSubsetTrainingSampler"; Detectron2 v0.6 reads this key and does not have it.
    cfg.DATALOADER.RANDOM_SUBSET_RATIO = 1.0

    # With SOLVER.AMP.ENABLED on a GPU: "float16" with scaled losses, or "bfloat16"; the CPU always has bfloat16.
    cfg.SOLVER.AMP.DTYPE = "float16"
    # "SGD" as in Detectron2, or "AdamW", which decouples WEIGHT_DECAY from the gradient.
    cfg.SOLVER.OPTIMIZER = "SGD"
    # The decay of layer norms, of ConvNeXt's layer scales and of Swin's tables of relative positions; null: that of
    # other norms, WEIGHT_DECAY_NORM.
    cfg.SOLVER.WEIGHT_DECAY_LAYER_NORM = None
    # Lower the rate of a ConvNeXt's layers, RATE ** (LAYERS + 1 - layer) of BASE_LR, with Meta's numbers of layers: BY
    # "layer" as in its detectors (LAYERS 6 for ConvNeXt-T, 12 for S and B) or "stage" as in its segmenters (6). All
    # that is not the backbone's, and the norms of its outputs, train at BASE_LR. RATE 1 changes nothing.
    cfg.SOLVER.LAYER_DECAY = CfgNode()
    cfg.SOLVER.LAYER_DECAY.RATE = 1.0
    cfg.SOLVER.LAYER_DECAY.LAYERS = 6
    cfg.SOLVER.LAYER_DECAY.BY = "layer"
    # LR_SCHEDULER_NAME "WarmupPolyLR" falls from BASE_LR to POLY_MIN_LR as (1 - iteration / MAX_ITER) ** POLY_POWER.
    # The warm-up multiplies that, as in Vis4D; Detectron2's schedules reach their curve where it ends.
    cfg.SOLVER.POLY_POWER = 0.9
    cfg.SOLVER.POLY_MIN_LR = 0.0001

    # Beside the weights keep their exponential moving average: in checkpoints (key "ema"), evaluated as "ema/...", at
    # the end in model_final_ema.pth. Update n keeps min(DECAY, (1 + n) / (1 + WARMUP + n)) of it.
    cfg.MODEL.EMA = CfgNode()
    cfg.MODEL.EMA.ENABLED = False
    cfg.MODEL.EMA.DECAY = 0.9998
    cfg.MODEL.EMA.WARMUP = 10

    # Every PERIOD iterations (0: never) the training losses on NUM_IMAGES labelled images of the first test set.
    cfg.TEST.VAL_LOSS = CfgNode()
    cfg.TEST.VAL_LOSS.PERIOD = 0
    cfg.TEST.VAL_LOSS.NUM_IMAGES = 64
    # At each evaluation draw the predictions on this many images, for TensorBoard and Weights & Biases.
    cfg.TEST.NUM_PICTURES = 4
    # At each evaluation of boxes, instances or panoptic segments write the results also as COCO has them, for other
    # tools: coco_instances_results.json, which pycocotools' loadRes takes; coco_panoptic_results.json with
    # panoptic/*.png. The ids are those of the COCO file that tools/convert_labels.py --to coco makes of the labels.
    # record_instances_results.json is the first by the records' image_id, for Detectron2's visualize_json_results.py.
    cfg.TEST.COCO_RESULTS = False
    # End the training after PATIENCE evaluations in which METRIC ("bbox/AP", "ema/sem_seg/mIoU"; "val_loss/total_loss",
    # which is better when lower) did not improve by more than MIN_DELTA; "" trains to the end.
    cfg.TEST.EARLY_STOPPING = CfgNode()
    cfg.TEST.EARLY_STOPPING.METRIC = ""
    cfg.TEST.EARLY_STOPPING.PATIENCE = 5
    cfg.TEST.EARLY_STOPPING.MIN_DELTA = 0.0

    # Log to Weights & Biases, which has to be installed; NAME "" lets it choose one.
    cfg.WANDB = CfgNode()
    cfg.WANDB.ENABLED = False
    cfg.WANDB.PROJECT = "bdd100k_d2"
    cfg.WANDB.NAME = ""

    # Keep this many checkpoints, the newest, besides model_best and model_final; 0 keeps all, as Detectron2 does.
    cfg.SOLVER.CHECKPOINT_KEEP = 0
    # Save model_best.pth when this score is best: "bbox/AP", of several test sets "bdd100k_det_val/bbox/AP"; "": never.
    cfg.SOLVER.BEST_METRIC = ""
    # Whether "max" or "min" is the best value.
    cfg.SOLVER.BEST_MODE = "max"


def value_of(cfg: CfgNode, key: str) -> Any:  # noqa: ANN401, whatever the key holds
    """The value of a key with dots, such as ``MODEL.ROI_HEADS.NUM_CLASSES``."""
    for part in key.split("."):
        cfg = cfg[part]
    return cfg


def with_keys(cfg: CfgNode, *keys_and_values: object) -> CfgNode:
    """A copy of ``cfg`` with keys and values in turn, frozen if ``cfg`` is."""
    changed = cfg.clone()
    changed.defrost()
    changed.merge_from_list([*keys_and_values])
    if cfg.is_frozen():
        changed.freeze()
    return changed


def with_our_keys(cfg: CfgNode) -> CfgNode:
    """``cfg`` if it has the package's keys, else a copy with their defaults, and Detectron2's, where it has none.

    Programs that know nothing of the package read its configs with Detectron2's defaults and what the files have.
    """
    complete = get_cfg()
    add_bdd100k_config(complete)
    if {key for key, _ in all_keys(complete)} <= {key for key, _ in all_keys(cfg)}:
        return cfg
    complete.set_new_allowed(True)
    complete.merge_from_other_cfg(cfg)
    return complete


def get_config(name: str, trained: bool = False) -> CfgNode:
    """The config of a shipped model.

    Args:
        name: a path below ``configs/`` without its ending, e.g. ``det/faster_rcnn_R_50_FPN_1x``.
        trained: set ``MODEL.WEIGHTS`` to the name of the weights that were published for the model; they are
            fetched when they are loaded.

    Raises:
        ConfigError: there is no such config, or no published weights for it; the message lists the names there are.
    """
    cfg = load_config(config_folder() / f"{name}.yaml")
    if trained:
        weights = published_weights(name)
        if weights is None:
            having = ", ".join(dict.fromkeys(row.config for row in ROWS if row.weights))
            raise ConfigError(f"{name}: no weights were published for this config. There are some for {having}.")
        cfg.MODEL.WEIGHTS = weights
    return cfg


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> CfgNode:
    """Reads a config file over the defaults of Detectron2 and of the package.

    Args:
        path: a YAML file, with ``_BASE_`` or without.
        overrides: keys and values in turn, as on the command line.

    Raises:
        ConfigError: the file does not exist or is no config, or holds a key that does not exist or is null.
    """
    cfg = get_cfg()
    add_bdd100k_config(cfg)
    if not Path(path).is_file():
        raise ConfigError(
            f"{shown(path) or 'no config file'}: no such config; give one with --config-file. "
            f"Shipped are {', '.join(config_names())}."
        )
    kinds = {key: type(value) for key, value in all_keys(cfg)}
    try:
        cfg.merge_from_other_cfg(CfgNode(read_config(Path(path))))
        cfg.merge_from_list(list(overrides))
    except (KeyError, AssertionError) as error:
        message = str(error.args[0] if error.args else error)
        hint = did_you_mean(message.rsplit(" ", 1)[-1], kinds, most=1)
        raise ConfigError(f"{path}: {shown(message)}.{hint and f' {hint}'}") from error
    except (ValueError, TypeError, AttributeError, MemoryError, RuntimeError, SyntaxError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = shown(" ".join(str(error).split()) or "it is nested too deeply")
        raise ConfigError(f"{path}: not a usable config: {reason}") from error
    for key, value in all_keys(cfg):
        # Detectron2 takes null for anything, and fails where it is used; a number may be left out in this way.
        if value is None and kinds.get(key) in (bool, str, list, tuple, CfgNode):
            raise ConfigError(f"{path}: {key} is null; give it a value or leave it out.")
        if isinstance(value, str) and "\0" in value:
            raise ConfigError(f"{path}: {key} is {shown(repr(value))}, with a character of no name; mend it.")
    if cfg.INPUT.FORMAT not in (*_CHANNELS, *Image.MODES):
        raise ConfigError(f"{path}: INPUT.FORMAT is {shown(repr(cfg.INPUT.FORMAT))}; give {' or '.join(_CHANNELS)}.")
    return cfg


def read_config(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file over those of its ``_BASE_``, a file or several, which may have such too.

    As Detectron2's `CfgNode.load_yaml_with_base`, but of local files alone, and by the safe loader.

    Raises:
        ConfigError: a file is none, or no mapping of keys, or its own base.
    """
    return _read_config(path, (), [])


def _read_config(path: Path, above: tuple[Path, ...], read: list[Path]) -> dict[str, Any]:
    place = path.resolve()
    if place in above:
        raise ConfigError(f"{path}: is its own _BASE_, by way of {above[-1]}; take one of them out.")
    read.append(place)
    if len(read) > _MOST_BASES:
        raise ConfigError(f"{path}: has more than {_MOST_BASES} files as _BASE_; take some out.")
    of = f", the _BASE_ of {above[-1]}" if above else ""
    if above and path.is_fifo():
        # One that the user names may be meant, as `<(...)`.
        raise ConfigError(f"{path}: not a usable config{of}: a pipe, which may never be written; give a file.")
    try:
        document = read_yaml(path)
    except DataError as error:
        raise ConfigError(f"{path}: not a usable config{of}: {str(error).removeprefix(f'{path}: ')}") from error
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise ConfigError(f"{path}: not a usable config: keys with values are expected, as MODEL or SOLVER.")
    bases = document.pop("_BASE_", [])
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases if isinstance(bases, list) else [None]:
        if not isinstance(base, str) or "://" in base or not base.isprintable() or not 0 < len(base) < _LONGEST_PATH:
            raise ConfigError(f"{path}: _BASE_ is {shown(repr(base))}, and no path of a file; nothing is fetched.")
        merged = _over(_read_config(path.parent / Path(base).expanduser(), (*above, place), read), merged, path)
    return _over(document, merged, path)


def _over(values: dict[str, Any], base: dict[str, Any], path: Path) -> dict[str, Any]:
    merged = dict(base)
    for key, value in values.items():
        if isinstance(value, dict) and key in merged:
            if not isinstance(merged[key], dict):
                raise ConfigError(f"{path}: {shown(key)} holds keys, in its _BASE_ it is a value; mend one of them.")
            merged[key] = _over(value, merged[key], path)
        else:
            merged[key] = value
    return merged


def config_folder() -> Path:
    """The folder of the shipped configs: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """The names that :func:`get_config` takes."""
    folder = config_folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.yaml"))


def all_keys(cfg: CfgNode, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Each key with dots, such as ``SOLVER.BASE_LR``, with its value; those that hold further keys come before them."""
    for key, value in cfg.items():
        yield prefix + key, value
        if isinstance(value, CfgNode):
            yield from all_keys(value, f"{prefix}{key}.")
