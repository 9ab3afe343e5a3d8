"""Who works in a team: each persona with its agents, what it does now, and how its last runs ended.

There is no status on record: it is computed from open runs, from what is alive of them, and from who leads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ...mail.clock import rfc3339
from ..context import Context
from ..errors import NotReady
from ..kinds import AgentStatus, Kind, LaunchReason, RunStatus
from ..leader import leading_anywhere
from ..limits.routing import Work
from ..liveness import is_led, liveness
from ..state.dispatches import read_unfinished
from ..state.facts import Fact, Run
from ..state.reading import read_going, read_results, read_unread
from ..state.summary import FAILED

_FAILS = 3  # in a row that make an error
_LATELY = timedelta(days=30)  # a last result that is older is none


@dataclass(frozen=True)
class Result:
    """How a run ended, a `RunStatus`, with its detail, and when; `times` is how often in a row runs ended so badly."""

    run: str
    status: str
    detail: str
    ended: str
    times: int = 1

    def document(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {
            "run": self.run, "status": self.status, "detail": self.detail, "ended": self.ended, "times": self.times,
        }  # fmt: skip


@dataclass(frozen=True)
class Registered:
    """A persona in the registry. `status` is an `AgentStatus`, and `why` says why, "" if there is nothing to say.

    `agents` may play it, the first that can; `runs` go on, of at most `max_concurrent` at once, and `stale` are open
    on record alone. `seen` is when it last gave a sign of life, None if it never did. `capabilities` are what it takes
    part in, and what it may change.
    """

    name: str
    agents: tuple[str, ...]
    status: str
    runs: tuple[str, ...]
    stale: tuple[str, ...]
    max_concurrent: int
    seen: datetime | None
    last: Result | None
    unread: int
    capabilities: tuple[str, ...]
    why: str = ""

    def document(self) -> dict[str, Any]:
        """Return the persona as a JSON object."""
        return {
            "name": self.name, "agents": [*self.agents], "status": self.status, "why": self.why or None,
            "runs": [*self.runs], "stale": [*self.stale], "max_concurrent": self.max_concurrent,
            "last_seen": self.seen and rfc3339(self.seen), "last_result": self.last and self.last.document(),
            "unread": self.unread, "capabilities": [*self.capabilities],
        }  # fmt: skip


@dataclass(frozen=True)
class Registry:
    """All personas of a team, in the order of its roster."""

    agents: tuple[Registered, ...]

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `team agents --json`."""
        return [each.document() for each in self.agents]


def status_of(*, stale: bool, busy: bool, trouble: str, fails: int, attended: bool) -> str:
    """Return the `AgentStatus` of a persona.

    Args:
        stale: Whether a run of it is open on record alone.
        busy: Whether a run of it goes on.
        trouble: Why no agent of it can start, "" if one can.
        fails: How many of its last runs failed in a row.
        attended: Whether anybody is there who would start it.
    """
    if stale:
        return AgentStatus.STALE
    if busy:
        return AgentStatus.BUSY
    if trouble or fails >= _FAILS:
        return AgentStatus.ERROR
    return AgentStatus.AVAILABLE if attended else AgentStatus.OFFLINE


def registry(context: Context, now: datetime) -> Registry:
    """Read the registry of a team at `now`."""
    projections = context.mailbox.projections
    runs = read_going(projections, None)
    names = _names(context, runs)
    results = read_results(projections, names, rfc3339(now - _LATELY), _FAILS)
    unread = read_unread(projections, names)
    reader = _Reader(context, runs, _attended(context))
    return Registry(tuple(reader.registered(name, results.get(name, ()), len(unread.get(name, ()))) for name in names))


def _names(context: Context, runs: Sequence[Run]) -> list[str]:
    """Return the team's own personas, and bundled ones that have a run."""
    guests = context.mailbox.directory.guests - {run.persona for run in runs}
    own = [persona.id for persona in context.roster.personas if persona.id not in guests]
    return [name for name in own if name != context.settings.team.human]


def _attended(context: Context) -> bool:
    """Tell whether a scheduler leads the team, or a dispatch is under way."""
    if leading_anywhere(context.home / "work", context.mailbox.log):
        return True
    return any(is_led(state.supervisor) for state in read_unfinished(context.mailbox.projections))


@dataclass(frozen=True)
class _Reader:
    """Looks at one persona after the other."""

    context: Context
    runs: Sequence[Run]
    attended: bool

    def registered(self, name: str, results: Sequence[Fact], unread: int) -> Registered:
        own = [run for run in self.runs if run.persona == name]
        going = [run for run in own if liveness(self.context.home, run).goes_on]
        stale = [run for run in own if run not in going]
        agents, last, trouble = self._agents(name), last_of(results), self._trouble(name)
        fails = last.times if last and last.status in FAILED else 0
        status = status_of(
            stale=bool(stale), busy=bool(going), trouble=trouble, fails=fails, attended=self.attended
        )  # fmt: skip
        return Registered(
            name, agents, status, tuple(run.id for run in going), tuple(run.id for run in stale),
            self.context.most_parallel(agents[0]), self._seen(own, last), last, unread,
            tuple(self._capabilities(name)), trouble,
        )  # fmt: skip

    def _agents(self, name: str) -> tuple[str, ...]:
        work = Work(name, LaunchReason.MAIL, own=self.context.persona(name).agent)
        return self.context.routing().candidates(work)[1]

    def _trouble(self, name: str) -> str:
        """Return why none of a persona's agents can start; "" if one can."""
        troubles: list[str] = []
        for agent in self._agents(name):
            try:
                found = self.context.troubles([agent])
            except NotReady as error:
                found = [str(error)]
            if not found:
                return ""
            troubles += found
        return "; ".join(troubles)

    def _seen(self, own: Sequence[Run], last: Result | None) -> datetime | None:
        """Return when a persona last gave a sign of life: by the heartbeat of a run, by its start, or by its end."""
        signs = [datetime.fromisoformat(run.started) for run in own]
        signs += [datetime.fromisoformat(last.ended)] if last else []
        for run in own:
            try:
                beat = (self.context.home / "runs" / run.id / "heartbeat").stat().st_mtime
            except OSError:
                continue
            signs.append(datetime.fromtimestamp(beat, UTC))
        return max(signs, default=None)

    def _capabilities(self, name: str) -> Iterator[str]:
        persona, settings = self.context.persona(name), self.context.settings
        if persona.role:
            yield persona.role
        if persona.scheduled:
            yield "mail" if persona.by_mail else "sprints"
        yield "dispatches"
        if name in settings.reporters:
            yield "reports"
        if name == settings.deploy.persona:
            yield "deploys"
        yield _changes(persona.paths)


def _changes(paths: Collection[str] | None) -> str:
    if paths is None:
        return "changes any file"
    return f"changes {' '.join(paths)}" if paths else "changes nothing"


def last_of(results: Sequence[Fact]) -> Result | None:
    """Return how the last run ended, of facts about ends, the newest first; None of none."""
    ends = [(fact, _status(fact)) for fact in results]
    if not ends:
        return None
    (newest, status), bad = ends[0], 0
    for _, each in ends:
        if each not in FAILED:
            break
        bad += 1
    detail = str(newest.data.get("detail") or newest.data.get("why") or "")
    return Result(str(newest.run), status, detail, newest.ts, max(1, bad))


def _status(fact: Fact) -> str:
    return RunStatus.LOST if fact.kind == Kind.RUN_LOST else str(fact.data.get("status", ""))
