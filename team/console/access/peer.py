"""Which process is behind a connection from this machine: an agent has no business with what people decide.

An agent of the same user could read a token or take over a browser's profile. So a request that changes anything is
traced from the other end of its socket (/proc/net/tcp) over the socket's inode to the processes that hold it, and those
to the keepers above them, which no change of environment, session or parent hides. What cannot be traced is refused.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ....mail.process import other_within_run_of

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOCAL, _REMOTE, _INODE = 1, 2, 9  # fields of a line of these tables
ELSEWHERE = "nobody can tell which process asks: this system has no /proc/net/tcp"
_WORD = 4  # bytes of an address that are written together, the last one first
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Ends(NamedTuple):
    """The two ends of a connection as this server sees it, each a host and a port."""

    client: tuple[str, int]
    server: tuple[str, int]


def why_not(home: Path, ends: Ends | None) -> str:
    """Say why the process behind a connection may change nothing for the team in `home`; "" if it may.

    Whoever comes from another machine may: logins and tokens are all that is known of them.
    """
    if not _TABLES[0].exists():
        return ELSEWHERE
    if ends is None:
        return "nobody can tell which process asks"
    client, server = _address(ends.client[0]), _address(ends.server[0])
    inodes = set(_inodes(Ends((str(client), ends.client[1]), (str(server), ends.server[1]))))
    if not inodes and not client.is_loopback and client != server:
        return ""
    whys = [_why(home, pid) for pid in _holders(inodes)] if inodes else []
    if not whys:
        return "nobody can tell which process asks: it has ended, or is another user's"
    return next(filter(None, whys), "")


def _why(home: Path, pid: int) -> str:
    why = other_within_run_of(home, pid)
    if why is None:
        return f"process {pid}, which asks, has ended"
    return f"process {pid} belongs to a run: {why}" if why else ""


def _inodes(ends: Ends) -> Iterator[str]:
    """Yield the inodes of the client's sockets of a connection between two ends of this machine."""
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        near, far = f":{ends.client[1]:04X}", f":{ends.server[1]:04X}"
        for line in lines:
            if near not in line or far not in line:
                continue
            fields = line.split()
            if (_end(fields[_LOCAL]), _end(fields[_REMOTE])) == tuple(ends) and fields[_INODE] != "0":
                yield fields[_INODE]


def _end(text: str) -> tuple[str, int]:
    """Read an end as these tables write it: `0100007F:20E4`."""
    host, _, port = text.partition(":")
    raw = bytes.fromhex(host)
    words = b"".join(raw[at : at + _WORD][::-1] for at in range(0, len(raw), _WORD))
    return str(_unmapped(ipaddress.ip_address(words))), int(port, 16)


def _address(host: str) -> Address:
    return _unmapped(ipaddress.ip_address(host.partition("%")[0]))


def _unmapped(address: Address) -> Address:
    """Return the IPv4 address that a socket of IPv6 shows as ::ffff:127.0.0.1."""
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _holders(inodes: set[str]) -> Iterator[int]:
    """Yield the processes that hold one of the sockets, as far as this user may see."""
    links = {f"socket:[{inode}]" for inode in inodes}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and _holds(entry.path, links):
            yield int(entry.name)


def _holds(process: str, links: set[str]) -> bool:
    try:
        descriptors = [*os.scandir(f"{process}/fd")]
    except OSError:
        return False
    for each in descriptors:
        try:
            if os.readlink(each.path) in links:  # noqa: PTH115 - thousands of them
                return True
        except OSError:
            continue
    return False
