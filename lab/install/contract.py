"""What an installer is: it puts OpenStack on a machine, and whatever it was, the same kind of cloud is there then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from openstack.connection import Connection

from lab.config.settings import LabSpec
from lab.core.home import Home
from lab.core.job import Job
from lab.core.ssh import Remote
from lab.core.steps import Step
from lab.core.waits import Note
from lab.guest.agent import Agent
from lab.guest.guests import Guests


@dataclass(frozen=True)
class Ground:
    """What an installer stands on. The machine is asked only when a step runs, since it must be up first.

    ``ports`` maps a service to its port on 127.0.0.1; ``gone`` says why the machine can no longer answer, or None.
    """

    home: Home
    spec: LabSpec
    remote: Callable[[], Remote]
    ports: Callable[[], Mapping[str, int]]
    gone: Callable[[], str | None]


class Installer(Protocol):
    """One installer for one lab; made of a Ground alone."""

    @property
    def settled(self) -> Mapping[str, str]:
        """Facts by name that the lab keeps from its first ``up`` on, whatever changes around it."""

    @property
    def published(self) -> Mapping[str, int]:
        """Service to its port in the machine, of what this host must reach."""

    @property
    def mounts(self) -> Mapping[str, str]:
        """Folders of this host to where the machine sees them, read-only."""

    @property
    def agent(self) -> Agent | None:
        """The guest agent that goes with this OpenStack; None: the one of the guest's distribution."""

    @property
    def compute_host(self) -> str:
        """Nova's name of the first compute service."""

    @property
    def outbound(self) -> str:
        """A URL in the machine that a guest must reach."""

    @property
    def made_of(self) -> tuple[str, ...]:
        """What else than images and the lab's own code decides how the installed cloud looks."""

    @property
    def image_title(self) -> str:
        """The title of the step that makes the machine's image."""

    def image_tag(self, suite: str) -> str:
        """The tag of the machine's image on Debian ``suite``, known before it is there."""

    def make_image(self, suite: str, job: Job) -> None:
        """Have Docker hold that image. Raises: CommandFailed, DiskFull, TimedOut, BadFile."""

    @property
    def install_title(self) -> str:
        """The title of the step that makes a machine hold what that image holds."""

    def installed(self) -> bool:
        """Whether a machine that was there before the lab holds what that image holds."""

    def install(self, note: Note) -> None:
        """Have it hold that. Raises: CommandFailed, TimedOut, SshFailed, HostUnfit (it serves somebody else)."""

    def guests(self, built: Guests) -> Guests:
        """The guests' images as this installer has them: ``built`` here, or brought."""

    def steps(self, after: str) -> list[Step]:
        """The installation as steps; the first one comes after step ``after``."""

    def admin(self) -> Connection:
        """The administrator's connection, once the steps are done."""

    def offer_settings(self, datastore: str, version: str) -> None:
        """Tell Trove which settings users of a datastore version may change."""

    def commits(self) -> dict[str, str]:
        """What was installed from git: a name to its commit, for the manifest."""
