"""The moments of a sprint: one line of text for each step of it that is on record, and for each message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...mail.directory import PROGRAMS
from ...mail.kinds import MailKind
from ...mail.render import line, listed
from ..kinds import Kind, PatchStatus
from ..state.facts import Fact

_COMMIT = 12
_TEXT = 200  # characters


@dataclass(frozen=True)
class Moment:
    """A step of a sprint: the seq of its event, when, its kind, and what happened in one line."""

    seq: int
    ts: str
    kind: str
    text: str

    def document(self) -> dict[str, Any]:
        """Return the moment as a JSON object."""
        return {"seq": self.seq, "ts": self.ts, "kind": self.kind, "text": self.text}


def moments(facts: Iterable[Fact], letters: Iterable[Mapping[str, Any]] = ()) -> tuple[Moment, ...]:
    """Tell a sprint step by step, in the order of the log; `letters` are rows of the messages sent meanwhile."""
    told = [*_steps(facts), *map(_letter, letters)]
    return tuple(sorted(told, key=lambda moment: moment.seq))


def _steps(facts: Iterable[Fact]) -> Iterator[Moment]:
    personas: dict[str, str] = {}
    for fact in facts:
        if fact.run and isinstance(persona := fact.data.get("persona"), str):
            personas.setdefault(fact.run, persona)
        about = fact.run if fact.run in personas else fact.ref
        who = personas.get(about or "") or str(fact.data.get("persona") or "somebody")
        text = ""
        if tell := _TOLD.get(fact.kind):
            with suppress(KeyError, TypeError, ValueError):  # one that lacks what its kind has is nothing to tell
                text = line(tell(who, fact.data, fact))[:_TEXT]
        if text:
            yield Moment(fact.seq, fact.ts, fact.kind, text)


def _letter(row: Mapping[str, Any]) -> Moment:
    to: Sequence[str] = row["recipients"] or ()
    sender = f"the {row['sender']}" if row["sender"] in PROGRAMS else row["sender"]
    text = f"{sender} writes to {listed([*to])}: {row['subject']}"
    return Moment(row["seq"], row["ts"], MailKind.SENT, line(text)[:_TEXT])


def _started(who: str, data: Mapping[str, Any], _: Fact) -> str:
    attempt = f", attempt {data['attempt']}" if data.get("attempt", 1) != 1 else ""
    return f"{who} starts ({data.get('reason')}{attempt})"


def _landed(who: str, data: Mapping[str, Any], _: Fact) -> str:
    if data.get("how") == PatchStatus.PRESENT:
        return f"{who}'s patch changes nothing that is not there already"
    return f"{who}'s patch lands as {str(data.get('commit'))[:_COMMIT]}"


def _weave(_: str, data: Mapping[str, Any], __: Fact) -> str:
    landed, pairs = len(data.get("order", ())), len(data.get("conflicts", ()))
    return f"weave done: {landed} landed, {pairs} in each other's way"


def _judged(_: str, data: Mapping[str, Any], __: Fact) -> str:
    word = "passes" if data.get("passed") else "fails"
    where = " on the base" if data.get("on_base") else ""
    return f"gate {data.get('gate')} {word}{where} at {str(data.get('commit'))[:_COMMIT]}"


def _ended(who: str, data: Mapping[str, Any], _: Fact) -> str:
    detail = f": {data['detail']}" if data.get("status") != "ok" and data.get("detail") else ""
    return f"{who}'s run ends {data.get('status')}{detail}"


_TOLD: Mapping[str, Callable[[str, Mapping[str, Any], Fact], str]] = {
    Kind.SPRINT_STARTED: lambda _, data, __: f"sprint {data.get('sprint')} starts: {data.get('reason')}",
    Kind.SPRINT_FINISHED: lambda _, data, __: f"sprint {data.get('sprint')} ends: {data.get('outcome')}",
    Kind.SPRINT_STUCK: lambda _, data, __: f"sprint {data.get('sprint')} cannot go on: {data.get('why')}",
    Kind.SPRINT_ABANDONED: lambda _, data, fact: f"{fact.sender} abandons sprint {data.get('sprint')}",
    Kind.TICK_DONE: lambda _, data, __: f"tick {data.get('tick')} done",
    Kind.RUN_STARTED: _started,
    Kind.RUN_FINISHED: _ended,
    Kind.RUN_LOST: lambda who, data, _: f"{who}'s run is lost: {data.get('why')}",
    Kind.RUN_STOPPED: lambda who, _, fact: f"{fact.sender} stops {who}'s run",
    Kind.RUN_FORETOLD: lambda who, data, _: f"{who} is told that {data.get('file')} is changed by others, too",
    Kind.PATCH_CAPTURED: lambda who, data, _: f"{who}'s patch is captured: {listed(data.get('files', []))}",
    Kind.PATCH_LANDED: _landed,
    Kind.PATCH_CONFLICTED: lambda who, data, _: f"{who}'s patch conflicts: {listed(data.get('files', []))}",
    Kind.PATCH_REFUSED: lambda who, data, _: f"{who}'s patch is refused: {data.get('why')}",
    Kind.PATCH_HELD: lambda who, data, _: f"{who}'s patch is held: {data.get('why')}",
    Kind.PATCH_APPROVED: lambda who, _, fact: f"{fact.sender} approves {who}'s patch",
    Kind.PATCH_REJECTED: lambda who, data, _: f"{who}'s patch is rejected by {data.get('why')}",
    Kind.WEAVE_DONE: _weave,
    Kind.WEAVE_LOST: lambda _, data, __: f"what had landed is woven again: {data.get('why')}",
    Kind.GATE_STARTED: lambda _, data, __: f"gate {data.get('gate')} begins at {str(data.get('commit'))[:_COMMIT]}",
    Kind.GATE_JUDGED: _judged,
    Kind.PERSONA_SKIPPED: lambda who, data, _: f"{who} is set aside: {data.get('why')}",
    Kind.BUDGET_SPENT: lambda _, data, __: f"the budget of the {data['budget']} is spent",
    Kind.REVIEW_ASKED: lambda who, _, __: f"{who} is asked for a report",
    Kind.REPORT_GIVEN: lambda who, _, __: f"{who} reports",
    Kind.ROUND_DECIDED: lambda _, data, __: f"decided: {data.get('decision')}",
    Kind.ROUND_PAUSED: lambda _, data, __: f"rounds are paused: {data.get('why')}",
    Kind.DEPLOY_STARTED: lambda _, data, __: f"deployment of {str(data.get('commit'))[:_COMMIT]} starts",
    Kind.DEPLOY_FINISHED: lambda _, data, __: f"deployment: {data.get('outcome')}",
    Kind.DEPLOY_APPROVED: lambda _, __, fact: f"{fact.sender} approves the deployment",
    Kind.SCHEDULER_PAUSED: lambda _, __, fact: f"{fact.sender} pauses the scheduler",
    Kind.SCHEDULER_RESUMED: lambda _, __, fact: f"{fact.sender} resumes the scheduler",
}
