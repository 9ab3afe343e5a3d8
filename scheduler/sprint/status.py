"""Where a sprint stands now: each of its runs with its pulse, as `scheduler status` shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ..state.facts import OPEN, Run
from ..state.sprints import State
from ..state.summary import summary

_OLD = 3.0  # seconds without a heartbeat before it is said


def beats(state: State, home: Path, now: datetime) -> Iterator[tuple[Run, str]]:
    """Go through the last sprint's runs, the newest of each persona, with how long it has taken and its pulse."""
    last = {run.persona: run for run in state.runs if run.sprint == state.number}
    for run in last.values():
        if run.status != OPEN:
            yield run, f"{run.seconds or 0:.1f} s"
            continue
        since = (now - datetime.fromisoformat(run.started)).total_seconds()
        yield run, f"{since:.0f} s{_pulse(run, home, now)}"


def _pulse(run: Run, home: Path, now: datetime) -> str:
    try:
        beat = (home / "runs" / run.id / "heartbeat").stat().st_mtime
    except FileNotFoundError:
        return ", being set up"
    silent = now.timestamp() - beat
    return "" if silent < _OLD else f", no heartbeat for {silent:.0f} s"


def described(state: State, leader: Mapping[str, Any] | None, home: Path, now: datetime) -> dict[str, Any]:
    """Return the JSON object of `scheduler status --json`."""
    return {
        "leader": leader and {"pid": leader["pid"]},
        "paused": state.paused,
        "sprint": summary(state, state.sprints[-1], now).document() | {"outcome": state.sprints[-1].outcome}
        if state.sprints
        else None,
        "runs": [
            {"run": run.id, "persona": run.persona, "attempt": run.attempt, "status": run.status, "since": beat}
            for run, beat in beats(state, home, now)
        ],
        "set_aside": dict(state.aside),
        "held": [{"run": patch.run, "persona": patch.persona, "files": [*patch.files]} for patch in state.of("held")],
        "unread": {persona: len(mail) for persona, mail in state.unread.items()},
    }
