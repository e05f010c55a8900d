"""Connections of the server that say nothing: ended after a while, and the oldest of them first where there are many.

uvicorn bounds the time between requests but not that of a request's head; its protocol is told here.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""From a connection's first moment, or a request's first byte, to the end of its head."""
MOST = 256
"""Connections at once; beyond that the oldest that asks nothing has to go."""


class Bounded(H11Protocol):
    """uvicorn's protocol with an end to waiting for a request's head."""

    _waiting: asyncio.TimerHandle | None = None

    @property
    def asks(self) -> bool:
        """Whether a request is being answered."""
        return getattr(self.cycle, "response_complete", True) is False  # there is none before the first request

    def connection_made(self, transport: Any) -> None:
        """A new connection; the oldest silent one goes for it, where there are too many."""
        super().connection_made(transport)
        others = [one for one in cast("set[Bounded]", self.connections) if one is not self and not one.asks]
        if len(self.connections) > MOST and others:
            min(others, key=lambda one: one.since).transport.abort()
        self.since = self.loop.time()
        self._wait()

    def data_received(self, data: bytes) -> None:
        """More of a request."""
        if self._waiting is None and not self.asks:
            self._wait()
        super().data_received(data)
        if self.asks:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._rest()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _rest(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
