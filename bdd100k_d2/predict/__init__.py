"""Predicting on what a user gives: images, videos and splits, and the files that come of it.

From the model to the disk a prediction has five types:

* `RunSettings` (``journal``): the first line of ``frames.jsonl``, by which earlier results are told to be of the run.
* `Prediction` (``predictor``): a frame, its pixels and the model's output for it.
* `FrameResult` (``frame_result``): what is written and drawn of the output, as arrays.
* `FrameLine` (``journal``): a line of that file: the objects (masks are files of their own), or why there are none.
* `Frame` (``data.labels``), for ins_seg `ScoredFrame` (``data.score_file``): an element of the
  official list.
"""
