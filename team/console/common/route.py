"""A route of the console: what is asked for, by whom it may be, the function that answers, and the page that shows it.

Page and JSON of a route show the value of the same function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from ....mail.errors import UsageError
from ..access.caller import NOBODY, Caller, Scope
from .console import Console

Model = TypeVar("Model", bound=BaseModel)
MOST_ROWS = 1_000  # that one answer has, whatever is asked for
_ROWS = 100


@dataclass(frozen=True)
class Asked:
    """A request, once it may be made: the variables of its path and query, its body, and who asks."""

    path: Mapping[str, Any] = field(default_factory=dict[str, Any])
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: BaseModel | None = None
    sender: str = ""
    caller: Caller = NOBODY

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return a variable of the query, None for one that is left out or empty."""
        return self.query.get(name) or default

    def number(self, name: str, default: int | None = None, least: int = 0) -> int | None:
        """Return a whole number of the query. Raises UsageError for another text."""
        text = self.query.get(name)
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) >= least):  # noqa: PLR2004
            raise UsageError(f"{name} must be a whole number of at least {least}")
        return int(text)

    def limit(self) -> int:
        """Return how many rows are asked for, at most MOST_ROWS. Raises UsageError."""
        return min(self.number("limit", _ROWS, 1) or _ROWS, MOST_ROWS)

    def given(self, model: type[Model]) -> Model:
        """Return the body, which the route takes as this model."""
        if not isinstance(self.body, model):
            raise UsageError("the request needs a body")
        return self.body


class Page(NamedTuple):
    """Where the value of a route is shown: the path, with the variables of the route, and the template."""

    path: str
    template: str


Answering = Callable[[Console, Asked], Any]
Streaming = Callable[[Console, Request], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """A method and a path below `/api`, and how it is answered.

    `answer` returns a value of JSON, in a thread of its own; or `stream` makes the response. `takes` is the model of
    the body, and `query` says what each variable of the query means. What `is_open` is answered without a login.
    """

    method: str
    path: str
    about: str
    answer: Answering | None = None
    stream: Streaming | None = None
    scope: Scope = Scope.READ
    takes: type[BaseModel] | None = None
    status: int = 200
    page: Page | None = None
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    is_open: bool = False

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"
