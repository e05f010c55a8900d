"""The web page: three files of our own and nothing from elsewhere; what it shows it asks the API for."""

from pathlib import Path
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from lab.dbod.serve.auth import Door

FOLDER = Path(__file__).with_name("page")
LONGEST = 1000
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def router(door: Door) -> APIRouter:
    """The page's routes; without the cookie it is the question for the token."""
    made = APIRouter(include_in_schema=False)

    @made.get("/")
    def index(request: Request) -> FileResponse:
        return _file("index.html" if door.knows(request) else "login.html")

    @made.get("/page.js")
    def script() -> FileResponse:
        return _file("page.js")

    @made.get("/graphs.js")
    def graphs() -> FileResponse:
        return _file("graphs.js")

    @made.get("/page.css")
    def style() -> FileResponse:
        return _file("page.css")

    @made.post("/login")
    async def login(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST:
                break
        given = parse_qs(body.decode(errors="replace")).get("token", [""])[0].strip()
        if not door.fits(given):
            return RedirectResponse("/?wrong", 303)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(door.cookie, door.begin(), httponly=True, samesite="strict")
        return answer

    return made


def _file(name: str) -> FileResponse:
    return FileResponse(FOLDER / name, headers=HEADERS)
