"""The table of the web console."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from .supervision import Table

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_LONGEST, _PORTS = 253, 65_535


def _host(value: str) -> str:
    name, colon, port = value.rpartition(":") if re.search(r":\d+$", value) else (value, "", "")
    if not (_is_name(name) or _is_address(name)) or (colon and not 0 < int(port) <= _PORTS):
        raise ValueError(
            'must be a host as browsers send it, without https:// and /: "team.example.org", or "nas:8443"'
        )
    return value.lower()


def _is_name(name: str) -> bool:
    return len(name) <= _LONGEST and all(_LABEL.fullmatch(label) for label in name.split("."))


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv6Address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return name.startswith("[")


HostName = Annotated[str, AfterValidator(_host)]


class ConsoleSettings(Table):
    """`[console]`: the names that it is called by from elsewhere, and how much runs at once.

    `hosts` are those of a proxy or a tunnel before it. Programs sign what they send to `/api/commands` with a secret in
    `secret_file`.
    """

    hosts: tuple[HostName, ...] = ()
    max_runs: Annotated[int, Field(ge=1, le=1000)] = 16
    secret_file: Annotated[str, Field(min_length=1)] | None = None
