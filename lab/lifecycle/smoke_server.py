"""The smoke guest: a tiny server gets address and metadata, answers the machine, and reaches out: both directions.

The 2014 report's host never reached its guests; a Trove instance that cannot be reached looks just like one that
hangs, so this is proven first, with a guest that boots in seconds.
"""

from __future__ import annotations

import base64
import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openstack.exceptions
from openstack.connection import Connection

from lab.cloud.offer import NETWORK
from lab.core import waits
from lab.core.errors import CheckFailed
from lab.core.home import Home
from lab.core.ssh import Remote
from lab.core.waits import Note
from lab.install.target import MARKS

FLAVOR = "smoke"
IMAGE = "smoke"
REPORT = re.compile(r"LAB-SMOKE address=(?P<address>\S+) metadata=(?P<metadata>\S+) outbound=(?P<outbound>\S+)")
"""The line that the guest writes on its console; see images/smoke."""


@dataclass(frozen=True)
class Smoke:
    """The smoke test as the demo user, from the machine; ``outbound`` is the URL that the guest must reach.

    ``image`` is what it boots, by Glance's name.
    """

    home: Home
    seconds: float
    demo: Connection
    remote: Remote
    outbound: str
    image: str = IMAGE

    @property
    def _server(self) -> str:
        return f"lab-{self.image}"

    @property
    def _console(self) -> Path:
        return self.home.log(f"{self.image}-console")

    def passed(self) -> bool:
        """Whether this cloud has passed it; the mark lies on the machine, so that a new cloud has none."""
        return self.remote.run("test", "-e", f"{MARKS}/{self.image}", check=False).ok

    def run(self, note: Note) -> None:
        """Boot, read the guest's own report, ask it from outside, delete it. Raises: CheckFailed, TimedOut."""
        self._remove()
        compute = self.demo.compute
        server = compute.create_server(
            name=self._server,
            image_id=self.demo.image.find_image(self.image, ignore_missing=False).id,
            flavor_id=compute.find_flavor(FLAVOR, ignore_missing=False).id,
            user_data=base64.b64encode(self.outbound.encode()).decode(),
            networks=[{"uuid": self.demo.network.find_network(NETWORK, ignore_missing=False).id}],
        )
        try:
            report = self._report(server.id, note)
            for what, word in report.items():
                if what != "address" and word != "ok":
                    raise CheckFailed(f"the smoke guest's {what}", f"the guest says {what}={word}")
            self._reached(report["address"], note)
        except BaseException:
            self._keep_console(server.id)
            raise
        finally:
            self._remove()
        self.remote.run("install", "-D", "-m", "0644", "/dev/null", f"{MARKS}/{self.image}")

    def _report(self, server_id: str, note: Note) -> dict[str, str]:
        seen: dict[str, Any] = {}

        def probe() -> dict[str, str] | None:
            server = self.demo.compute.get_server(server_id)
            seen["status"], seen["fault"] = server.status, (server.fault or {}).get("message", "")
            if server.status != "ACTIVE":
                return None
            console = self.demo.compute.get_server_console_output(server_id)["output"] or ""
            seen["console"] = console.strip().splitlines()[-1:] or [""]
            match = REPORT.search(console)
            return match.groupdict() if match else None

        return waits.until(
            "the smoke guest's report on its console",
            probe,
            seconds=self.seconds,
            setting="--guest-timeout",
            fatal=lambda: f"Nova says ERROR: {seen['fault']}" if seen.get("status") == "ERROR" else None,
            transient=(openstack.exceptions.SDKException,),
            describe=lambda: f"{seen.get('status')}; console: {seen.get('console', [''])[0][:80]}",
            note=note,
            log=self._console,
        )

    def _reached(self, address: str, note: Note) -> None:
        waits.until(
            f"the smoke guest's HTTP answer from {address}",
            lambda: self.remote.run("curl", "-sf", "-m", "5", f"http://{address}/", check=False).ok,
            seconds=60,
            setting="--guest-timeout",
            note=note,
        )

    def _keep_console(self, server_id: str) -> None:
        with contextlib.suppress(openstack.exceptions.SDKException):
            text = self.demo.compute.get_server_console_output(server_id)["output"]
            self._console.write_text(text or "")

    def _remove(self) -> None:
        for server in list(self.demo.compute.servers(name=f"^{self._server}$")):
            with contextlib.suppress(openstack.exceptions.SDKException):
                self.demo.compute.delete_server(server)
                self.demo.compute.wait_for_delete(server, interval=1, wait=60)
