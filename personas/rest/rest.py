"""Requests to a REST interface that speaks JSON: over TLS or to this machine, without redirects, in bounded memory.

A request that a busy service refused is sent again after 1, 2, 4, … 30 seconds. What a service answers, and a secret
that it repeats, is never part of an error as it came: errors are escaped, cut, and have `***` for the secret.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from ...mail.clock import Clock, SystemClock
from ...mail.errors import UsageError
from ...mail.render import line
from ..errors import ServiceError

AGAIN = frozenset({429, 500, 502, 503, 504})  # a service that answers so may answer otherwise the next time
NO_ANSWER = 0  # the status of a request without an answer
LONGEST = 64 << 20  # bytes of an answer
_PIECE = 1 << 16  # bytes
_MOST_SAID = 300  # characters of an answer that an error repeats
_FIRST, _MOST = 1.0, 30.0  # seconds between two tries


def pauses(first: float = _FIRST, most: float = _MOST) -> Iterator[float]:
    """Yield the seconds to wait before each further try: twice as long as before, and never longer than `most`."""
    while first < most:
        yield first
        first *= 2
    yield from repeat(most)


def blotted(text: str, secrets: tuple[str, ...]) -> str:
    """Return a text with `***` for each secret."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


@dataclass(frozen=True)
class Rest:
    """A REST interface below one URL. `headers` go with each request; their values are secrets.

    `service` is its name, for errors. A request is tried `tries` times, and waits `limit` seconds for an answer.
    """

    service: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    tries: int = 8
    limit: float = 60.0
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        """Raise UsageError for a URL to which no secret may be sent."""
        parts = urlsplit(self.url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(parts.hostname or "")):
            raise UsageError(f"{line(self.url)} must begin with https://, or with http://127.0.0.1 for this machine")

    def get(self, path: str, **query: str | int | None) -> dict[str, Any]:
        """Return what the service answers to a question. Raises ServiceError."""
        asked = urlencode({name: value for name, value in query.items() if value is not None})
        return self._tried("GET", f"{path}?{asked}" if asked else path)

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        done: Callable[[], dict[str, Any] | None] | None = None,
        passing: str = "",
    ) -> dict[str, Any]:
        """Have the service do something, and return its answer. Raises ServiceError.

        A refusal with the words `passing` in it counts as one of a busy service, whatever its status.

        Before a request is sent again, `done` looks whether an earlier one has done it all the same, and returns what
        stands for its answer then. Without `done`, a request without an answer is not sent again: it may have been
        heard.
        """
        return self._tried("POST", path, body, done, passing)

    def _tried(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        done: Callable[[], dict[str, Any] | None] | None = None,
        passing: str = "",
    ) -> dict[str, Any]:
        for pause in chain(pauses_of(self.tries), [None]):
            try:
                return self._asked(method, path, body)
            except ServiceError as error:
                lost = error.status == NO_ANSWER and (method == "GET" or done is not None)
                is_busy = error.is_passing or (passing and passing in str(error).casefold())
                if pause is None or not (lost or is_busy):
                    raise
            self.clock.sleep(pause)
            if done and (answer := done()) is not None:
                return answer
        raise AssertionError  # the last try returned or raised

    def _asked(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """Send one request, once."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self.headers, "Accept": "application/json"} | (
            {"Content-Type": "application/json"} if data else {}
        )
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)  # noqa: S310 - see above
        try:
            with _opener(self.url).open(request, timeout=self.limit) as response:
                return self._read(self._body(response))
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"{self.service} gave no answer: {self._safe(_reason(error))}") from None

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        """Read an answer, as far as it is not too long, and does not come drop by drop. Raises OSError."""
        data, until = b"", self.clock.monotonic() + self.limit
        while len(data) <= LONGEST and (more := response.read1(_PIECE)):
            data += more
            if self.clock.monotonic() > until:
                raise TimeoutError
        return data

    def _read(self, data: bytes) -> dict[str, Any]:
        if len(data) > LONGEST:
            raise ServiceError(f"{self.service} answered with more than {LONGEST >> 20} MiB", status=200)
        try:
            value = json.loads(data or b"{}")
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ServiceError(f"{self.service} answered with something else than a JSON object", status=200)
        return cast("dict[str, Any]", value)

    def _refused(self, error: urllib.error.HTTPError) -> ServiceError:
        """Turn an answer that is an error into ours: `{"error": {"code", "message", "status"}}`, or any other."""
        body = b""
        try:
            body = error.read(LONGEST)
            value: Any = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError, RecursionError):
            value = None
        told: Any = cast("dict[str, Any]", value).get("error") if isinstance(value, dict) else None
        told = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
        said = str(told.get("message") or body.decode(errors="replace").strip() or error.reason)
        word = line(str(told.get("status") or ""))[:_MOST_SAID]
        shown = ", ".join(part for part in (f"HTTP {error.code}", word) if part)
        return ServiceError(
            f"{self.service} refused: {self._safe(said)} ({shown})", error.code, again=error.code in AGAIN
        )

    def _safe(self, text: str) -> str:
        values = self.headers.values()  # of `Bearer TOKEN`, the token alone is as secret
        secrets = (*values, *(value.rpartition(" ")[2] for value in values))
        return line(" ".join(blotted(text, secrets).split()))[:_MOST_SAID]


def pauses_of(tries: int) -> Iterator[float]:
    """Yield the pauses between so many tries."""
    yield from (pause for _, pause in zip(range(tries - 1), pauses(), strict=False))


def is_this_machine(host: str) -> bool:
    """Tell whether a host, as it is written in a URL, is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return what opens a URL, but follows no redirect: the secret is for the address that the user gave."""
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
    if urlsplit(url).scheme == "http":  # this machine, to which no proxy leads
        opener.add_handler(urllib.request.HTTPHandler())
        return opener
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    opener.add_handler(urllib.request.ProxyHandler())
    opener.add_handler(urllib.request.HTTPSHandler(context=context))
    return opener


def _reason(error: Exception) -> str:
    inner: Any = getattr(error, "reason", error)
    if isinstance(inner, TimeoutError):
        return "it took too long"
    return str(getattr(inner, "strerror", None) or inner or type(error).__name__)
