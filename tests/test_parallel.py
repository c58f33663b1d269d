import os
import subprocess
import sys
from pathlib import Path

import pytest

import bdd100k_d2
from bdd100k_d2 import parallel

ROOT = Path(bdd100k_d2.__file__).parents[1]


def test_the_users_own_setting_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    parallel.spin_little()
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY")
    parallel.spin_little()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


@pytest.mark.parametrize(
    "command",
    [
        ("tools/train_net.py", "--help"),
        ("tools/predict.py", "--config-file", "no.yaml", "--input", "README.md", "--output", "unused"),
        ("tools/submit.py", "det", "--config-file", "no.yaml", "--out", "unused.json"),
    ],
    ids=lambda command: command[0],
)
def test_commands_set_it_before_they_import_pytorch(tmp_path: Path, command: tuple[str, ...]) -> None:
    """OpenMP looks at it when PyTorch loads it; here a module of that name tells what it would find."""
    (tmp_path / "torch.py").write_text("import os, sys\nsys.exit(f'spins {os.environ.get(\"GOMP_SPINCOUNT\")}')\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == f"spins {parallel._SPINS}"
