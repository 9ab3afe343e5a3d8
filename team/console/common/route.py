"""A route of the console: what is asked for, by whom it may be, the function that answers, and the page that shows it.

Page and JSON of a route show the value of the same function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from ....mail.errors import UsageError
from ..access.caller import NOBODY, Caller, Scope
from .console import Console

Model = TypeVar("Model", bound=BaseModel)
MOST_ROWS = 1_000  # that one answer has, whatever is asked for
_ROWS = 100
_FLAGS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True)
class Asked:
    """A request, once it may be made: the variables of its path and query, its body, and who asks.

    `key` is its header `Idempotency-Key`, None if it has none. `following` is for pages of lists: what the next page's
    rows are before, None on the last one.
    """

    path: Mapping[str, Any] = field(default_factory=dict[str, Any])
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: BaseModel | None = None
    sender: str = ""
    key: str | None = None
    caller: Caller = NOBODY
    following: int | str | None = None

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

    def flag(self, name: str) -> bool:
        """Return a variable of the query that is 1 or 0, true or false, or left out. Raises UsageError."""
        text = self.query.get(name) or "0"
        if text not in _FLAGS:
            raise UsageError(f"{name} must be 1 or 0")
        return _FLAGS[text]

    def one_key(self, field: str | None) -> str | None:
        """Return the key of the header or of a field of the body. Raises UsageError if both are given and differ."""
        if field is not None and self.key is not None and field != self.key:
            raise UsageError("the header Idempotency-Key and the body give two keys: leave one of them out")
        key = self.key if field is None else field
        if key is not None and not key.strip():
            raise UsageError("the idempotency key must be a text that is not empty")
        return key

    def limit(self) -> int:
        """Return how many rows are asked for, at most MOST_ROWS. Raises UsageError."""
        return min(self.number("limit", _ROWS, 1) or _ROWS, MOST_ROWS)

    def given(self, model: type[Model]) -> Model:
        """Return the body, which the route takes as this model."""
        if not isinstance(self.body, model):
            raise UsageError("the request needs a body")
        return self.body


class Page(NamedTuple):
    """Where the value of a route is shown: the path, with the variables of the route, and the template.

    `also` are further paths of the same page.
    """

    path: str
    template: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reply:
    """An answer that is more than a value of JSON: bytes of some media type, a status of its own, headers.

    `following` is what the rows of the next page are before; None if there is no next page, or no list.
    """

    value: Any
    status: int | None = None
    media: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    following: int | str | None = None


def for_page(asked: Asked, answer: Any) -> tuple[Asked, Any]:
    """Return a request with what its answer says of the next page, and the value of the answer, for a page."""
    if isinstance(answer, Reply):
        return replace(asked, following=answer.following), answer.value
    return asked, answer


def paged(asked: Asked, at: str, value: Any, following: int | str | None, by: str = "before") -> Reply:
    """Return a list of which the rows before `following` are the next page, which a `Link` header tells.

    None tells that there is none. `at` is the path of the list, and `by` the variable of its query that pages on.
    """
    if following is None:
        return Reply(value)
    query = {**asked.query, by: str(following)}
    return Reply(value, headers={"link": f'<{at}?{urlencode(query)}>; rel="next"'}, following=following)


Answering = Callable[[Console, Asked], Any]
Streaming = Callable[[Console, Request], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """A method and a path below `/api`, and how it is answered.

    `answer` returns a value of JSON, in a thread of its own; or `stream` makes the response. `takes` is the model of
    the body, and `query` says what each variable of the query means. What `is_open` is answered without a login.
    A program may have `also` instead of the scope, where the route shows and ends only what is its own.
    """

    method: str
    path: str
    about: str
    answer: Answering | None = None
    stream: Streaming | None = None
    scope: Scope = Scope.READ
    also: Scope | None = None
    takes: type[BaseModel] | None = None
    status: int = 200
    page: Page | None = None
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    is_open: bool = False

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes of which one is enough; none for what is answered without a login."""
        return () if self.is_open else (self.scope, self.also) if self.also else (self.scope,)

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"
