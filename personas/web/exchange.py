"""One HTTP request to a server outside: to an address that was checked, within its time, without redirects and proxies.

The name is resolved once, every address that it has is checked, and the connection is made to one of those, so that no
second answer of a name server leads elsewhere. TLS is checked against the name.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from .urls import is_loopback, refusal, unencrypted_refusal

LIMIT = 10.0  # seconds for all of it
OK, REDIRECT, ERROR = 200, 300, 400
_MOST = 16 << 20  # bytes of an answer
_PORT, _SECURE_PORT = 80, 443
Resolve = Callable[[str, int], Sequence[str]]
Read = Callable[[http.client.HTTPResponse], bytes]


class Refused(Exception):
    """The request was not made, or not answered; the message says why. `was_sent` tells whether it may have arrived."""

    def __init__(self, why: str, *, was_sent: bool = False) -> None:
        super().__init__(why)
        self.was_sent = was_sent


class Exchange(NamedTuple):
    """What a server answered: the status, the headers, their names in small letters, and the body as far as read."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, each once. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [*dict.fromkeys(str(address[0]) for *_, address in found)]


def whole(response: http.client.HTTPResponse) -> bytes:
    """Read an answer to its end. Raises Refused for one of more than 16 MiB, IncompleteRead for one that is cut off."""
    body = response.read(_MOST + 1)
    if len(body) > _MOST:
        raise Refused(f"the answer is longer than {_MOST >> 20} MiB", was_sent=True)
    if response.length:  # that many bytes never came, which a read of a limited size does not say
        raise http.client.IncompleteRead(body, response.length)
    return body


def exchange(  # noqa: PLR0917 - a request has these parts
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    limit: float = LIMIT,
    resolver: Resolve = resolve,
    *,
    read: Read = whole,
    private: bool = False,
    idle: float = 0.0,
) -> Exchange:
    """Send a request and return the answer. Raises Refused.

    Args:
        method: As HTTP spells it.
        url: As `EndpointUrl` accepts it.
        body: The bytes of the request; None for none.
        headers: Its headers, besides those about the connection.
        limit: Seconds until the connection is cut, whatever the server does.
        resolver: Finds the addresses of a host.
        read: Reads as much of the answer as is wanted, all at once or as it comes.
        private: Whether the host may have addresses of a private network.
        idle: Seconds that the server may be silent; by default as long as `limit`.
    """
    parts, until = urlsplit(url), time.monotonic() + limit
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    connection = _connection_to(parts, until, resolver, private=private)
    connection.idle = idle
    with connection.limited() as was_cut:
        try:
            connection.request(method, target, body, {"Host": parts.netloc, "Connection": "close", **headers})
            response = connection.getresponse()
            body, named = read(response), {name.lower(): value for name, value in response.getheaders()}
        except (OSError, http.client.HTTPException) as error:
            why = _why_late(error, limit, idle if connection.has_met else 0.0, was_cut=was_cut()) or _reason(error)
            raise Refused(why, was_sent=connection.has_met) from error
        if was_cut():  # an answer of no stated length just seems to end
            raise Refused(f"no answer within {limit:g} s", was_sent=True)
        return Exchange(response.status, named, body)


def _why_late(error: Exception, limit: float, idle: float, *, was_cut: bool) -> str:
    """Return that an answer was late if it was, else ""; a server may be silent for `idle` seconds, 0 for ever."""
    is_silent = isinstance(error, TimeoutError)
    if not (was_cut or is_silent):
        return ""
    return f"silent for {idle:g} s" if idle and is_silent and not was_cut else f"no answer within {limit:g} s"


def _connection_to(parts: SplitResult, until: float, resolver: Resolve, *, private: bool) -> _Connection:
    """Return a connection, which is not open yet, to a checked address of a URL's host. Raises Refused."""
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (_SECURE_PORT if secure else _PORT)
    try:
        addresses = _checked(host, resolver(host, port), private=private)
        for address in addresses:
            if not secure and (why := unencrypted_refusal(address)):
                raise Refused(f"{host} leads to {why}")
        return _Connection(host, port, addresses, until, tls=_tls() if secure else None)
    except ssl.SSLError as error:
        raise Refused(f"TLS could not be set up: {error.reason or error}") from error
    except OSError as error:
        raise Refused(f"{host} has no address: {error.strerror or error}") from error


def _checked(host: str, addresses: Sequence[str], *, private: bool) -> Sequence[str]:
    """Return the addresses of a host if something may be sent to all of them. Raises Refused."""
    for address in addresses:
        if why := refusal(address, loopback=is_loopback(host), private=private):
            raise Refused(f"{host} leads to {why}")
    if not addresses:
        raise Refused(f"{host} has no address")
    return addresses


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _reason(error: Exception) -> str:
    """Say why there was no answer; nothing of it is what we sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer was cut off"
    if isinstance(error, http.client.HTTPException):
        return f"the answer is no HTTP: {type(error).__name__}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class _Connection(http.client.HTTPConnection):
    """A connection to one of some addresses of a host."""

    def __init__(
        self, host: str, port: int, addresses: Sequence[str], until: float, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(host, port)
        self._addresses, self._until, self._tls = addresses, until, tls
        self._cut = threading.Event()
        self._wire: socket.socket | None = None
        self.has_met = False  # the other side: then it may have got the request
        self.idle = 0.0  # seconds that the other side may be silent, once it is connected; 0 for any

    def connect(self) -> None:
        """Connect to the first address that answers; with TLS, to whoever proves to be the host."""
        self.sock = self._connected()
        if self._tls:
            # The handshake is a step of its own, so that the socket is known here when it takes too long.
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock.do_handshake()
        self._wire = self.sock  # a connection forgets its socket once an answer says that it is the last
        if self._cut.is_set():
            raise TimeoutError
        if self.idle:
            self.sock.settimeout(min(self.idle, max(0.001, self._until - time.monotonic())))
        self.has_met = True

    def _connected(self) -> socket.socket:
        trouble: OSError = TimeoutError()
        for address in self._addresses:
            left = self._until - time.monotonic()
            if left <= 0:
                self._cut.set()
                break
            try:
                return socket.create_connection((address, self.port), left)
            except OSError as error:
                trouble = error
        raise trouble

    def cut(self) -> None:
        """End the connection, in whatever it is."""
        self._cut.set()
        if sock := self.sock or self._wire:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's own, which would wait for the endpoint

    def limited(self) -> _Limit:
        """Return a block at whose end the connection is closed, and which ends in time."""
        return _Limit(self, self._until, self._cut)


class _Limit:
    """Cuts a connection once its time is over, as an endpoint could else take it byte by byte for ever."""

    def __init__(self, connection: _Connection, until: float, cut: threading.Event) -> None:
        self._connection, self._was_cut = connection, cut
        self._timer = threading.Timer(max(0.0, until - time.monotonic()), connection.cut)
        self._timer.daemon = True

    def __enter__(self) -> Callable[[], bool]:
        self._timer.start()
        return self._was_cut.is_set

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._connection.close()
