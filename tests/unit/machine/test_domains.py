"""A libvirt machine of another checkout's lab is neither taken, nor removed, nor are the boxes that it is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.core.errors import OtherOwner
from lab.core.home import Home
from lab.lifecycle import leftovers
from lab.machine import domains

VIRSH = """#!/bin/sh
case "$3 $4" in
"list --all") cut -d' ' -f1 {known} ;;
"desc --title") grep "^$5 " {known} | cut -d' ' -f2- ;;
*) echo "$@" >> {asked} ;;
esac
"""


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the name and title of each machine, which a stand-in of virsh tells."""
    known, program = tmp_path / "known", tmp_path / "bin" / "virsh"
    program.parent.mkdir()
    program.write_text(VIRSH.format(known=known, asked=tmp_path / "asked"))
    program.chmod(0o755)
    known.write_text("")
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(domains, "RUNTIME", tmp_path)
    return known


def homes(tmp_path: Path) -> tuple[Home, Home]:
    made = Home("same", tmp_path / "one"), Home("same", tmp_path / "other")
    for home in made:
        home.make()
    return made


def test_a_name_that_is_anothers_is_refused(tmp_path: Path, known: Path) -> None:
    ours, theirs = homes(tmp_path)
    known.write_text(f"trove-lab-same {domains.title(theirs)}\nsomebodys vm\n")
    assert domains.of(theirs) == ["trove-lab-same"]
    for ask in (domains.check, domains.of, leftovers.leftovers):
        with pytest.raises(OtherOwner, match="machine trove-lab-same"):
            ask(ours)


def test_what_an_earlier_version_made_is_ours(tmp_path: Path, known: Path) -> None:
    ours, _ = homes(tmp_path)
    known.write_text("trove-lab-same trove-lab=same\n")
    assert domains.of(ours) == ["trove-lab-same"]
    assert domains.of(Home("another", tmp_path / "one")) == []


def test_boxes_stay_while_any_lab_has_a_machine(tmp_path: Path, known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    (tmp_path / "vagrant/boxes/trove-lab-VAGRANTSLASH-6377").mkdir(parents=True)
    assert leftovers.boxes() == ["box trove-lab/6377"]
    known.write_text("trove-lab-other trove-lab=other\n")
    assert domains.users() == {"other"}
    assert leftovers.boxes() == []
