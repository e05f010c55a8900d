"""Before the application: who has no token is answered before a byte of the body is taken, and bodies have limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import Request

from lab.core.units import MIB
from lab.dbod.serve import answers
from lab.dbod.serve.auth import Denied, Door

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
OPEN = frozenset({"/", "/login", "/page.js", "/page.css", "/graphs.js", "/openapi.json"})
"""What everyone on this host may ask: the page's own files, the question for the token, the description."""
MOST_BYTES = MIB
OPEN_BYTES = 4096
"""Of a body that comes without a token: the login's."""
BODY_SECONDS = 20.0


class TooLarge(Exception):
    """A body above its limit."""


class TooSlow(Exception):
    """A body that does not come."""


class NoLength(Exception):
    """A Content-Length that is no number."""


class Gate:
    """An ASGI application around another."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]], door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it. The connection of one that was not read whole is closed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, most = Request(scope), OPEN_BYTES if scope["path"] in OPEN else MOST_BYTES
        body = Body(receive, most)
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if body.refused is None or begun:  # else these are the application's words on a body that it did not get
                begun = True
                await send(message)

        refused: Exception | None = None
        try:
            if scope["path"] not in OPEN:
                self._door.judge(request)
            if _length(request) > most:
                raise TooLarge
            await self._app(scope, body, answer)
        except (Denied, TooLarge, TooSlow, NoLength) as error:
            refused = error
        refused = body.refused or refused
        if refused is not None and not begun:
            said = _answer(refused, most)
            said.headers["connection"] = "close"
            await said(scope, receive, send)


class Body:
    """What an application receives, up to ``most`` bytes and ``BODY_SECONDS``; ``refused`` tells why no further."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left = receive, most
        self._deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        self._whole = False
        self.refused: TooLarge | TooSlow | None = None

    async def __call__(self) -> Message:
        """The next message. Raises: TooLarge, TooSlow."""
        if self._whole:  # only whether the asker is still there: that may be waited for
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            self.refused = TooSlow()
            raise self.refused from error
        self._left -= len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._left < 0:
            self.refused = TooLarge()
            raise self.refused
        return message


def _length(request: Request) -> int:
    told = request.headers.get("content-length", "0")
    if not told.isdecimal():
        raise NoLength
    return int(told)


def _answer(refusal: Exception, most: int) -> Any:
    if isinstance(refusal, Denied):
        return answers.denied()
    if isinstance(refusal, TooLarge):
        return answers.refusal(413, "too-large", f"The body is over {most} bytes.", "Send less; nothing was changed.")
    if isinstance(refusal, TooSlow):
        return answers.refusal(408, "too-slow", f"The body did not come in {BODY_SECONDS:.0f} s.", "Send it at once.")
    return answers.refusal(400, "bad-request", "The request's length is no number.", "Mend the request.")
