"""Mail to the human: what the team could not do, and what came of a sprint, with everything needed to continue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...mail.letter import Letter
from ...mail.log.event import Draft, derived_id
from ...mail.text.units import counted
from ...personas.agents.result import log_of
from ..context import Context
from ..errors import BranchMoved, NoSuchRun
from ..kinds import Budget, Kind, RunStatus, SprintOutcome
from ..landing.branch import fast_forward_base
from ..landing.judging import gates_of
from ..runs.preparation import FOLDER as SETUP
from ..state.facts import Mail, Patch, Run
from ..state.sprints import State
from ..state.summary import FAILED, Summary, summary
from .plan import Skip, TickPlan
from .tries import is_asking

_OUTPUT = 8_000  # bytes of a run's output, from its end
_LINES = 20
_MOST_FAILED = 20  # runs in the mail about a sprint


def drafts(context: Context, state: State, plan: TickPlan) -> list[Draft]:
    """Return the events that set personas aside, each after a mail to the human; their ids are derived."""
    events: list[Draft] = []
    for skip in plan.aside:
        data = {"sprint": plan.sprint, "persona": skip.persona, "why": skip.why}
        own = derived_id(Kind.PERSONA_SKIPPED, str(plan.sprint), skip.persona)
        events.append(_letter(context, state, plan, skip).draft(context.mailbox.directory, context.mailbox.blobs))
        events.append(Draft(Kind.PERSONA_SKIPPED, "scheduler", data=data, id=own))
    return events + _overspent(context, state, plan)


def _overspent(context: Context, state: State, plan: TickPlan) -> list[Draft]:
    """Return the event that a budget is spent, after a mail to the human; nothing if that is known already."""
    over = plan.overspent
    if over is None or (key := (over.budget, plan.sprint or 0, over.whose)) in state.reported:
        return []
    hard = context.budgets.hard
    where = f"[agents.{over.whose}] budget" if over.budget == Budget.AGENT else f"[budget] {over.budget}"
    goes_on = "Runs that go on are ended" if hard else "Runs that go on may end"
    body = [
        f"{over.text[0].upper()}{over.text[1:]}.",
        f"Nothing more is started in sprint {plan.sprint}. {goes_on}, and what they did is woven.",
        "",
        f"To go on: raise {where} in team.toml, then scheduler sprint.",
    ]
    letter = Letter(
        "scheduler", [context.settings.team.human], f"Sprint {plan.sprint}: {over.text}"[:200], "\n".join(body),
        type="escalate", key=f"budget {' '.join(map(str, key))}",
    )  # fmt: skip
    data = {
        "sprint": plan.sprint, "budget": over.budget, "day": over.whose, "limit": over.limit.text, "hard": hard,
        "usage": over.used.document(),
    }  # fmt: skip
    own = derived_id(Kind.BUDGET_SPENT, *map(str, key))
    mail = letter.draft(context.mailbox.directory, context.mailbox.blobs)
    return [mail, Draft(Kind.BUDGET_SPENT, "scheduler", data=data, id=own)]


def _letter(context: Context, state: State, plan: TickPlan, skip: Skip) -> Letter:
    """Write the mail to the human about a persona that is set aside, with its last patch attached."""
    persona = skip.persona
    runs = state.own(persona)
    patches = [patch for patch in state.patches if patch.persona == persona and patch.sprint == plan.sprint]
    last = patches[-1] if patches else None
    body = [
        f"{persona} was set aside in sprint {plan.sprint}: {skip.why}.",
        "It is not launched again in this sprint; the others go on.",
        *_attempts(runs),
        *_last_words(context, runs),
        *(_takeover(context, state, last) if last else ()),
        *_unread(state.unread.get(persona, ())),
        "",
        f"To give it new attempts, write to it and start another sprint: team-mail send --to {persona} …",
    ]
    about = {"run": last.run} if last else {}  # `team-mail attachment RUN` finds the mail by it
    return Letter(
        "scheduler", [context.settings.team.human], f"{persona} needs you: {skip.why}"[:200], "\n".join(body),
        type="escalate", priority="high",
        attachments=[(f"{persona}.patch", context.mailbox.blobs.read(last.sha256))] if last else [],
        payload={"sprint": plan.sprint, "persona": persona, "why": skip.why} | about,
        key=f"aside {plan.sprint} {persona}",
    )  # fmt: skip


def _attempts(runs: Sequence[Run]) -> Iterator[str]:
    yield from ("", "Its runs:")
    for run in runs:
        yield f"  attempt {run.attempt}: {run.status}, {run.detail or 'no details'}  (team trace {run.id})"


def _takeover(context: Context, state: State, patch: Patch) -> Iterator[str]:
    """Return the commands with which the human continues from a persona's last patch."""
    human, branch = context.settings.team.human, state.sprint.branch if state.sprint else ""
    yield ""
    yield f"Its last patch ({patch.size} bytes, against {patch.base[:12]}) is attached; it is {patch.status}."
    yield "To take over in a checkout of your own:"
    yield f"  git switch -c {patch.persona}-by-hand {branch}"
    yield f"  team-mail attachment {patch.run} --persona {human} | git apply --3way"
    yield "  # resolve what is marked, then"
    yield f"  git commit -am '{patch.persona}, by hand'"


def _unread(mails: Sequence[Mail]) -> Iterator[str]:
    if mails:
        yield from ("", "Mail it has not read:")
        yield from (f"  {mail.seq} from {mail.sender}: {mail.subject}" for mail in mails)


def closing(context: Context, state: State, plan: TickPlan, head: int) -> list[Draft]:
    """Return the event that ends a sprint, after a mail to the human that says what came of it and what to do next.

    `head` is the seq of the last event that was known when that was decided: mail behind it starts the next sprint.
    With `auto_land` the base branch moves first: if the tick is cut off after that, the next one finds it moved.
    """
    sprint = state.sprint
    assert sprint is not None  # noqa: S101 - only an open sprint can end
    ended = replace(sprint, outcome=plan.finish, ticks=plan.tick)
    result = summary(replace(state, sprints=(*state.sprints[:-1], ended)), ended, context.clock.now())
    how = "converged" if result.converged else f"did not converge: {result.outcome}"
    subject = f"Sprint {result.sprint} {how}, {result.patches} landed"
    data = {"sprint": plan.sprint, "outcome": plan.finish, "known": head}
    body = "\n".join(
        [*_result(result), *_questions(context, state), *_failures(state, result), *landing(context, state, result)]
    )
    letter = Letter(
        "scheduler", [context.settings.team.human], subject, body, type="status", payload=result.document(),
        key=f"sprint {result.sprint}",
    )  # fmt: skip
    own = derived_id(Kind.SPRINT_FINISHED, str(plan.sprint))
    mail = letter.draft(context.mailbox.directory, context.mailbox.blobs)
    return [mail, Draft(Kind.SPRINT_FINISHED, "scheduler", data=data, id=own)]


def _result(result: Summary) -> Iterator[str]:
    ticks, runs, conflicts = (
        counted(*pair) for pair in ((result.ticks, "tick"), (result.runs, "run"), (result.conflicts, "conflict"))
    )
    yield f"{ticks}, {runs}, {conflicts}, {result.seconds:.1f} s, {result.mode}."
    yield f"Used: {result.usage.text}."
    yield f"Landed on {result.branch}: {', '.join(result.landed) or 'nothing'}."
    if result.decision:
        yield f"{result.decision}."
    if result.deployed:
        yield f"Deployment: {result.deployed}."
    if result.unjudged:
        yield f"Nothing was judged by gate {', '.join(result.unjudged)}, as there is a mail about."
    if result.set_aside:
        yield f"Not landed: {', '.join(result.set_aside)}; there is a mail about each."
    if result.held:
        yield f"Waiting for you: {', '.join(result.held)} (scheduler approve NAME lets a patch land)."
    if result.overrun:
        overrun = counted(result.overrun, "run")
        yield f"Ended by [budget] run of team.toml: {overrun}, not tried again; raise it to go on."
    yield from (f"{line[0].upper()}{line[1:]}." for line in result.parked)
    yield ""
    yield f"  scheduler report {result.sprint}      where the time went"
    if result.landed:
        yield f"  git log -p {result.branch}   look at it"


def _questions(context: Context, state: State) -> Iterator[str]:
    """Name those whose last run asks, with the command that shows what."""
    last = {run.persona: run for run in state.runs if run.sprint == state.number}
    asking = [run for run in last.values() if is_asking(run)]
    if asking:
        yield from ("", "Waiting for an answer, which launches them again:")
    for run in asking:
        yield f"  {run.persona}  (team-mail read {run.asked} --persona {context.settings.team.human})"


def _failures(state: State, result: Summary) -> Iterator[str]:
    """Name the runs that did not end well; if that was every run, quote each reason once, with a run to look at."""
    failed = [run for run in state.runs if run.sprint == result.sprint and run.status in FAILED]
    if result.outcome != SprintOutcome.BROKEN:
        if failed and len(failed) == result.runs and all(run.status == RunStatus.SETUP for run in failed):
            yield from ("", "No agent started: look at the set-up, not at the personas.")
        if failed:
            yield from ("", f"{counted(len(failed), 'run')} did not end well:")
        for run in failed[:_MOST_FAILED]:
            yield f"  {run.persona}, attempt {run.attempt}: {run.status}, {run.detail}  (team trace {run.id})"
        if len(failed) > _MOST_FAILED:
            yield f"  … and {len(failed) - _MOST_FAILED} more"
        return
    yield ""
    yield "Every run failed, retries too: look at the agent, not at the personas. They ended with"
    reasons: dict[str, list[Run]] = {}
    for run in state.runs:
        if run.sprint == result.sprint:
            reasons.setdefault(run.detail or run.status, []).append(run)
    for detail, runs in sorted(reasons.items(), key=lambda item: -len(item[1])):
        yield f"  {len(runs)} times: {detail}  (team trace {runs[-1].id})"


def landing(context: Context, state: State, result: Summary) -> Iterator[str]:
    """Move the base branch to the sprint's work if `auto_land` is set, and say so; else say how."""
    if result.landed and (result.converged or result.unjudged) and context.settings.team.auto_land:
        if (result.decision or context.settings.reporters) and not _is_approved(state):
            yield f"auto_land did not move the base branch: {result.decision or 'nobody has reported on it'}."
            yield f"  scheduler land {result.sprint}        moves it all the same"
            return
        if red := _not_green(context, state):
            yield f"auto_land did not move the base branch: gate {', '.join(red)} has not passed on the result."
            yield f"  scheduler land {result.sprint}        moves it all the same"
            return
        try:
            branch, commit, _ = fast_forward_base(context, state, result.sprint)
            yield f"auto_land moved {branch} to {commit[:12]}."
        except (BranchMoved, NoSuchRun) as error:
            yield f"auto_land did not move the base branch: {error}."
    elif result.landed:
        yield f"  scheduler land {result.sprint}        move the base branch to it"


def _is_approved(state: State) -> bool:
    """Tell whether the decision of the last sprint is that it may be deployed."""
    own = [each for each in state.decided if each.sprint == state.number]
    return bool(own) and own[-1].approved


def _not_green(context: Context, state: State) -> list[str]:
    """Name the gates that have not passed on the tree that the sprint ends with."""
    tip = state.tip
    tree = context.git.line("rev-parse", f"{tip}^{{tree}}") if tip else ""
    return [gate.name for gate in gates_of(context) if (gate.mark, tree) not in state.green]


def _last_words(context: Context, runs: Sequence[Run]) -> list[str]:
    """Quote the end of the last run's output."""
    if not runs:
        return []
    what, folder = "run", context.home / "runs" / runs[-1].id
    if runs[-1].status == RunStatus.SETUP:
        what, folder = "set-up", folder / SETUP
    log = log_of(folder)
    words = log[-_OUTPUT:].decode(errors="replace").splitlines()[-_LINES:]
    return ["", f"The output of the last {what} ends with:", *(f"  | {text}" for text in words)] if words else []
