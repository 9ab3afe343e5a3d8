"""Spans as OTLP/JSON (the OpenTelemetry protocol 1.x), and the request that brings them to a collector.

Ids are hexadecimal there and 64-bit numbers are text; else it is the JSON mapping of the protocol's messages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...mail.errors import TeamMailError, UsageError
from ...mail.log.disk import open_file, reason_of
from ..notify.request import Refused, post
from .spans import Moment, Span, Value

MOST = 500  # spans of a request
_PATH = "/v1/traces"
_INTERNAL, _ERROR = 1, 2  # SPAN_KIND_INTERNAL, STATUS_CODE_ERROR
_PROJECT = "team-mail"
_MOST_HEADERS = 8_192  # bytes


class NotExported(TeamMailError):
    """A collector did not take spans; the message says why."""


def document(spans: Sequence[Span], team: str) -> dict[str, Any]:
    """Return the request of some spans of a team, as a JSON object."""
    own = version(_PROJECT)
    resource = {"service.name": _PROJECT, "service.version": own, "team_mail.team": team}
    scope = {"scope": {"name": _PROJECT, "version": own}, "spans": [_span(span) for span in spans]}
    return {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}]}


def send(url: str, spans: Sequence[Span], team: str, headers: Mapping[str, str]) -> None:
    """Bring some spans to a collector. Raises NotExported."""
    where = url if url.rstrip("/").endswith(_PATH) else url.rstrip("/") + _PATH
    body = json.dumps(document(spans, team)).encode()
    try:
        reply = post(where, body, {"Content-Type": "application/json", "User-Agent": _PROJECT, **headers})
    except Refused as error:
        raise NotExported(f"the collector did not take {len(spans)} spans: {error}") from None
    if not reply.is_taken:
        said = f": {reply.excerpt}" if reply.excerpt and not headers else ""  # which might repeat a secret
        raise NotExported(f"the collector did not take {len(spans)} spans: answered {reply.status}{said}")


def read_headers(path: str | None) -> dict[str, str]:
    """Read the headers that a collector asks for, a line `Name: value` each. Raises UsageError."""
    if path is None:
        return {}
    try:
        with open_file(Path(path), follow=True) as file:
            text = file.read(_MOST_HEADERS).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = reason_of(error) if isinstance(error, OSError) else "it is not ASCII"
        raise UsageError(f"otel.headers_file names {path}, which cannot be read: {why}") from None
    pairs = [line.partition(":") for line in text.splitlines() if line.strip()]
    if any(not colon or not name.strip().replace("-", "").isalnum() for name, colon, _ in pairs):
        raise UsageError(f"otel.headers_file names {path}, in which each line must be a header, as in Name: value")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _span(span: Span) -> dict[str, Any]:
    parent = {"parentSpanId": span.parent} if span.parent else {}
    status = {"status": {"code": _ERROR, "message": span.error}} if span.error else {}
    return {
        "traceId": span.trace, "spanId": span.id, **parent, "name": span.name, "kind": _INTERNAL,
        "startTimeUnixNano": str(span.start), "endTimeUnixNano": str(span.end),
        "attributes": _attributes(span.attributes), "events": [_moment(moment) for moment in span.moments], **status,
    }  # fmt: skip


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "timeUnixNano": str(moment.at), "name": moment.name, "attributes": _attributes(moment.attributes),
    }  # fmt: skip


def _attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
