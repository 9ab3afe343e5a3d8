"""How sprints look: the dry run, what was woven, status and history, as plain lines for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...mail.render import line
from ...mail.units import counted
from ...scheduler.landing.integrate import Integration
from ...scheduler.runs.launch import Launch
from ...scheduler.sprint.history import History
from ...scheduler.sprint.plan import TickPlan
from ...scheduler.sprint.preview import Preview
from ...scheduler.sprint.status import Status
from ...scheduler.state.summary import Summary
from .weave import lines as woven_lines

_SHORT = 12
_WIDE = 90
_MINUTE = 60


def preview(found: Preview) -> Iterator[str]:
    """Say what the next tick would do, and why."""
    plan = found.plan
    for trouble in found.troubles:
        yield f"cannot start: {line(trouble)}"
    if plan.idle:
        yield f"idle: {plan.idle}"
    else:
        yield from _heading(found)
        yield from _lost(plan)
        if found.woven:
            yield ""
            yield from woven_lines(found.woven)
        yield from _launches(plan)
        yield from _endings(plan)
    yield from _skips(plan)
    for note in plan.notes:
        yield f"note: {line(note)}"
    yield ""
    yield "nothing was written"


def _heading(found: Preview) -> Iterator[str]:
    plan = found.plan
    starts = f", which it starts ({plan.opening.reason})" if plan.opening else ""
    yield f"next: tick {plan.tick} of sprint {plan.sprint}{starts}"
    yield f"mode: {plan.mode} ({plan.rule})"
    yield f"base: {found.base[:_SHORT]}, lands on {found.branch}"


def _lost(plan: TickPlan) -> Iterator[str]:
    for run in plan.lost:
        yield f"give up: {run.persona}, attempt {run.attempt}, whose scheduler is gone"


def _launches(plan: TickPlan) -> Iterator[str]:
    if not plan.launches:
        return
    later = ", as things stand before the weave" if plan.weave else ""
    yield ""
    yield f"launch {len(plan.launches)}{later}:"
    rows = [_launch(one) for one in plan.launches]
    yield from columns([("persona", "agent", "attempt", "unread", "estimate", "why"), *rows])


def _launch(one: Launch) -> tuple[str, ...]:
    estimate = span(one.estimate) if one.estimate is not None else "-"
    return one.persona, one.agent, str(one.attempt), str(len(one.mail)), estimate, f"{one.reason}: {one.why}"


def _endings(plan: TickPlan) -> Iterator[str]:
    for skip in plan.aside:
        yield f"set aside: {skip.persona}, {skip.why}; the human is told"
    if plan.wait_until:
        yield f"wait: next try at {plan.wait_until:%H:%M:%S}Z"
    if plan.finish:
        yield f"end: the sprint has {'converged' if plan.finish == 'converged' else 'ended: ' + plan.finish}"


def _skips(plan: TickPlan) -> Iterator[str]:
    if plan.skips:
        yield ""
        yield f"skip {len(plan.skips)}:"
        by_reason: dict[str, list[str]] = {}
        for skip in plan.skips:
            by_reason.setdefault(skip.why, []).append(skip.persona)
        yield from columns([(", ".join(names), why) for why, names in by_reason.items()])


def integration(found: Integration) -> Iterator[str]:
    """Say what became of the patches of a tick, one line each."""
    for one in found.woven.landed:
        yield f"  landed    {one.submission.persona} ({one.how}) {one.commit[:_SHORT]} {_files(one.files)}"
    for one in found.woven.conflicted:
        files = sorted({hunk.file for hunk in one.hunks})
        yield f"  conflict  {one.submission.persona} in {_files(files)}; mailed"
    for one in found.woven.refused:
        yield f"  refused   {one.submission.persona}: {line(one.reason)[:_WIDE]}"
    for one in found.woven.held:
        approve = f"scheduler approve {one.submission.key[:8]}"
        yield f"  held      {one.submission.persona}: {_files(one.files)} waits for {approve}"
    for submission, verdict in found.rejected:
        yield f"  rejected  {submission.persona} by gate {verdict.gate}; mailed"
    for verdict in found.red_before:
        yield f"  note      gate {verdict.gate} was red before this weave; nobody is blamed"


def summary(found: Summary) -> Iterator[str]:
    """Say how a sprint ended and what to do next."""
    ended = "converged" if found.converged else f"did not converge ({found.outcome or 'still open'})"
    ticks, runs = counted(found.ticks, "tick"), counted(found.runs, "run")
    yield f"sprint {found.sprint} {ended}: {ticks}, {runs}, {span(found.seconds)}, {found.mode}"
    landed = f"{_patches(found.patches)} landed on {found.branch}" if found.landed else "nothing landed"
    yield f"  {landed}; {counted(found.conflicts, 'conflict')} met"
    if found.set_aside:
        yield f"  set aside: {', '.join(found.set_aside)} (see the mail to the human)"
    if found.outcome == "broken":
        yield "  every run failed, retries too: look at the agent's command; the mail to the human has its words"
    if found.held:
        yield f"  held: {', '.join(found.held)} (scheduler approve NAME lets a patch land)"
    if found.converged and found.runs and not (found.landed or found.set_aside or found.held):
        yield "  no run changed a file; what they said is in .team/runs/*/output.log"
    if found.landed:
        yield f"  look: git log {found.branch}    take it: scheduler land {found.sprint}"


def status(found: Status) -> Iterator[str]:
    """Say where things stand: who leads, the sprint, runs that are open, what waits."""
    leader = f"process {found.leader} leads" if found.leader else "nobody leads now"
    yield f"scheduler: {leader}" + (f"; {found.paused}" if found.paused else "")
    if not found.sprint:
        yield "no sprint yet; scheduler sprint starts one"
        return
    yield _sprint(found.sprint)
    rows = [
        (each.run.persona, str(each.run.attempt), each.run.status, each.since, each.run.detail) for each in found.runs
    ]
    if rows:
        yield from columns([("persona", "attempt", "status", "since", ""), *rows])
    for persona, why in found.set_aside.items():
        yield f"set aside: {persona}, {why}"
    for patch in found.pending:
        yield f"waits for the weaver: {patch.persona}'s patch to {_files(patch.files)}"
    for patch in found.held:
        yield f"held: {patch.persona}'s patch to {_files(patch.files)}; scheduler approve {patch.run[:8]} lets it land"
    for persona, count in sorted(found.unread.items()):
        yield f"unread: {persona} has {count}"


def history(found: History) -> Iterator[str]:
    """List the sprints, the newest last."""
    rows = [("sprint", "started", "mode", "ticks", "runs", "landed", "conflicts", "outcome")]
    rows += [
        (
            str(each.sprint), f"{each.started[:16]}Z", each.mode, str(each.ticks), str(each.runs),
            str(each.patches), str(each.conflicts), each.outcome or "open",
        )
        for each in found.sprints
    ]  # fmt: skip
    yield from columns(rows) if found.sprints else ["no sprint yet; scheduler sprint starts one"]


def _sprint(found: Summary) -> str:
    how, ticks = found.outcome or "open", counted(found.ticks, "tick")
    return f"sprint {found.sprint}: {how}, {found.mode}, {ticks}, {found.patches} landed on {found.branch}"


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align rows; the last column is as long as it likes."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield ("  " + "  ".join([*cells, line(row[-1])])).rstrip()


def span(seconds: float) -> str:
    """Write a length of time for people."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s" if minutes < _MINUTE else f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


def _patches(number: int) -> str:
    return f"{number} patch{'' if number == 1 else 'es'}"


def _files(files: Sequence[str]) -> str:
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""  # noqa: PLR2004
    return line(", ".join(files[:3])) + more
