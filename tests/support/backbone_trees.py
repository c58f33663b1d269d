"""The tensors' names and shapes of ConvNeXt and Swin in the layouts of those who publish them."""

from .module_trees import Shapes, layer, norm

BLOCKS = {"T": (3, 3, 9, 3), "S": (3, 3, 27, 3), "swin": (2, 2, 6, 2)}


def _norm(name: str, channels: int) -> Shapes:
    return norm(name, channels, statistics=False)


def convnext(prefix: str, *, openmmlab: bool, size: str = "T", width: int = 96, norms: bool = True) -> Shapes:
    """OpenMMLab's names, or Meta's."""
    names = ("depthwise_conv", "pointwise_conv1", "pointwise_conv2") if openmmlab else ("dwconv", "pwconv1", "pwconv2")
    shapes: Shapes = {}
    for i, blocks in enumerate(BLOCKS[size]):
        channels = width * 2**i
        stem = (0, 1) if i == 0 else (1, 0)
        before = (channels, 3, 4, 4) if i == 0 else (channels, channels // 2, 2, 2)
        shapes |= layer(f"downsample_layers.{i}.{stem[0]}", *before)
        shapes |= _norm(f"downsample_layers.{i}.{stem[1]}", channels if i == 0 else channels // 2)
        for j in range(blocks):
            name = f"stages.{i}.{j}"
            shapes |= {f"{name}.gamma": (channels,)} | layer(f"{name}.{names[0]}", channels, 1, 7, 7)
            shapes |= _norm(f"{name}.norm", channels) | layer(f"{name}.{names[1]}", 4 * channels, channels)
            shapes |= layer(f"{name}.{names[2]}", channels, 4 * channels)
        if openmmlab and norms:
            shapes |= _norm(f"norm{i}", channels)
    return {prefix + key: shape for key, shape in shapes.items()}


def swin(prefix: str, *, openmmlab: bool, width: int = 96) -> Shapes:
    """OpenMMLab's names, or Microsoft's."""
    shapes = layer(f"patch_embed.{'projection' if openmmlab else 'proj'}", width, 3, 4, 4) | _norm(
        "patch_embed.norm", width
    )
    stages, attention = ("stages", "attn.w_msa") if openmmlab else ("layers", "attn")
    mlp = ("ffn.layers.0.0", "ffn.layers.1") if openmmlab else ("mlp.fc1", "mlp.fc2")
    for i, blocks in enumerate(BLOCKS["swin"]):
        channels = width * 2**i
        for j in range(blocks):
            name = f"{stages}.{i}.blocks.{j}"
            shapes |= _norm(f"{name}.norm1", channels) | _norm(f"{name}.norm2", channels)
            shapes |= layer(f"{name}.{attention}.qkv", 3 * channels, channels)
            shapes |= layer(f"{name}.{attention}.proj", channels, channels)
            shapes[f"{name}.{attention}.relative_position_bias_table"] = (169, 3 * 2**i)
            shapes[f"{name}.{attention}.relative_position_index"] = (49, 49)
            if not openmmlab and j % 2 and i < 3:
                shapes[f"{name}.attn_mask"] = (4, 49, 49)
            shapes |= layer(f"{name}.{mlp[0]}", 4 * channels, channels) | layer(
                f"{name}.{mlp[1]}", channels, 4 * channels
            )
        if i < 3:
            shapes |= _norm(f"{stages}.{i}.downsample.norm", 4 * channels)
            shapes[f"{stages}.{i}.downsample.reduction.weight"] = (2 * channels, 4 * channels)
        if openmmlab:
            shapes |= _norm(f"norm{i}", channels)
    return {prefix + key: shape for key, shape in shapes.items()}
