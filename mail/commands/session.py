"""The session that a command names for the mail that it sends: whether there is one of that name."""

from __future__ import annotations

import json

from ..errors import UnknownSession, UsageError
from ..process import run_id, session_name
from ..query.rows import Projections
from ..text.nearest import nearest

_SESSIONS = "scheduler.state.sessions"  # the events of all sessions


def check_named_session(projections: Projections, name: str) -> None:
    """Raise UnknownSession if there is no session of that name, UsageError if a run names another than its own."""
    if run_id():
        own = session_name()
        if name != own:
            whose = f"belongs to session {own!r}" if own else "belongs to no session"
            raise UsageError(f"this run {whose}, and so does what it sends; leave --session out")
        return
    rows = (row["data"] for row in projections.rows(_SESSIONS))
    names = {(json.loads(data) if isinstance(data, str) else data).get("session") for data in rows}
    if name not in names:
        raise UnknownSession(name, nearest(name, sorted(filter(None, names))))
