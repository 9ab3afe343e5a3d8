"""Handing over to the human: what the team could not do, in one mail that has everything needed to go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...mail.letter import Letter
from ...mail.log.event import Draft, derived_id
from ...mail.units import counted
from ..context import Context
from ..errors import BranchMoved
from ..landing.base import fast_forward_base
from ..landing.integrate import gates_of
from ..state.facts import Run
from ..state.sprints import State
from ..state.summary import Summary, summary
from .plan import Skip, TickPlan

_OUTPUT = 8_000  # bytes of a run's output, from its end
_LINES = 20


def drafts(context: Context, state: State, plan: TickPlan) -> list[Draft]:
    """Write down whom the plan sets aside, each with a mail to the human; repeated, they are the same events."""
    written: list[Draft] = []
    for skip in plan.aside:
        data = {"sprint": plan.sprint, "persona": skip.persona, "why": skip.why}
        own = derived_id("persona.skipped", str(plan.sprint), skip.persona)
        written.append(_letter(context, state, plan, skip).draft(context.mailbox.directory, context.mailbox.blobs))
        written.append(Draft("persona.skipped", "scheduler", data=data, id=own))
    return written


def _letter(context: Context, state: State, plan: TickPlan, skip: Skip) -> Letter:
    sprint = state.sprint
    branch = sprint.branch if sprint else ""
    runs = state.own(skip.persona)
    patches = [p for p in state.patches if p.persona == skip.persona and p.sprint == plan.sprint]
    unread = state.unread.get(skip.persona, ())
    lines = [
        f"{skip.persona} was set aside in sprint {plan.sprint}: {skip.why}.",
        "It is not launched again in this sprint; the others go on.",
        "",
        "Its runs:",
        *(f"  attempt {run.attempt}: {run.status}, {run.detail or 'no more was said'}  "
          f"(.team/runs/{run.id}/output.log)" for run in runs),
    ]  # fmt: skip
    lines += _said(context, runs)
    if patches:
        last = patches[-1]
        lines += [
            "",
            f"Its last patch ({last.size} bytes, against {last.base[:12]}) is attached; it is {last.status}.",
            "To take over in a checkout of your own:",
            f"  git switch -c {skip.persona}-by-hand {branch}",
            f"  git apply --3way .team/mail/blobs/{last.sha256[:2]}/{last.sha256}",
            "  # settle what is marked, then",
            f"  git commit -am '{skip.persona}, by hand'",
        ]
    if unread:
        lines += [
            "",
            "Mail it has not answered:",
            *(f"  {mail.seq} from {mail.sender}: {mail.subject}" for mail in unread),
        ]
    lines += ["", f"To give it new attempts, answer it and start another sprint: team-mail send --to {skip.persona} …"]
    attached = [(f"{skip.persona}.patch", context.mailbox.blobs.read(patches[-1].sha256))] if patches else []
    return Letter(
        "scheduler", [context.settings.team.human], f"{skip.persona} needs you: {skip.why}"[:200], "\n".join(lines),
        type="escalate", priority="high", attachments=attached,
        key=f"aside {plan.sprint} {skip.persona}",
    )  # fmt: skip


def closing(context: Context, state: State, plan: TickPlan) -> list[Draft]:
    """Write down that a sprint has ended, with a mail to the human that says what came of it and what to do next.

    With `auto_land` the base branch moves first: cut off after that, the sprint ends once more and it is there already.
    """
    sprint = state.sprint
    assert sprint is not None  # noqa: S101 - only an open sprint can end
    ended = replace(sprint, outcome=plan.finish, ticks=plan.tick)
    found = summary(replace(state, sprints=(*state.sprints[:-1], ended)), ended, context.clock.now())
    how = "converged" if found.converged else f"did not converge: {found.outcome}"
    subject = f"Sprint {found.sprint} {how}, {found.patches} landed"
    data = {"sprint": plan.sprint, "outcome": plan.finish}
    body = "\n".join([*_told(found), *_failures(state, found), *_taken(context, state, found)])
    letter = Letter(
        "scheduler", [context.settings.team.human], subject, body, type="status", payload=found.document(),
        key=f"sprint {found.sprint}",
    )  # fmt: skip
    own = derived_id("sprint.finished", str(plan.sprint))
    mail = letter.draft(context.mailbox.directory, context.mailbox.blobs)
    return [mail, Draft("sprint.finished", "scheduler", data=data, id=own)]


def _told(found: Summary) -> Iterator[str]:
    ticks, runs, conflicts = (
        counted(*pair) for pair in ((found.ticks, "tick"), (found.runs, "run"), (found.conflicts, "conflict"))
    )
    yield f"{ticks}, {runs}, {conflicts}, {found.seconds:.1f} s, {found.mode}."
    yield f"Landed on {found.branch}: {', '.join(found.landed) or 'nothing'}."
    if found.set_aside:
        yield f"Not landed: {', '.join(found.set_aside)}; there is a mail about each."
    if found.held:
        yield f"Waiting for you: {', '.join(found.held)} (scheduler approve NAME lets a patch land)."
    yield ""
    yield f"  scheduler report {found.sprint}      where the time went"
    if found.landed:
        yield f"  git log -p {found.branch}   look at it"


def _failures(state: State, found: Summary) -> Iterator[str]:
    """Of a sprint in which every run failed, tell with which words, each once, and where more of them stand."""
    if found.outcome != "broken":
        return
    yield ""
    yield "Every run failed, retries too: look at the agent, not at the personas. They ended with"
    words: dict[str, list[Run]] = {}
    for run in state.runs:
        if run.sprint == found.sprint:
            words.setdefault(run.detail or run.status, []).append(run)
    for detail, runs in sorted(words.items(), key=lambda item: -len(item[1])):
        yield f"  {len(runs)} times: {detail}  (.team/runs/{runs[-1].id}/output.log)"


def _taken(context: Context, state: State, found: Summary) -> Iterator[str]:
    """Take the work over if the settings say so, and tell; else tell how."""
    if found.landed and found.converged and context.settings.team.auto_land:
        if red := _not_green(context, state):
            yield f"It was not taken over by itself: gate {', '.join(red)} has not passed on it."
            yield f"  scheduler land {found.sprint}        takes it all the same"
            return
        try:
            branch, commit, _ = fast_forward_base(context, state, found.sprint)
            yield f"{branch} was moved to it, {commit[:12]} (auto_land)."
        except BranchMoved as error:
            yield f"It was not taken over by itself: {error}."
    elif found.landed:
        yield f"  scheduler land {found.sprint}        take it over into the base branch"


def _not_green(context: Context, state: State) -> list[str]:
    """Name the gates that have not passed on the tree that a sprint ends with."""
    tip = state.tip
    tree = context.git.line("rev-parse", f"{tip}^{{tree}}") if tip else ""
    return [gate.name for gate in gates_of(context) if (gate.mark, tree) not in state.green]


def _said(context: Context, runs: Sequence[Run]) -> list[str]:
    """Quote the end of what the last run printed."""
    log = context.home / "runs" / runs[-1].id / "output.log" if runs else None
    if log is None or not log.exists():
        return []
    said = log.read_bytes()[-_OUTPUT:].decode(errors="replace").splitlines()[-_LINES:]
    return ["", "The last one ended with these words:", *(f"  | {text}" for text in said)] if said else []
