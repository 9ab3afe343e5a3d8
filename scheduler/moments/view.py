"""A sprint as of a moment: all that a page of it shows, read from the sprint's own events up to that moment.

The cost of it depends on the sprint, and not on the length of the log before or after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ...mail.clock import ALL
from ...mail.render import line
from ...personas.running.process import read_usage
from ..context import Context
from ..errors import NoSuchRun, NotReady
from ..kinds import Kind, RunStatus
from ..limits.budget import amount_used, used_text
from ..state.facts import Fact, Patch, Run, Sprint
from ..state.fold import fold
from ..state.metrics import Metrics, measure
from ..state.reading import Inbox, Span, read_inboxes, read_letters, read_moments, read_rival, read_spans
from ..state.sprints import State
from ..state.summary import Summary, summary
from .moment import Moment, moments
from .order import WovenOrder, orders
from .verdicts import Verdict, verdicts
from .waiting import Waits, phase, waits

_MOST_COMMITS = 200
_MOST_MAIL = 20  # of an inbox, in the document; `unread` counts all


class Commit(NamedTuple):
    """A commit on the sprint's branch."""

    id: str
    author: str
    subject: str


@dataclass(frozen=True)
class SprintView:
    """Sprint as of the event `seq`. `is_last` tells that it is shown as it is now, with all that is known of it.

    `moments` are all of the sprint, those after `seq` too. `inboxes` maps personas to what they had not read.
    `personas` are those that ran or are to, and `numbers` the sprint before and the one after, None if there is none.
    """

    seq: int
    ts: str
    is_last: bool
    sprint: Summary
    metrics: Metrics
    phase: str
    moments: tuple[Moment, ...]
    waiting: tuple[Waits, ...]
    weaves: tuple[WovenOrder, ...]
    gates: tuple[Verdict, ...]
    patches: tuple[Patch, ...]
    aside: Mapping[str, str]
    inboxes: Mapping[str, Inbox]
    commits: tuple[Commit, ...]
    budget: Mapping[str, str] | None
    personas: tuple[str, ...]
    numbers: tuple[int | None, int | None]

    @property
    def is_open(self) -> bool:
        """Whether it may still change by itself."""
        return self.is_last and self.sprint.outcome is None

    def document(self) -> dict[str, Any]:
        """Return the JSON object of a sprint as of a moment; `sprint` and `report` are those of the commands."""
        seqs = [moment.seq for moment in self.moments]
        place = sum(seq <= self.seq for seq in seqs)
        return {
            "seq": self.seq, "ts": self.ts, "is_last": self.is_last, "is_open": self.is_open,
            "first": seqs[0], "last": seqs[-1], "place": place, "phase": self.phase,
            "previous": seqs[place - 2] if place > 1 else None, "next": seqs[place] if place < len(seqs) else None,
            "sprint_before": self.numbers[0], "sprint_after": self.numbers[1],
            "personas": [*self.personas],
            "sprint": self.sprint.document() | {"outcome": self.sprint.outcome}, "report": self.metrics.document(),
            "waiting": [each.document() for each in self.waiting],
            "weaves": [each.document() for each in self.weaves], "gates": [each.document() for each in self.gates],
            "patches": [_patch(each) for each in self.patches], "set_aside": dict(self.aside),
            "inboxes": [_inbox(persona, inbox) for persona, inbox in self.inboxes.items()],
            "commits": [each._asdict() for each in self.commits], "budget": self.budget,
            "moments": [each.document() for each in self.moments],
        }  # fmt: skip


def _patch(patch: Patch) -> dict[str, Any]:
    return {
        "run": patch.run, "persona": patch.persona, "status": patch.status, "tick": patch.tick, "seq": patch.seq,
        "files": [*patch.files], "size": patch.size, "commit": patch.commit,
        "why": patch.why,
    }  # fmt: skip


def _inbox(persona: str, inbox: Inbox) -> dict[str, Any]:
    rows = [{"seq": each.seq, "id": each.id, "ts": each.ts, "sender": each.sender, "subject": each.subject,
             "type": each.type, "priority": each.priority} for each in reversed(inbox.mail)]  # fmt: skip
    return {"persona": persona, "unread": inbox.unread, "mail": rows}


def view(context: Context, number: int | None, at: int | None, now: datetime) -> SprintView:
    """Return sprint `number`, the last one if it is None, as of the event `at`, or as it is now if that is None.

    Raises NoSuchRun for a sprint that there is not, or an event before it.
    """
    span = _span(context, number)
    if at is not None and at < span.seq:
        raise NoSuchRun(f"sprint {span.number} begins with event {span.seq}, and {at} is before it")
    facts = read_moments(context.mailbox.projections, span)
    own = [fact for fact in facts if span.until is None or fact.seq < span.until]
    ended = next((fact.seq for fact in own if fact.kind == Kind.SPRINT_FINISHED and fact.seq > span.seq), None)
    letters = read_letters(context.mailbox.projections, span.seq, ended or ALL)
    told = moments((fact for fact in own if fact.seq >= span.seq), letters)
    is_last = at is None or at >= told[-1].seq
    seq = told[-1].seq if is_last else at or 0
    ts = max(each.ts for each in told if each.seq <= seq)
    end = now if is_last else datetime.fromisoformat(ts).astimezone(UTC)
    then = _Then([fact for fact in own if fact.seq <= seq], seq, ts, end, is_last)
    state = context.folded(facts if is_last else then.facts, span.until if is_last else None)
    mails = Counter(letter["type"] for letter in letters if letter["seq"] <= seq)
    return _view(context, span, then, state, _Told(told, dict(mails.most_common())))


class _Told(NamedTuple):
    """The moments of a sprint, and how many messages of each type were sent up to the one that is shown."""

    moments: tuple[Moment, ...]
    mails: Mapping[str, int]


class _Then(NamedTuple):
    """The facts up to a moment; `end` stands in for the end of what was open."""

    facts: Sequence[Fact]
    seq: int
    ts: str
    end: datetime
    is_last: bool


def _view(context: Context, span: Span, then: _Then, state: State, told: _Told) -> SprintView:
    human = context.settings.team.human
    sprint = next(each for each in state.sprints if each.number == span.number)
    names = dict.fromkeys((*sprint.personas, *(member.id for member in context.members), human))
    before = ALL if then.is_last and sprint.outcome is None else then.seq + 1
    inboxes = read_inboxes(context.mailbox.projections, [*names], before, _MOST_MAIL)
    state = replace(state, unread={name: inbox.mail for name, inbox in inboxes.items()})
    if then.is_last:
        state = replace(state, runs=_with_usage(context, state.runs))
    gates = verdicts(fact for fact in then.facts if fact.seq >= span.seq)
    waiting = waits(state, sprint, context.members, gates, human)
    summed = summary(state, sprint, then.end)
    rival = read_rival(context.mailbox.projections, sprint.base, sprint.personas) if then.is_last else None
    compared = replace(state, sprints=(rival,)) if rival else state
    return SprintView(
        then.seq, then.ts, then.is_last, summed, measure(compared, sprint, then.end, told.mails),
        phase(state, sprint, gates, waiting), told.moments, waiting, orders(then.facts, span.number), gates,
        tuple(patch for patch in state.patches if patch.sprint == span.number), fold(then.facts).aside,
        {name: inboxes[name] for name in names if name in inboxes},
        _commits(context, sprint), _budget(context, summed), _everybody(state, sprint),
        (span.number - 1 or None, span.until and span.number + 1),
    )  # fmt: skip


def _everybody(state: State, sprint: Sprint) -> tuple[str, ...]:
    """Name those of the first batch, and then those that mail alone launched."""
    ran = (run.persona for run in state.runs if run.sprint == sprint.number)
    return tuple(dict.fromkeys((*sprint.personas, *ran)))


def _with_usage(context: Context, runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return runs with what the open ones have used so far."""
    return tuple(
        replace(run, usage=read_usage(context.home / "runs" / run.id)) if run.status == RunStatus.OPEN else run
        for run in runs
    )


def _span(context: Context, number: int | None) -> Span:
    spans = read_spans(context.mailbox.projections, 1, None if number is None else number + 1)
    if not spans:
        raise NoSuchRun("no sprint yet; run scheduler sprint")
    if number not in {None, spans[0].number}:
        last = read_spans(context.mailbox.projections, 1)[0].number
        raise NoSuchRun(f"no sprint {number}; the last is {last}, scheduler history lists them")
    return spans[0]


def _commits(context: Context, sprint: Sprint) -> tuple[Commit, ...]:
    """List what was on the sprint's branch, the newest first; nothing if git has it no more, or is not here."""
    if not sprint.commits:
        return ()
    try:
        log = context.git.run(
            "log", f"--max-count={_MOST_COMMITS}", "--format=%H%x1f%an%x1f%s%x1e", "--end-of-options",
            f"{sprint.base}..{sprint.commits[-1]}", "--",
        )  # fmt: skip
    except NotReady:
        return ()
    rows = log.stdout.decode(errors="replace").split("\x1e") if log.returncode == 0 else []
    parts = (row.strip("\n").split("\x1f") for row in rows if row.strip())
    return tuple(Commit(commit, line(author), line(subject)) for commit, author, subject in parts)


def _budget(context: Context, sprint: Summary) -> dict[str, str] | None:
    """Say what the settings of today let a sprint use, what this one has used of it, and what is left."""
    limit = context.budgets.sprint
    if limit is None:
        return None
    used = amount_used(limit, sprint.usage)
    left = "unknown" if used is None else f"{max(0.0, 1 - used / limit.most):.0%}"
    return {"limit": limit.text, "used": used_text(limit, sprint.usage), "left": left}
