"""How a file tells whose it is: by its name, its folder, or the keys that only one tool has."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ..persona import OWN_KEYS, Persona
from .sheet import Format

_FOLDERS = {
    ".claude": Format.CLAUDE, ".codex": Format.CODEX, ".gemini": Format.GEMINI, ".opencode": Format.OPENCODE,
    ".github": Format.COPILOT,
}  # fmt: skip
_MARKS = {  # keys that tell whose a file is, if its name and its folder do not
    Format.OPENCODE: {"permission", "mode", "maxSteps", "steps", "disable", "hidden", "top_p"},
    Format.GEMINI: {"max_turns", "timeout_mins", "kind", "temperature"},
    Format.COPILOT: {
        "mcp-servers", "handoffs", "argument-hint", "infer", "user-invocable", "disable-model-invocation", "target",
    },
    Format.CLAUDE: {
        "tools", "disallowedTools", "permissionMode", "maxTurns", "color", "skills", "mcpServers", "hooks", "memory",
        "background", "isolation", "effort", "initialPrompt",
    },
}  # fmt: skip
_SHARED = {"id", "name", "description", "model", "extra"}  # keys that tell nothing: files of ours have them as well
_MARKED = re.compile(rf"(?m)^({'|'.join(sorted({key for keys in _MARKS.values() for key in keys}))})[ \t]*:")
_NEAR = 8  # folders above a file that may tell whose it is
_HEAD = 4096  # letters in which an unmarked file is looked through for marks


def form_of_name(path: Path) -> Format | None:
    """Return whose a file is by its name and its folders, None if they do not tell."""
    if path.name.endswith((".agent.md", ".chatmode.md")):
        return Format.COPILOT
    if path.suffix in {".yaml", ".yml"}:
        return Format.CREWAI
    if path.suffix == ".toml":
        return Format.CODEX
    above = path.parts[-2 : -_NEAR - 2 : -1]
    near = above[: above.index(".team")] if ".team" in above else above
    if form := next((_FOLDERS[part] for part in near if part in _FOLDERS), None):
        return form
    return Format.EGREGORA if path.name in {"prompt.md", "prompt.md.j2"} else None


def form_of_keys(keys: Collection[str]) -> Format | None:
    """Return whose a Markdown file is by its keys, None for one of ours."""
    if {*keys} & ({*OWN_KEYS} - _SHARED):
        return None
    scores = {form: len(marks & {*keys}) for form, marks in _MARKS.items()}
    best = max(scores, key=lambda form: scores[form])
    return best if scores[best] else None


def is_marked(text: str, path: Path) -> bool:
    """Tell whether a file in `.team/personas` may be another tool's, after a short look; most are ours."""
    head = text.find("\n---", 3)
    return form_of_name(path) is not None or bool(_MARKED.search(text, 0, head if head > 0 else _HEAD))


def in_shape(persona: Persona) -> Persona:
    """Return a persona whose braces are text if they cannot be rendered, if its file may as well be another tool's."""
    named = persona.name == persona.id and persona.description
    plain = not (persona.extra or persona.emoji or persona.role or persona.paths or persona.agent)
    return replace(persona, template=None) if named and plain and persona.template else persona
