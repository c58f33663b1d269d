"""Random problems of tracking that meet all rules: crowds, ignored and absent classes, swapped, lost and false ids."""

import numpy as np

from bdd100k_d2.data.labels import Box2D, Frame, Label, LabelAttributes
from bdd100k_d2.tasks import SCORED_TASKS

_IGNORED = ("other person", "other vehicle", "trailer")


def random_videos(seed: int, videos: int = 3, frames: int = 14, objects: int = 9) -> tuple[list[Frame], list[Frame]]:
    """Ground truth and predictions in disorder; some objects of each class come close to one another."""
    rng = np.random.default_rng(seed)
    # Two classes never occur in the ground truth, one of them is predicted.
    names = [*SCORED_TASKS["box_track"].names[:6], "person", "motor", "van", "caravan"]
    truth: list[Frame] = []
    predictions: list[Frame] = []
    for video in range(videos):
        kinds = rng.choice([*names, *_IGNORED], objects)
        # In a small place, so that boxes overlap; whole pixels, so that distances are equal now and then.
        place = rng.integers(0, 120, (objects, 2)).astype(float)
        size = rng.choice([20, 24, 40, 41], (objects, 2))
        begin = rng.integers(0, frames // 2, objects)
        end = begin + rng.integers(1, frames, objects)
        ids = [*map(str, rng.permutation(objects))]
        for i in range(frames):
            place += rng.integers(-3, 4, (objects, 2))
            common = {"name": f"v{video}-{i + 1:07d}.jpg", "videoName": f"v{video}", "frameIndex": i}
            labels, found = [], []
            for k in range(objects):
                if not begin[k] <= i < end[k]:
                    continue
                x, y = place[k].tolist()
                width, height = size[k].tolist()
                flags = LabelAttributes(crowd=bool(rng.random() < 0.08), ignored=bool(rng.random() < 0.05))
                box = Box2D(x, y, x + width - 1, y + height - 1)
                # As the toolkit has them: any text in the ground truth, numbers in the predictions.
                name = f"obj {k}" if video else str(k)
                labels.append(Label(name, str(kinds[k]), attributes=flags, box2d=box))
                if rng.random() < 0.25:
                    ids[k] = str(100 * (i + 1) + k)
                if rng.random() < 0.8:
                    dx, dy = rng.choice([-6, -2, 0, 0, 0, 2, 6], 2).tolist()
                    box = Box2D(x + dx, y + dy, x + dx + width - 1, y + dy + height - 1)
                    found.append(Label(ids[k], str(kinds[k]), 0.5, box2d=box))
            for k in range(rng.integers(0, 3)):
                x, y = rng.integers(0, 200, 2).tolist()
                false = str(rng.choice([*names, "bicycle"]))
                found.append(Label(str(90000 + k), false, 0.5, box2d=Box2D(x, y, x + 30.0, y + 30.0)))
            order = rng.permutation(len(found))
            truth.append(Frame(**common, labels=labels if labels or rng.random() < 0.5 else None))
            predictions.append(Frame(**common, labels=[found[k] for k in order]))
    return _shuffled(truth, rng), _shuffled(predictions, rng)


def _shuffled(frames: list[Frame], rng: np.random.Generator) -> list[Frame]:
    return [frames[i] for i in rng.permutation(len(frames))]
