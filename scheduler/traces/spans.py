"""Spans as a fold over the log: a trace is a sprint or a dispatch, and its spans are the runs, gates and deployments.

Ids are derived from the team's first event and from what a span is of, so whoever makes them again makes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from ...mail.kinds import MailKind
from ...mail.log.event import Event
from ...personas.spending.usage import usage_of
from ..kinds import DeployOutcome, Kind, RunStatus, is_writer

_MOST_EVENTS = 128  # of a span
_ERROR = 300  # characters
_TRACE, _SPAN = 32, 16  # hexadecimal digits
_NANO = 1_000  # in a microsecond
_ROOT_EVENTS = frozenset(
    {
        Kind.PATCH_LANDED, Kind.PATCH_CONFLICTED, Kind.PATCH_REFUSED, Kind.PATCH_HELD, Kind.PATCH_REJECTED,
        Kind.PERSONA_SKIPPED, Kind.ROUND_DECIDED, Kind.BUDGET_SPENT,
    }
)  # fmt: skip
_RUN_EVENTS = frozenset({Kind.PATCH_CAPTURED, Kind.RUN_FORETOLD, Kind.REPORT_GIVEN, MailKind.SENT})
_TOLD = ("type", "persona", "commit", "how", "rival", "who", "file", "gate", "decision", "budget", "why")  # no texts
_FINE = frozenset({RunStatus.OK, RunStatus.STOPPED})
Value = str | int | float | bool


@dataclass(frozen=True)
class Moment:
    """Something within a span. Times are in nanoseconds since 1970."""

    name: str
    at: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True)
class Span:
    """One span, which has ended: `error` says why it failed, "" if it did not. `seq` is that of its last event."""

    trace: str
    id: str
    parent: str
    name: str
    start: int
    end: int
    attributes: Mapping[str, Value]
    moments: tuple[Moment, ...]
    error: str
    seq: int


@dataclass
class _Open:
    """A span that has begun."""

    start: datetime
    data: Mapping[str, Any]
    moments: list[Moment]


class _What(NamedTuple):
    """What a span is of. `own` tells it from the others of its trace, "" for the root."""

    name: str
    attributes: Mapping[str, Value]
    error: str = ""
    own: str = ""


class Tracer:
    """Makes spans of the events of one team, in the order of the log; `origin` is the id of its first event."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._open: dict[str, _Open] = {}
        self._keys: dict[str, str] = {}  # of runs: the sprint or dispatch that each belongs to
        self._ends: dict[str, Callable[[Event], Span | None]] = {
            Kind.RUN_FINISHED: self._run, Kind.RUN_LOST: self._run, Kind.GATE_JUDGED: self._gate,
            Kind.DEPLOY_FINISHED: self._deployment, Kind.SPRINT_FINISHED: self._root,
            Kind.DISPATCH_FINISHED: self._root,
        }  # fmt: skip

    def add(self, event: Event) -> Span | None:
        """Fold the next event; return the span that it ends."""
        if event.kind in _OF_ENGINE and not is_writer(event.kind, event.sender, event.run):
            return None
        if event.kind in _RUN_EVENTS:
            self._note(str(event.run), event)
        if event.kind in _ROOT_EVENTS:
            self._note(self._keys.get(str(event.ref)) or self._key(event.data), event)
        if event.kind in _STARTS:
            self._open[self._opened(event)] = _Open(datetime.fromisoformat(event.ts), event.data, [])
        end = self._ends.get(event.kind)
        return end(event) if end else None

    def _opened(self, event: Event) -> str:
        key = self._key(event.data)
        if event.kind == Kind.RUN_STARTED:
            self._keys[str(event.run)] = key
            return str(event.run)
        return f"deploy {key}" if event.kind == Kind.DEPLOY_STARTED else key

    def _note(self, key: str, event: Event) -> None:
        span = self._open.get(key)
        if span and len(span.moments) < _MOST_EVENTS:
            attributes = {name: event.data.get(name) for name in _TOLD}
            span.moments.append(Moment(event.kind, _nanoseconds(event.ts), _named(attributes)))

    def _key(self, data: Mapping[str, Any]) -> str:
        dispatch = data.get("dispatch")
        return f"dispatch {dispatch}" if dispatch else f"sprint {data.get('sprint')}"

    def _run(self, event: Event) -> Span | None:
        span, data = self._open.pop(str(event.run), None), event.data
        begun: Mapping[str, Any] = span.data if span else {}
        together = {**begun, **data}
        status = data.get("status") if event.kind == Kind.RUN_FINISHED else RunStatus.LOST
        usage = usage_of(data.get("usage"))
        attributes = {"run": event.run, "status": status} | {
            name: together.get(name) for name in ("persona", "agent", "attempt", "reason", "exit", "task", "tick")
        }
        told = {
            "gen_ai.request.model": usage.model, "gen_ai.usage.input_tokens": usage.input,
            "gen_ai.usage.output_tokens": usage.output, "team_mail.usd": usage.usd,
        }  # fmt: skip
        error = "" if status in _FINE else str(data.get("detail") or data.get("why") or status)
        named = _named(attributes) | {name: value for name, value in told.items() if value is not None}
        what = _What(f"run {together.get('task') or together.get('persona')}", named, error, str(event.run))
        return self._span(event, span, together, what)

    def _gate(self, event: Event) -> Span | None:
        data = event.data
        attributes = _named({key: data.get(key) for key in ("gate", "passed", "score", "exit", "commit", "on_base")})
        error = "" if data.get("passed") is True else "it does not pass"
        return self._span(event, None, data, _What(f"gate {data.get('gate')}", attributes, error, event.id))

    def _deployment(self, event: Event) -> Span | None:
        span, data = self._open.pop(f"deploy {self._key(event.data)}", None), event.data
        attributes = _named({key: data.get(key) for key in ("outcome", "commit", "attempt")})
        error = str(data.get("why")) if data.get("outcome") == DeployOutcome.FAILED else ""
        return self._span(event, span, data, _What("deploy", attributes, error, event.id)) if span else None

    def _root(self, event: Event) -> Span | None:
        key = self._key(event.data)
        span = self._open.pop(key, None)
        self._keys = {run: its for run, its in self._keys.items() if its != key}
        names = ("sprint", "outcome", "mode", "branch", "dispatch", "successful", "failed", "skipped")
        attributes = _named({name: {**(span.data if span else {}), **event.data}.get(name) for name in names})
        return self._span(event, span, event.data, _What(key, attributes)) if span else None

    def _span(self, event: Event, span: _Open | None, data: Mapping[str, Any], what: _What) -> Span | None:
        """Make a span that an event ends; without its start, it began `seconds` before."""
        end, seconds = datetime.fromisoformat(event.ts), event.data.get("seconds")
        if span is None and not isinstance(seconds, int | float):
            return None
        start = span.start if span else end - timedelta(seconds=float(seconds or 0))
        trace = _hash(_TRACE, self._origin, self._key(data))
        root = _hash(_SPAN, trace, "root")
        own, parent = (_hash(_SPAN, trace, what.own), root) if what.own else (root, "")
        moments = tuple(span.moments) if span else ()
        return Span(
            trace, own, parent, what.name, _ns(min(start, end)), _ns(end), what.attributes, moments,
            what.error[:_ERROR], event.seq,
        )  # fmt: skip


_STARTS = frozenset({Kind.SPRINT_STARTED, Kind.DISPATCH_STARTED, Kind.RUN_STARTED, Kind.DEPLOY_STARTED})
_OF_ENGINE = frozenset(Kind)


def _named(values: Mapping[str, Any]) -> dict[str, Value]:
    """Return the values that are not None, each with the prefix of this project."""
    return {f"team_mail.{name}": value for name, value in values.items() if isinstance(value, str | int | float)}


def _hash(digits: int, *parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:digits]


def _nanoseconds(ts: str) -> int:
    return _ns(datetime.fromisoformat(ts))


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * _NANO
