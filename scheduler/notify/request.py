"""One POST to an endpoint, of whose answer no more is read than says what came of it."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from ...mail.text.escape import line
from ...personas.web.exchange import ERROR, LIMIT, OK, REDIRECT, Refused, Resolve, exchange, resolve

_EXCERPT = 200  # characters of an answer
GONE = 410
__all__ = ["GONE", "LIMIT", "Refused", "Reply", "Resolve", "post", "resolve"]


class Reply(NamedTuple):
    """What an endpoint answered: the status, its `Date` header, and the beginning of the body unless it is a 2xx."""

    status: int
    date: str = ""
    excerpt: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether the endpoint took the notice."""
        return OK <= self.status < REDIRECT

    @property
    def is_redirect(self) -> bool:
        """Whether the endpoint named another address."""
        return REDIRECT <= self.status < ERROR


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, limit: float = LIMIT, resolver: Resolve = resolve
) -> Reply:
    """Send a body to a URL, as `exchange` does, and return the answer. Raises Refused."""
    answer = exchange("POST", url, body, headers, limit, resolver, read=_beginning)
    excerpt = line(answer.body.decode(errors="replace").strip())[:_EXCERPT]
    return Reply(answer.status, answer.headers.get("date", ""), excerpt)


def _beginning(response: http.client.HTTPResponse) -> bytes:
    if OK <= response.status < REDIRECT:
        return b""
    with suppress(OSError, http.client.HTTPException):
        return response.read(4 * _EXCERPT)
    return b""
