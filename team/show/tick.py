"""Ticks as text: the dry run of the next one, and what a weave of its patches did."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ...mail.render import line, listed
from ...scheduler.kinds import SprintOutcome
from ...scheduler.landing.integrate import Integration
from ...scheduler.runs.launch import Launch
from ...scheduler.setup import SetUpPreview
from ...scheduler.sprint.plan import TickPlan
from ...scheduler.sprint.preview import Preview
from .overview import schedules
from .tables import columns, span
from .weave import lines as woven_lines

_SHORT = 12  # characters of a commit's id
_WIDE = 90


def preview(tick: Preview) -> Iterator[str]:
    """Show what the next tick would do, and why."""
    plan = tick.plan
    for trouble in tick.troubles:
        yield f"cannot start: {line(trouble)}"
    if plan.idle:
        yield f"idle: {plan.idle}"
        yield from _lost(plan)
    else:
        yield from _heading(tick)
        yield from _lost(plan)
        if tick.woven:
            yield ""
            yield from woven_lines(tick.woven)
        yield from _launches(plan)
        if plan.launches:
            yield from setup_lines(tick.setup)
            yield ""
            yield f"cost: {tick.cost.text}"
        yield from (f"gate: {line(text.removeprefix('gate '))}" for text in tick.gates)
        yield from (line(text) for text in tick.outlook)
        yield from (f"budget: {budget}" for budget in tick.budgets)
        if plan.overspent:
            yield f"nothing more starts: {plan.overspent.text}"
        yield from _endings(plan)
    yield from _skips(plan)
    if tick.schedules:
        yield from ("", "schedules, of `scheduler run`:", *schedules(tick.schedules))
    for note in plan.notes:
        yield f"note: {line(note)}"
    yield ""
    yield "nothing was written"


def _heading(tick: Preview) -> Iterator[str]:
    plan = tick.plan
    starts = f", which it starts ({plan.opening.reason})" if plan.opening else ""
    yield f"next: tick {plan.wave} of sprint {plan.sprint}{starts}"
    yield f"mode: {plan.mode} ({plan.rule})"
    yield f"base: {tick.base[:_SHORT]}, lands on {tick.branch}"


def _lost(plan: TickPlan) -> Iterator[str]:
    for run in plan.lost:
        yield f"give up: {run.persona}, attempt {run.attempt}, whose scheduler is gone"
    for run in plan.harvest:
        yield f"take over: {run.persona}, attempt {run.attempt}, which its scheduler left; its end decides what is next"


def _launches(plan: TickPlan) -> Iterator[str]:
    if not plan.launches:
        return
    later = ", as things stand before the weave" if plan.weave else ""
    yield ""
    now = len(plan.starts)
    room = f", {now} of them now and each other one as soon as there is room" if now < len(plan.launches) else ""
    yield f"launch {len(plan.launches)}{room}{later}:"
    rows = [_launch(launch) for launch in plan.launches]
    yield from columns([("persona", "agent", "attempt", "unread", "estimate", "why"), *rows])


def setup_lines(setup: SetUpPreview) -> Iterator[str]:
    """Show what every workspace would get before its agent starts; nothing if that is nothing."""
    if not (setup.copies or setup.caches or setup.commands or setup.notes):
        return
    yield ""
    yield "each workspace gets:"
    if setup.copies:
        yield f"  copy: {', '.join(map(line, setup.copies))}"
    if setup.caches:
        yield f"  share: {', '.join(map(line, setup.caches))}"
    for command in setup.commands:
        yield f"  run: {line(shlex.join(command))}"
    for note in setup.notes:
        yield f"  note: {line(note)}"


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
    for patch in woven.present:
        yield f"  present   {patch.submission.persona}: {listed(patch.files)} is on the branch already"
    for patch in woven.conflicted:
        files = sorted({hunk.file for hunk in patch.hunks})
        yield f"  conflict  {patch.submission.persona} in {listed(files)}; mailed"
    for patch in woven.refused:
        yield f"  refused   {patch.submission.persona}: {line(patch.reason)[:_WIDE]}"
    for patch in woven.held:
        approve = f"scheduler approve {patch.submission.key[:8]}"
        yield f"  held      {patch.submission.persona}: {listed(patch.files)} waits for {approve}"
    for rejected in done.rejected:
        pair = f" with {rejected.partner.persona}, each passes alone" if rejected.partner else ""
        yield f"  rejected  {rejected.submission.persona} by gate {rejected.result.gate}{pair}; mailed"
    for result in done.red_before:
        yield f"  note      gate {result.gate} was red before this weave; nobody is blamed"
    for result in done.unsteady:
        yield f"  note      gate {result.gate} contradicts itself; nobody is blamed"
