"""Addresses that the team sends to: https, or http to this machine, and never into a private network.

A name is checked here as it is written, and what it resolves to by `refusal` each time before anybody connects.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from ...mail.errors import UsageError

_LONGEST = 2_000
_ADDED = "/chat/completions"
_PLAIN = re.compile(r"[\x21-\x7e]+")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_loopback(host: str) -> bool:
    """Tell whether a host, as it is written in a URL, is this machine: `localhost`, `127.0.0.1`, `::1`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refusal(address: str, *, loopback: bool, private: bool = False) -> str:
    """Say why nothing is sent to an IP address, "" if something may be; `loopback` allows this machine alone.

    `private` allows addresses of private networks, but none that are link-local or reserved. Whoever writes `localhost`
    gets this machine, and a public name that resolves to it does not.
    """
    ip = _embedded(ipaddress.ip_address(address.partition("%")[0]))
    if loopback:
        return "" if ip.is_loopback else f"{address} is not this machine"
    if ip.is_loopback:
        return f"{address} is this machine; write http://localhost if you mean it"
    if private and ip.is_private and not (ip.is_link_local or ip.is_unspecified or ip.is_multicast or ip.is_reserved):
        return ""
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return f"{address} is no public address"
    return ""


def unencrypted_refusal(address: str) -> str:
    """Say why nothing is sent to an IP address by plain http, "" if something may be: it stays on private networks."""
    ip = _embedded(ipaddress.ip_address(address.partition("%")[0]))
    return "" if ip.is_private else f"{address}, which is in no private network: write https://"


def _embedded(ip: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, as translators and tunnels reach it."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)


def checked_endpoint(url: str) -> str:
    """Return a URL that something may be sent to. Raises UsageError."""
    try:
        return endpoint(url)
    except ValueError as error:
        raise UsageError(f"{url} {error}") from None


def endpoint(url: str, *, private: bool = False, plain: bool = False) -> str:
    """Return a URL that something may be sent to, which `private` allows to be in a private network.

    `plain` allows http there, too; of a name it is seen only later where it leads to. Raises ValueError, with what
    follows the URL in a sentence.
    """
    parts = _split(url)
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "must hold no user and password: put a secret into the file that secret_file or env_file names"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and (plain or is_loopback(host))):
        raise ValueError('must begin with https://, or with http://localhost for this machine: "https://example.org/x"')
    if re.fullmatch(r"[\d.]+|.*:.*", host):
        try:
            why = refusal(host, loopback=is_loopback(host), private=private)
            open_to = unencrypted_refusal(host) if parts.scheme == "http" and not why else ""
        except ValueError:
            raise ValueError(f"names the host {host!r}, which is neither a name nor an address") from None
        if why:
            raise ValueError(f"must lead to a public address: {why}")
        if open_to:
            raise ValueError(f"leads by http:// to {open_to}")
    return url


def server(url: str) -> str:
    """Return the address of a server that the user chose, without a "/" at its end; it may be in a private network.

    On this machine and in private networks http will do. Raises ValueError, as `endpoint`, and for an address to which
    no path could be added, or which has one that is added to it.
    """
    address = endpoint(url, private=True, plain=True).rstrip("/")
    if "?" in address:
        raise ValueError("must have no ? and nothing behind it, as paths are added to it")
    if address.endswith(_ADDED):
        raise ValueError(f"must end before {_ADDED}, which is added to it: {address.removesuffix(_ADDED)}")
    return address


def link(url: str) -> str:
    """Return a URL that people follow. Raises ValueError, as `endpoint`."""
    if _split(url).scheme not in {"http", "https"}:
        raise ValueError('must begin with https:// or http://: "http://localhost:8000"')
    return url


def _split(url: str) -> SplitResult:
    """Take a URL apart. Raises ValueError for one that two programs could read differently."""
    if not _PLAIN.fullmatch(url) or len(url) > _LONGEST or "\\" in url or "#" in url:
        raise ValueError(f"must be a URL of at most {_LONGEST} characters, without blanks, backslashes and #")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"must be a URL: {error}") from None
    if not parts.hostname or port == 0:
        raise ValueError('must be a URL with a host: "https://example.org/x"')
    return parts
