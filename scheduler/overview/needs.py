"""What needs a person, each matter with the command that settles it: the list of `status`, of notices, of a console.

`needs` is pure over what was read; `read_needs` reads it. A matter that is settled is not in the next list, because
nothing of it is kept anywhere.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...mail.directory import PROGRAMS
from ...mail.render import line, listed
from ...mail.text.units import counted
from ..context import Context
from ..errors import NotReady
from ..kinds import ClaimState, DeployOutcome, NeedKind, PatchStatus
from ..landing.base_gates import BaseGate, base_gates
from ..leader import leading
from ..state.facts import Mail
from ..state.reading import read_unread
from ..state.sprints import State
from .dispatches import OpenDispatch
from .tasks import ClaimedWork

_SHORT = 12
_RUN = 8
_MOST = 10  # messages with a line of their own
_ESCALATE = "escalate"


@dataclass(frozen=True)
class Need:
    """One matter for a person: a line about it, the command that settles it, and what it is about.

    `ref` names that for programs: a run, a persona, a dispatch, a commit, a gate, or the id of a message. `key` is the
    same as long as the matter is.
    """

    kind: str
    text: str
    command: str
    ref: str = ""

    @property
    def key(self) -> str:
        """What tells one matter from another."""
        return f"{self.kind} {self.ref}"

    def document(self) -> dict[str, Any]:
        """Return the matter as a JSON object."""
        return {"kind": self.kind, "text": self.text, "command": self.command, "ref": self.ref}


class Desk(NamedTuple):
    """What `needs` is told beside the state: the human's unread mail, open dispatches, claims, red gates.

    `deploys` tells whether the settings say how to deploy.

    `never` are the types of mail that ask for nothing. Some process may be `deploying` just now.
    """

    human: str
    mail: Sequence[Mail] = ()
    dispatches: Sequence[OpenDispatch] = ()
    red: Sequence[BaseGate] = ()
    never: Collection[str] = ()
    deploys: bool = False
    claimed: ClaimedWork = ClaimedWork()
    deploying: bool = False


def read_needs(
    context: Context, state: State, dispatches: Sequence[OpenDispatch], claimed: ClaimedWork
) -> tuple[Need, ...]:
    """Read what needs a person, as of a state that was just read."""
    settings, human = context.settings, context.settings.team.human
    mail = read_unread(context.mailbox.projections, [human]).get(human, ())
    deploying = leading(context.home / "work" / "deploy") is not None
    red = [gate for gate in _base_gates(context, state) if gate.is_red]
    never, deploys = settings.sprint.wakes_not, settings.deploy.is_set
    return needs(state, Desk(human, mail, dispatches, red, never, deploys, claimed, deploying))


def _base_gates(context: Context, state: State) -> list[BaseGate]:
    if not context.settings.gates:
        return []
    try:
        return base_gates(context, state, context.base())
    except NotReady:  # without the base nothing starts, which `scheduler --dry-run` says
        return []


def needs(state: State, desk: Desk) -> tuple[Need, ...]:
    """Return what needs a person, what holds up most first."""
    return (
        *_paused(state), *_deploys(state, desk), *_held(state), *_gates(desk), *_cut_off(desk), *_aside(state, desk),
        *_claims(desk), *_mail(desk),
    )  # fmt: skip


def _paused(state: State) -> Iterator[Need]:
    if state.stuck:
        yield Need(NeedKind.ROUND, f"no round is started: {state.paused}", "scheduler resume", str(state.stuck))


def _deploys(state: State, desk: Desk) -> Iterator[Need]:
    decided = next(reversed(state.decided), None)
    if decided is None or not decided.approved or not desk.deploys:
        return
    own = next((each for each in state.deploys if (each.sprint, each.commit) == (decided.sprint, decided.commit)), None)
    command = f"scheduler approve deploy --round {decided.sprint}"
    if own and own.run and not (own.outcome or desk.deploying):
        text = f"the deployment of {decided.commit[:_SHORT]} was cut off, and nobody knows whether it is live"
        yield Need(NeedKind.DEPLOY, text, command, decided.commit)
    if own is None or own.outcome not in {DeployOutcome.FAILED, DeployOutcome.SKIPPED_POLICY}:
        return
    what = "failed" if own.outcome == DeployOutcome.FAILED else "waits"
    text = f"the deployment of {decided.commit[:_SHORT]} {what}: {own.why}"
    yield Need(NeedKind.DEPLOY, text, command, decided.commit)


def _held(state: State) -> Iterator[Need]:
    for patch in state.of(PatchStatus.HELD):
        text = f"{patch.persona}'s patch to {listed(patch.files)} is held" + (f": {patch.why}" if patch.why else "")
        yield Need(NeedKind.PATCH, text, f"scheduler approve {patch.run[:_RUN]}", patch.run)


def _gates(desk: Desk) -> Iterator[Need]:
    for each in desk.red:
        command = shlex.join(each.gate.command)
        yield Need(NeedKind.GATE, each.text, command, each.gate.name)


def _cut_off(desk: Desk) -> Iterator[Need]:
    for each in desk.dispatches:
        if each.is_cut_off:
            yield Need(NeedKind.DISPATCH, f"dispatch {each.short} was cut off, {each.text}", each.resume, each.id)


def _aside(state: State, desk: Desk) -> Iterator[Need]:
    """Yield who was set aside in the last sprint, unless the human has written to it since."""
    for persona, why in state.aside.items():
        if not any(mail.sender == desk.human for mail in state.unread.get(persona, ())):
            command = f"team-mail send --to {persona} -s … -b …"
            yield Need(NeedKind.PERSONA, f"{persona} was set aside: {why}", command, persona)


def _claims(desk: Desk) -> Iterator[Need]:
    for task in desk.claimed.tasks:
        if task.state == ClaimState.ASIDE:
            text = f"task {task.name} was claimed three times without an end"
            yield Need(NeedKind.TASK, text, f"team task show {task.name}", task.name)
    for claim in desk.claimed.stale:
        text = f"{claim.owner}'s claim of {claim.what} is over: {claim.why}"
        yield Need(NeedKind.CLAIM, text, "team clean", str(claim.token))


def _mail(desk: Desk) -> Iterator[Need]:
    """Yield the mail that asks for something: that of programs in one line, since its matters stand above."""
    told = [mail for mail in desk.mail if mail.sender in PROGRAMS and mail.run is None and mail.type == _ESCALATE]
    asking = [mail for mail in desk.mail if mail.sender not in PROGRAMS and mail.wakes(desk.never)]
    for mail in asking[:_MOST]:
        text = f"{mail.sender} writes: {line(mail.subject)}"
        yield Need(NeedKind.MAIL, text, f"team-mail read {mail.seq} --persona {desk.human}", mail.id)
    inbox = f"team-mail inbox --persona {desk.human} --unread"
    if more := asking[_MOST:]:
        yield Need(NeedKind.MAIL, f"{counted(len(more), 'more message')} wait for you", inbox, more[-1].id)
    if told:
        text = f"{counted(len(told), 'message')} of the scheduler for you, the last: {line(told[-1].subject)}"
        yield Need(NeedKind.MAIL, text, inbox, told[-1].id)
