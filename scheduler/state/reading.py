"""Reads from the log where a team stands: the state of its sprints, and runs of sprints and dispatches alike.

A reading begins where a sprint began, so that its cost does not grow with history. From before that come the runs whose
patch was held and not decided by then, pauses, and of the last sprints their starts, ends and gate verdicts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ...mail.clock import ALL, rfc3339
from ...mail.query.rows import Projections
from ...personas.spending.usage import usage_of
from ..kinds import PatchStatus, RunStatus
from .facts import Fact, Mail, Run, Sprint
from .fold import fact_of, fold
from .form import counts
from .sprints import State
from .usage import NO_USAGE, UsageTotal, Used

LAST = 20  # sprints that lists show and estimates come from
_UNTIL = '"until":'  # in the line of every event that tells when a service takes more
_MOST = 500  # sprints in an hour
_PAST = 20  # runs of a persona
_HOUR = timedelta(hours=1)
_NEWS = timedelta(days=1)  # what is older is not told to anybody outside


class Span(NamedTuple):
    """Where a sprint began in the log, when, its number, and where the next one began, None if it is the last."""

    seq: int
    ts: str
    number: int
    until: int | None


def state_of(projections: Projections, roster: Sequence[str], now: str, sprints: int | None = None) -> State:
    """Read the state of a team as of `now`, a timestamp; `roster` are the personas whose unread mail counts.

    It begins with the last of so many `sprints`, by default with the log; patches are there that are still undecided.
    """
    unread, refused = read_unread(projections, roster), read_refused(projections, now)
    facts = _facts(projections, 0, ALL) if sprints is None else read_facts(projections, sprints)
    return replace(fold(facts), unread=unread, refused=refused)


def read_spans(projections: Projections, most: int, before: int | None = None) -> tuple[Span, ...]:
    """Read where the last sprints began, the oldest first: so many, of those with a number below `before`."""
    rows = projections.rows("scheduler.state.began", before=before, limit=most)
    return tuple(Span(row["seq"], row["ts"], row["number"], row["until"]) for row in reversed(rows))


def read_facts(projections: Projections, sprints: int = 1) -> Iterator[Fact]:
    """Read what was done since the last of so many sprints began, in the order of the log.

    With it comes what a tick needs from before; what does not count is left out.
    """
    spans = read_spans(projections, max(_MOST, sprints))
    if not spans:
        return _counted(projections.rows("scheduler.state.paused", before=ALL))
    hour = datetime.fromisoformat(spans[-1].ts) - _HOUR
    near = [span for span in spans[-_MOST:-LAST] if datetime.fromisoformat(span.ts) > hour]  # mail may start so many
    return _since(projections, spans[-sprints:][0].seq, (near or spans[-LAST:])[0].seq)


def _since(projections: Projections, since: int, lately: int) -> Iterator[Fact]:
    earlier = _counted(projections.rows("scheduler.state.paused", before=lately))
    return _merged(earlier, _waiting(projections, since), _facts(projections, since, ALL, min(lately, since)))


def read_sprints(projections: Projections, spans: Sequence[Span]) -> State:
    """Read the state of some sprints in a row as it is by now, and the start of the next one.

    What became later of a patch that they left undecided is part of it.
    """
    since, until = spans[0].seq, spans[-1].until
    facts = [*_merged(_waiting(projections, since), _facts(projections, since, ALL if until is None else until + 1))]
    return fold_with_later(projections, facts, until)


def fold_with_later(projections: Projections, facts: Sequence[Fact], until: int | None) -> State:
    """Fold facts, with what became of the patches and runs that they leave undecided from a seq on, if there is one."""
    state = fold(facts)
    left = [patch.run for patch in state.patches if patch.status in {PatchStatus.HELD, PatchStatus.PENDING}]
    left += [run.id for run in state.runs if run.status == RunStatus.OPEN]
    return fold(_merged(facts, _about(projections, left, until))) if left and until is not None else state


def read_moments(projections: Projections, span: Span) -> list[Fact]:
    """Read what was done in one sprint, in the order of the log, with what it found there and the start of the next.

    Folding those up to a seq gives the state as of then: runs whose patch waited when it began are among them.
    """
    last = ALL if span.until is None else span.until
    own = _facts(projections, span.seq, last + 1)
    return [fact for fact in _merged(_waiting(projections, span.seq), own) if fact.seq <= last]


def read_letters(projections: Projections, since: int, until: int) -> list[dict[str, Any]]:
    """Read the messages from a seq on and before another: seq, id, ts, sender, recipients, subject, type."""
    return projections.rows("scheduler.state.letters", since=since, until=until)


class Inbox(NamedTuple):
    """How many messages a persona had not read, and the last of them, the oldest first."""

    unread: int
    mail: tuple[Mail, ...]


def read_inboxes(
    projections: Projections, roster: Sequence[str], before: int = ALL, most: int = ALL
) -> dict[str, Inbox]:
    """Read the unread mail of some personas as it was before a seq, the last messages of each; none of who had none."""
    since = projections.part(before - 1)
    rows = projections.rows("scheduler.state.inboxes", roster=[*roster], since=since, until=before, most=most)
    found: dict[str, Inbox] = {}
    for row in rows:
        unread, inbox = row.pop("unread"), found.get(row["persona"], Inbox(0, ()))
        found[row["persona"]] = Inbox(unread, (*inbox.mail, Mail(**row)))
    return found


def read_rival(projections: Projections, base: str, personas: Collection[str]) -> Sprint | None:
    """Read the last sequential sprint from a commit, of the same personas, that has ended."""
    rows = projections.rows("scheduler.state.rivals", base=base, roster=sorted({*personas}))
    for row in rows:
        sprints = fold(_facts(projections, row["seq"], row["until"] or ALL)).sprints
        if sprints and sprints[0].finished:
            return sprints[0]
    return None


def count_mails(projections: Projections, span: Span, ended: int) -> dict[str, int]:
    """Count the messages sent between a sprint's start and its end by type, the most frequent type first.

    `ended` is the seq of its end, 0 while it is open.
    """
    until = min(ended or ALL, span.until or ALL)
    rows = projections.rows("scheduler.state.mails", since=span.seq, until=until)
    return {row["type"]: row["number"] for row in rows}


def with_past(projections: Projections, state: State, personas: Iterable[str]) -> State:
    """Return a state with the last runs, and their patches, of those personas that have no run in it that ended."""
    known = {run.persona for run in state.runs if run.finished}
    missing = sorted({*personas} - known)
    rows = projections.rows("scheduler.state.latest", roster=missing, most=_PAST) if missing else []
    if not rows:
        return state
    past = fold(_about(projections, [row["run"] for row in rows], rows[0]["seq"]))
    runs = {run.id: run for run in (*past.runs, *state.runs)}
    patches = {patch.run: patch for patch in (*past.patches, *state.patches)}
    return replace(state, runs=tuple(runs.values()), patches=tuple(patches.values()))


def read_played(projections: Projections, agents: Iterable[str]) -> set[str]:
    """Read which of some agents have had a run in a sprint."""
    return {row["agent"] for row in projections.rows("scheduler.state.played", agents=sorted(agents))}


def read_run_facts(projections: Projections, beginning: str) -> list[Fact]:
    """Read all about the runs whose id begins with some characters, of sprints and dispatches, in the log's order."""
    rows = projections.rows("scheduler.state.named", key=beginning)
    return [*_about(projections, [row["run"] for row in rows], rows[0]["seq"])] if rows else []


def read_about(projections: Projections, runs: Sequence[str], since: int) -> list[Fact]:
    """Read all about some runs from a seq on, in the order of the log."""
    return [*_about(projections, runs, since)]


def read_some_runs(
    projections: Projections,
    most: int,
    before: int | None = None,
    *,
    persona: str | None = None,
    status: str | None = None,
    sprint: int | None = None,
    dispatch: str | None = None,
) -> list[Fact]:
    """Read all about the last runs that began before a seq: so many of a persona, a sprint, a dispatch, of a status."""
    rows = projections.rows(
        "scheduler.state.runs", before=before or ALL, persona=persona, status=status, sprint=sprint, dispatch=dispatch,
        limit=most,
    )  # fmt: skip
    return [*_about(projections, [row["run"] for row in rows], rows[-1]["seq"])] if rows else []


def _facts(projections: Projections, since: int, until: int, lately: int | None = None) -> Iterator[Fact]:
    """Read what was done for sprints from a seq on, and before another, in the order of the log."""
    lately = since if lately is None else lately
    return _counted(projections.rows("scheduler.state.schedule", since=since, until=until, lately=lately))


def _waiting(projections: Projections, before: int) -> Iterator[Fact]:
    """Read all about the runs whose patch was held before a seq and not decided by then."""
    rows = projections.rows("scheduler.state.held", before=before)
    facts = _about(projections, [row["ref"] for row in rows], min((row["since"] for row in rows), default=0))
    return (fact for fact in facts if fact.data.get("dispatch") is None)


def _about(projections: Projections, runs: Sequence[str], since: int | None) -> Iterator[Fact]:
    return _counted(projections.rows("scheduler.state.about", runs=[*runs], since=since or 0) if runs else [])


def _counted(rows: Iterable[dict[str, Any]]) -> Iterator[Fact]:
    return filter(counts, map(fact_of, rows))


def _merged(*facts: Iterable[Fact]) -> Iterator[Fact]:
    """Bring facts into the order of the log, each once."""
    by_seq = {fact.seq: fact for part in facts for fact in part}
    return (by_seq[seq] for seq in sorted(by_seq))


def read_going(projections: Projections, personas: Sequence[str] | None) -> tuple[Run, ...]:
    """Read the runs of some personas, or all, that have not ended, of sprints and dispatches, in the log's order."""
    roster = None if personas is None else [*personas]
    return fold(map(fact_of, projections.rows("scheduler.state.going", roster=roster))).runs


def read_results(projections: Projections, roster: Collection[str], since: str, most: int) -> dict[str, list[Fact]]:
    """Read how the last runs of some personas ended since a time, so many of each, the newest first."""
    results: dict[str, list[Fact]] = {}
    for fact in _counted(projections.rows("scheduler.state.results", roster=sorted(roster), since=since, most=most)):
        results.setdefault(str(fact.data["persona"]), []).insert(0, fact)
    return results


def read_printed(projections: Projections) -> frozenset[str]:
    """Read which runs have ended with their output in a blob, so that it is not in their folder alone, or were lost."""
    return frozenset(row["run"] for row in projections.rows("scheduler.state.printed"))


def read_ended(projections: Projections, since: str) -> tuple[tuple[str, Used], ...]:
    """Read what runs used that ended since a time, in sprints and in dispatches, each with its id.

    Those that a budget withdrew before they did anything do not count.
    """
    facts = _counted(projections.rows("scheduler.state.ended", since=since))
    return tuple({str(fact.run): _used(fact) for fact in facts if not fact.data.get("withdrawn")}.items())


def read_spent(projections: Projections, days: Sequence[str]) -> list[UsageTotal]:
    """Read what runs used that ended on each of some days: `days` are their beginnings, the earliest first."""
    rows = projections.rows("scheduler.state.spent", since=days[0], days=[*days])
    by_day = {row.pop("day"): row for row in rows}
    sums = (by_day.get(place) for place in range(1, len(days) + 1))
    return [UsageTotal(**row | {"usd": row["usd"] and round(row["usd"], 6)}) if row else NO_USAGE for row in sums]


def _used(fact: Fact) -> Used:
    persona, agent = fact.data.get("persona"), fact.data.get("agent")
    names = (name if isinstance(name, str) else "" for name in (persona, agent))
    return Used(usage_of(fact.data.get("usage")), *names)


def read_refused(projections: Projections, now: str) -> tuple[Run, ...]:
    """Read the runs whose service named a time that is to come, and those that ended well since the first of them."""
    if projections.lacks(_UNTIL) or not (first := projections.rows("scheduler.state.limited", now=now)):
        return ()
    return fold(map(fact_of, projections.rows("scheduler.state.refused", now=now, since=first[0]["seq"]))).runs


def read_unread(projections: Projections, roster: Sequence[str]) -> dict[str, tuple[Mail, ...]]:
    """Read the unread mail of each persona of the roster that has any, the oldest first."""
    unread: dict[str, list[Mail]] = {}
    for row in projections.rows("unread", roster=list(roster)):
        unread.setdefault(row["persona"], []).append(Mail(**row))
    return {persona: tuple(mail) for persona, mail in unread.items()}


def read_recent(projections: Projections, since: int, now: datetime) -> int:
    """Read the seq from which on events are news: of the last day, as of `now`, and none before `since`."""
    rows = projections.rows("scheduler.state.later", since=since, now=rfc3339(now - _NEWS))
    return max([since, *(row["seq"] for row in rows)])


def read_notices(projections: Projections, since: int) -> list[Fact]:
    """Read what came of notices from a seq on."""
    return [*_counted(projections.rows("scheduler.state.notices", since=since))]
