"""Every answer that is no success: a status, one sentence, a remedy; never a traceback."""

import http
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lab.core.errors import BadValue, LabBusy, LabError, Missing, NoSuch, PortTaken, Refused
from lab.dbod.serve.auth import Denied
from lab.dbod.serve.shapes import Refusal

STATUS: tuple[tuple[type[LabError], int], ...] = (
    (NoSuch, 404),
    (BadValue, 422),
    (Refused, 409),
    (PortTaken, 409),
    (Missing, 409),
    (LabBusy, 409),
)
"""What the asker can mend; anything else is the host's trouble: 503."""
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": words}
    for status, words in (
        (401, "no token, or another one"),
        (404, "there is no such instance, attribute or job"),
        (409, "refused: it cannot be done as things are, or the provider does not have it"),
        (422, "a value that cannot be used"),
        (503, "the provider cannot answer now"),
    )
}
"""For the OpenAPI."""


def refusal(status: int, name: str, cause: str, remedy: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The shape of them all."""
    body = {"error": {"id": name, "cause": cause, "remedy": remedy}}
    return JSONResponse(body, status, headers=headers)


def register(app: FastAPI) -> None:
    """Let the application answer so."""
    app.add_exception_handler(LabError, _lab_error)
    app.add_exception_handler(Denied, _denied)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(Exception, _fault)


async def _lab_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LabError)
    status = next((code for kind, code in STATUS if isinstance(error, kind)), 503)
    return refusal(status, error.id, error.cause, error.remedy)


def denied() -> JSONResponse:
    """To who has no token."""
    return refusal(
        401,
        "denied",
        "This needs the server's token.",
        "Send it: Authorization: Bearer TOKEN",
        {"WWW-Authenticate": "Bearer"},
    )


async def _denied(_: Request, __: Exception) -> JSONResponse:
    return denied()


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return refusal(422, "bad-value", f"{where} cannot be used: {first['msg']}.", "Mend it; nothing was changed.")


async def _plain(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    phrase = http.HTTPStatus(error.status_code).phrase
    return refusal(
        error.status_code, phrase.lower().replace(" ", "-"), f"{phrase}.", "/openapi.json describes what is served.",
        dict(error.headers or {}),
    )  # fmt: skip


async def _fault(_: Request, error: Exception) -> JSONResponse:
    return refusal(500, "unforeseen", f"A fault of the server: {type(error).__name__}.", "Its output has the rest.")
