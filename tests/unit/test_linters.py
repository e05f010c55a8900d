"""The linters are tests: what they refuse does not land."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--quiet", "."],
        ["ruff", "format", "--check", "--quiet", "."],
        ["mypy", "--no-error-summary"],
    ],
    ids=lambda c: " ".join(c[:2]),
)
def test_python(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shell() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    folders = ("images/**/*.sh", "dockerfiles/**/*.sh", "lab/install/scripts/*.sh", "localconf/**/*.sh")
    scripts = [path for pattern in (*folders, "localconf/**/sbin/*") for path in ROOT.glob(pattern)]
    scripts += [ROOT / "inv", ROOT / ".ci/run", ROOT / "localconf/hypervisor-docker"]
    done = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
