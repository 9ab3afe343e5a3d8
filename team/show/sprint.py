"""Sprints as text: the dry run, a weave, a result, status and history."""

from __future__ import annotations

from collections.abc import Iterator

from ...mail.render import line, listed
from ...mail.units import counted
from ...scheduler.kinds import SprintOutcome
from ...scheduler.landing.integrate import Integration
from ...scheduler.runs.launch import Launch
from ...scheduler.sprint.history import History
from ...scheduler.sprint.plan import TickPlan
from ...scheduler.sprint.preview import Preview
from ...scheduler.sprint.status import Status
from ...scheduler.state.summary import Summary
from .tables import columns, span
from .weave import lines as woven_lines

_SHORT = 12  # characters of a commit's id
_RUN = 8  # characters of a run's id
_WIDE = 90
_NO_SPRINT = "no sprint yet; scheduler sprint starts one"


def preview(tick: Preview) -> Iterator[str]:
    """Show what the next tick would do, and why."""
    plan = tick.plan
    for trouble in tick.troubles:
        yield f"cannot start: {line(trouble)}"
    if plan.idle:
        yield f"idle: {plan.idle}"
    else:
        yield from _heading(tick)
        yield from _lost(plan)
        if tick.woven:
            yield ""
            yield from woven_lines(tick.woven)
        yield from _launches(plan)
        yield from _endings(plan)
    yield from _skips(plan)
    for note in plan.notes:
        yield f"note: {line(note)}"
    yield ""
    yield "nothing was written"


def _heading(tick: Preview) -> Iterator[str]:
    plan = tick.plan
    starts = f", which it starts ({plan.opening.reason})" if plan.opening else ""
    yield f"next: tick {plan.tick} of sprint {plan.sprint}{starts}"
    yield f"mode: {plan.mode} ({plan.rule})"
    yield f"base: {tick.base[:_SHORT]}, lands on {tick.branch}"


def _lost(plan: TickPlan) -> Iterator[str]:
    for run in plan.lost:
        yield f"give up: {run.persona}, attempt {run.attempt}, whose scheduler is gone"


def _launches(plan: TickPlan) -> Iterator[str]:
    if not plan.launches:
        return
    later = ", as things stand before the weave" if plan.weave else ""
    yield ""
    yield f"launch {len(plan.launches)}{later}:"
    rows = [_launch(launch) for launch in plan.launches]
    yield from columns([("persona", "agent", "attempt", "unread", "estimate", "why"), *rows])


def _launch(launch: Launch) -> tuple[str, ...]:
    estimate = span(launch.estimate) if launch.estimate is not None else "-"
    why = f"{launch.reason}: {launch.why}"
    return launch.persona, launch.agent, str(launch.attempt), str(len(launch.mail)), estimate, why


def _endings(plan: TickPlan) -> Iterator[str]:
    for skip in plan.aside:
        yield f"set aside: {skip.persona}, {skip.why}; the human is told"
    if plan.wait_until:
        yield f"wait: next try at {plan.wait_until:%H:%M:%S}Z"
    if plan.finish:
        converged = plan.finish == SprintOutcome.CONVERGED
        yield f"end: the sprint has {'converged' if converged else 'ended: ' + plan.finish}"


def _skips(plan: TickPlan) -> Iterator[str]:
    if plan.skips:
        yield ""
        yield f"skip {len(plan.skips)}:"
        by_reason: dict[str, list[str]] = {}
        for skip in plan.skips:
            by_reason.setdefault(skip.why, []).append(skip.persona)
        yield from columns([(", ".join(names), why) for why, names in by_reason.items()])


def integration(done: Integration) -> Iterator[str]:
    """Show the outcome of each patch of a tick."""
    woven = done.woven
    for patch in woven.landed:
        yield f"  landed    {patch.submission.persona} ({patch.how}) {patch.commit[:_SHORT]} {listed(patch.files)}"
    for patch in woven.conflicted:
        files = sorted({hunk.file for hunk in patch.hunks})
        yield f"  conflict  {patch.submission.persona} in {listed(files)}; mailed"
    for patch in woven.refused:
        yield f"  refused   {patch.submission.persona}: {line(patch.reason)[:_WIDE]}"
    for patch in woven.held:
        approve = f"scheduler approve {patch.submission.key[:8]}"
        yield f"  held      {patch.submission.persona}: {listed(patch.files)} waits for {approve}"
    for submission, result in done.rejected:
        yield f"  rejected  {submission.persona} by gate {result.gate}; mailed"
    for result in done.red_before:
        yield f"  note      gate {result.gate} was red before this weave; nobody is blamed"


def summary(sprint: Summary) -> Iterator[str]:
    """Show how a sprint ended and what to do next."""
    ended = "converged" if sprint.converged else f"did not converge ({sprint.outcome or 'still open'})"
    ticks, runs = counted(sprint.ticks, "tick"), counted(sprint.runs, "run")
    yield f"sprint {sprint.sprint} {ended}: {ticks}, {runs}, {span(sprint.seconds)}, {sprint.mode}"
    landed = f"{counted(sprint.patches, 'patch')} landed on {sprint.branch}" if sprint.landed else "nothing landed"
    yield f"  {landed}; {counted(sprint.conflicts, 'conflict')} met"
    if sprint.set_aside:
        yield f"  set aside: {', '.join(sprint.set_aside)} (see the mail to the human)"
    if sprint.outcome == SprintOutcome.BROKEN:
        yield "  every run failed, retries too: look at the agent's command; the mail to the human quotes its output"
    if sprint.held:
        yield f"  held: {', '.join(sprint.held)} (scheduler approve NAME lets a patch land)"
    if sprint.converged and sprint.runs and not (sprint.landed or sprint.set_aside or sprint.held):
        yield "  no run changed a file; scheduler status lists the runs, team trace RUN shows what one printed"
    if sprint.landed:
        yield f"  look: git log {sprint.branch}    take it: scheduler land {sprint.sprint}"


def status(team: Status) -> Iterator[str]:
    """Show the status of a team: who leads, the last sprint, its runs, what waits."""
    leader = f"process {team.leader} leads" if team.leader else "nobody leads now"
    yield f"scheduler: {leader}" + (f"; {team.paused}" if team.paused else "")
    if not team.sprint:
        yield _NO_SPRINT
        return
    yield _sprint(team.sprint)
    rows = [
        (
            pulse.run.persona,
            str(pulse.run.attempt),
            pulse.run.id[:_RUN],
            pulse.run.status,
            pulse.since,
            pulse.run.detail,
        )
        for pulse in team.runs
    ]
    if rows:
        yield from columns([("persona", "attempt", "run", "status", "since", ""), *rows])
    for persona, why in team.set_aside.items():
        yield f"set aside: {persona}, {why}"
    for patch in team.pending:
        yield f"waits for the weaver: {patch.persona}'s patch to {listed(patch.files)}"
    for patch in team.held:
        approve = f"scheduler approve {patch.run[:_RUN]}"
        yield f"held: {patch.persona}'s patch to {listed(patch.files)}; {approve} lets it land"
    for persona, count in sorted(team.unread.items()):
        yield f"unread: {persona} has {count}"


def history(team: History) -> Iterator[str]:
    """List the sprints, the newest last."""
    rows = [("sprint", "started", "mode", "ticks", "runs", "landed", "conflicts", "outcome")]
    rows += [
        (
            str(sprint.sprint), f"{sprint.started[:16]}Z", sprint.mode, str(sprint.ticks), str(sprint.runs),
            str(sprint.patches), str(sprint.conflicts), sprint.outcome or "open",
        )
        for sprint in team.sprints
    ]  # fmt: skip
    yield from columns(rows) if team.sprints else [_NO_SPRINT]


def _sprint(sprint: Summary) -> str:
    outcome, ticks = sprint.outcome or "open", counted(sprint.ticks, "tick")
    landed = f"{sprint.patches} landed on {sprint.branch}"
    return f"sprint {sprint.sprint}: {outcome}, {sprint.mode}, {ticks}, {landed}"
