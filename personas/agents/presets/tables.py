"""What was seen of the agents, as the table in the documentation."""

from __future__ import annotations

from .preset import STEPS, Preset, presets

_HEADS = ("agent", "version", "tried on", *STEPS, "in our sandbox", "a model that fails", "tells")


def agents_table() -> str:
    """Return the table of docs/agents.md: for each agent the steps that `team try` saw, and what else was seen.

    One that was also tried over ACP has a row of its own for that.
    """
    spoken = ((each.by_protocol(), f"{each.name}, ACP") for each in presets())
    known = [*((each, each.name) for each in presets()), *((each, name) for each, name in spoken if each)]
    rows = [_HEADS, *(_row(each, name) for each, name in known if each.seen)]
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(_HEADS), *body])


def untried_table() -> str:
    """Return the table of docs/agents.md of the agents that were never run, and why."""
    rows = [f"| {preset.name} | {preset.not_run} |" for preset in presets() if not preset.seen]
    return "\n".join(["| agent | why |", "|---|---|", *rows])


def _row(preset: Preset, name: str) -> tuple[str, ...]:
    seen = preset.seen
    assert seen is not None  # noqa: S101 - the caller takes only those
    steps = ("yes" if step in seen.steps else "no" for step in STEPS)
    figures = [what for what, fields in (("tokens", preset.tokens), ("money", preset.money)) if fields]
    sandbox = "yes" if seen.in_sandbox else "not tried"
    return (name, seen.version, str(seen.on), *steps, sandbox, seen.faults, ", ".join(figures) or "nothing")
