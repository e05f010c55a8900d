"""Nova's driver for Docker when somebody dies at the wrong moment: nothing may stay behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.cloud import access
from lab.cloud.offer import NETWORK
from lab.core import waits
from lab.core.ssh import Remote
from lab.lifecycle import smoke_server
from tests.e2e.conftest import Lab
from tests.e2e.guests import SECONDS, Guest

ON_THE_MACHINE = {
    "containers": "docker ps -aq --no-trunc",
    "volumes": "docker volume ls -q",
    "interfaces": "ls /sys/class/net",
    "switch ports": "ovs-vsctl list-ports br-int",
    "files": "ls /var/lib/nova/instances",
}


class Leaks:
    """What instances have on the machine and in the cloud; ``none`` waits until that is what it was at first."""

    def __init__(self, lab: Lab, machine: Remote) -> None:
        if lab.state["spec"]["hypervisor"] != "docker":
            pytest.skip("this lab's guests are no containers")
        self.machine = machine
        self.admin = access.connect(lab.path / "clouds.yaml", "admin")
        self.before = self.there()

    def containers(self) -> set[str]:
        return set(self.machine.run("docker", "ps", "-aq", "--no-trunc").stdout.split())

    def there(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            what: sorted(self.machine.run("sh", "-c", command).stdout.split())
            for what, command in ON_THE_MACHINE.items()
        }
        found["ports"] = sorted(p.id for p in self.admin.network.ports() if p.device_owner.startswith("compute:"))
        placement: Any = self.admin.placement
        for provider in placement.resource_providers():
            found[f"allocations of {provider.name}"] = placement.get(
                f"/resource_providers/{provider.id}/usages"
            ).json()["usages"]
        return found

    def none(self) -> None:
        def same() -> bool:
            self.now = self.there()
            return self.now == self.before

        waits.until("nothing to be left behind", same, seconds=30, setting="-",
                    describe=lambda: str({k: v for k, v in self.now.items() if v != self.before.get(k)}))  # fmt: skip

    def kill_compute(self, when: Callable[[], bool]) -> None:
        waits.until("the moment to kill nova-compute", when, seconds=60, setting="-", every=0.05)
        self.machine.run("systemctl", "kill", "--signal=KILL", "nova-compute")
        self.machine.run("systemctl", "start", "nova-compute")


def test_a_container_killed_behind_novas_back_comes_again_and_one_that_is_gone_leaves_nothing(lab: Lab) -> None:
    ours = Guest("e2e-killed", lab.name)
    leaks = Leaks(lab, ours.machine)
    with ours as guest:
        guest.let_in(80)
        guest.until("its HTTP server", guest.address, reached=True)
        (container,) = leaks.containers() - set(leaks.before["containers"])
        guest.machine.run("docker", "kill", container)
        guest.cloud.compute.reboot_server(guest.server, "HARD")
        guest.until("its HTTP server to be back", guest.address, reached=True)
        guest.machine.run("docker", "rm", "--force", container)
    leaks.none()


def test_nova_compute_killed_in_the_middle_of_spawn_and_of_destroy_leaks_nothing(lab: Lab) -> None:
    user = access.connect(lab.path / "clouds.yaml", "demo")
    compute, leaks = user.compute, Leaks(lab, Guest("none", lab.name).machine)

    def create() -> Any:
        return compute.create_server(
            name="e2e-killed-compute",
            image_id=user.image.find_image(smoke_server.IMAGE, ignore_missing=False).id,
            flavor_id=compute.find_flavor(smoke_server.FLAVOR, ignore_missing=False).id,
            networks=[{"uuid": user.network.find_network(NETWORK, ignore_missing=False).id}],
        )

    server = create()
    leaks.kill_compute(lambda: leaks.containers() != set(leaks.before["containers"]))
    assert compute.get_server(server).status == "BUILD", "it was killed too late"
    waits.until("Nova's word about it", lambda: compute.get_server(server).status == "ERROR", seconds=SECONDS,
                setting="-")  # fmt: skip
    compute.delete_server(server)
    compute.wait_for_delete(server, interval=1, wait=SECONDS)
    leaks.none()

    server = compute.wait_for_server(create(), interval=1, wait=SECONDS)
    compute.delete_server(server)
    leaks.kill_compute(lambda: leaks.containers() == set(leaks.before["containers"]))
    compute.wait_for_delete(server, interval=1, wait=SECONDS)
    leaks.none()
