"""A config drive as Nova makes it, for booting a guest without Nova."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path

import pycdlib

LATEST = "openstack/latest"


def user_data(files: Mapping[str, str], owner: str) -> str:
    """cloud-init user data that writes ``files`` (path to text), in the form that Trove's taskmanager sends."""
    rows = [
        {"path": path, "owner": owner, "encoding": "b64", "content": base64.b64encode(text.encode()).decode()}
        for path, text in files.items()
    ]
    return "#cloud-config\n" + json.dumps({"write_files": rows})


def write(target: Path, *, uuid: str, hostname: str, mac: str, data: str) -> None:
    """Write the ISO image: one link of that MAC address with DHCP, and ``data`` as user data."""
    documents = {
        "meta_data.json": json.dumps({"uuid": uuid, "hostname": hostname, "name": hostname, "launch_index": 0}),
        "network_data.json": json.dumps(
            {
                "links": [{"id": "tap0", "type": "phy", "ethernet_mac_address": mac, "mtu": 1500}],
                "networks": [{"id": "network0", "link": "tap0", "type": "ipv4_dhcp", "network_id": "lab"}],
                "services": [],
            }
        ),
        "user_data": data,
    }
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="config-2")
    iso.add_directory("/OPENSTACK", rr_name="openstack", joliet_path="/openstack")
    iso.add_directory("/OPENSTACK/LATEST", rr_name="latest", joliet_path=f"/{LATEST}")
    for number, (name, text) in enumerate(documents.items()):
        raw = text.encode()
        iso.add_fp(
            io.BytesIO(raw),
            len(raw),
            f"/OPENSTACK/LATEST/F{number}.;1",
            rr_name=name,
            joliet_path=f"/{LATEST}/{name}",
        )
    iso.write(str(target))
    iso.close()
