"""cleanlab's scores of boxes, in an environment of its own: `ENV/bin/python cleanlab_scores.py ASKED ANSWERED`.

`python -m venv ENV && ENV/bin/pip install cleanlab==2.9.0` makes one. It imports nothing of this package. The three
scores are those of ObjectLab (https://arxiv.org/abs/2309.00832), low for what is likely wrong.
"""

import json
import sys
from pathlib import Path

import numpy as np
from cleanlab.object_detection import rank


def main() -> None:
    """Reads boxes, and writes [score, kind, frame, place, box] of each that has a score."""
    asked = json.loads(Path(sys.argv[1]).read_text())
    labels, predictions = [], []
    for of_frame in asked["labels"]:
        rows = np.array(of_frame, float).reshape(-1, 6)
        labels.append({"bboxes": rows[:, 1:5], "labels": rows[:, 0].astype(int)})
    for of_frame in asked["predictions"]:
        rows = np.array(of_frame, float).reshape(-1, 6)
        by_class = [rows[rows[:, 0] == k][:, 1:] for k in range(asked["num_classes"])]
        predictions.append(np.array([*by_class, None], object)[:-1])
    kinds = {
        "overlooked": rank.compute_overlooked_box_scores(
            labels=labels, predictions=predictions, high_probability_threshold=asked["limit"]
        ),
        "badloc": rank.compute_badloc_box_scores(labels=labels, predictions=predictions),
        "swap": rank.compute_swap_box_scores(
            labels=labels, predictions=predictions, high_probability_threshold=asked["limit"]
        ),
    }
    answered = []
    for kind, of_frames in kinds.items():
        for frame, scores in enumerate(of_frames):
            # cleanlab's predictions stand by class.
            boxes = np.concatenate([one[:, :4] for one in predictions[frame]])
            for place, score in enumerate(np.asarray(scores, float).tolist()):
                if not np.isnan(score):
                    box = boxes[place].tolist() if kind == "overlooked" else None
                    answered.append([score, kind, frame, place, box])
    Path(sys.argv[2]).write_text(json.dumps(answered))


if __name__ == "__main__":
    main()
