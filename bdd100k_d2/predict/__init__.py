"""Predicting on what a user gives: images, videos and splits, and the files that come of it.

From the model to the disk a prediction has five types:

* `RunSettings` (``journal``): what the user asked for, by which earlier results are told to be of the same run; the
  first line of ``frames.jsonl``.
* `Prediction` (``predictor``): a frame, its pixels and the model's output for it.
* `FrameResult` (``frame_result``): what is written and drawn of the output, as arrays.
* `FrameLine` (``journal``): its objects, or why the frame could not be read; a line of ``frames.jsonl``, from which
  a run goes on. Masks and bitmasks are files of their own.
* `Frame` (``data.labels``), for ins_seg `ScoredFrame` (``evaluation.results``): an element of the official list.
"""
