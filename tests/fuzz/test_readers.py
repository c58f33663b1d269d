"""Whatever a file holds, its reader returns a value or a BDD100KError of one line, soon, and loses no label unsaid.

The cases are the same each time; BDD100K_FUZZ_CASES times as many are tried where it is set, and `tests/fuzz/run.py`
tries others for as long as it is told to.
"""

import os
from collections import defaultdict
from pathlib import Path

import pytest
from fuzz.cases import REFUSAL, VALUE, write_files
from fuzz.readers import readers
from fuzz.server import run_cases

READERS = readers()
TIMES = int(os.environ.get("BDD100K_FUZZ_CASES", "1"))


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_sound_files(name: str, tmp_path: Path) -> None:
    write_files(READERS[name], tmp_path)
    assert READERS[name].read(tmp_path) in (None, 2, 3, 4, 6)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_or_refuses_whatever_comes(name: str, tmp_path: Path) -> None:
    offences, kinds = defaultdict(list), set()
    for number, outcome in run_cases(name, 0, READERS[name].cases * TIMES, tmp_path):
        kinds.add(outcome.kind)
        if outcome.kind not in (VALUE, REFUSAL):
            offences[outcome.kind].append((number, outcome.detail))
    lines = [
        f"{len(cases)} x {kind}: python tests/fuzz/run.py --reader {name!r} --case {cases[0][0]}: {cases[0][1]}"
        for kind, cases in offences.items()
    ]
    assert not lines, "\n".join(lines)
    assert VALUE in kinds
