"""Fuzzes the readers for longer: `python tests/fuzz/run.py --minutes 60` prints cases, refusals, values, offenders.

`--reader "coco" --case 17` repeats one case, with its traceback, and leaves its files in `--keep DIR`.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fuzz.cases import REFUSAL, VALUE, run_case  # noqa: E402
from fuzz.readers import readers  # noqa: E402
from fuzz.server import run_cases  # noqa: E402

# Cases of one reader before the next has its turn.
_BATCH = 400


def _repeat(name: str, number: int, keep: Path | None) -> None:
    folder = keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    print(*run_case(name, readers()[name], number, folder), sep="\n")
    print(f"its files: {folder / 'work'}")
    readers()[name].read(folder / "work")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="(default: 60)")
    parser.add_argument("--first", type=int, default=100_000, help="number of the first case (default: 100000)")
    parser.add_argument("--reader", help="this one alone")
    parser.add_argument("--case", type=int, help="repeat this case of --reader")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the files of --case here")
    args = parser.parse_args()
    if args.case is not None:
        _repeat(args.reader, args.case, args.keep)
        return
    deadline, first = time.monotonic() + 60 * args.minutes, args.first
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    offenders: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    known = readers()
    while time.monotonic() < deadline:
        for name in [args.reader] if args.reader else known:
            with tempfile.TemporaryDirectory() as folder:
                for number, (kind, detail) in run_cases(name, first, _BATCH, Path(folder)):
                    kinds[name][kind if kind in (VALUE, REFUSAL) else "offence"] += 1
                    if kind not in (VALUE, REFUSAL):
                        offenders[kind, name].append((number, detail))
            if time.monotonic() > deadline:
                break
        first += _BATCH
    total: Counter[str] = sum(kinds.values(), Counter())
    width = max(map(len, [*kinds, "total"]))
    for name, counts in [*kinds.items(), ("total", total)]:
        figures = (counts.total(), counts[VALUE], counts[REFUSAL], counts["offence"])
        print(f"{name:{width}}  {{:7,}} cases {{:7,}} values {{:7,}} refusals {{:6,}} offences".format(*figures))
    for (kind, name), cases in sorted(offenders.items(), key=lambda one: -len(one[1])):
        number, detail = min(cases)
        print(f"{len(cases):6,}  {name}, {kind}\n        --reader {name!r} --case {number}: {detail[:200]}")
    sys.exit(bool(offenders))


if __name__ == "__main__":
    main()
