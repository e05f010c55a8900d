"""Who may ask: programs send the token of the home's file; a browser that has shown it once gets a session."""

import secrets
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lab.core.errors import BadFile
from lab.core.home import Home
from lab.core.secrets import ALPHABET
from lab.core.state import write_atomically

FILE = "serve.token"
LENGTH = 32
MOST_SESSIONS = 100
"""Beyond that the oldest has to log in again."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Denied(Exception):
    """No token, another one, or a request that another site's page made."""


def token(home: Home) -> tuple[str, Path]:
    """The home's token and its file, 0600; made the first time. Raises: BadFile (somebody shortened it)."""
    path = home.path / FILE
    if not path.exists():
        write_atomically(path, "".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) + "\n", 0o600)
    kept = path.read_text(encoding="utf-8").strip()
    if len(kept) < LENGTH:
        raise BadFile(path, f"it has {len(kept)} characters, not {LENGTH}", "Remove it: dbod-serve makes a new one.")
    return kept, path


class Door:
    """Lets those in who have the token."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted.encode()
        self._sessions: list[str] = []
        self.cookie = f"dbod-{secrets.token_hex(4)}"
        """Of this very server: cookies know no port, and another's must not be mistaken for ours."""
        # made here so that the OpenAPI knows the scheme
        bearer = HTTPBearer(auto_error=False, description="the token of serve.token in the home's folder")

        def asker(
            request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)] = None
        ) -> str:
            return self.judge(request)

        self.asker = asker

    def judge(self, request: Request) -> str:
        """Who asks: ``api`` or ``page``. Raises: Denied."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer" or not self.fits(given):
                raise Denied
            return "api"
        # an Origin that is not ours: another page of this browser asks, with our cookie
        origin = request.headers.get("origin", f"http://{request.headers.get('host')}")
        if not self.knows(request):
            raise Denied
        if request.method not in SAFE and origin != f"http://{request.headers.get('host')}":
            raise Denied
        return "page"

    def begin(self) -> str:
        """A session for a browser that has shown the token: random, and good at this server until it ends."""
        self._sessions = [*self._sessions, secrets.token_urlsafe(32)][-MOST_SESSIONS:]
        return self._sessions[-1]

    def fits(self, given: str) -> bool:
        """Whether it is the token."""
        return secrets.compare_digest(given.encode(errors="replace"), self._wanted)

    def knows(self, request: Request) -> bool:
        """Whether the browser has logged in."""
        given = request.cookies.get(self.cookie, "").encode(errors="replace")
        return any(secrets.compare_digest(given, one.encode()) for one in self._sessions)
