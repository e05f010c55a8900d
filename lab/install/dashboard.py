"""Horizon with Trove's panels on a machine with a cloud on it: one step, which any lab can take at any time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass

import requests

from lab.config.addons import DASHBOARD
from lab.core import waits
from lab.core.steps import Step
from lab.core.waits import Note
from lab.host import apt
from lab.install import render
from lab.install.contract import Ground
from lab.install.site import Site
from lab.install.target import Target

PACKAGES = ("openstack-dashboard", "python3-trove-dashboard")
UNIT = "trove-lab-dashboard"
PATCHES = "/usr/local/share/trove-lab/dashboard"
FOLDERS = ("openstack-dashboard", "horizon")
"""What the packages make below /etc and /var/lib."""
PROBE_SECONDS = 30
"""The first answer after a start, in which Django reads its applications and templates, takes 3 on two cores."""


@dataclass(frozen=True)
class Dashboard:
    """On the machine of ``ground``; ``site`` is asked only when the step runs."""

    ground: Ground
    target: Target
    site: Callable[[], Site]

    def step(self, after: str) -> Step:
        """The step, which comes after step ``after``."""
        return Step(DASHBOARD, "add the dashboard", self._there, self._run, (after,))

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.ground.ports()[DASHBOARD]}/"

    @property
    def _archive(self) -> bytes:
        return render.archive(render.render(self.site(), self.ground.home.secrets, render.dashboard()))

    @property
    def _key(self) -> str:
        return hashlib.sha256(self._archive + repr(PACKAGES).encode()).hexdigest()[:16]

    def _there(self) -> bool:
        known = self.ground.home.state.get("endpoints", {}).get(DASHBOARD)
        return known == self._url and self.target.marked(DASHBOARD, self._key) and self._answers()

    def _answers(self) -> bool:
        try:
            return requests.get(self._url, timeout=PROBE_SECONDS).ok
        except requests.RequestException:
            return False

    def _run(self, note: Note) -> None:
        if not self.target.marked(DASHBOARD, self._key):
            self.target.unpack(self._archive)
            self.target.record("units", (UNIT,))
            self.target.record("names", FOLDERS)
            note("the machine's apt installs it")
            # a machine that was there before the lab has its own way to its packages
            given = self.ground.spec.provider == "ssh"
            proxies = {} if given else apt.proxies(dict(os.environ))
            told = "".join(f"{name}={value}\n" for name, value in proxies.items())
            self.target.script("dashboard.sh", UNIT, PATCHES, *PACKAGES, stdin=told)
            self.target.mark(DASHBOARD, self._key)
        waits.until(
            "the dashboard",
            self._answers,
            seconds=self.ground.spec.service_timeout,
            setting="--service-timeout",
            note=note,
            log=self.ground.home.log(DASHBOARD),
        )
        endpoints = self.ground.home.state.get("endpoints", {})
        self.ground.home.state["endpoints"] = {**endpoints, DASHBOARD: self._url}
