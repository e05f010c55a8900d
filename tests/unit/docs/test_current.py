"""Documents hold what the code, the catalogue and recorded runs say today; LAB_GOLDENS=write writes them anew."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.core.resources import RESOURCES
from tests.unit.docs import generated

DOCS = RESOURCES / "docs"
PAGES = [RESOURCES / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += [*sorted(DOCS.rglob("*.md")), RESOURCES / "novadriver/README.md"]
BLOCKS: dict[str, tuple[str, Callable[[], str]]] = {
    "commands": ("commands.md", generated.commands),
    "rooms": ("architecture.md", generated.picture),
    "proof": ("proof.md", generated.proof),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_generated_part_is_current(name: str) -> None:
    page, make = BLOCKS[name]
    path, text = DOCS / page, (DOCS / page).read_text()
    begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    before, _, rest = text.partition(begin)
    held, mark, after = rest.partition(end)
    assert mark, f"{path} has no part {name}"
    if os.environ.get("LAB_GOLDENS") == "write":
        path.write_text(before + begin + make() + end + after)
        return
    assert held == make(), f"{path} is behind: LAB_GOLDENS=write writes it"


def test_the_picture_of_a_run_is_of_its_events() -> None:
    path = DOCS / "images/up.svg"
    if os.environ.get("LAB_GOLDENS") == "write":
        path.write_text(generated.run_picture())
    assert path.read_text() == generated.run_picture()


def test_readme_is_a_screen_and_a_half() -> None:
    assert len((RESOURCES / "README.md").read_text().splitlines()) <= 150


def anchors(path: Path) -> set[str]:
    """The anchors that a page's headings make, as GitHub and mkdocs make them."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(RESOURCES)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", f"--site-dir={tmp_path}"]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=RESOURCES, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "quickstart/index.html").exists()
