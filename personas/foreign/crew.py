"""CrewAI's `agents.yaml`: several agents in a file, of whose goal and backstory a prompt is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...mail.team_file import crew_names
from ..frontmatter import Fault, Part, read_parts, write_yaml
from .markdown import check_link
from .sheet import MAX_SHEETS, Format, NotAPersona, Sheet, plain, spelled

PARTS = ("role", "goal", "backstory")
_SAYS = re.compile(rf"(?m)(?:^[ \t]|[{{,])[ \t]*[\"']?(?:{'|'.join(PARTS)})[\"']?[ \t]*:")
_NO_CREW = "is no list of agents with role, goal and backstory, as CrewAI's are"
_GOAL, _BACKSTORY = "## Goal\n\n", "\n\n## Backstory\n\n"  # what they stand below in a prompt


def read_crew(text: str, source: Path | None) -> list[Sheet]:
    """Read a file of CrewAI. Raises Fault with its line, and NotAPersona for YAML that is something else."""
    check_link(text)
    names = crew_names(text)
    if not names:
        raise NotAPersona("has no names of agents at the beginning of its lines, as the agents of CrewAI have")
    if not _SAYS.search(text):
        raise NotAPersona(_NO_CREW)
    parts = read_parts(text)
    if not any({*PARTS} & {*_inner(part)} for part in parts.values()):
        raise NotAPersona(_NO_CREW)
    if len(parts) > MAX_SHEETS:
        raise Fault(1, f"has more than {MAX_SHEETS} agents; split the file")
    sheets: list[Sheet] = []
    for name, part in parts.items():
        if name not in names:
            raise Fault(part.line, f"{name[:40]!r} must stand at the beginning of a line, followed by a colon alone")
        inner = part.parts()
        keys = {key: plain(each.plain(), each.line) for key, each in inner.items()}
        lines = {key: each.line for key, each in inner.items()}
        if missing := [key for key in PARTS[1:] if not _text(keys, key)]:
            raise Fault(part.line, f"{name} has no {missing[0]}; CrewAI needs role, goal and backstory")
        sheets.append(Sheet(Format.CREWAI, name, keys, composed(keys), lines, lines["backstory"], source=source))
    return sheets


def _inner(part: Part) -> Mapping[str, Part]:
    """Return the keys of a part, none if it has none."""
    try:
        return part.parts()
    except Fault:
        return {}


def _text(keys: Mapping[str, Any], key: str) -> str:
    value = keys.get(key)
    return "" if value is None or isinstance(value, dict | list) else spelled(value)


def composed(keys: Mapping[str, Any]) -> str:
    """Return the prompt that goal and backstory make."""
    return f"{_GOAL}{_text(keys, 'goal')}{_BACKSTORY}{_text(keys, 'backstory')}"


def parted(prompt: str) -> dict[str, str]:
    """Return goal and backstory of a prompt that they make, {} for any other."""
    goal, between, backstory = prompt.strip("\n").removeprefix(_GOAL).partition(_BACKSTORY)
    keys = {"goal": goal, "backstory": backstory}
    return keys if between and prompt.startswith(_GOAL) and composed(keys) == prompt.strip("\n") else {}


def write_crew(agents: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a file of CrewAI with these agents."""
    return "\n".join(write_yaml({name: dict(keys)}) for name, keys in agents.items())
