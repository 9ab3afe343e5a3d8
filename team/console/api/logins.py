"""Routes of the people who are logged in: on which devices, one more, one less."""

from __future__ import annotations

from typing import Any

from ..access.caller import Scope
from ..common.address import public_address
from ..common.answer import Refused
from ..common.console import Console
from ..common.route import Asked, Route
from ..common.terminal import qr_picture

_NOT_FOUND = 404


def logins(console: Console, asked: Asked) -> list[dict[str, Any]]:
    """Return the devices that are logged in, the newest first; `here` is the one that asks."""
    own = asked.caller.session
    return [session.document() | {"here": session.id == own} for session in console.logins.sessions()]


def invite(console: Console, asked: Asked) -> dict[str, str]:
    """Return an address that logs one more device in, once, within ten minutes; and a picture of it, as SVG."""
    del asked
    address = public_address(console, console.logins.new_key(lasts=False))
    return {"address": address, "qr": qr_picture(address)}


def revoke(console: Console, asked: Asked) -> dict[str, str]:
    """End a login."""
    if not console.logins.revoke(asked.path["id"]):
        raise Refused(_NOT_FOUND, f"no login {asked.path['id']!r}")
    return {"revoked": asked.path["id"]}


ROUTES = (
    Route("GET", "/api/logins", "The devices that are logged in.", logins, scope=Scope.ACT),
    Route("POST", "/api/logins", "An address that logs one more device in.", invite, scope=Scope.ACT, status=201),
    Route("DELETE", "/api/logins/{id}", "End a login.", revoke, scope=Scope.ACT),
)
