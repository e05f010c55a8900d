"""A service of the cloud over the connection's own session: JSON both ways, whole lists, refusals apart.

Shapes: https://docs.openstack.org/api-ref/database/.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from keystoneauth1.exceptions import ClientException

from lab.core.errors import ApiFailed, Refused

REFUSALS = frozenset({400, 409, 413, 422})
"""Answers that blame the request."""


class Rest:
    """One service, by the SDK's proxy of it. Raises: Refused (the request is blamed), ApiFailed; in its own words."""

    def __init__(self, name: str, proxy: Any) -> None:
        self._name = name
        self._proxy = proxy

    def get(self, path: str) -> Any:
        """What is at ``path``."""
        return self.call("GET", path)

    def rows(self, path: str, key: str) -> list[dict[str, Any]]:
        """The whole list ``key``, page by page as the service's own links lead; no row twice.

        Only a link's query is used: its host and scheme are those behind a proxy. What its marker means is the
        service's own: Trove's is an id of the last instance, but a count of backups.
        """
        found: dict[Any, dict[str, Any]] = {}
        asked: set[str] = set()
        query = ""
        while query not in asked:
            asked.add(query)
            page = self.get(f"{path}?{query}" if query else path)
            found |= {row.get("id") or (row["name"], row.get("host")): row for row in page[key]}
            query = next(
                (urlsplit(link["href"]).query for link in page.get("links", ()) if link["rel"] == "next"), ""
            )
        return list(found.values())

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask; the answer's JSON, {} where it has none."""
        try:
            response = self._proxy.request(path, method, **({} if body is None else {"json": body}))
        except ClientException as error:  # a service that is restarting
            raise ApiFailed(self._name, f"{method} {path}", str(error)) from error
        if response.status_code in REFUSALS:
            raise Refused(f"{self._name} refuses: {_words(response)}", "Fix what it names; nothing was changed.")
        if response.status_code >= 400:
            raise ApiFailed(self._name, f"{method} {path}", f"{response.status_code} {_words(response)}")
        return response.json() if response.content else {}


def _words(response: Any) -> str:
    """The message out of ``{"badRequest": {"code": 400, "message": …}}``, or what came instead."""
    try:
        (fault,) = response.json().values()
        return str(fault["message"])[:300]
    except (ValueError, KeyError, TypeError, AttributeError):
        return str(response.text)[:300]
