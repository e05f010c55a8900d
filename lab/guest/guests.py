"""The guests of one hypervisor: what they start from, and how Glance and Trove know it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from openstack.connection import Connection

from lab.cloud import glance
from lab.cloud.trove import VM, Trove
from lab.core.job import Job
from lab.core.steps import Step
from lab.core.waits import Note
from lab.guest import images
from lab.guest.agent import Agent
from lab.guest.images import Image


@dataclass(frozen=True)
class Guests:
    """``suffix`` ends the names of what stands beside the first hypervisor's; that one's is empty."""

    trove: Image
    smoke: Image
    suffix: str = ""

    @property
    def tag(self) -> str:
        """Glance's tag on the guest image; datastore versions name it."""
        return f"trove{self.suffix}"

    def steps(self, log: Callable[[str], Path], build_seconds: float, boot_seconds: float) -> list[Step]:
        """The steps that make the images, and boot the guest's where that can be done before Nova does it.

        ``log`` gives the log file of a step.
        """
        step = f"guest-image{self.suffix}"
        kind = " for machines" if self.suffix else ""
        steps = [
            Step(
                step,
                f"build the Trove guest image{kind}",
                self.trove.whole,
                lambda note: self.trove.build(Job(note, log(step), build_seconds)),
            ),
            Step(
                f"smoke-image{self.suffix}",
                f"build the smoke guest's image{kind}",
                self.smoke.whole,
                lambda note: self.smoke.build(Job(note, log(f"smoke-image{self.suffix}"), build_seconds)),
            ),
        ]
        if self.trove.boot is None:
            return steps  # a container guest boots in the machine's own Docker only: the first one is the proof
        return [
            *steps,
            Step(
                f"boot-proof{self.suffix}",
                "boot the guest image, before Glance sees it",
                self.trove.proven,
                lambda note: self.trove.prove(
                    Job(note, log(f"boot-proof{self.suffix}"), boot_seconds, "--guest-timeout")
                ),
                (step, "machine-image"),
            ),
        ]

    def uploaded(self, admin: Connection) -> bool:
        """Whether Glance has both."""
        return all(glance.find(admin, name, image.sha256) for name, image, _ in self._named())

    def upload(self, admin: Connection, note: Note) -> None:
        """Give them to Glance."""
        for name, image, tags in self._named():
            note(f"uploading {name} ({image.path.stat().st_size >> 20} MiB)")
            glance.upload(
                admin,
                name,
                image.path,
                image.sha256,
                disk_format=image.format.disk,
                container_format=image.format.container,
                tags=tags,
                properties=image.properties,
            )

    def registered(self, trove: Trove) -> bool:
        """Whether Trove offers every datastore that the guest carries, with its settings."""
        there = trove.datastores()
        return all(
            version in there.get(name, {}) and trove.settings(there[name][version])
            for name, version, _ in self._versions()
        )

    def register(self, trove: Trove, offer_settings: Callable[[str, str], None]) -> None:
        """Have Trove offer them."""
        there = trove.datastores()
        for name, version, number in self._versions():
            if version not in there.get(name, {}):
                trove.register(name, version, number, [self.tag], default=not self.suffix)
            offer_settings(name, version)

    def _named(self) -> list[tuple[str, Image, tuple[str, ...]]]:
        return [
            (f"{self.smoke.name}{self.suffix}", self.smoke, ()),
            (f"{self.trove.name}{self.suffix}", self.trove, (self.tag,)),
        ]

    def _versions(self) -> list[tuple[str, str, str]]:
        """Datastore, version as users name it, and the number, which is the tag of the datastore's image."""
        return [(name, f"{number}{self.suffix}", number) for name, number in self.trove.datastores.items()]


def containers(suite: str, agent: Agent | None, *, backups: bool) -> Guests:
    """For Nova's Docker driver."""
    return Guests(images.container_guest(suite, agent, backups=backups), images.container_smoke(suite))


def machines(suite: str, agent: Agent | None, *, backups: bool, beside: bool = False) -> Guests:
    """For libvirt; ``beside`` the containers of the same cloud."""
    made = images.guest(suite, agent, backups=backups), images.smoke_guest(suite)
    return Guests(*made, VM if beside else "")
