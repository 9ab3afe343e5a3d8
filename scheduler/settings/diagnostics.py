"""The tables of what programs tell of themselves: files of diagnostics, and traces for a collector."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .supervision import Table
from .urls import EndpointUrl
from .values import Size

_SMALLEST = 64 << 10  # bytes of a file: several of the longest lines


def _log_file(path: str) -> str:
    if "{pid}" not in path.rpartition("/")[2] or "\0" in path or "{" in path.rpartition("/")[0]:
        raise ValueError(
            'must hold {pid} in its name, so that each file has one writer: ".team/logs/{program}-{pid}.jsonl"'
        )
    return path


def _log_size(size: int) -> int:
    if size < _SMALLEST:
        raise ValueError('must be at least "64KiB"')
    return size


class LoggingSettings(Table):
    """`[logging]`: the file of diagnostics, its size before a new one is begun, and how many complete ones stay."""

    file: Annotated[str, AfterValidator(_log_file)] | None = None
    rotate: Annotated[Size, AfterValidator(_log_size)] = 10_000_000
    keep: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    level: Literal["debug", "info", "warning", "error"] = "info"


class OtelSettings(Table):
    """`[otel]`: the collector that traces are sent to, as OTLP over HTTP, and a file with headers for it."""

    endpoint: EndpointUrl | None = None
    headers_file: Annotated[str, Field(min_length=1)] | None = None
