"""What is, asked now: the machine, its APIs and agents, the instances, and where the state file is behind."""

from __future__ import annotations

from typing import Any

import openstack.exceptions
import requests

from lab.cloud import access
from lab.cloud.trove import Trove
from lab.core.errors import LabError
from lab.core.home import Home

PROBE_SECONDS = 10


def of(home: Home, machine_status: str) -> dict[str, Any]:
    """The lab's status; JSON shape in tests/unit/lifecycle/status.schema.json.

    ``machine_status`` is the provider's word.
    """
    report: dict[str, Any] = {
        "name": home.name,
        "machine": machine_status,
        "spec": home.state.get("spec", {}),
        "services": {},
        "agents": {},
        "instances": [],
        "drift": [],
    }
    if machine_status != "running" or not home.clouds_yaml.exists():
        if home.state.get("cloud.ready") and machine_status != "running":
            report["drift"].append(f"the state says that the cloud is ready, but the machine is {machine_status}")
        return report
    for service, url in (home.state.get("endpoints") or {}).items():
        report["services"][service] = _answers(url)
    try:
        admin = access.connect(home.clouds_yaml, "admin")
        for service in admin.compute.services():
            report["agents"][f"{service.binary}@{service.host}"] = service.state
        for agent in admin.network.agents():
            report["agents"][f"{agent.binary}@{agent.host}"] = "up" if agent.is_alive else "down"
        for instance in Trove(access.connect(home.clouds_yaml, "demo")).instances():
            report["instances"].append(
                {
                    "name": instance["name"],
                    "id": instance["id"],
                    "status": instance["status"],
                    "operating_status": instance.get("operating_status", ""),
                    "datastore": f"{instance['datastore']['type']} {instance['datastore']['version']}",
                    "addresses": [a["address"] for a in instance.get("addresses", [])],
                }
            )
    except (LabError, openstack.exceptions.SDKException, requests.RequestException) as error:
        report["drift"].append(f"the cloud does not answer: {error}")
    there = {i["id"] for i in report["instances"]}
    for datastore in ("mariadb", "postgresql"):
        known = home.state.get(f"database.{datastore}")
        if known and known["id"] not in there:
            report["drift"].append(f"the state knows a {datastore} instance {known['id']} that Trove does not have")
    return report


def _answers(url: str) -> str:
    try:
        return f"answers {requests.get(url, timeout=PROBE_SECONDS).status_code}"
    except requests.RequestException as error:
        return f"no answer ({type(error).__name__})"
