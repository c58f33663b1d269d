"""The ways to run a model that are compared: stock Detectron2, this package, and each of its levers alone."""

from typing import NamedTuple

_WITHOUT_LEVERS = ("MODEL.CHANNELS_LAST", "False")


class Variant(NamedTuple):
    """One way to run a model.

    Attributes:
        name: in the table.
        kind: "stock" or "ours".
        keys: of the config, with values in turn.
        batch_size: images that a prediction takes at a time; training has the config's.
        amp: mixed precision in prediction.
        fold: whether prediction folds the norms.
    """

    name: str
    kind: str
    keys: tuple[str, ...] = ()
    batch_size: int = 1
    amp: bool = False
    fold: bool = True


def training_variants(on_gpu: bool, levers: bool) -> list[Variant]:
    """What is compared in training; with ``levers`` each of them alone."""
    amp = ("SOLVER.AMP.ENABLED", "True")
    plain = ("SOLVER.AMP.ENABLED", "False")
    variants = [Variant("stock", "stock", plain)]
    if on_gpu:
        variants.append(Variant("stock, AMP", "stock", amp))
    variants += [Variant("ours", "ours", plain), Variant("ours, AMP", "ours", amp)]
    if on_gpu:
        variants.append(Variant("ours, AMP in bfloat16", "ours", (*amp, "SOLVER.AMP.DTYPE", "bfloat16")))
    if levers:
        variants += [
            Variant("ours, no lever", "ours", (*plain, *_WITHOUT_LEVERS)),
            Variant("channels last alone", "ours", (*plain, "MODEL.CHANNELS_LAST", "True")),
            Variant("AMP alone", "ours", (*_WITHOUT_LEVERS, *amp)),
            Variant("compiled alone", "ours", (*plain, *_WITHOUT_LEVERS, "MODEL.COMPILE", "True")),
        ]
        if on_gpu:
            variants += [
                Variant("cuDNN's autotuning alone", "ours", (*plain, *_WITHOUT_LEVERS, "CUDNN_BENCHMARK", "True")),
                Variant("all", "ours", (*amp, "MODEL.COMPILE", "True", "CUDNN_BENCHMARK", "True")),
            ]
    return variants


def predicting_variants(on_gpu: bool, levers: bool, batch_size: int) -> list[Variant]:
    """What is compared in prediction; with ``levers`` each of them alone."""
    variants = [
        Variant("stock", "stock"),
        Variant("ours", "ours"),
        Variant(f"ours, batches of {batch_size}", "ours", batch_size=batch_size),
        Variant(f"ours, batches of {batch_size}, AMP", "ours", batch_size=batch_size, amp=True),
    ]
    if levers:
        variants += [
            Variant("ours, no lever", "ours", _WITHOUT_LEVERS, fold=False),
            Variant("channels last alone", "ours", fold=False),
            Variant("folded norms alone", "ours", _WITHOUT_LEVERS),
            Variant("AMP alone", "ours", _WITHOUT_LEVERS, amp=True, fold=False),
            Variant("compiled alone", "ours", (*_WITHOUT_LEVERS, "MODEL.COMPILE", "True"), fold=False),
        ]
        if on_gpu:
            keys = ("CUDNN_BENCHMARK", "True")
            variants += [
                Variant("cuDNN's autotuning alone", "ours", (*_WITHOUT_LEVERS, *keys), fold=False),
                Variant("all", "ours", ("MODEL.COMPILE", "True", *keys), batch_size=batch_size, amp=True),
            ]
    return variants
