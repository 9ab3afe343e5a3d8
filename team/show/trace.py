"""Traces as text: of a run, of a task of a dispatch, and the index of a dispatch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...mail.render import clean, line, listed
from ...mail.text.units import and_more, counted
from ...personas.spending.usage import Usage, usage_of
from ...scheduler.kinds import PatchStatus, RunStatus
from ...scheduler.limits.routing import routed
from ...scheduler.state.dispatches import Attempt
from ...scheduler.state.facts import Patch
from ...scheduler.state.usage import total
from ..api.traces import DispatchIndex, DispatchList, RunList, RunTrace, TaskTrace
from .dispatch import ENDS, standing_of, state_of
from .tables import columns, shortened, span

COLUMNS = ("task", "persona", "status", "attempts", "what")
DISPATCH_COLUMNS = ("dispatch", "started", "result", "used", "tasks")
RUN_COLUMNS = ("run", "persona", "for", "status", "took", "patch")
_WIDE = 100
_LONG = 4_000  # characters of an input or output
_MOST_CALLS = 20
_LAST_LINES = 20


def runs(found: RunList) -> list[tuple[str, ...]]:
    """Return the rows of a table of runs."""
    return [
        (
            each.run.id[:8], each.run.persona,
            f"{each.task} of {(each.dispatch or '')[-8:]}" if each.task else f"sprint {each.run.sprint}",
            str(each.run.status), "" if each.run.seconds is None else span(each.run.seconds),
            str(each.patch.status) if each.patch else "",
        )
        for each in found.runs
    ]  # fmt: skip


def dispatches(found: DispatchList) -> list[tuple[str, ...]]:
    """Return the rows of a table of dispatches."""
    return [
        (each.id[-8:], f"{each.started[:19]}Z", each.result, each.usage.text, listed(each.tasks))
        for each in found.dispatches
    ]


def run(trace: RunTrace) -> Iterator[str]:
    """Show a run: persona, times, input, the outcome of its patch, its tool calls, and the end of its output."""
    run = trace.run
    yield f"run {run.id}: {run.status}" + (f", {line(run.detail)}" if run.detail else "")
    yield from columns([*_facts(trace)])
    for message in trace.mail:
        yield f"mail {message.seq}: {line(message.sender)}: {line(message.subject)}"
    if trace.input not in (None, {}):
        yield "input:"
        yield from (f"  {text}" for text in _whole(trace.input))
    yield from _calls([(call.tool, call.input, call.duration_ms) for call in trace.transcript.calls])
    yield from _last_words(trace)


def _facts(trace: RunTrace) -> Iterator[tuple[str, str]]:
    run = trace.run
    place = f"task {trace.task} of dispatch {trace.dispatch}" if trace.task else f"sprint {run.sprint}, tick {run.tick}"
    yield "persona", f"{run.persona}, attempt {run.attempt} in {place}"
    yield "agent", f"{run.agent}{line(routed(run.rule, run.passed))}"
    took = "" if run.seconds is None else f", {span(run.seconds)}"
    yield "started", f"{run.started[:19]}Z, because of {run.reason}{took}"
    yield "used", _used(trace.usage)
    if run.base:
        yield "base", run.base[:12]
    if trace.setup:
        yield "set-up", _setup(trace.setup)
    if trace.patch:
        yield "patch", f"{listed(trace.patch.files)}: {_fate(trace.patch)}; team trace {run.id} --patch prints it"
    else:
        yield "patch", "none yet" if run.status == RunStatus.OPEN else "none"


def _used(usage: Usage) -> str:
    """Say what a run used, who says so, and under which name its agent knows the conversation."""
    used = total([usage])
    cached = "" if usage.cached is None else f" ({usage.cached:,} of them cached)"
    tokens = "" if used.tokens is None else f": {usage.input:,} given{cached}, {usage.output:,} written"
    origin = (
        "" if usage.usd is None else ", estimated by a table of prices" if usage.estimated else ", told by the agent"
    )
    names = [f"model {line(usage.model)}"] if usage.model else []
    names += [f"its session {line(usage.session)}"] if usage.session else []
    return "; ".join([f"{used.text}{tokens}{origin}", *names])


def _setup(setup: Mapping[str, Any]) -> str:
    """Say how a workspace was prepared: how the commands ended, and how much was copied and shared."""
    parts = [f"{setup['status']} in {span(setup['seconds'])}"] if "status" in setup else []
    counts = (("copied", "file"), ("caches", "cache"), ("notes", "note"))
    parts += [f"{counted(len(setup[name]), noun)}" for name, noun in counts if setup.get(name)]
    return ", ".join(parts) + "".join(f"; {line(note)}" for note in setup.get("notes", ()))


def _fate(patch: Patch) -> str:
    if patch.status == PatchStatus.LANDED:
        return f"landed as {(patch.commit or '')[:12]}"
    if patch.status == PatchStatus.PRESENT:
        return "already on the branch"
    if patch.status == PatchStatus.DROPPED:
        return "kept, not landed"
    return patch.status + (f" ({shortened(patch.why, _WIDE)})" if patch.why else "")


def _last_words(trace: RunTrace) -> Iterator[str]:
    if trace.size is None:
        yield "output: nothing"
        return
    yield f"output, {counted(trace.size, 'byte')}; team trace {trace.run.id} --output prints all of it:"
    words = clean(trace.transcript.text).split("\n")
    if len(words) > _LAST_LINES:
        yield f"  … {len(words) - _LAST_LINES} lines before"
    yield from (f"  {text}" for text in words[-_LAST_LINES:])


def task(trace: TaskTrace) -> Iterator[str]:
    """Show a task of a dispatch: its attempts, tool calls, input and output."""
    state, task, document = trace.state, trace.task, trace.document()
    standing = standing_of(state, task.task_id)
    yield f"{task.task_id}: {standing}, in dispatch {state.id}"
    if task.description:
        yield f"  {line(task.description)}"
    time = span(document["execution_time_ms"] / 1000)
    when = [("when", task.when.text)] if task.when else []
    yield from columns([("persona", task.agent), *when, *_attempts(trace), ("time", time)])
    if why := document.get("why"):
        yield f"skipped: {line(why)}"
    if document["error"] and standing in ENDS:
        yield f"error: {line(document['error'])}"
    yield from _calls([(call["tool"], call["input"], call["duration_ms"]) for call in document["mcp_calls"]])
    for name in ("input", "output"):
        yield f"{name}:"
        yield from (f"  {text}" for text in _whole(document[name]))


def _attempts(trace: TaskTrace) -> Iterator[tuple[str, str]]:
    for attempt in trace.state.of(trace.task.task_id):
        patch = trace.state.work.patches.get(attempt.run)
        left = f"; patch to {counted(len(patch.files), 'file')} {_became(attempt, patch)}" if patch else ""
        end = line(attempt.detail) or attempt.status
        used = total([usage_of(attempt.result.get("usage"))]).text
        own = trace.state.work.runs.get(attempt.run)
        agent = f"{attempt.agent}{line(routed(own.rule, own.passed)) if own else ''}"
        yield f"attempt {attempt.number}", f"{agent}, {end}{left}; {used} (run {attempt.run})"


def _became(attempt: Attempt, patch: Patch) -> str:
    """Return the outcome of a patch; that of a failed run does not land, but can be inspected."""
    if attempt.status in {RunStatus.OK, RunStatus.OPEN}:
        return patch.status
    return f"kept, not landed: team trace {attempt.run} --patch"


def heading(dispatch: DispatchIndex) -> str:
    """Return the id of a dispatch, its start, its duration, and whether it has finished."""
    state = dispatch.state
    return f"dispatch {state.id}, {state.started[:19]}Z, {span(state.seconds)}{state_of(state)}"


def tasks(dispatch: DispatchIndex) -> list[tuple[str, ...]]:
    """List the tasks of a dispatch: id, persona, status, number of attempts, description."""
    state = dispatch.state
    return [
        (
            task.task_id, task.agent, standing_of(state, task.task_id), str(len(state.of(task.task_id))),
            task.description,
        )
        for task in dispatch.tasks.tasks
    ]  # fmt: skip


def _calls(calls: Sequence[tuple[str, Any, float | None]]) -> Iterator[str]:
    for number, (tool, given, milliseconds) in enumerate(calls[:_MOST_CALLS], 1):
        took = f" ({span(milliseconds / 1000)})" if milliseconds is not None else ""
        yield f"tool {number}: {line(tool)}{took} {line(json.dumps(given, ensure_ascii=False))[:_WIDE]}"
    if more := and_more(len(calls) - _MOST_CALLS, "tool call"):
        yield f"{more} (--json has them)"


def _whole(value: Any) -> list[str]:
    text = clean(json.dumps(value, indent=2, ensure_ascii=False))
    return (text if len(text) <= _LONG else f"{text[:_LONG]}\n… (--json has all of it)").split("\n")
