"""A run of the tests that was killed leaves a machine's network behind: the next run takes it away."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.containers import client, ownership
from lab.core.errors import OtherOwner
from lab.core.home import LABEL, OWNER, Home
from tests import killed

pytestmark = pytest.mark.integration


def test_what_a_killed_run_left_is_in_nobodys_way(tmp_path: Path) -> None:
    lost, mine = Home("itest-killed", tmp_path / "gone"), Home("itest-killed", tmp_path / "labs")
    with client.connect() as daemon:
        daemon.networks.create("trove-lab-itest-killed", labels={LABEL: lost.name, OWNER: lost.owner})
        users = daemon.networks.create("trove-lab-another", labels={LABEL: "another", OWNER: lost.owner})
    try:
        with pytest.raises(OtherOwner):
            ownership.check(mine.name, mine.owner)
        assert killed.clear() == ["itest-killed"]
        ownership.check(mine.name, mine.owner)
        assert ownership.labelled("another") == ["network trove-lab-another"]
    finally:
        users.remove()
        ownership.remove("itest-killed")
