"""Who may ask: whoever has the token of the home's file; programs send it, the page keeps it in a cookie."""

import secrets
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lab.core.home import Home
from lab.core.secrets import ALPHABET
from lab.core.state import write_atomically

COOKIE = "dbod"
FILE = "serve.token"
LENGTH = 32
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Denied(Exception):
    """No token, another one, or a request that another site's page made."""


def token(home: Home) -> tuple[str, Path]:
    """The home's token and its file, 0600; made the first time."""
    path = home.path / FILE
    if not path.exists():
        write_atomically(path, "".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) + "\n", 0o600)
    return path.read_text().strip(), path


class Door:
    """Lets those in who have the token."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted.encode()
        # made here so that the OpenAPI knows the scheme
        bearer = HTTPBearer(auto_error=False, description="the token of serve.token in the home's folder")

        def asker(
            request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)] = None
        ) -> str:
            if given is not None:
                if not self.fits(given.credentials):
                    raise Denied
                return "api"
            # an Origin that is not ours: another page of this browser asks, with our cookie
            origin = request.headers.get("origin", f"http://{request.headers.get('host')}")
            if not self.knows(request):
                raise Denied
            if request.method not in SAFE and origin != f"http://{request.headers.get('host')}":
                raise Denied
            return "page"

        self.asker = asker

    def fits(self, given: str) -> bool:
        """Whether it is the token."""
        return secrets.compare_digest(given.encode(), self._wanted)

    def knows(self, request: Request) -> bool:
        """Whether the browser has logged in."""
        return self.fits(request.cookies.get(COOKIE, ""))
