"""Sessions of Jules by hand: create one, look at it, say something in it, approve its plan.

Called from an agent's run, what does something raises UsageError: it is for people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....mail.text.nearest import suggestion
from ....personas.agents.command import read_environment
from ....personas.jules.client import JulesClient
from ....personas.jules.orders import AUTO_CREATE_PR, HUMAN, VARIABLE, Orders
from ....personas.jules.record import Record, Records
from ....personas.jules.session import Activity, ChangeSet, Session, last_change, read_activity, read_session
from ....scheduler.context import Context
from ....scheduler.errors import NotReady
from ....scheduler.settings.settings import AgentSettings
from ....scheduler.sprint.control import by_people_only
from ...open import jules_orders

_KIND = "jules"
_TRIES = 4  # of a request, for somebody at a terminal: seven seconds
_TITLE = 80  # characters of a prompt that become a title


@dataclass(frozen=True)
class Shown:
    """A session with the run that it plays, if it is one of this team's."""

    session: Session
    record: Record | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        record = self.record
        own = {"persona": record.persona, "work": record.work, "run": record.run} if record else {}
        return self.session.document() | {"persona": None, "work": None, "run": None} | own


@dataclass(frozen=True)
class Looked:
    """A session in full: what happened in it, and its change if there is one."""

    shown: Shown
    activities: tuple[Activity, ...]
    change: ChangeSet | None

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team jules status SESSION --json`."""
        change = self.change
        return self.shown.document() | {
            "activities": [{"id": each.id, "kind": each.kind, "text": each.text} for each in self.activities],
            "change_set": {"base": change.base, "message": change.message, "patch": change.patch} if change else None,
        }


@dataclass(frozen=True)
class Desk:
    """Where sessions are made and looked at: an agent of kind `jules`, with its key."""

    client: JulesClient
    orders: Orders
    home: Path

    @property
    def by_session(self) -> dict[str, Record]:
        """The records of this team's runs, by session."""
        return {record.session: record for record in Records(self.home).all()}


def desk(context: Context, agent: str | None = None) -> Desk:
    """Return what speaks to Jules as an agent of the settings does, by default as the first of the kind.

    Raises NotReady without such an agent, UsageError without a key.
    """
    name, table = _table(context, agent)
    key = read_environment(Path(table.env_file), name).get(VARIABLE) if table.env_file else None
    orders = jules_orders(table, context.settings.team)
    return Desk(JulesClient(key, url=orders.url, tries=_TRIES), orders, context.home)


def create(context: Context, prompt: str, title: str = "", agent: str | None = None) -> Shown:
    """Create a session for a prompt, as the agent's settings say. Raises ServiceError, and as `desk`."""
    by_people_only("team jules create", context.home)
    own = desk(context, agent)
    orders = own.orders
    source = {"source": orders.source, "githubRepoContext": {"startingBranch": orders.branch}}
    raw = own.client.create_session(
        prompt, title or " ".join(prompt.split())[:_TITLE], source, orders.plan == HUMAN,
        AUTO_CREATE_PR if orders.pull_request else None,
    )  # fmt: skip
    return Shown(read_session(raw))


def sessions(context: Context, most: int, agent: str | None = None) -> Iterator[Shown]:
    """Yield the newest sessions, at most so many. Raises ServiceError, and as `desk`."""
    own = desk(context, agent)
    records = own.by_session
    for session in map(read_session, own.client.list_sessions(most=most)):
        yield Shown(session, records.get(session.id))


def look(context: Context, session: str, agent: str | None = None) -> Looked:
    """Return a session with what happened in it. Raises ServiceError, and as `desk`."""
    own = desk(context, agent)
    found = read_session(own.client.get_session(session))
    activities = tuple(map(read_activity, own.client.activities(session)))
    return Looked(Shown(found, own.by_session.get(found.id)), activities, last_change(found, activities))


def send(context: Context, session: str, text: str, agent: str | None = None) -> None:
    """Say something in a session. Raises ServiceError, and as `desk`."""
    by_people_only("team jules send", context.home)
    desk(context, agent).client.send_message(session, text)


def approve(context: Context, session: str, agent: str | None = None) -> None:
    """Approve the plan of a session. Raises ServiceError, and as `desk`."""
    by_people_only("team jules approve", context.home)
    desk(context, agent).client.approve_plan(session)


def _table(context: Context, agent: str | None) -> tuple[str, AgentSettings]:
    tables = {name: table for name, table in context.settings.agents.items() if table.kind == _KIND}
    if agent is None and tables:
        return next(iter(tables.items()))
    if agent is None:
        raise NotReady('no agent of kind "jules" in team.toml; add [agents.jules] with kind and source')
    if agent not in tables:
        raise NotReady(f"no agent {agent} of kind jules in team.toml{suggestion(agent, tables)}")
    return agent, tables[agent]
