"""The times until which services take no more, as they said themselves: what runs that ended tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ..kinds import RunStatus
from .facts import Run


def window_of(agent: str, runs: Sequence[Run], now: datetime) -> tuple[datetime, str] | None:
    """Return until when an agent's service takes no more, as it said itself."""
    ended = [run for run in runs if run.agent == agent and run.finished]
    windows = [run for run in ended if run.until and datetime.fromisoformat(run.until) > now]
    if not windows:
        return None
    last = max(windows, key=lambda run: run.finished or "")
    if any(run.status == RunStatus.OK and run.started > (last.finished or "") for run in ended):
        return None
    return datetime.fromisoformat(str(last.until)), last.detail


def left_parked(runs: Iterable[Run], now: datetime) -> tuple[str, ...]:
    """Say which agents' services took no more as a sprint ended at `now`, and until when; `runs` are those of it."""
    own = [*runs]
    last = {run.persona: run for run in own}.values()
    lines: list[str] = []
    for agent in dict.fromkeys(run.agent for run in own):
        unknown = [run for run in last if run.agent == agent and run.status == RunStatus.LIMITED and not run.until]
        if window := window_of(agent, own, now):
            lines.append(f"agent {agent} is parked until {window[0]:%Y-%m-%d %H:%M:%S}Z: {window[1]}")
        elif unknown:
            names = ", ".join(run.persona for run in unknown)
            lines.append(
                f"the service of agent {agent} took no more of {names}, until an unknown time: {unknown[-1].detail}"
            )
    return tuple(lines)
