"""The page on 127.0.0.1 for one or several reviewers; every decision is in the log when answered.

Needs the token in the path, its own Host and, where one is sent, its own Origin: other pages in the
same browser, and names that were made to point here, get nothing.
"""

import json
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distill.errors import PrerequisiteError, Problem, UsageError
from distill.review.formats.jsonl import incoming
from distill.review.incoming import FileRead
from distill.review.log import append
from distill.review.pack import Pack
from distill.review.page_files import SERVED_POLICY, asset, page_data, served_page
from distill.review.plan import BAD, Known, Planner
from distill.rows.json_values import BadValue, parse_json

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

LONGEST_BODY = 4 << 20
HEADERS = {
    "Content-Security-Policy": SERVED_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class Service:
    """One pack being decided: what reviewers have said, and where it is kept."""

    def __init__(self, pack: Pack, known: Known, folder: "Path", now: Callable[[], str]) -> None:
        self.pack = pack
        self._folder, self._now = folder, now
        self._planner = Planner(known, FileRead("serve", [], {}), None, now())
        self._data = json.dumps(page_data(pack), ensure_ascii=False).encode()
        self._said: dict[str, dict[str, dict[str, Any]]] = {}
        for review in known.log:
            if review.pack_id == pack.pack_id:
                self._note(review)

    @property
    def data(self) -> bytes:
        """The pack as the page reads it."""
        return self._data

    def said(self, reviewer: str) -> dict[str, dict[str, Any]]:
        """Row id -> what this reviewer, and nobody else, has decided."""
        return self._said.get(reviewer, {})

    def decide(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Takes one decision; returns the HTTP status and what to say."""
        given = {**body, "pack_id": self.pack.pack_id}
        planner = self._planner
        if body.get("decision") is None:
            back = planner.withdrawal(incoming(given, None), self.pack, self._now())
            if back is None:
                return 200, {"outcome": "unchanged"}
            append(self._folder, [back])
            self._note(back)
            return 200, {"outcome": "applied"}
        outcome, review, what = planner.take(incoming(given, None), self._now())
        if outcome in BAD or review is None:
            return 422, {"error": what or "nothing was decided"}
        if outcome != "unchanged":
            append(self._folder, [review])
        self._note(review)
        return 200, {"outcome": outcome}

    def _note(self, review: Any) -> None:
        of_reviewer = self._said.setdefault(review.reviewer, {})
        if review.decision is None:
            of_reviewer.pop(review.row_id, None)
            return
        of_reviewer[review.row_id] = {
            "row_id": review.row_id,
            "decision": review.decision,
            "edits": dict(review.edits),
            "tags": list(review.tags),
            "comment": review.comment,
            "seconds": review.seconds,
            "confidence": review.confidence,
            "order": list(review.order),
        }


@dataclass(frozen=True, slots=True)
class Address:
    """Where the page is."""

    port: int
    token: str

    @property
    def url(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.port}/{self.token}/"

    @property
    def hosts(self) -> frozenset[str]:
        """The names under which it may be asked for."""
        return frozenset({f"127.0.0.1:{self.port}", f"localhost:{self.port}"})


def build_app(service: Service, address: Address) -> App:
    """The ASGI application.

    Raises: PrerequisiteError without starlette.
    """
    starlette = _starlette()
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    def text(content: str | bytes, kind: str) -> Response:
        return Response(content, media_type=kind, headers=HEADERS)

    async def page(_: Request) -> Response:
        return text(served_page(), "text/html")

    async def style(_: Request) -> Response:
        return text(asset("page.css"), "text/css")

    async def script(_: Request) -> Response:
        return text(asset("page.js"), "text/javascript")

    async def pack(_: Request) -> Response:
        return text(service.data, "application/json")

    async def state(request: Request) -> Response:
        said = service.said(request.query_params.get("reviewer", ""))
        return JSONResponse(said, headers=HEADERS)

    async def decide(request: Request) -> Response:
        status, told = await _decided(service, request)
        return JSONResponse(told, status, headers=HEADERS)

    async def nothing(_: Request, __: Exception) -> Response:
        return Response(status_code=404, headers=HEADERS)

    prefix = f"/{address.token}"
    routes = [
        Route(f"{prefix}/", page),
        Route(f"{prefix}/page.css", style),
        Route(f"{prefix}/page.js", script),
        Route(f"{prefix}/pack", pack),
        Route(f"{prefix}/state", state),
        Route(f"{prefix}/decide", decide, methods=["POST"]),
    ]
    app = starlette(routes=routes, exception_handlers={404: nothing, 405: nothing})
    app.router.redirect_slashes = False
    return _guarded(app, address)


async def _decided(service: Service, request: "Request") -> tuple[int, dict[str, Any]]:
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return 415, {"error": "only JSON is taken"}
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST_BODY:
            return 413, {"error": "too long"}
    try:
        value = parse_json(body.decode())
    except (BadValue, UnicodeDecodeError):
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("row_id"), str):
        return 422, {"error": "not a decision"}
    return service.decide(value)


def _guarded(app: App, address: Address) -> App:
    """Answers nothing to whoever has not the token, or comes by another name or from elsewhere."""
    origins = {f"http://{host}" for host in address.hosts}

    async def guard(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = {
            name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        token = scope["path"].split("/")[1] if scope["path"].startswith("/") else ""
        origin = headers.get("origin")
        if not secrets.compare_digest(token.encode(), address.token.encode()):
            await _refuse(send, 404)
        elif (
            headers.get("host") not in address.hosts
            or (origin is not None and origin not in origins)
            or headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        ):
            await _refuse(send, 403)
        else:
            await app(scope, receive, send)

    return guard


async def _refuse(send: Any, status: int) -> None:
    headers = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def serve(service: Service, port: int, announce: Callable[[Address], None]) -> None:
    """Serves until interrupted; `announce` is told the address once it answers.

    Raises: UsageError for a port that is taken, PrerequisiteError without starlette and uvicorn.
    """
    _starlette()
    import uvicorn

    listening = _listen(port)
    address = Address(listening.getsockname()[1], secrets.token_urlsafe(24))
    app = build_app(service, address)
    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False, lifespan="off", ws="none"
    )
    announce(address)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        return  # every decision is in the log
    finally:
        listening.close()


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
    except OSError as exc:
        listening.close()
        problem = Problem(f"port {port} cannot be used: {exc.strerror}", fix="Give another --port.")
        raise UsageError(str(problem), [problem]) from exc
    return listening


def _starlette() -> Any:
    try:
        import uvicorn  # noqa: F401  the same extra; asked for before anything is bound
        from starlette.applications import Starlette
    except ImportError as missing:
        line = "pip install 'distill-kit[review]'"
        raise PrerequisiteError(
            f"{missing.name} is not installed; the page needs it: {line}",
            [Problem(found=f"package {missing.name} is missing", fix=line)],
        ) from missing
    return Starlette
