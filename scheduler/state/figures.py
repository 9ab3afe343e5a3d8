"""A team in figures since its beginning, and as it stands now: what a monitoring system keeps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ...mail.query.rows import Projections
from ..kinds import Kind, PatchStatus, RunStatus
from .facts import Run

_PATCHES = {
    Kind.PATCH_LANDED: PatchStatus.LANDED, Kind.PATCH_CONFLICTED: PatchStatus.CONFLICTED,
    Kind.PATCH_REFUSED: PatchStatus.REFUSED, Kind.PATCH_HELD: PatchStatus.HELD,
    Kind.PATCH_REJECTED: PatchStatus.REJECTED,
}  # fmt: skip
Labels = tuple[tuple[str, str], ...]


class Family(NamedTuple):
    """Values of one meaning: `kind` is `counter` or `gauge`, and a value is told from the others by its labels."""

    name: str
    kind: str
    help: str
    values: Mapping[Labels, float]


class Standing(NamedTuple):
    """What goes on now: the open runs, and whether a scheduler leads; `head` is the seq of the last event.

    `appended` is how many appends that scheduler made, how many seconds these took, and the longest one.
    """

    going: tuple[Run, ...]
    is_led: bool
    head: int
    appended: tuple[int, float, float] | None = None


def read_figures(projections: Projections, roster: Iterable[str], standing: Standing, now: datetime) -> list[Family]:
    """Read the figures of a team; `roster` are those whose unread mail counts."""
    rows = projections.rows("scheduler.state.figures")
    events = {row["kind"]: row for row in projections.rows("stats")}
    return [
        *_runs([row for row in rows if row["kind"] in {Kind.RUN_FINISHED, Kind.RUN_LOST}]),
        *_gates([row for row in rows if row["kind"] == Kind.GATE_JUDGED]),
        *_ends(rows, events),
        *_mail(projections.rows("unread", roster=[*roster]), now),
        *_now(standing, events, now),
    ]


def _runs(rows: list[dict[str, Any]]) -> list[Family]:
    by_agent = [row | {"status": row["status"] if row["kind"] == Kind.RUN_FINISHED else RunStatus.LOST} for row in rows]
    tokens = {
        (("agent", agent), ("direction", way)): value
        for name, way in (("given", "input"), ("written", "output"))
        for ((_, agent),), value in _summed(rows, name, "agent").items()
    }
    return [
        _counter("runs", "Runs that ended, by status and agent.", _summed(by_agent, "number", "status", "agent")),
        _counter("run_seconds", "How long runs took that ended.", _summed(rows, "seconds", "agent")),
        _counter("run_usd", "US dollars of runs, as far as agents tell them.", _summed(rows, "usd", "agent")),
        _counter("run_tokens", "Tokens of runs, as far as agents tell them.", tokens),
    ]


def _gates(rows: list[dict[str, Any]]) -> list[Family]:
    judged = [row | {"gate": row["name"], "passed": "true" if row["passed"] else "false"} for row in rows]
    return [
        _counter("gate_runs", "Runs of gates.", _summed(judged, "number", "gate", "passed")),
        _counter("gate_seconds", "How long gates took.", _summed(judged, "seconds", "gate")),
    ]


def _ends(rows: list[dict[str, Any]], events: Mapping[str, dict[str, Any]]) -> list[Family]:
    sprints = [row | {"outcome": row["status"]} for row in rows if row["kind"] == Kind.SPRINT_FINISHED]
    notices = [
        row | {"endpoint": row["name"], "outcome": "sent" if row["kind"] == Kind.NOTICE_SENT else "failed"}
        for row in rows
        if row["kind"] in {Kind.NOTICE_SENT, Kind.NOTICE_FAILED}
    ]
    patches = {
        (("status", str(status)),): float(events[kind]["events"]) for kind, status in _PATCHES.items() if kind in events
    }
    dispatches = [row for row in rows if row["kind"] == Kind.DISPATCH_FINISHED]
    return [
        _counter("patches", "Decisions of the weaver on patches.", patches),
        _counter("sprints", "Sprints that ended, by outcome.", _summed(sprints, "number", "outcome")),
        _counter("dispatches", "Dispatches that ended.", _summed(dispatches, "number")),
        _counter("notices", "Attempts to send notices.", _summed(notices, "number", "endpoint", "outcome")),
    ]


def _mail(rows: list[dict[str, Any]], now: datetime) -> list[Family]:
    unread, oldest = defaultdict[Labels, float](float), dict[Labels, float]()
    for row in rows:
        labels = (("persona", str(row["persona"])),)
        unread[labels] += 1
        age = max(0.0, (now - datetime.fromisoformat(row["ts"])).total_seconds())
        oldest[labels] = max(age, oldest.get(labels, 0.0))
    return [
        Family("team_mail_unread", "gauge", "Messages that are not read, by recipient.", unread),
        Family("team_mail_unread_age_seconds", "gauge", "The age of the oldest of them.", oldest),
    ]


def _now(standing: Standing, events: Mapping[str, dict[str, Any]], now: datetime) -> list[Family]:
    open_runs = _summed([{"agent": run.agent, "number": 1} for run in standing.going], "number", "agent")
    last = max((datetime.fromisoformat(row["until"]) for row in events.values()), default=None)
    age = {} if last is None else {(): max(0.0, (now - last).total_seconds())}
    kinds = {(("kind", kind),): float(row["events"]) for kind, row in events.items()}
    number, seconds, longest = ({(): float(value)} for value in standing.appended) if standing.appended else ({},) * 3
    return [
        _counter("appends", "Appends to the log by the scheduler that leads.", number),
        _counter("append_seconds", "How long these took.", seconds),
        Family("team_mail_append_longest_seconds", "gauge", "The longest of them.", longest),
        Family("team_mail_runs_open", "gauge", "Runs that go on, by agent.", open_runs),
        Family("team_mail_led", "gauge", "Whether a scheduler leads the team.", {(): float(standing.is_led)}),
        _counter("events", "Events of the log, by kind.", kinds),
        Family("team_mail_log_head", "gauge", "The number of the last event.", {(): float(standing.head)}),
        Family("team_mail_log_idle_seconds", "gauge", "The time since the last event.", age),
    ]


def _counter(name: str, help: str, values: Mapping[Labels, float]) -> Family:
    return Family(f"team_mail_{name}_total", "counter", help, values)


def _summed(rows: Iterable[Mapping[str, Any]], value: str, *labels: str) -> dict[Labels, float]:
    """Add up a column by some others."""
    sums = defaultdict[Labels, float](float)
    for row in rows:
        sums[tuple((label, str(row[label])) for label in labels)] += float(row[value])
    return dict(sums)
