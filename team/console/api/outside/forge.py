"""The route by which a forge says that there is news; what it is, `scheduler run` then looks up for itself."""

from __future__ import annotations

from ...common.console import Console
from ...common.route import Asked, Route, Scope


def news(console: Console, asked: Asked) -> dict[str, bool]:
    """Let whoever leads the team look at the forge at once. Raises OSError."""
    from ....api.outside.forge import nudge  # the server does not wait for what it may be asked

    del asked
    nudge(console.context.home)
    return {"looks": True}


_ABOUT = "Say that there is news at the forge, as its webhooks do."
ROUTES = (Route("POST", "/api/github", _ABOUT, news, scope=Scope.COMMANDS),)
