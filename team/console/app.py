"""The application: routes, pages, static files, and the guard before all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.routing import Route as Served
from starlette.staticfiles import StaticFiles

from .common.answer import answered, as_json, problem, read_asked
from .common.console import Console
from .common.route import Page, Route, for_page
from .guard.guard import Guard
from .guard.logins import Logins
from .pages import page
from .routes import ROUTES

STATIC = Path(__file__).parent / "static"
Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(console: Console, logins: Logins) -> Guard:
    """Make the application of a console; `logins` knows who may ask it."""
    return Guard(make_unguarded(console), console, logins)


def make_unguarded(console: Console) -> Starlette:
    """Make what the guard stands before: it answers whoever asks, as the `sender` that the scope names."""
    served: list[BaseRoute] = [_served(route, console) for route in ROUTES]
    served += [_shown(route, route.page, console) for route in ROUTES if route.page]
    served.append(Mount("/static", StaticFiles(directory=STATIC)))
    return Starlette(routes=served)


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


def _shown(route: Route, shown: Page, console: Console) -> Served:
    async def endpoint(request: Request) -> Response:
        try:
            asked = await read_asked(route, request, request.scope["sender"])
            asked, value = for_page(asked, await run_in_threadpool(answered, route, console, asked))
        except Exception as error:  # noqa: BLE001 - as above
            return await run_in_threadpool(page.failed, error, console, request.url.path)
        return await run_in_threadpool(page.shown, shown.template, value, console, asked, request.url.path)

    return Served(shown.path, endpoint, methods=["GET"])
