"""What an agent said, read from its output: its last words, the tools it called, what it cost, whether it gave up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ToolCall:
    """One tool that an agent called. `output` is None where the stream does not tell it, as is `duration_ms`."""

    tool: str
    input: Any
    output: Any
    duration_ms: float | None = None


@dataclass(frozen=True)
class Said:
    """What an agent's output tells. `failed` is why it gave up by its own account, whatever its exit code."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    cost_usd: float | None = None
    failed: str | None = None


def read_stream(log: bytes) -> Said:
    """Read an agent's output; it never raises."""
    return Said(log.decode(errors="replace").strip())
