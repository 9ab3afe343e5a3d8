"""Traces for other systems, as OTLP/JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ....personas.web.urls import checked_endpoint
from ....scheduler.context import Context
from ....scheduler.sprint.control import by_people_only
from ....scheduler.traces import otlp
from ....scheduler.traces.exporter import tracer_of
from ....scheduler.traces.spans import Span


def requests(context: Context, since: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the traces of what ended after the event `since`, as JSON objects of 500 spans at most."""
    for spans in _batches(context, since):
        yield otlp.document(spans, _team(context))


def send(context: Context, url: str, since: int = 0) -> int:
    """Send the same to a collector; return how many spans that were. Raises UsageError, NotExported."""
    by_people_only("team export otel --to", context.home)
    where, count = checked_endpoint(url), 0
    headers = otlp.read_headers(context.settings.otel.headers_file) if url == context.settings.otel.endpoint else {}
    for spans in _batches(context, since):
        otlp.send(where, spans, _team(context), headers)
        count += len(spans)
    return count


def _team(context: Context) -> str:
    return context.home.absolute().parent.name


def _batches(context: Context, since: int) -> Iterator[list[Span]]:
    log, batch = context.mailbox.log, list[Span]()
    tracer = tracer_of(log)
    for event in log.read():
        span = tracer.add(event)
        batch += [span] if span and span.seq > since else []
        if len(batch) == otlp.MOST:
            yield batch
            batch = []
    if batch:
        yield batch
