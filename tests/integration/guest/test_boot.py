"""Real boots under QEMU: the smoke image comes up; images that cannot say so at once, with the console's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.core import process
from lab.core.errors import GaveUp, TimedOut
from lab.core.job import Job
from lab.guest import boot_proof, images

pytestmark = pytest.mark.integration


def test_the_smoke_image_boots(tmp_path: Path) -> None:
    image = images.smoke_guest("trixie")
    image.build(Job(print, tmp_path / "build.log", 900))
    image.prove(Job(print, tmp_path / "boot.log", 300))
    assert image.proven()
    assert "smoke guest up at 10.0.2.15" in (tmp_path / "boot-console.log").read_text()


def test_an_image_without_boot_sectors_does_not_pass(tmp_path: Path) -> None:
    empty = tmp_path / "empty.qcow2"
    process.run("qemu-img", "create", "-q", "-f", "qcow2", empty, "16M")
    with pytest.raises((GaveUp, TimedOut)):
        boot_proof.smoke_guest(empty, Job(print, tmp_path / "boot.log", 20))


def test_a_truncated_image_is_told_by_qemu_or_the_console(tmp_path: Path) -> None:
    image = images.smoke_guest("trixie")
    image.build(Job(print, tmp_path / "build.log", 900))
    broken = tmp_path / "broken.qcow2"
    broken.write_bytes(image.path.read_bytes()[: image.path.stat().st_size // 3])
    with pytest.raises((GaveUp, TimedOut)) as caught:
        boot_proof.smoke_guest(broken, Job(print, tmp_path / "boot.log", 60))
    assert caught.value.remedy
