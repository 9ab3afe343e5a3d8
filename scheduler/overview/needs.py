"""What needs a person now: the list of `status`, of a console, of whoever else asks. See `scheduler/needs.py`.

`open_needs` is pure over what was read; `read_needs` reads it. A matter that is settled is not in the next list,
because nothing of it is kept anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..context import Context
from ..errors import NotReady
from ..forge.facts import read_forge
from ..kinds import Budget, ClaimState, Kind, NeedKind, PatchStatus, SprintOutcome
from ..landing.base_gates import base_gates
from ..landing.judging import gates_of
from ..leader import leading_anywhere
from ..leader import log_behind as lacking
from ..needs import (
    Need,
    Reader,
    cut_off,
    deployment_cut_off,
    held_patch,
    log_behind,
    mail_need,
    need_of,
    set_aside_task,
    stale_claim,
)  # fmt: skip
from ..state.facts import Fact, Mail
from ..state.reading import read_unread
from ..state.sprints import State
from .dispatches import OpenDispatch
from .tasks import ClaimedWork


@dataclass(frozen=True)
class Desk:
    """What `open_needs` is told beside the state: the human's unread mail, open dispatches, claims, red gates.

    `red` are the marks and trees of the gates that fail on the base. `deploys` tells whether the settings say how to
    deploy, and some process may be `deploying` just now. `today` is the day, in local time, as budgets name it, and
    `unpublished` says why a sprint could not be published. `behind` says what git knows that the log lacks, whose last
    event is `head`.
    """

    reader: Reader
    mail: Sequence[Mail] = ()
    dispatches: Sequence[OpenDispatch] = ()
    red: Sequence[tuple[str, str]] = ()
    claimed: ClaimedWork = field(default_factory=ClaimedWork)
    deploys: bool = False
    deploying: bool = False
    today: str = ""
    unpublished: Fact | None = None
    behind: str = ""
    head: int = 0


def reader_of(context: Context) -> Reader:
    """Return whom a team's matters are told, and by which settings."""
    gates: Mapping[str, tuple[str, ...]] = {gate.mark: tuple(gate.command) for gate in gates_of(context)}
    return Reader(context.settings.team.human, context.settings.sprint.wakes_not, gates)


def read_needs(
    context: Context, state: State, dispatches: Sequence[OpenDispatch], claimed: ClaimedWork, now: datetime
) -> tuple[Need, ...]:
    """Read what needs a person, as of a state that was just read."""
    reader = reader_of(context)
    mail = read_unread(context.mailbox.projections, [reader.human]).get(reader.human, ())
    deploying = leading_anywhere(context.home / "work" / "deploy", context.mailbox.log) is not None
    desk = Desk(
        reader, mail, dispatches, _red(context, state), claimed, context.settings.deploy.is_set, deploying,
        f"{now.astimezone():%Y-%m-%d}", _refused(context),
        lacking(context.home, context.mailbox.log, context.settings.team.base), context.mailbox.log.head().seq,
    )  # fmt: skip
    return open_needs(state, desk)


def _refused(context: Context) -> Fact | None:
    repo = context.settings.github.repo
    return read_forge(context.mailbox.projections, repo).unpublished if repo else None


def _red(context: Context, state: State) -> list[tuple[str, str]]:
    if not context.settings.gates:
        return []
    try:
        commit = context.base()
        tree = context.git.line("rev-parse", "--verify", f"{commit}^{{tree}}")
        return [(each.gate.mark, tree) for each in base_gates(context, state, commit) if each.is_red]
    except NotReady:  # without the base nothing starts, which `scheduler --dry-run` says
        return []


def open_needs(state: State, desk: Desk) -> tuple[Need, ...]:
    """Return what needs a person, what holds up most first."""
    asked = [need for fact in state.matters.values() if _is_open(fact, state, desk) and (need := _need(fact, desk))]
    asked += [*_deployment(state, desk), *_held(state, desk), *_cut_off(desk), *_claims(desk), *_unpublished(desk)]
    asked += [*_mail(desk), *([log_behind(desk.behind, desk.head)] if desk.behind else [])]
    order = {kind: at for at, kind in enumerate(NeedKind)}
    return tuple(sorted(asked, key=lambda need: (order[need.kind], need.seq)))


def _need(fact: Fact, desk: Desk) -> Need | None:
    return need_of(fact, desk.reader)


def _is_open(fact: Fact, state: State, desk: Desk) -> bool:
    """Tell whether what an event asked is not settled; patches and deployments are looked at apart."""
    data = fact.data
    if fact.kind == Kind.ROUND_PAUSED:
        return state.stuck == data.get("sprint")
    if fact.kind == Kind.SPRINT_STUCK:
        return state.sprint is not None and state.sprint.stuck == fact.seq
    if fact.kind == Kind.SCHEDULER_PAUSED:
        return state.paused is not None and f"by {fact.sender} at {fact.ts[:19]}Z" in state.paused
    if fact.kind == Kind.PERSONA_SKIPPED:
        persona = str(data.get("persona"))
        answered = any(mail.sender == desk.reader.human for mail in state.unread.get(persona, ()))
        return persona in state.aside and not answered
    if fact.kind == Kind.GATE_JUDGED:
        return (data.get("mark"), data.get("tree")) in desk.red
    return fact.kind == Kind.BUDGET_SPENT and _is_still_spent(fact, state, desk)


def _is_still_spent(fact: Fact, state: State, desk: Desk) -> bool:
    """Tell whether a budget holds up the last sprint: one that is for a day does until that is over."""
    last = state.sprints[-1] if state.sprints else None
    if last is None or last.number != fact.data.get("sprint") or last.outcome not in {None, SprintOutcome.BUDGET}:
        return False
    return fact.data["budget"] != Budget.DAY or fact.data["day"] == desk.today


def _deployment(state: State, desk: Desk) -> Iterator[Need]:
    """Yield what the commit that was approved last asks, if it is not deployed."""
    decided = next(reversed(state.decided), None)
    if decided is None or not decided.approved or not desk.deploys:
        return
    own = next((each for each in state.deploys if (each.sprint, each.commit) == (decided.sprint, decided.commit)), None)
    key = "", str(decided.sprint), decided.commit
    if own and own.outcome:
        ended = state.matters.get((Kind.DEPLOY_FINISHED, *key))
        if ended and (need := _need(ended, desk)):
            yield need
    elif own and own.run and not desk.deploying and (began := state.matters.get((Kind.DEPLOY_STARTED, *key))):
        yield deployment_cut_off(began)


def _held(state: State, desk: Desk) -> Iterator[Need]:
    """Yield the patches that are held; one whose approval does not count says so."""
    for patch in state.of(PatchStatus.HELD):
        fact = state.matters.get((Kind.PATCH_HELD, patch.run))
        if fact and _need(fact, desk):
            yield held_patch(fact, patch.why)


def _cut_off(desk: Desk) -> Iterator[Need]:
    for each in desk.dispatches:
        if each.is_cut_off:
            yield cut_off(each.id, each.seq, each.done_text, each.ask)


def _claims(desk: Desk) -> Iterator[Need]:
    """Yield the claims that are over, and the tasks that went to the human; of one task, the former first."""
    for claim in desk.claimed.stale:
        yield stale_claim(
            claim.what, claim.owner, claim.why, token=claim.token, seq=claim.renewed, task=claim.task
        )  # fmt: skip
    stale = {claim.task for claim in desk.claimed.stale}
    for task in desk.claimed.tasks:
        if task.state == ClaimState.ASIDE and task.name not in stale:
            yield set_aside_task(task.name, task.seq)


def _unpublished(desk: Desk) -> Iterator[Need]:
    if desk.unpublished and (need := _need(desk.unpublished, desk)):
        yield need


def _mail(desk: Desk) -> Iterator[Need]:
    for mail in desk.mail:
        need = mail_need(
            desk.reader, mail.seq, mail.id, mail.sender, mail.subject, type=mail.type, priority=mail.priority,
            run=mail.run,
        )  # fmt: skip
        if need:
            yield need
