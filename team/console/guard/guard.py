"""What stands before every request: the name of the host, the login, and headers on every answer."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..common.answer import Refused, problem
from ..common.console import Console
from .logins import COOKIE, Logins

_UNKNOWN, _FORBIDDEN, _MISDIRECTED = 401, 403, 421
_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Lets only those requests through that may be made, and says who makes them."""

    def __init__(self, app: ASGIApp, console: Console, logins: Logins) -> None:
        self._app = app
        self._console = console
        self._logins = logins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            answer = self._admit(scope) or self._app
        except Refused as error:
            answer = problem(error)
        await answer(scope, receive, with_headers)

    def _admit(self, scope: Scope) -> Response | None:
        """Note who asks, if it may be asked; return the answer to a login. Raises Refused."""
        headers, hosts = Headers(scope=scope), self.hosts()
        if headers.getlist("host") not in [[host] for host in hosts]:
            raise Refused(_MISDIRECTED, "this server has another name")
        if headers.get("origin", f"http://{hosts[0]}") not in {f"http://{host}" for host in hosts}:
            raise Refused(_FORBIDDEN, "the request comes from another site")
        if scope["path"] == "/login":
            return self._log_in(Request(scope))
        scope["sender"] = ""
        if not scope["path"].startswith("/static/") and scope["path"] != "/api/health":
            self._check_login(scope, headers)
        return None

    def _check_login(self, scope: Scope, headers: Headers) -> None:
        if not self._logins.knows(_cookie(headers)):
            raise Refused(_UNKNOWN, "log in with the address that `team console` printed; it works once")
        scope["sender"] = self._console.human
        if self._console.options.read_only and scope["method"] not in {"GET", "HEAD"}:
            raise Refused(_FORBIDDEN, "this console only shows (--read-only)")

    def hosts(self) -> list[str]:
        """Return the names by which this server may be called."""
        port = self._console.options.port
        return [f"{name}:{port}" for name in dict.fromkeys(("127.0.0.1", "localhost", self._console.options.host))]

    def _log_in(self, request: Request) -> Response:
        session = self._logins.log_in(request.query_params.get("key", ""))
        if session is None:
            raise Refused(_UNKNOWN, "this address was used already; `team console` prints a new one")
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, session, httponly=True, samesite="strict")
        return answer


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
