"""Two checkouts on one host: a name that one has is the other's to see and not to take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.containers import client, ownership
from lab.core.errors import OtherOwner
from lab.core.home import Home
from lab.core.waits import silent
from lab.lifecycle import leftovers
from lab.machine import network
from lab.machine.docker import DockerMachine

pytestmark = pytest.mark.integration
NAME = "itest-own"


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Home, Home]]:
    """One's lab, which has a network; the other's of the same name, which has nothing."""
    ours, others = Home(NAME, tmp_path / "a"), Home(NAME, tmp_path / "b")
    ours.make()
    others.make()
    network.ensure(f"trove-lab-{NAME}", NAME, ours.owner)
    try:
        yield ours, others
    finally:
        ownership.remove(NAME)


def there() -> list[str]:
    with client.connect() as daemon:
        return [str(n.name) for n in daemon.networks.list(names=[f"trove-lab-{NAME}"])]


def test_an_owner_stays_with_its_folder(tmp_path: Path) -> None:
    first = Home("x", tmp_path / "labs").owner
    assert Home("y", tmp_path / "labs").owner == first
    (tmp_path / "labs").rename(tmp_path / "moved")
    assert Home("x", tmp_path / "moved").owner == first
    assert Home("x", tmp_path / "labs").owner != first


def test_another_checkouts_lab_is_neither_taken_nor_removed(both: tuple[Home, Home]) -> None:
    ours, others = both
    for attempt in (
        lambda: leftovers.leftovers(others),
        lambda: DockerMachine(others, 5).destroy(silent),
        lambda: ownership.check(NAME, others.owner),
    ):
        with pytest.raises(OtherOwner, match=f"network trove-lab-{NAME}"):
            attempt()
    assert there() == [f"trove-lab-{NAME}"]
    assert f"network trove-lab-{NAME}" in leftovers.leftovers(ours)


def test_everything_is_everything_of_ones_own(both: tuple[Home, Home]) -> None:
    ours, others = both
    line = f"network trove-lab-{NAME}"
    assert line in ownership.labelled(None, ours.owner)
    assert line not in ownership.labelled(None, others.owner)
