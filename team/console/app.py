"""The application: routes, pages, static files, and the guard before all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, compile_path
from starlette.routing import Route as Served
from starlette.staticfiles import StaticFiles
from starlette.types import Scope as RequestScope

from .access.caller import Scope
from .access.logins import Logins
from .common.answer import answered, as_json, problem, read_asked
from .common.console import Console
from .common.route import Route, for_page
from .guard.guard import CheckPeer, Guard, ScopesOf
from .guard.login import refused
from .pages import page
from .routes import ROUTES

STATIC = Path(__file__).parent / "static"
Endpoint = Callable[[Request], Awaitable[Response]]
_FAILED = 500


def make_app(console: Console, logins: Logins | None = None, check_peer: CheckPeer = lambda _: "") -> Guard:
    """Make the application of a console.

    `logins` takes the place of its own, and `check_peer` says why the process behind a connection may change nothing.
    """
    console.logins = logins or console.logins
    return Guard(make_unguarded(console), console, check_peer, _scopes(ROUTES))


def make_unguarded(console: Console) -> Starlette:
    """Make what the guard stands before: it answers whoever asks, as the `sender` that the scope names."""
    served: list[BaseRoute] = [_served(route, console) for route in ROUTES]
    served += [_shown(route, template, path, console) for route, template, path in _pages(ROUTES)]
    served.append(Mount("/static", _Static(directory=STATIC)))
    squeezed = Middleware(GZipMiddleware, compresslevel=6)  # pages and values; never a stream of events
    return Starlette(routes=served, middleware=[squeezed], exception_handlers=_HANDLERS)


def _pages(routes: Sequence[Route]) -> list[tuple[Route, str, str]]:
    """Return the routes that have a page, with its template, and with each path of it."""
    pages = [(route, route.page) for route in routes if route.page]
    return [(route, page.template, path) for route, page in pages for path in (page.path, *page.also)]


def _scopes(routes: Sequence[Route]) -> ScopesOf:
    """Return what tells the scopes of a method and a path; what is no route, and answers nothing, needs the least."""
    every = [(route.method, route.path, route.scopes) for route in routes]
    every += [(route.method, path, route.scopes) for route, _, path in _pages(routes)]
    known = [(method, compile_path(path)[0], scopes) for method, path, scopes in every]

    def scopes_of(method: str, path: str) -> tuple[Scope, ...]:
        named = "GET" if method == "HEAD" else method
        return next((scopes for own, form, scopes in known if own == named and form.match(path)), (Scope.READ,))

    return scopes_of


class _Static(StaticFiles):
    """Files that a browser may keep, if it asks each time whether they are the same."""

    async def get_response(self, path: str, scope: RequestScope) -> Response:
        """Return a file, or that it is the one which the browser has."""
        answer = await super().get_response(path, scope)
        answer.headers["cache-control"] = "no-cache"
        return answer


def _served(route: Route, console: Console) -> Served:
    async def endpoint(request: Request) -> Response:
        try:
            if route.stream:
                return await route.stream(console, request)
            asked = await read_asked(route, request, request.scope["sender"])
            value = await run_in_threadpool(answered, route, console, asked)
        except Exception as error:  # noqa: BLE001 - what is none of the team's is raised again
            return problem(error)
        return as_json(value, route.status)

    return Served(route.path, endpoint, methods=[route.method])


def _shown(route: Route, template: str, path: str, console: Console) -> Served:
    async def endpoint(request: Request) -> Response:
        at = request.scope["raw_path"].decode("ascii", "replace")
        try:
            asked = await read_asked(route, request, request.scope["sender"])
            asked, value = for_page(asked, await run_in_threadpool(answered, route, console, asked))
        except Exception as error:  # noqa: BLE001 - as above
            return await run_in_threadpool(page.failed, error, console, at)
        return await run_in_threadpool(page.shown, template, value, console, asked, at)

    return Served(path, endpoint, methods=[route.method])


async def _told(request: Request, error: Exception) -> Response:
    """Answer what no route does, such as a path that is none."""
    return refused(error, request.scope)


async def _failed(request: Request, error: Exception) -> Response:
    """Answer a fault of the console itself, which its terminal is shown."""
    del request, error
    return as_json({"error": "the console failed at this; its terminal shows where"}, _FAILED)


_HANDLERS = {HTTPException: _told, Exception: _failed}
