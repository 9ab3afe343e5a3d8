"""What stands before every request: names, login, limits, the process that asks; and headers on every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from ....mail.errors import TeamMailError
from ....scheduler.errors import SettingsError
from ....scheduler.settings.console import ConsoleSettings
from ..access.caller import OF_PROGRAMS, Caller, Scope
from ..access.peer import ELSEWHERE
from ..access.tokens import Tokens
from ..access.webhooks import HEADERS, Webhooks, webhook_caller, why_not_of_forge
from ..common.answer import Refused
from ..common.console import Console
from ..common.slashes import keep_slashes
from .body import Replay, read_body
from .login import cookie_name, logged_in, refused
from .names import check_names

_UNKNOWN, _FORBIDDEN, _DOWN = 401, 403, 503
_STATIC = "/static/"
_FORGE, _SIGNATURE = "/api/github", "x-hub-signature-256"
_PERSON = frozenset(Scope)
_SAFE = {"GET", "HEAD"}
_BEARER = {"www-authenticate": "Bearer"}
_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
CheckPeer = Callable[[Connection], str]
ScopesOf = Callable[[str, str], tuple[Scope, ...]]


class Guard:
    """Lets only those requests through that may be made, and says who makes them.

    `check_peer` says why the process behind a connection may change nothing, "" if it may; `scopes_of` of which scopes
    a method and a path need one, none for what anybody may ask.
    """

    def __init__(self, app: ASGIApp, console: Console, check_peer: CheckPeer, scopes_of: ScopesOf) -> None:
        self._app = app
        self._console = console
        self._check_peer = check_peer
        self._scopes_of = scopes_of
        self._webhooks = Webhooks()
        self._tokens: Tokens | None = None
        self._known = ConsoleSettings()
        self._stopping = asyncio.Event()
        console.on_stop.append(self._stopping.set)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        keep_slashes(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            answer, body = await self._admitted(scope, receive)
        except TeamMailError as error:
            answer, body = refused(error, scope), b""
        replay = Replay(body, receive, self._stopping)
        try:
            await answer(scope, replay, with_headers)
        finally:
            replay.close()

    async def _admitted(self, scope: Connection, receive: Receive) -> tuple[ASGIApp, bytes]:
        """Return what answers a request, and its body; note who asks. Raises Refused, and what opening a team does."""
        headers = Headers(scope=scope)
        settings = await run_in_threadpool(self._settings)
        check_names(scope, headers, self._console.options, settings.hosts)
        if scope["path"] == "/login":
            return await run_in_threadpool(logged_in, scope, self._console), b""
        scope["sender"], scope["caller"] = "", Caller(scopes=frozenset({Scope.READ}))
        wanted = self._scopes_of(scope["method"], scope["path"])
        if scope["path"].startswith(_STATIC) or not wanted:
            return self._app, await read_body(headers, receive)
        of_forge = scope["path"] == _FORGE and _SIGNATURE in headers
        signed = "webhook-signature" in headers and not of_forge
        if not (signed or of_forge):
            await run_in_threadpool(self._identify, scope, headers)
        body = await read_body(headers, receive)
        if signed:
            await run_in_threadpool(self._believe, scope, headers, settings, body)
        elif of_forge:
            await run_in_threadpool(self._believe_forge, scope, headers, body)
        _check_scope(scope["caller"], wanted)
        if scope["method"] not in _SAFE:
            await run_in_threadpool(self._check_change, scope)
        return self._app, body

    def _settings(self) -> ConsoleSettings:
        """Return the settings as they are now, the last ones if they cannot be read: who asks will be told so."""
        with suppress(TeamMailError, OSError):
            self._known = self._console.context.settings.console
        return self._known

    def _identify(self, scope: Connection, headers: Headers) -> None:
        """Note who asks, by a token or a cookie. Raises Refused."""
        caller = self._by_token(headers) if "authorization" in headers else self._by_cookie(headers)
        if caller is None:
            raise Refused(_UNKNOWN, "log in with the address that `team console` printed; it works once", _BEARER)
        scope["caller"], scope["sender"] = caller, caller.sender

    def _by_token(self, headers: Headers) -> Caller | None:
        values = headers.getlist("authorization")
        kind, _, token = values[0].partition(" ")
        if len(values) != 1 or kind.lower() != "bearer":
            return None
        home = self._console.context.home
        if self._tokens is None or self._tokens.home != home:
            self._tokens = Tokens(home)
        return self._tokens.caller(token.strip())

    def _by_cookie(self, headers: Headers) -> Caller | None:
        session = self._console.logins.session(_cookie(headers, cookie_name(self._console.options)))
        return Caller(self._console.human, _PERSON, session.id) if session else None

    def _believe(self, scope: Connection, headers: Headers, settings: ConsoleSettings, body: bytes) -> None:
        """Note that a webhook asks, if it is one. Raises Refused."""
        lines = {name: headers.get(name, "") for name in HEADERS}
        try:
            why = self._webhooks.why_not(settings.secret_file, lines, body)
        except SettingsError:
            raise Refused(_DOWN, "[console] secret_file in team.toml names no file with a secret") from None
        if why:
            raise Refused(_UNKNOWN, f"the webhook is refused: {why}")
        scope["caller"] = webhook_caller(self._console.human)
        scope["sender"] = scope["caller"].sender

    def _believe_forge(self, scope: Connection, headers: Headers, body: bytes) -> None:
        """Note that a webhook of the forge asks, for its own path alone, if it is one. Raises Refused."""
        home, file = self._console.context.home, self._console.context.settings.github.webhook_secret_file
        try:
            why = why_not_of_forge(str(home.absolute().parent / file) if file else None, headers[_SIGNATURE], body)
        except SettingsError:
            raise Refused(_DOWN, "[github] webhook_secret_file in team.toml names no file with a secret") from None
        if why:
            raise Refused(_UNKNOWN, f"the webhook is refused: {why}")
        scope["caller"] = webhook_caller(self._console.human)
        scope["sender"] = scope["caller"].sender

    def _check_change(self, scope: Connection) -> None:
        if self._console.options.read_only:
            raise Refused(_FORBIDDEN, "this console only shows (--read-only)")
        why = self._check_peer(scope)
        if why == ELSEWHERE and (session := scope["caller"].session):
            if not self._console.logins.is_fresh(session):
                raise Refused(_UNKNOWN, "log in again to change something: here nobody can tell which process asks")
        elif why:
            raise Refused(_FORBIDDEN, f"this is for people, and for programs outside of runs: {why}")


def _check_scope(caller: Caller, wanted: Sequence[Scope]) -> None:
    """Refuse what a program may not ask for. Raises Refused."""
    if caller.scopes.intersection(wanted):
        return
    if named := [scope for scope in wanted if scope in OF_PROGRAMS]:
        raise Refused(_FORBIDDEN, f"{caller.token} may not: its token has no scope {' or '.join(named)}")
    raise Refused(_FORBIDDEN, "only a person who has logged in may do that")


def _cookie(headers: Headers, name: str) -> str:
    try:
        morsel = SimpleCookie("; ".join(headers.getlist("cookie"))).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
