"""The wheel in an empty environment does what the checkout does: the same questions get the same answers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lab
from lab.core.resources import RESOURCES

pytestmark = pytest.mark.integration
SECRET = re.compile(r"(?<==)[A-Za-z0-9]{24}\b")
"""A fresh one in each rendering."""
KEYS = """
from lab.config.settings import LabSpec
from lab.guest import images
from lab.machine import image
for hypervisor in ("docker", "qemu"):
    print(image.machine_tag("trixie", image.devstack(hypervisor)))
print(image.machine_tag("trixie", image.PACKAGES))
print(images.guest("trixie").key)
from lab.install import render
from lab.core.secrets import Secrets
print(len(render.driver("/")), sorted(file.path for file in render.driver("/")))
"""
"""What an `up` would build: the tags and keys are hashes of all that goes in."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with what the user's lock names and the wheel, and nothing else; its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", f"--outdir={folder}", str(RESOURCES)]
    subprocess.run(build, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip: list[str | Path] = [folder / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", RESOURCES / "requirements.lock"], check=True)
    subprocess.run([*pip, "--no-deps", *folder.glob("*.whl")], check=True)
    return folder


def answer(program: list[Path | str], words: list[str], cwd: Path) -> tuple[int, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run([*program, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    return done.returncode, SECRET.sub("secret", done.stdout + done.stderr)


def installed(environment: Path, *words: str) -> tuple[int, str]:
    (environment / "folder").mkdir(exist_ok=True)
    return answer([environment / "venv/bin/trove-lab"], list(words), environment / "folder")


def checkout(*words: str) -> tuple[int, str]:
    code, said = answer([sys.executable, RESOURCES / "tasks.py"], list(words), RESOURCES)
    return code, said.replace("./inv ", "trove-lab ")


@pytest.mark.parametrize(
    "words",
    [
        ["releases", "--json"],
        ["render", "--distro=debian13", "--release=2026.1"],
        ["render", "--distro=centos7", "--release=queens"],
        ["density-plan", "--fleet=dbod", "--host=memory=256GiB,cpus=64"],
        ["up", "--dry-run", "--provider=virtualbox"],
        ["up", "--memroy=8"],
        ["show-config", "--memory=9"],
        ["status", "--name=nobody"],
        ["dbod", "list", "--provider=trove", "--name=nobody"],
    ],
    ids=" ".join,
)
def test_the_same_answer(environment: Path, words: list[str]) -> None:
    assert installed(environment, *words) == checkout(*words)


def test_it_knows_its_version_and_what_only_a_checkout_has(environment: Path) -> None:
    assert installed(environment, "--version") == (0, f"trove-lab {lab.__version__}\n")
    code, said = installed(environment, "test")
    assert code == 13
    assert "checkout" in said


def test_the_doctor_answers(environment: Path) -> None:
    assert installed(environment, "doctor", "--json")[0] == checkout("doctor", "--json")[0]


def test_an_up_would_build_the_same(environment: Path) -> None:
    python: list[Path | str] = [environment / "venv/bin/python", "-c", KEYS]
    ours: list[Path | str] = [sys.executable, "-c", KEYS]
    assert answer(python, [], environment) == answer(ours, [], RESOURCES)
    assert answer(python, [], environment)[0] == 0


def test_labs_lie_where_the_command_is_typed(environment: Path) -> None:
    code, said = installed(environment, "list")
    assert (code, "trove-lab up" in said) == (0, True), said
