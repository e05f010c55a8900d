"""The steps after the installation: images, datastores, the network's proof, and the first database."""

from __future__ import annotations

from typing import Any

from lab.cloud import glance
from lab.cloud.trove import Trove
from lab.core import waits
from lab.core.steps import Step
from lab.core.waits import Note
from lab.guest.guests import Guests
from lab.lifecycle.lab import Lab
from lab.lifecycle.smoke_server import Smoke


class CloudSteps:
    """Of one lab; ``after`` in each is what the step comes after."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def upload(self, after: tuple[str, ...]) -> Step:
        """Give Glance the guests' images."""
        return Step("upload", "give Glance the images", self._uploaded, self._upload, after)

    def register(self) -> Step:
        """Have Trove offer the datastores that the guests carry."""
        return Step("datastores", "register the datastores", self._registered, self._register, ("upload",))

    def prove(self, one: Guests) -> Step:
        """Prove the network with a small guest of one hypervisor."""

        def smoke() -> Smoke:
            lab, image = self._lab, f"{one.smoke.name}{one.suffix}"
            seconds = lab.spec.guest_timeout
            return Smoke(lab.home, seconds, lab.cloud("demo"), lab.remote, lab.installer.outbound, image)

        return Step(
            f"smoke{one.suffix}",
            "prove the network with a small guest",
            lambda: smoke().passed(),
            lambda note: smoke().run(note),
            ("upload",),
        )

    def cache(self) -> Step:
        """Let Nova fetch the container guest's image before the first instance wants it."""
        return Step("cache", "let Nova fetch the guest image", self._cached, self._cache, ("upload",))

    def database(self, after: tuple[str, ...]) -> Step:
        """Make the first database, and see it answer."""
        engine = self._lab.spec.datastore
        return Step(
            f"database-{engine}",
            f"make a {engine} instance; write, restart, read back",
            lambda: self._lab.database.answers(),
            lambda note: self._lab.database.make(note),
            after,
        )

    def _uploaded(self) -> bool:
        admin = self._lab.cloud("admin")
        return all(one.uploaded(admin) for one in self._lab.guests)

    def _upload(self, note: Note) -> None:
        admin = self._lab.cloud("admin")
        for one in self._lab.guests:
            one.upload(admin, note)

    def _registered(self) -> bool:
        trove = Trove(self._lab.cloud("admin"))
        return all(one.registered(trove) for one in self._lab.guests)

    def _register(self, note: Note) -> None:
        trove = Trove(self._lab.cloud("admin"))
        for one in self._lab.guests:
            one.register(trove, self._lab.installer.offer_settings)

    def _cached(self) -> bool:
        """Whether the machine's Docker has the guest image under the driver's name for it."""
        image = self._container_image()
        if image is None:
            return False
        name = f"nova-glance/{image.id}:{image.checksum[:12]}"
        return self._lab.remote.run("docker", "image", "inspect", name, check=False).ok

    def _cache(self, note: Note) -> None:
        image = self._container_image()
        assert image is not None  # the upload before this step has put it there
        glance.cache(self._lab.cloud("admin"), image.id, self._lab.installer.compute_host)
        waits.until(
            "Nova to have the guest image",
            self._cached,
            seconds=self._lab.spec.guest_timeout,
            setting="--guest-timeout",
            note=note,
        )

    def _container_image(self) -> Any | None:
        image = self._lab.guests[0].trove
        return glance.find(self._lab.cloud("admin"), image.name, image.sha256)
