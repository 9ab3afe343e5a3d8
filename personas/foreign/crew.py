"""CrewAI's `agents.yaml`: several agents in a file, of whose goal and backstory a prompt is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...mail.team_file import crew_names
from ..frontmatter import Fault, read_parts, write_yaml
from .markdown import check_link
from .sheet import MAX_SHEETS, Format, NotAPersona, Sheet, plain, spelled

PARTS = ("role", "goal", "backstory")


def read_crew(text: str, source: Path | None) -> list[Sheet]:
    """Read a file of CrewAI. Raises Fault with its line, and NotAPersona for YAML that is something else."""
    check_link(text)
    names = crew_names(text)
    if not names:
        raise NotAPersona("has no names of agents at the beginning of its lines, as the agents of CrewAI have")
    parts = read_parts(text)
    if len(parts) > MAX_SHEETS:
        raise Fault(1, f"has more than {MAX_SHEETS} agents; split the file")
    sheets: list[Sheet] = []
    for name, part in parts.items():
        if name not in names:
            raise Fault(part.line, f"{name[:40]!r} must stand at the beginning of a line, followed by a colon alone")
        inner = part.parts()
        if not {*PARTS} & {*inner}:
            raise NotAPersona("is no list of agents with role, goal and backstory, as CrewAI's are")
        keys = {key: plain(each.plain(), each.line) for key, each in inner.items()}
        lines = {key: each.line for key, each in inner.items()}
        if missing := [key for key in PARTS[1:] if not _text(keys, key)]:
            raise Fault(part.line, f"{name} has no {missing[0]}; CrewAI needs role, goal and backstory")
        sheets.append(Sheet(Format.CREWAI, name, keys, composed(keys), lines, lines["backstory"], source=source))
    return sheets


def _text(keys: Mapping[str, Any], key: str) -> str:
    value = keys.get(key)
    return "" if value is None or isinstance(value, dict | list) else spelled(value)


def composed(keys: Mapping[str, Any]) -> str:
    """Return the prompt that goal and backstory make."""
    return f"## Goal\n\n{_text(keys, 'goal')}\n\n## Backstory\n\n{_text(keys, 'backstory')}"


def write_crew(agents: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a file of CrewAI with these agents."""
    return "\n".join(write_yaml({name: dict(keys)}) for name, keys in agents.items())
