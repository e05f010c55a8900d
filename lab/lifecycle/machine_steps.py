"""The steps that make a lab's machine: its image, its start, and the warm image that the next start begins from."""

from __future__ import annotations

from lab.cloud.trove import Trove
from lab.containers import client, ownership
from lab.core.job import Job
from lab.core.steps import Step
from lab.core.waits import Note
from lab.lifecycle.lab import Lab
from lab.machine import warm
from lab.machine.contract import Wanted
from lab.machine.docker import DockerMachine


class MachineSteps:
    """Of one lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def steps(self) -> list[Step]:
        """The image (unless it or the warm one is there) and its start; or a machine that is there, made like it."""
        lab = self._lab
        if lab.given:
            return [
                Step("machine", f"enter {lab.spec.host}", self._is_up, self._start),
                Step(
                    "packages",
                    lab.installer.install_title,
                    lab.installer.installed,
                    lab.installer.install,
                    ("machine",),
                ),
            ]
        return [
            Step(
                "machine-image", lab.installer.image_title, lambda: self.image_there() is not None, self._make_image
            ),
            Step("machine", "start the machine", self._is_up, self._start, ("machine-image",)),
        ]

    def keep(self, after: tuple[str, ...]) -> Step:
        """Commit the machine with its cloud as the warm image."""
        return Step("warm", "keep the machine as a warm image", self._kept, self._keep, after)

    def image_tag(self) -> str:
        """The machine image's tag, known before it is there."""
        return self._lab.installer.image_tag(self._lab.suite)

    def image_there(self) -> str | None:
        """The warm image if there is one of just this content, else the machine image if it is built, else None."""
        if self._lab.given:
            return None
        plain = self.image_tag()
        for tag in (self._warm_tag(), plain) if self._lab.spec.warm else (plain,):
            if client.find(tag) is not None:
                return tag
        return None

    def _warm_tag(self) -> str:
        keys = (key for one in self._lab.guests for key in (one.trove.key, one.smoke.key))
        return warm.tag(self._lab.home, self.image_tag(), *keys, *self._lab.installer.made_of)

    def _make_image(self, note: Note) -> None:
        job = Job(note, self._lab.home.log("machine-image"), self._lab.spec.build_timeout)
        self._lab.installer.make_image(self._lab.suite, job)

    def _is_up(self) -> bool:
        return self._lab.machine.status() == "running" and self._lab.remote.answers()

    def _start(self, note: Note) -> None:
        spec, tag = self._lab.spec, self.image_there()
        if tag is not None and client.find(plain := self.image_tag()) is not None:
            ownership.claim(plain, self._lab.home.name)  # whoever built it: no other lab's destroy takes it from us
        wanted = Wanted(
            tag or "",
            spec.memory,
            spec.cpus,
            spec.disk,
            kvm="kvm" in (spec.hypervisor, spec.beside),
            containers=self._lab.containers,
            ports=dict(self._lab.installer.published),
            mounts=dict(self._lab.installer.mounts),
            system=spec.distro,
        )
        self._lab.machine.up(wanted, note)

    def _kept(self) -> bool:
        """A machine that has databases is not committed any more: the warm image is a cloud without instances."""
        return client.find(self._warm_tag()) is not None or bool(Trove(self._lab.cloud("demo")).instances())

    def _keep(self, note: Note) -> None:
        assert isinstance(self._lab.machine, DockerMachine)  # the assembly asks for this step with no other
        warm.commit(self._lab.home, self._lab.machine, self._warm_tag(), note)
