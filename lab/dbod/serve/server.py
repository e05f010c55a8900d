"""dbod-serve: owns a provider's home while it runs, and answers on a port of 127.0.0.1 until it is told to end."""

from __future__ import annotations

import errno
import signal
import socket

import uvicorn

from lab.core import state, waits
from lab.core.errors import BadValue, PortTaken
from lab.core.home import cache
from lab.core.waits import Note
from lab.dbod import database
from lab.dbod.providers import table
from lab.dbod.serve import auth
from lab.dbod.serve.app import application
from lab.dbod.serve.connections import Bounded
from lab.dbod.serve.service import SERVER, Service
from lab.host import packages

WORKERS = {"docker-host": 4, "shared": 1, "trove": 4}
"""Jobs at once; the databases of one shared server are made one after another."""
LAST_ANSWERS_SECONDS = 5


def serve(name: str, lab: str, port: int, note: Note, host_name: str = table.HOST) -> None:
    """Serve a provider until SIGTERM or Ctrl-C. Raises: BadValue, LabBusy, PortTaken, NoSuchLab, GaveUp …"""
    if not 0 <= port <= 65535:
        raise BadValue("port", port, "a whole number from 0 (any) to 65535", "flag")
    home = table.home_of(name, lab, host_name)
    if name != "trove":
        packages.ensure({"docker"}, note, cache() / "dbod-install.log")
    listening = listen(port)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    with listening, state.lock(table.lock_of(name, home), home.name, f"{SERVER} at {address}"):
        provider = table.provider(name, lab, note, host_name, owned=True)
        token, path = auth.token(home)
        service = Service(provider, database.of(home), WORKERS[name], note)
        note(f"serving {name} at {address}, its token is in {path}; Ctrl-C ends it")
        run(service, token, listening)
        note("stopped; what was accepted is kept")


def listen(port: int) -> socket.socket:
    """A listening socket on that port of 127.0.0.1; 0 is any. Raises: PortTaken."""
    # said to be TCP, or asyncio leaves Nagle's algorithm on, 40 ms an answer: cpython, base_events._set_nodelay
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1", port))
        made.listen()  # who asks before we are ready waits
    except OSError as error:
        made.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTaken(port, "dbod-serve") from error
    return made


def run(service: Service, token: str, listening: socket.socket) -> None:
    """Answer until a signal, then let what runs end; a second signal interrupts that, too."""
    seen: list[int] = []

    def signalled(number: int, _: object) -> None:
        # uvicorn hands the signal that ended it on to us: only another one is a person's impatience
        seen.append(number)
        if len(seen) > 1:
            waits.cancelled.set()

    before = {number: signal.signal(number, signalled) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        service.start()
        if not seen:
            server(service, token).run(sockets=[listening])
    finally:
        service.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def server(service: Service, token: str) -> uvicorn.Server:
    """The server, not started."""
    config = uvicorn.Config(
        application(service, token),
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        http=Bounded,
        h11_max_incomplete_event_size=16 * 1024,
        timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
    )
    return uvicorn.Server(config)
