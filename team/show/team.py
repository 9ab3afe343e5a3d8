"""A team as text: what `team init` created, the settings in force, the roster."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence

from ...scheduler.settings.settings import Loaded
from ..api.team import Personas
from ..init import Made

SETTING_COLUMNS = ("setting", "value", "from")
PERSONA_COLUMNS = ("", "persona", "agent", "", "what for")


def made(team: Made) -> Iterator[str]:
    """Show what was created, what a sprint will start, and the next steps."""
    home = os.path.relpath(team.home)
    yield f"{home}/team.toml   {'new, every setting with its default' if team.settings else 'unchanged'}"
    new = f"{len(team.personas)} new" if team.personas else "unchanged (--personas NAMES adds bundled ones, or all)"
    yield f"{home}/personas/   {new}; {team.scheduled} of {team.roster} take part in a sprint"
    yield ""
    yield "Next"
    yield f"  1. put your agent's command into {home}/team.toml, under [agents.shell]"
    if team.agents:
        yield f"     found here: {', '.join(team.agents)}; the lines for each are in that file"
    yield "  2. scheduler --dry-run             what would be started, and why; nothing is"
    yield f"  3. scheduler sprint                from {team.base}, onto a branch of its own"
    yield "  4. team-mail inbox --persona you   what the team has to tell you"
    if team.scheduled > 1:
        yield ""
        yield f"A sprint starts {team.scheduled} runs of your agent, and again whoever gets mail."
        yield f"For fewer, remove files from {home}/personas, or write `scheduled: false` in"
        yield "their front matter; `team personas` shows who is left."


def settings(loaded: Loaded) -> list[tuple[str, str, str]]:
    """List the settings, each with its value as JSON and where it comes from."""
    return [
        (
            key, "" if origin.value is None else json.dumps(origin.value, ensure_ascii=False, default=str),
            origin.where,
        )
        for key, origin in loaded.origins.items()
    ]  # fmt: skip


def personas(roster: Personas) -> Sequence[tuple[str, ...]]:
    """List the roster: emoji, id, agent, whether it takes part in sprints, description."""
    return [
        (
            persona.emoji, persona.id, persona.agent or roster.agent, "" if persona.scheduled else "not in sprints",
            persona.description,
        )
        for persona in roster.personas
    ]  # fmt: skip
