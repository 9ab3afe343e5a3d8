"""Reads from the log where a team stands: the state of its sprints, and runs of sprints and dispatches alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...mail.query.rows import Projections
from ...personas.spending.usage import usage_of
from .facts import Fact, Mail, Run
from .form import counts
from .sprints import State, fact_of, fold
from .usage import Used


def state_of(projections: Projections, roster: Sequence[str], now: str, *, whole: bool = True) -> State:
    """Read the state of a team as of `now`, a timestamp; `roster` are the personas whose unread mail counts.

    Unless `whole` is set, runs and patches of earlier sprints are left out, except those still undecided.
    """
    unread, refused = read_unread(projections, roster), read_refused(projections, now)
    return replace(fold(read_facts(projections, whole=whole)), unread=unread, refused=refused)


def read_facts(projections: Projections, *, whole: bool) -> Iterator[Fact]:
    """Read what was done for sprints, in the order of the log; what does not count is left out."""
    return filter(counts, map(fact_of, projections.rows("scheduler.state.schedule", whole=whole)))


def read_going(projections: Projections, personas: Sequence[str] | None) -> tuple[Run, ...]:
    """Read the runs of some personas, or all, that have not ended, of sprints and dispatches, in the log's order."""
    roster = None if personas is None else [*personas]
    return fold(map(fact_of, projections.rows("scheduler.state.going", roster=roster))).runs


def read_ended(projections: Projections, since: str) -> tuple[tuple[str, Used], ...]:
    """Read what runs used that ended since a time, in sprints and in dispatches, each with its id.

    Those that a budget withdrew before they did anything do not count.
    """
    facts = filter(counts, map(fact_of, projections.rows("scheduler.state.ended", since=since)))
    return tuple({str(fact.run): _used(fact) for fact in facts if not fact.data.get("withdrawn")}.items())


def _used(fact: Fact) -> Used:
    persona, agent = fact.data.get("persona"), fact.data.get("agent")
    names = (name if isinstance(name, str) else "" for name in (persona, agent))
    return Used(usage_of(fact.data.get("usage")), *names)


def read_refused(projections: Projections, now: str) -> tuple[Run, ...]:
    """Read the runs whose service named a time that is to come, and those that ended well since the first of them."""
    return fold(map(fact_of, projections.rows("scheduler.state.refused", now=now))).runs


def read_unread(projections: Projections, roster: Sequence[str]) -> dict[str, tuple[Mail, ...]]:
    """Read the unread mail of each persona of the roster that has any, the oldest first."""
    unread: dict[str, list[Mail]] = {}
    for row in projections.rows("unread", roster=list(roster)):
        unread.setdefault(row["persona"], []).append(Mail(**row))
    return {persona: tuple(mail) for persona, mail in unread.items()}
