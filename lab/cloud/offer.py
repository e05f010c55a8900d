"""What the cloud has for an instance: flavors, networks, services, and the objects that others stored."""

from __future__ import annotations

from openstack.connection import Connection

from lab.core.errors import Refused

NETWORK = "private"
"""The network of tenants' instances, whatever put the cloud there."""


class Offer:
    """One user's view of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def has(self, service: str) -> bool:
        """Whether the cloud's catalogue has a service of that type."""
        return any(entry["type"] == service for entry in self._connection.service_catalog)

    def flavor(self, memory: int) -> str:
        """Id of the smallest flavor with ``memory`` MiB or more and a disk for the data. Raises: Refused."""
        found = [f for f in self._connection.compute.flavors() if f.ram >= memory and f.ephemeral]
        if not found:
            raise Refused(f"The cloud has no flavor with {memory} MiB.", "Ask for less memory.")
        return str(min(found, key=lambda f: f.ram).id)

    def memory(self, flavor: str) -> int:
        """A flavor's memory in MiB."""
        return int(self._connection.compute.get_flavor(flavor).ram)

    def network(self, name: str) -> str:
        """Id of a network."""
        return str(self._connection.network.find_network(name, ignore_missing=False).id)

    def stored(self, container: str, prefix: str) -> str:
        """The text of the object store's objects in ``container`` whose names begin with ``prefix``, in order."""
        store = self._connection.object_store
        names = sorted(o.name for o in store.objects(container, prefix=prefix))
        return "".join(store.download_object(name, container).decode("utf-8", "replace") for name in names)
