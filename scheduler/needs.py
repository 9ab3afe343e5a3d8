"""What needs a person: the matters, what is said of each, and the command that answers it.

Every list of them is made here: that of `status` from the events that still hold, that of notices from each event as it
comes. So both say the same of the same matter, and `Need.key` tells that it is the same.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ..mail.directory import PROGRAMS
from ..mail.render import listed
from ..mail.text.escape import line
from .kinds import Budget, DeployOutcome, Kind, NeedKind, is_writer

_SHORT = 12
_RUN = 8
_DISPATCH = 8
_REQUEST = 60  # characters of a request in plain words
_ESCALATE, _QUESTION = "escalate", "question"
_URGENT = frozenset({"high", "urgent"})
_WAITS = frozenset({DeployOutcome.FAILED, DeployOutcome.SKIPPED_POLICY})
_THINGS = (
    "sprint", "dispatch", "run", "patch", "persona", "task", "claim", "gate", "commit", "budget", "agent", "message",
)  # fmt: skip
_UNSET = "no [deploy] says how"  # in the reason of a deployment that nobody asked for


class Written(Protocol):
    """What is needed of an event, or of a fact, which is the part of one that a fold keeps."""

    @property
    def seq(self) -> int:
        """Its number in the log."""
        ...

    @property
    def kind(self) -> str:
        """Its kind."""
        ...

    @property
    def sender(self) -> str:
        """Who wrote it."""
        ...

    @property
    def ref(self) -> str | None:
        """The id of what it is about."""
        ...

    @property
    def run(self) -> str | None:
        """The run that wrote it, or that it is about."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """What its kind has."""
        ...


class Reader(NamedTuple):
    """Whom it is told: the human. `never` are types of mail that ask for nothing, `gates` the commands by mark."""

    human: str
    never: Collection[str] = ()
    gates: Mapping[str, tuple[str, ...]] = {}


@dataclass(frozen=True)
class Need:
    """One matter for a person, in one line of `text`, and the `command` that answers it.

    `kind` is a `NeedKind`, and `seq` that of the event that made it. The other fields name what it is about, those that
    it has: `message` is the id of a mail to `persona`, `patch` the run that made one, `claim` its token. `about` ends
    the key of a mail in which a program says the same.
    """

    kind: NeedKind
    text: str
    command: str
    seq: int
    sprint: int | None = None
    dispatch: str | None = None
    run: str | None = None
    patch: str | None = None
    persona: str | None = None
    task: str | None = None
    claim: int | None = None
    gate: str | None = None
    commit: str | None = None
    budget: str | None = None
    agent: str | None = None
    message: str | None = None
    sender: str | None = None
    subject: str | None = None
    urgent: bool = False
    about: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """What tells one matter from another, the same as long as the matter is."""
        things = (getattr(self, name) for name in _THINGS)
        return " ".join([self.kind, *(str(thing) for thing in things if thing is not None)])

    def document(self) -> dict[str, Any]:
        """Return the matter as a JSON object; what it is not about is null."""
        head = {"key": self.key, "kind": self.kind, "text": self.text, "command": self.command, "seq": self.seq}
        return head | {name: getattr(self, name) for name in (*_THINGS, "sender", "subject", "urgent")}


def need_of(event: Written, reader: Reader) -> Need | None:
    """Return what an event of the engine asks of the human, None if nothing. Mail is `mail_need`'s."""
    make = _NEEDS.get(event.kind)
    if make is None or event.data.get("dispatch") is not None or not is_writer(event.kind, event.sender, event.run):
        return None
    return make(event, reader)


def mail_need(
    reader: Reader, seq: int, id: str, sender: str, subject: str, *, type: str, priority: str, run: str | None
) -> Need | None:
    """Return what a message to the human asks, None if nothing: of programs, only what they could not do."""
    is_program = sender in PROGRAMS and run is None
    asks = type == _ESCALATE if is_program else type not in reader.never and sender != reader.human
    if not asks:
        return None
    text = f"{sender} {'asks' if type == _QUESTION else 'writes'}: {line(subject) or 'a message'}"
    command = f"team-mail read {seq} --persona {reader.human}"
    urgent = priority in _URGENT
    return Need(
        NeedKind.MAIL, text, command, seq, persona=reader.human, message=id, sender=sender, subject=subject,
        urgent=urgent,
    )  # fmt: skip


def cut_off(dispatch: str, seq: int, detail: str = "", request: str = "") -> Need:
    """Return what a dispatch asks that nobody leads any more, `request` being the one that it belongs to, if any."""
    short = dispatch[-_DISPATCH:]
    kind = NeedKind.ASK if request else NeedKind.DISPATCH
    what = f"dispatch {short} of the request {line(request[:_REQUEST])!r}" if request else f"dispatch {short}"
    text = f"{what} was cut off" + (f", {detail}" if detail else "")
    return Need(kind, text, f"team dispatch --resume {short}", seq, dispatch=dispatch, urgent=False)


def deployment_cut_off(start: Written) -> Need:
    """Return what a deployment asks that began and never ended, though nobody deploys."""
    commit = _text(start, "commit")
    text = f"the deployment of {commit[:_SHORT]} was cut off, and nobody knows whether it is live"
    return _deployment(start, text, urgent=True)


def log_behind(what: str, seq: int) -> Need:
    """Return what a log asks that lacks what git knows, by `what` is missing; `seq` is that of its last event."""
    text = f"{what}; nothing is started, because what has landed would land again"
    return Need(NeedKind.LOG, text, "team-mail verify", seq, urgent=True)


def stale_claim(what: str, owner: str, why: str, *, token: int, seq: int, task: str = "") -> Need:
    """Return what a claim asks that is over though no event says so; `seq` is that of its last renewal."""
    text = f"{owner}'s claim of {line(what)} is over: {line(why)}"
    return Need(NeedKind.CLAIM, text, "team clean", seq, task=task or None, persona=owner, claim=token)


def set_aside_task(task: str, seq: int, about: str = "") -> Need:
    """Return what a task asks that was claimed three times without an end; `seq` is that of the last claim's end."""
    text = f"task {task} was claimed three times without an end"
    return Need(NeedKind.TASK, text, f"team task show {task}", seq, task=task, about=about)


def held_patch(event: Written, why: str = "") -> Need:
    """Return what a held patch asks; `why` is said instead of what the event says."""
    run, persona = event.ref or "", _text(event, "persona")
    why = why or _text(event, "why")
    text = f"{persona}'s patch to {_files(event)} is held" + (f": {line(why)}" if why else "")
    return Need(
        NeedKind.PATCH, text, f"scheduler approve {run[:_RUN]}", event.seq, run=run, patch=run, persona=persona,
        about=f"question {run}",
    )  # fmt: skip


def _held(event: Written, _: Reader) -> Need:
    return held_patch(event)


def _set_aside(event: Written, _: Reader) -> Need:
    persona, sprint = _text(event, "persona"), _number(event, "sprint")
    return Need(
        NeedKind.PERSONA, f"{persona} was set aside: {line(_text(event, 'why'))}",
        f"team-mail send --to {persona} -s … -b …", event.seq, sprint=sprint, persona=persona,
        about=f"aside {_text(event, 'sprint')} {persona}",
    )  # fmt: skip


def _round_paused(event: Written, _: Reader) -> Need:
    sprint = _number(event, "sprint")
    text = f"rounds are paused after round {_text(event, 'sprint')}: {line(_text(event, 'why'))}"
    about = f"rounds paused {_text(event, 'sprint')}"
    return Need(NeedKind.ROUND, text, "scheduler resume", event.seq, sprint=sprint, urgent=True, about=about)


def _stuck(event: Written, _: Reader) -> Need:
    sprint = _number(event, "sprint")
    text = f"sprint {sprint} cannot go on: {line(_text(event, 'why'))}"
    return Need(NeedKind.SPRINT, text, f"scheduler abandon {sprint}", event.seq, sprint=sprint, urgent=True)


def _paused(event: Written, _: Reader) -> Need:
    text = f"nothing is started, paused by {event.sender}"
    return Need(NeedKind.PAUSE, text, "scheduler resume", event.seq, sender=event.sender)


def _deployed(event: Written, _: Reader) -> Need | None:
    outcome, why, commit = event.data.get("outcome"), _text(event, "why"), _text(event, "commit")
    if outcome not in _WAITS or (outcome == DeployOutcome.SKIPPED_POLICY and why == _UNSET):
        return None
    failed = outcome == DeployOutcome.FAILED
    text = f"the deployment of {commit[:_SHORT]} {'failed' if failed else 'waits'}: {line(why)}"
    about = f"deploy {'failed' if failed else 'waits'} {_text(event, 'sprint')} {commit} {_text(event, 'attempt')}"
    return _deployment(event, text, urgent=failed, about=about)


def _deployment(event: Written, text: str, *, urgent: bool, about: str = "") -> Need:
    command = f"scheduler approve deploy --round {_text(event, 'sprint')}"
    return Need(
        NeedKind.DEPLOY, text, command, event.seq, sprint=_number(event, "sprint"), commit=_text(event, "commit"),
        urgent=urgent, about=about,
    )  # fmt: skip


def _judged(event: Written, reader: Reader) -> Need | None:
    """Return what a gate asks that fails on the base; nothing if the settings have no such gate any more."""
    mark, gate, commit = _text(event, "mark"), _text(event, "gate"), _text(event, "commit")
    command = reader.gates.get(mark)
    if command is None or event.data.get("on_base") is not True or event.data.get("passed") is not False:
        return None
    return Need(
        NeedKind.GATE, f"gate {gate} fails on the base, {commit[:_SHORT]}, without any change, so it judges nothing",
        shlex.join(command), event.seq, sprint=_number(event, "sprint"), gate=gate, commit=commit, urgent=True,
        about=f"red {mark} {_text(event, 'tree')}",
    )  # fmt: skip


def _spent(event: Written, _: Reader) -> Need:
    budget, whose = _text(event, "budget"), _text(event, "day")
    table = f"[agents.{whose}] budget" if budget == Budget.AGENT else f"[budget] {budget}"
    limit = _text(event, "limit")
    text = f"the budget {line(table)}{f' of {line(limit)}' if limit else ''} is spent: raise it in team.toml to go on"
    return Need(
        NeedKind.BUDGET, text, "scheduler sprint", event.seq, sprint=_number(event, "sprint"), budget=budget,
        persona=whose if budget == Budget.PERSONA else None, agent=whose if budget == Budget.AGENT else None,
        about=f"budget {budget} {_text(event, 'sprint')} {whose}",
    )  # fmt: skip


def _claim_ended(event: Written, _: Reader) -> Need | None:
    """Return what a task asks whose last claim this ended, if that was one too many."""
    if event.data.get("aside") is not True:
        return None
    return set_aside_task(_text(event, "task"), event.seq, f"aside {event.ref} {_text(event, 'token')}")


def _unpublished(event: Written, _: Reader) -> Need:
    sprint, why = _number(event, "sprint"), _text(event, "why")
    return Need(
        NeedKind.PULL, f"sprint {sprint} is not published: {line(why)}", f"scheduler publish {sprint}", event.seq,
        sprint=sprint, about=f"unpublished {_text(event, 'id')} {why}",
    )  # fmt: skip


def matter_of(event: Written) -> tuple[str, ...] | None:
    """Return what tells the matter of an event from others, as long as that event may be its cause; None for none.

    Of two events with the same, the later one is what is asked.
    """
    if event.kind not in _NEEDS and event.kind != Kind.DEPLOY_STARTED:
        return None
    if event.kind == Kind.GATE_JUDGED:
        is_red = event.data.get("on_base") is True and event.data.get("passed") is False
        return (event.kind, _text(event, "mark"), _text(event, "tree")) if is_red else None
    names = {
        Kind.SPRINT_STUCK: ("sprint",), Kind.PERSONA_SKIPPED: ("persona",),
        Kind.BUDGET_SPENT: ("budget", "sprint", "day"),
        Kind.DEPLOY_STARTED: ("sprint", "commit"), Kind.DEPLOY_FINISHED: ("sprint", "commit"),
    }  # fmt: skip
    things = (_text(event, name) for name in names.get(Kind(event.kind), ()))
    return (event.kind, event.ref or "", *things)


_NEEDS: dict[str, Callable[[Written, Reader], Need | None]] = {
    Kind.PATCH_HELD: _held,
    Kind.PERSONA_SKIPPED: _set_aside,
    Kind.SPRINT_STUCK: _stuck,
    Kind.ROUND_PAUSED: _round_paused,
    Kind.SCHEDULER_PAUSED: _paused,
    Kind.DEPLOY_FINISHED: _deployed,
    Kind.GATE_JUDGED: _judged,
    Kind.BUDGET_SPENT: _spent,
    Kind.GITHUB_REFUSED: _unpublished,
    Kind.CLAIM_RELEASED: _claim_ended,
    Kind.CLAIM_EXPIRED: _claim_ended,
}


def _files(event: Written) -> str:
    files = event.data.get("files")
    return listed([line(str(file)) for file in files]) if isinstance(files, list) and files else "sensitive files"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _text(event: Written, name: str) -> str:
    value = event.data.get(name)
    return "" if value is None else str(value)


def _number(event: Written, name: str) -> int | None:
    value = event.data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
