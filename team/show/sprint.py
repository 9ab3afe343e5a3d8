"""Sprints as text: a result, the status of a team, its history."""

from __future__ import annotations

from collections.abc import Iterator

from ...mail.process import shown
from ...mail.render import listed
from ...mail.text.units import counted
from ...scheduler.kinds import RunStatus, SprintOutcome
from ...scheduler.limits.parking import Parked
from ...scheduler.moments.history import History
from ...scheduler.sprint.status import Pulse, Status
from ...scheduler.state.summary import Summary
from ...scheduler.state.usage import total
from ...scheduler.supervisor.rounds import RoundList
from .tables import columns, span

_RUN = 8  # characters of a run's id
_COMMIT = 12
_NO_SPRINT = "no sprint yet; run scheduler sprint"


def summary(sprint: Summary) -> Iterator[str]:
    """Show how a sprint ended and what to do next."""
    ended = "converged" if sprint.converged else f"did not converge ({sprint.outcome or 'still open'})"
    ticks, runs = counted(sprint.ticks, "tick"), counted(sprint.runs, "run")
    yield f"sprint {sprint.sprint} {ended}: {ticks}, {runs}, {span(sprint.seconds)}, {sprint.mode}"
    landed = f"{counted(sprint.patches, 'patch')} landed on {sprint.branch}" if sprint.landed else "nothing landed"
    yield f"  {landed}; {counted(sprint.conflicts, 'conflict')} met"
    yield from _decision(sprint)
    yield from (f"  gate {gate} judged nothing: it fails without any patch (see the mail)" for gate in sprint.unjudged)
    if sprint.runs:
        yield f"  used: {sprint.usage.text}"
    if sprint.set_aside:
        yield f"  set aside: {', '.join(sprint.set_aside)} (see the mail to the human)"
    if sprint.failed and sprint.outcome != SprintOutcome.BROKEN:
        yield f"  {counted(sprint.failed, 'run')} did not end well (see the mail to the human)"
    if sprint.outcome == SprintOutcome.BROKEN:
        yield "  every run failed, retries too: look at the agent's command; the mail to the human quotes its output"
    if sprint.outcome == SprintOutcome.BUDGET:
        yield "  a budget is spent, so nothing more was started (see the mail to the human)"
    if sprint.overrun:
        tried = "was" if sprint.overrun == 1 else "were"
        runs = counted(sprint.overrun, "run")
        yield f"  {runs} went beyond [budget] run of team.toml and {tried} not tried again: raise it"
    yield from (f"  {line}" for line in sprint.parked)
    if sprint.held:
        yield f"  held: {', '.join(sprint.held)} (scheduler approve NAME lets a patch land)"
    if sprint.converged and sprint.runs and not (sprint.landed or sprint.set_aside or sprint.held):
        yield "  no run changed a file; scheduler status lists the runs, team trace RUN shows what one printed"
    if sprint.landed:
        yield f"  look: git log {sprint.branch}    take it: scheduler land {sprint.sprint}"


def status(team: Status) -> Iterator[str]:
    """Show where a sprint stands: who leads, its runs, what waits for the next one; not what needs a person."""
    where = f" on {team.leader_host}" if team.leader_host else ""
    leader = f"process {team.leader}{where} leads" if team.leader else "nobody leads now"
    yield f"scheduler: {leader}" + (f"; {team.paused}" if team.paused else "")
    if not team.sprint:
        yield _NO_SPRINT
        yield from _parked(team)
        return
    yield _sprint(team.sprint)
    yield from _decision(team.sprint)
    yield from (f"it ended when {line}" for line in team.sprint.parked)
    rows = [
        (
            pulse.run.persona,
            str(pulse.run.attempt),
            pulse.run.id[:_RUN],
            pulse.run.status,
            pulse.since,
            total([pulse.run.usage]).money_text,
            total([pulse.run.usage]).tokens_text,
            _detail(pulse),
        )
        for pulse in team.runs
    ]
    if rows:
        yield from columns([("persona", "attempt", "run", "status", "since", "money", "tokens", ""), *rows])
    yield from _parked(team)
    for persona, why in team.set_aside.items():
        yield f"set aside: {persona}, {why}"
    for gate, commit, seconds in team.gates:
        yield f"gate {gate} is at work on {commit[:_COMMIT]}: {seconds:.0f} s so far"
    for patch in team.pending:
        yield f"waits for the weaver: {patch.persona}'s patch to {listed(patch.files)}"
    for persona, count in sorted(team.unread.items()):
        yield f"unread: {persona} has {count}"
    for persona, count in sorted(team.waiting.items()):
        yield f"waits for its next run: {persona} has {count} unread that wake{'s' if count == 1 else ''} nobody"


def _detail(pulse: Pulse) -> str:
    """Say what came of a run, or where it is by now, and which worker has it if one does."""
    worker = shown(pulse.run.worker) if pulse.run.worker else ""
    return ", ".join(part for part in (pulse.run.detail or pulse.places.shown, worker) if part)


def _decision(sprint: Summary) -> Iterator[str]:
    """Say what was decided of a supervised sprint, and what became of it."""
    yield from (f"  {text}" for text in (sprint.decision, sprint.deployed and f"deploy: {sprint.deployed}") if text)


def _parked(team: Status) -> Iterator[str]:
    """Name those who wait for the service of their model, by time and reason."""
    alike: dict[Parked, list[str]] = {}
    for persona, parked in team.parked.items():
        alike.setdefault(parked, []).append(persona)
    for (until, why, agent), personas in alike.items():
        yield f"parked until {until:%Y-%m-%d %H:%M:%S}Z: {listed(personas)}, by agent {agent}; {why}"


def history(team: History) -> Iterator[str]:
    """List the sprints, the newest last."""
    rows = [("sprint", "started", "mode", "ticks", "runs", "landed", "conflicts", "money", "tokens", "outcome")]
    rows += [
        (
            str(sprint.sprint), f"{sprint.started[:16]}Z", sprint.mode, str(sprint.ticks), str(sprint.runs),
            str(sprint.patches), str(sprint.conflicts), sprint.usage.money_text,
            sprint.usage.tokens_text, sprint.outcome or RunStatus.OPEN,
        )
        for sprint in team.sprints
    ]  # fmt: skip
    yield from columns(rows) if team.sprints else [_NO_SPRINT]
    if team.older:
        first = team.sprints[0].sprint
        yield f"before them: scheduler history --before {first}"


def rounds(found: RoundList) -> Iterator[str]:
    """List rounds, the newest last, with the gates that block."""
    rows = [("round", "decision", "landed", "gates", "deploy", "took")]
    for each in found.rounds:
        gates = each.decided.gates if each.decided else ()
        blocks = "; ".join(f"{name}: {why}" for name, passed, why in gates if not passed)
        rows.append(
            (
                str(each.sprint.sprint), each.decided.text if each.decided else each.sprint.outcome or RunStatus.OPEN,
                str(each.sprint.patches), blocks or ("all pass" if gates else "none"),
                (each.deploy.outcome or "not known") if each.deploy else "", span(each.sprint.seconds),
            )
        )  # fmt: skip
    yield from columns(rows) if found.rounds else [_NO_SPRINT]


def _sprint(sprint: Summary) -> str:
    outcome, ticks = sprint.outcome or RunStatus.OPEN, counted(sprint.ticks, "tick")
    landed = f"{sprint.patches} landed on {sprint.branch}"
    return f"sprint {sprint.sprint}: {outcome}, {sprint.mode}, {ticks}, {landed}; {sprint.usage.text}"
