"""dbod-serve over a test's container host: ``python -m tests.integration.dbod.hostserve NAME ROOT PORT``."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.core import state
from lab.core.home import Home
from lab.dbod import database
from lab.dbod.dockerhost.provider import DockerHost
from lab.dbod.serve import auth, server
from lab.dbod.serve.service import SERVER, Service


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(name: str, root: Path, port: int) -> None:
    home = Home(name, root)
    home.make()
    with state.lock(home.path, home.name, SERVER):
        host = DockerHost(home, say, owned=True)
        assert host.store.path
        service = Service(host, database.of(home), server.WORKERS["docker-host"], say)
        server.run(service, auth.token(home)[0], server.listen(port))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
