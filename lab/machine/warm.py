"""The warm image: a lab's machine with its cloud installed, committed so that the next ``up`` starts from it."""

from __future__ import annotations

from lab.build.content_key import content
from lab.containers import client, volumes
from lab.core.home import Home
from lab.core.resources import PACKAGE, RESOURCES
from lab.core.waits import Note
from lab.machine.docker import DockerMachine

REPOSITORY = "trove-lab/warm"
ROOMS = ("build", "cloud", "config", "containers", "engines", "guest", "host", "install", "lifecycle", "machine")
"""The packages that decide how the cloud in the image was made: all that `up` is written in but the core, which knows
nothing of clouds, and the doctor, which changes nothing."""
DATA = ("localconf", "novadriver/nova", "Vagrantfile")
"""What else it was made of, beside the images, whose tags are hashes of their own."""


def tag(home: Home, *made_of: str) -> str:
    """The tag that a warm image of this lab has, if there is one.

    It depends on the images it was ``made_of``, on all that installed it, and on the lab's secrets, which are in it.
    """
    sources = [*(PACKAGE / room for room in ROOMS), *(RESOURCES / name for name in DATA)]
    return f"{REPOSITORY}:{home.name}-{content(*made_of, *sources, home.secrets['machine'])}"


def commit(home: Home, machine: DockerMachine, wanted: str, note: Note) -> None:
    """Commit the machine under ``wanted``, and let go of the lab's earlier warm images."""
    machine.commit(wanted, client.SHARED, note)
    client.remove_tags(_any(home), but=wanted)
    volumes.remove(volumes.beside(_any(home)), but=volumes.beside(wanted))


def there(home: Home) -> list[str]:
    """The tags of the lab's warm images."""
    return client.tags(_any(home))


def forget(home: Home) -> None:
    """Remove the lab's warm images and what lies beside them."""
    client.remove_tags(_any(home))
    volumes.remove(volumes.beside(_any(home)))


def _any(home: Home) -> str:
    """A pattern for the tag of any warm image of the lab; another lab's name may begin with this one's."""
    return f"{REPOSITORY}:{home.name}-[0-9a-f]{{16}}"
