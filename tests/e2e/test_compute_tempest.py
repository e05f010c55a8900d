"""OpenStack's own tests of a compute service, tempest's smoke tests, on the lab's Nova."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab.cloud import access
from lab.lifecycle import smoke_server
from tests.e2e.conftest import Lab

pytestmark = pytest.mark.tempest

LOCK = Path(__file__).with_name("tempest.lock")
CHOSEN = r"tempest\.api\.compute\..*smoke"
SECONDS = 900
RESULT = re.compile(
    r"^\{\d+\} (?:setUpClass \()?tempest\.api\.compute\.([\w.]+).* \.\.\. (ok|SKIPPED|FAILED)(?:: (.*))?$",
    re.MULTILINE,
)
SKIPPED = {
    "servers.test_attach_interfaces.AttachInterfacesUnderV243Test":
        "Validation should be enabled to ensure guest OS is running and capable of processing ACPI events.",
    "servers.test_create_server.ServersTestBootFromVolume": "Volume service not enabled.",
}  # fmt: skip
"""What is skipped, and why, in tempest's words: the lab has no Cinder, its smoke guest no SSH."""


@pytest.fixture(scope="module")
def tempest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its programs, in an environment of their own: none of its libraries is the lab's."""
    venv = tmp_path_factory.mktemp("tempest") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    words = ("install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r")
    subprocess.run([venv / "bin" / "pip", *words, LOCK], check=True, timeout=SECONDS)
    return venv / "bin"


def settings(lab: Lab, workspace: Path) -> None:
    """What tempest has to know of the lab, added to the file that ``tempest init`` wrote."""
    admin = access.connect(lab.path / "clouds.yaml", "admin")
    known = yaml.safe_load((lab.path / "clouds.yaml").read_text())["clouds"]["admin"]["auth"]
    image = admin.image.find_image(smoke_server.IMAGE, ignore_missing=False).id
    flavor = admin.compute.find_flavor(smoke_server.FLAVOR, ignore_missing=False).id
    file = workspace / "etc" / "tempest.conf"
    conf = configparser.ConfigParser(interpolation=None)
    conf.read(file)
    conf.read_dict(
        {
            "auth": {
                "admin_username": known["username"],
                "admin_password": known["password"],
                "admin_project_name": known["project_name"],
                "admin_domain_name": known["user_domain_name"],
            },
            "identity": {"uri_v3": known["auth_url"], "v3_endpoint_type": "public"},
            "image": {"endpoint_type": "public"},
            "network": {
                "endpoint_type": "public",
                "public_network_id": admin.network.find_network("public", ignore_missing=False).id,
            },
            "compute": {
                "endpoint_type": "public",
                "image_ref": image,
                "image_ref_alt": image,
                "flavor_ref": flavor,
                "flavor_ref_alt": flavor,
            },
            "compute-feature-enabled": {"suspend": False, "rescue": False, "vnc_console": False,
                                        "live_migration": False, "swap_volume": False},
            "service_available": {"cinder": False, "swift": False, "horizon": False},
            "validation": {"run_validation": False},
        }
    )  # fmt: skip
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_TRUNC | os.O_CREAT, 0o600), "w") as out:
        conf.write(out)


def test_tempest_s_smoke_tests_of_compute_pass(lab: Lab, tempest: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    # it keeps a list of its workspaces under HOME and takes no name twice
    env = {**os.environ, "HOME": str(tmp_path), "PATH": f"{tempest}:{os.environ['PATH']}"}
    subprocess.run([tempest / "tempest", "init", workspace], check=True, capture_output=True, cwd=tmp_path, env=env)
    settings(lab, workspace)
    done = subprocess.run(
        [tempest / "tempest", "run", "--serial", "--regex", CHOSEN],
        cwd=workspace,
        env=env,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    found = RESULT.findall(done.stdout)
    assert not [name for name, ended, _ in found if ended == "FAILED"], done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: why for name, ended, why in found if ended == "SKIPPED"} == SKIPPED
    assert [name for name, ended, _ in found if ended == "ok"]
