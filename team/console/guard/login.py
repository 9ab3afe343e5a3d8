"""The login itself, and what those are answered who may not ask."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from ....mail.text.escape import line
from ..common.answer import Refused, problem, refusal
from ..common.console import Console, ConsoleOptions
from ..pages.page import refusal_page

_UNKNOWN, _NO_METHOD = 401, 405
_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,2000}")  # of this server, whatever a browser makes of it


def cookie_name(options: ConsoleOptions) -> str:
    """Return the name of the login's cookie: browsers send it to all ports of a host, so each server has its own."""
    return f"team_console_{options.port}"


def logged_in(scope: Scope, console: Console) -> Response:
    """Log in with the key of an address, and go on to the page that was asked for. Raises Refused."""
    if scope["method"] != "GET":
        raise Refused(_NO_METHOD, "the address is opened by GET", {"allow": "GET"})
    query, headers = parse_qs(scope["query_string"].decode("ascii", "replace")), Headers(scope=scope)
    key = query.get("key", [""])[0].strip()
    if "key=" in key:  # the whole address, as it was printed
        key = key.partition("key=")[2].partition("&")[0]
    device, client = line(headers.get("user-agent", "")), scope.get("client") or ("", 0)
    cookie = console.logins.log_in(key, device, str(client[0]))
    if cookie is None:
        raise Refused(_UNKNOWN, "this address was used already, or is too old; `team console` prints a new one")
    secure = console.options.tls is not None or headers.get("x-forwarded-proto") == "https"
    answer = RedirectResponse(safe_path(query.get("next", ["/"])[0]), 303)
    answer.set_cookie(cookie_name(console.options), cookie, httponly=True, samesite="strict", secure=secure)
    return answer


def safe_path(path: str) -> str:
    """Return a path if it is one of this server, else that of the first page."""
    return path if _PATH.fullmatch(path) else "/"


def refused(error: Exception, scope: Scope) -> Response:
    """Return the answer to who may not ask: a page for a browser that opens one, else JSON."""
    headers = Headers(scope=scope)
    wants_page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
    if not wants_page or scope["path"].startswith("/api/"):
        return problem(error)
    status, text = refusal(error)
    asked = scope["path"] + (f"?{scope['query_string'].decode('ascii', 'replace')}" if scope["query_string"] else "")
    if scope["path"] == "/login":
        asked = parse_qs(scope["query_string"].decode("ascii", "replace")).get("next", ["/"])[0]
    path = safe_path(quote(asked, safe="/?&=%+,:;@!$'()*~"))
    answer = refusal_page(status, text, path, may_log_in=status == _UNKNOWN)
    if isinstance(error, Refused):
        answer.headers.update(error.headers or {})
    return answer
