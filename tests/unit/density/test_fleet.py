"""Fleets and hosts as a user describes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.core.errors import BadFile, BadValue, Unsupported
from lab.density.measure import fleet
from lab.density.planning import plan


def test_fleets(tmp_path: Path) -> None:
    assert fleet.load("dbod").counts == {"mariadb": 141, "postgresql": 27}
    file = tmp_path / "f.json"
    file.write_text('{"mariadb": 3}')
    assert fleet.load(str(file)).total == 3
    for text in ('{"mariadb": 0}', '{"mariadb": -1}', '{"mariadb": "x"}', '{"mariadb": true}'):
        file.write_text(text)
        with pytest.raises(BadValue):
            fleet.load(str(file))
    for text in ("", "[]", "{}"):
        file.write_text(text)
        with pytest.raises(BadFile):
            fleet.load(str(file))
    file.write_text('{"oracle": 1}')
    with pytest.raises(Unsupported):
        fleet.load(str(file))


@pytest.mark.parametrize("host", ["", "memory=1GiB", "memory=1GiB,cpus=0", "memory=-1,cpus=2", "memory=1GiB,cpus=x"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(BadValue):
        plan.parse_host(host)


def test_fleet_classes_with_a_day_in_them(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    shape = [0.1] * 12 + [1.0] * 12
    file.write_text(json.dumps({"classes": [{"name": "web", "engine": "mariadb", "count": 4, "hourly_cpu": shape}]}))
    (kind,) = plan.load(str(file))
    assert kind.hourly_cpu == tuple(shape)
    file.write_text(json.dumps({"classes": [{"name": "web", "engine": "mariadb", "count": 4, "hourly_cpu": [1]}]}))
    with pytest.raises(BadValue):
        plan.load(str(file))
    file.write_text(json.dumps({"classes": [{"name": "web"}]}))
    with pytest.raises(BadFile):
        plan.load(str(file))
