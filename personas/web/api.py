"""Calls of a JSON API over HTTP: retries, limits of rate, pages, and answers that are asked for again only if changed.

A call that was refused because of a limit is made again once the server says that it may be, if that is soon enough.
One that may have had an effect is not repeated by itself, since whoever makes it knows how to look whether it had.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode, urlsplit

from ...mail.clock import Clock, SystemClock
from ...mail.text.escape import line
from ..errors import ServiceError
from .cache import NO_CACHE, Cache
from .exchange import OK, REDIRECT, Exchange, Read, Refused, Resolve, exchange, resolve, whole

_MET_LIMIT = (403, 429)
_BUSY = (503, 529)  # met a limit, if they say until when
_UNCHANGED, _TOO_MANY, _BROKEN = 304, 429, 500
_UNSAID = 60.0  # seconds to wait after a limit that names no time, as the documentation of GitHub asks for
_MOST_WAITS = 5  # for one call
_LONGEST = 366 * 86_400.0  # seconds that a limit takes at most, whatever a server says
_MOST_PAGES = 200
_SAID = 300  # characters of what a server says
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,]*\brel="?next"?')


class RateLimited(ServiceError):
    """A server takes no more calls until a time."""

    def __init__(self, host: str, until: datetime) -> None:
        super().__init__(f"{host} takes no more calls until {until:%Y-%m-%d %H:%M:%S}Z; go on after that", _TOO_MANY)
        self.until = until


class NotCalled(ServiceError):
    """A call was not made, because its secret cannot be read; the message says what is wrong with the file."""


class Answer(NamedTuple):
    """The JSON of an answer, and the address of the next page, "" if there is none."""

    value: Any
    following: str = ""


class JsonApi:
    """The API below a base address. One object is used by one thread.

    Args:
        base: The address that paths are appended to, as `EndpointUrl` accepts it.
        headers: Makes the headers of a call, with its secret, which is read anew each time. It may raise ValueError.
        clock: By which is waited.
        patience: Seconds that one call may wait for a limit to be over.
        pauses: Seconds to wait before each further try to read what failed.
        limit: Seconds for one exchange.
        cache: Where answers are kept with their ETag.
        private: Whether the host may have addresses of a private network.
        secret: Returns what must not stand in any message, "" for nothing.
        advice: What a person is to do about a status, which is added to the message.
        resolver: Finds the addresses of a host.
    """

    def __init__(
        self,
        base: str,
        headers: Callable[[], Mapping[str, str]],
        *,
        clock: Clock | None = None,
        patience: float = 60.0,
        pauses: Sequence[float] = (1.0, 4.0),
        limit: float = 30.0,
        cache: Cache = NO_CACHE,
        private: bool = False,
        secret: Callable[[], str] = lambda: "",
        advice: Mapping[int, str] | None = None,
        resolver: Resolve = resolve,
    ) -> None:
        self.base, self.host = base.rstrip("/"), urlsplit(base).hostname or ""
        self._headers, self._clock, self._patience = headers, clock or SystemClock(), patience
        self._cache, self._private, self._secret, self._resolver = cache, private, secret, resolver
        self._pauses, self._limit, self._advice = pauses, limit, advice or {}

    def get(self, path: str, **query: str | int) -> Any:
        """Return the JSON of one address. Raises ServiceError, RateLimited."""
        return self._read(self._address(path, query)).value

    def pages(self, path: str, within: str = "", **query: str | int) -> Iterator[Any]:
        """Yield what the lists of all pages hold, one after the other; `within` names the list of a page, an object.

        Raises ServiceError, RateLimited.
        """
        address = self._address(path, query)
        for _ in range(_MOST_PAGES):
            answer = self._read(address)
            page = answer.value
            items = cast("dict[str, Any]", page).get(within) if within and isinstance(page, dict) else page
            if not isinstance(items, list):
                raise ServiceError(f"{self.host} answered {urlsplit(address).path} with no list, as its API does not")
            yield from cast("list[Any]", items)
            address = answer.following
            if not address:
                return
        raise ServiceError(f"{self.host} has more than {_MOST_PAGES} pages at {path}: ask for less")

    def send(self, method: str, path: str, value: Any = None) -> Any:
        """Make a call that changes something, and return the JSON of its answer, None if it has none.

        Raises ServiceError, whose `was_sent` tells that it may have had its effect, and RateLimited.
        """
        body = None if value is None else json.dumps(value).encode()
        address = self._address(path, {})
        got = self._limited(method, address, body, {})
        return self._json(address, got) if got.body.strip() else None

    def follow(self, path: str, value: Any, read: Read, idle: float) -> Exchange:
        """Post a value, and have the answer read as it comes; one that is no success is read as a whole.

        Raises ServiceError and RateLimited as `send`, also if the server is silent for `idle` seconds.
        """
        body = json.dumps(value).encode()
        return self._limited("POST", self._address(path, {}), body, {"Accept": "text/event-stream"}, read, idle)

    def _address(self, path: str, query: Mapping[str, str | int]) -> str:
        return f"{self.base}/{path.lstrip('/')}{'?' + urlencode(query) if query else ''}"

    def _read(self, address: str) -> Answer:
        kept = self._cache.get(address)
        got = self._patient(address, {"If-None-Match": kept.etag} if kept else {})
        if got.status == _UNCHANGED and kept:
            return Answer(json.loads(kept.body), kept.following)
        value, following = self._json(address, got), self._following(got)
        if etag := got.headers.get("etag"):
            self._cache.put(address, etag, got.body, following)
        return Answer(value, following)

    def _following(self, got: Exchange) -> str:
        """Return the address of the next page, which is below the same base, as another one is not asked for."""
        match = _NEXT.search(got.headers.get("link", ""))
        address = match[1] if match else ""
        if address and not address.startswith(f"{self.base}/"):
            raise ServiceError(f"{self.host} names a next page elsewhere: {line(address)[:_SAID]}")
        return address

    def _patient(self, address: str, headers: Mapping[str, str]) -> Exchange:
        """Read an address; a server that is broken for a moment is asked again."""
        for pause in self._pauses:
            try:
                return self._limited("GET", address, None, headers)
            except ServiceError as error:
                if 0 < error.status < _BROKEN or isinstance(error, RateLimited | NotCalled):
                    raise
            self._clock.sleep(pause)
        return self._limited("GET", address, None, headers)

    def _limited(  # noqa: PLR0917 - a request has these parts
        self, method: str, address: str, body: bytes | None, headers: Mapping[str, str], read: Read = whole,
        idle: float = 0.0,
    ) -> Exchange:  # fmt: skip
        """Make a call, and again once a limit of rate is over. Raises ServiceError for whatever is no success."""
        left = self._patience
        for _ in range(_MOST_WAITS):
            got = self._exchanged(method, address, body, headers, read, idle)
            wait = _limit_of(got, self._clock.now())
            if wait is None:
                self._check(method, address, got)
                return got
            wait = min(wait, _LONGEST)
            left -= wait
            if left < 0:
                raise RateLimited(self.host, self._clock.now() + timedelta(seconds=wait))
            self._clock.sleep(wait)
        raise RateLimited(self.host, self._clock.now() + timedelta(seconds=_UNSAID))

    def _exchanged(  # noqa: PLR0917
        self, method: str, address: str, body: bytes | None, headers: Mapping[str, str], read: Read, idle: float
    ) -> Exchange:  # fmt: skip
        try:
            own = {"User-Agent": "team-mail", **self._headers(), **headers}
            own |= {"Content-Type": "application/json"} if body is not None else {}
            return exchange(
                method, address, body, own, self._limit, self._resolver, read=read, private=self._private, idle=idle
            )  # fmt: skip
        except ValueError as error:
            raise NotCalled(str(error)) from None
        except Refused as error:
            raise ServiceError(f"{self.host}: {self._blotted(str(error))}", was_sent=error.was_sent) from None

    def _check(self, method: str, address: str, got: Exchange) -> None:
        if OK <= got.status < REDIRECT or got.status == _UNCHANGED:
            return
        said = self._blotted(_message(got.body))
        what = f"{method} {urlsplit(address).path}"
        if got.status < 400 and (place := got.headers.get("location")):  # noqa: PLR2004
            where = self._blotted(line(place)[:_SAID])
            said = f"it has moved to {where}, and redirects are not followed: write its new address"
        why = f"{self.host} answered {got.status} to {what}{': ' + said if said else ''}"
        if advice := self._advice.get(got.status):
            why = f"{why.rstrip('.')}; {advice}"
        raise ServiceError(why, got.status, was_sent=got.status >= _BROKEN)

    def _json(self, address: str, got: Exchange) -> Any:
        try:
            return json.loads(got.body)
        except (ValueError, RecursionError):
            what = urlsplit(address).path
            raise ServiceError(
                f"{self.host} answered {what} with something that is not JSON: is its API there?", was_sent=True
            ) from None

    def _blotted(self, text: str) -> str:
        with suppress(ValueError):
            secret = self._secret()
            return text.replace(secret, "***") if secret else text
        return text


def _message(body: bytes) -> str:
    """Return what a server says of an error, in one line: `message` of its JSON with `errors`, or the beginning."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return line(body[: 4 * _SAID].decode(errors="replace").strip())[:_SAID]
    value = next(iter(cast("list[Any]", value)), None) if isinstance(value, list) else value  # as Gemini has it
    table = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    inner = table.get("error")  # as some have it
    table = cast("dict[str, Any]", inner) if isinstance(inner, dict) else table
    more = table.get("errors")
    parts = [str(table.get("message", ""))]
    for each in cast("list[Any]", more) if isinstance(more, list) else []:
        part = cast("dict[str, Any]", each) if isinstance(each, dict) else {"message": each}
        parts.append(str(part.get("message") or " ".join(str(part.get(name, "")) for name in ("field", "code"))))
    return line("; ".join(part for part in parts if part))[:_SAID]


def _limit_of(got: Exchange, now: datetime) -> float | None:
    """Return how many seconds a limit of rate asks to wait; None if the answer is not about one."""
    headers = got.headers
    if got.status not in _MET_LIMIT and not (got.status in _BUSY and "retry-after" in headers):
        return None
    if (after := headers.get("retry-after", "")).isdecimal():
        return max(1.0, float(after))
    with suppress(ValueError, OverflowError):  # RFC 9110 lets it be a date as well
        return max(1.0, parsedate_to_datetime(after).timestamp() - now.timestamp())
    if headers.get("x-ratelimit-remaining") == "0" and (reset := headers.get("x-ratelimit-reset", "")).isdecimal():
        return max(1.0, float(reset) - now.timestamp() + 1)
    if got.status == _TOO_MANY or "rate limit" in _message(got.body).lower():
        return _UNSAID
    return None
