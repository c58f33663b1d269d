"""A prediction run that kills itself: config, input, output folder, batch size, frames before that."""

import sys
from pathlib import Path

from prediction_models import Scripted

import bdd100k_d2
from bdd100k_d2.engine.prediction.inputs import find_input
from bdd100k_d2.engine.prediction.journal import FILE_NAME
from bdd100k_d2.engine.prediction.run import Options, PredictionRun

if __name__ == "__main__":
    config, source, folder, batch_size, after = sys.argv[1:]
    predictor = Scripted(int(batch_size), int(after), Path(folder) / FILE_NAME)
    run = PredictionRun(
        bdd100k_d2.load_config(config), find_input(source, Path(folder)), Path(folder), Options(overlay=True)
    )
    run.run(predictor)
