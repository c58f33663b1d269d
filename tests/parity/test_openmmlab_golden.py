"""The golden files of the zoo's families: small, complete, and made with weights that can be made again anywhere."""

import json
from pathlib import Path

import numpy as np
import pytest
from comparing import GOLDEN
from make_golden import OPENMMLAB
from seeded import ellipses, relative_position_index, seeded_state

FILES = sorted((GOLDEN / "openmmlab").glob("*.npz"))


def test_there_is_one_for_each_family_and_together_they_are_small() -> None:
    assert [path.stem for path in FILES] == sorted(OPENMMLAB)
    assert sum(path.stat().st_size for path in FILES) < 3_000_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_outputs_are_not_degenerate(path: Path) -> None:
    with np.load(path) as arrays:
        golden = dict(arrays)
    shapes = json.loads(str(golden["shapes"]))
    assert {name.split(".")[0] for name in shapes} <= {
        "backbone",
        "neck",
        "rpn_head",
        "roi_head",
        "bbox_head",
        "semantic_head",
        "decode_head",
        "auxiliary_head",
    }
    assert json.loads(str(golden["meta"]))["versions"]["mmdet"] == "3.3.0"
    for name, values in golden.items():
        if values.dtype.kind == "f":
            assert np.isfinite(values).all(), name
    sizes = {name.split("/")[0] for name in golden if "x" in name.split("/")[0]}
    assert len(sizes) == 2
    for size in sizes:
        classes = golden[f"{size}/classes"]
        assert len(np.unique(classes)) >= 2
        if f"{size}/scores" in golden:
            assert len(classes) >= 10 and golden[f"{size}/scores"].std() > 1e-3
        else:
            assert golden[f"{size}/logits"].std() > 0.5
    if "train/trained" in golden:
        assert len(golden["train/gradient_norms"]) == len(json.loads(str(golden["train/trained"])))


def test_a_models_own_scales_go_before_the_general_ones() -> None:
    shapes = {"roi_head.bbox_head.fc_cls.weight": [11, 1024], "roi_head.bbox_head.shared_fcs.0.weight": [8, 1024]}
    plain, scaled = seeded_state(shapes), seeded_state(shapes, scales={"fc_cls": 0.02})
    assert plain["roi_head.bbox_head.fc_cls.weight"].std() == pytest.approx(0.0005, rel=0.05)
    assert scaled["roi_head.bbox_head.fc_cls.weight"].std() == pytest.approx(0.02, rel=0.05)
    name = "roi_head.bbox_head.shared_fcs.0.weight"
    assert np.array_equal(plain[name], scaled[name])


def test_swins_index_counts_the_offsets_of_a_window() -> None:
    assert relative_position_index(2).tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    state = seeded_state({"backbone.stages.0.blocks.0.attn.w_msa.relative_position_index": [49, 49]})
    assert np.array_equal(next(iter(state.values())), relative_position_index(7))


def test_an_ellipse_fills_its_box() -> None:
    (mask,) = ellipses(np.array([[1, 1, 5, 4]], np.float32), 5, 7)
    assert mask.tolist() == [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 0, 0],
        [0, 1, 1, 1, 1, 0, 0],
        [0, 0, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]
