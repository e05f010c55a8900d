"""A plain server in the lab's cloud, as its demo user makes one: the smoke image, which serves HTTP."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

from openstack.connection import Connection

from lab.cloud import access
from lab.cloud.offer import NETWORK
from lab.core import waits
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.lifecycle import labs, smoke_server

SECONDS = 120


class Guest(contextlib.ExitStack):
    """``group`` is its only security group, closed at first; ``address`` the one on the private network.

    ``server`` is Nova's id of it, ``image`` Glance's name for what it boots.
    """

    def __init__(self, name: str, lab: str, image: str = smoke_server.IMAGE) -> None:
        super().__init__()
        home = Home(lab)
        self.name, self.image = name, image
        self.cloud: Connection = access.connect(home.clouds_yaml, "demo")
        self.machine = Remote(labs.machine_of(home).address())

    def __enter__(self) -> Guest:
        with contextlib.ExitStack() as undo:
            self._make(undo)
            self.push(undo.pop_all())
        return self

    def _make(self, undo: contextlib.ExitStack) -> None:
        network, compute = self.cloud.network, self.cloud.compute
        self.group = network.create_security_group(name=self.name).id
        undo.callback(network.delete_security_group, self.group)
        private = network.find_network(NETWORK, ignore_missing=False)
        made = network.create_port(name=self.name, network_id=private.id, security_group_ids=[self.group])
        undo.callback(network.delete_port, made.id)
        self.port, self.address = made.id, made.fixed_ips[0]["ip_address"]
        server = compute.create_server(
            name=self.name,
            image_id=self.cloud.image.find_image(self.image, ignore_missing=False).id,
            flavor_id=compute.find_flavor(smoke_server.FLAVOR, ignore_missing=False).id,
            networks=[{"port": self.port}],
            user_data=base64.b64encode(b"http://169.254.169.254/").decode(),  # the URL it calls, and reports
        )
        self.server = str(server.id)
        undo.callback(compute.wait_for_delete, server, interval=1, wait=SECONDS)
        undo.callback(compute.delete_server, server)
        waits.until(
            "the guest's report",
            lambda: smoke_server.REPORT.search(self._console(server.id)),
            seconds=SECONDS,
            setting="guests.SECONDS",
        )

    def _console(self, server: str) -> str:
        found: Any = self.cloud.compute.get_server(server)
        assert found.status != "ERROR", found.fault
        if found.status != "ACTIVE":
            return ""
        return str(self.cloud.compute.get_server_console_output(server)["output"])

    def let_in(self, port: int) -> str:
        """Open a TCP port to everybody; the rule's id."""
        return str(
            self.cloud.network.create_security_group_rule(
                security_group_id=self.group, direction="ingress", ether_type="IPv4", protocol="tcp",
                port_range_min=port, port_range_max=port,
            ).id
        )  # fmt: skip

    def float(self) -> str:
        """A floating address of its own."""
        public = self.cloud.network.find_network("public", ignore_missing=False)
        made = self.cloud.network.create_ip(floating_network_id=public.id, port_id=self.port)
        self.callback(self.cloud.network.delete_ip, made.id)
        return str(made.floating_ip_address)

    def reached(self, address: str) -> bool:
        """Whether its HTTP server answers the machine at that address."""
        return self.machine.run("curl", "-sf", "-m", "3", f"http://{address}/", check=False).ok

    def until(self, what: str, address: str, *, reached: bool) -> None:
        """Wait until it can, or can no longer, be reached. Raises: TimedOut."""
        waits.until(what, lambda: self.reached(address) is reached, seconds=60, setting="-")
