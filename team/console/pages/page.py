"""Renders the templates of pages; whatever an agent wrote is only ever text in them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response

from ....mail.text.escape import clean
from ..common.answer import refusal
from ..common.console import Console
from ..common.route import Asked

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """Return the environment of the templates, which escapes all that is put into them."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # the first page waits for it, and not the server

    from .filters import FILTERS
    from .pictures.filters import PICTURES

    loader = PackageLoader(__package__ or "", "templates")
    made = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_seen
    )
    made.filters.update(FILTERS)
    made.filters.update(PICTURES)
    return made


def _seen(value: Any) -> Any:
    """Make visible what turns the direction of a text or hides in it; a patch would read other than it is."""
    return clean(value) if type(value) is str else value  # markup, such as `| e` makes, stays as it is


def shown(template: str, value: Any, console: Console, asked: Asked, path: str) -> Response:
    """Return the page that shows the value of a route."""
    more = {"asked": asked, "path": path, "console": console, "damage": console.damage}
    text = environment().get_template(template).render(doc=value, **more)
    return HTMLResponse(text)


def failed(error: BaseException, console: Console, path: str) -> Response:
    """Return the page of an error, with its status. Raises it again if it is none of the team's."""
    status, text = refusal(error)
    page = environment().get_template("failed.html").render(text=text, status=status, path=path, damage=console.damage)
    return HTMLResponse(page, status)


def refusal_page(status: int, text: str, path: str, *, may_log_in: bool) -> Response:
    """Return the page of a request that is refused before anything of the team is looked at."""
    page = environment().get_template("refused.html")
    return HTMLResponse(page.render(status=status, text=clean(text), path=path, may_log_in=may_log_in), status)
