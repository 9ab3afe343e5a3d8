"""The address at which people log in, as others must write it."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import quote

from .console import Console, ConsoleOptions

_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared, not listened on
_NOWHERE = ("192.0.2.1", 9)  # of no network


def spelled(host: str) -> str:
    """Return a host as it stands in a URL."""
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host  # noqa: PLR2004
    except ValueError:
        return host.lower()


def is_near(host: str) -> bool:
    """Tell whether only this machine reaches a host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def login_address(console: Console, key: str) -> str:
    """Return the address that logs in with a key, on this machine and on those that reach it."""
    options = console.options
    return f"{options.scheme}://{_reachable(options)}:{options.port}/login?key={quote(key)}"


def public_address(console: Console, key: str) -> str:
    """Return the address that logs in with a key from elsewhere: by the first of `[console] hosts` if there is one."""
    hosts = console.context.settings.console.hosts
    return f"https://{hosts[0]}/login?key={quote(key)}" if hosts else login_address(console, key)


def addresses(console: Console) -> list[str]:
    """Return where the server is reached: by each of `[console] hosts`, and as it is."""
    options, hosts = console.options, console.context.settings.console.hosts
    return [*(f"https://{host}" for host in hosts), f"{options.scheme}://{_reachable(options)}:{options.port}"]


def _reachable(options: ConsoleOptions) -> str:
    """Return a host by which others reach the server, be it one that listens on all addresses."""
    if options.host not in _EVERYWHERE:
        return spelled(options.host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_NOWHERE)  # sends nothing, and chooses an address
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
