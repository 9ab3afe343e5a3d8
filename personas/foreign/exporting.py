"""A persona of ours as a file of another tool: in that tool's words, and what they cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

from ...mail.text.units import seconds, span
from ..frontmatter import Fault, number
from ..persona import Persona, default_name
from .access import spelled_access
from .codex import write_codex
from .crew import composed, parted, write_crew
from .mapping import (
    ACCESS,
    DESCRIPTION,
    GROUPS,
    MODEL,
    NAME,
    PROMPT,
    ROLE,
    TIMEOUT,
    Mapped,
    has_braces,
    is_ours,
    persona_of,
)
from .markdown import write_markdown
from .sheet import Format, Sheet

FILES = {  # where each tool looks for its files
    Format.CLAUDE: ".claude/agents/{id}.md",
    Format.CODEX: ".codex/agents/{id}.toml",
    Format.COPILOT: ".github/agents/{id}.agent.md",
    Format.CREWAI: "agents.yaml",
    Format.EGREGORA: "personas/{id}/prompt.md.j2",
    Format.GEMINI: ".gemini/agents/{id}.md",
    Format.OPENCODE: ".opencode/agents/{id}.md",
}
_SLUGS = {Format.CLAUDE, Format.CODEX, Format.GEMINI}  # whose names are ids
# Keys of ours that a format has as they are.
NATIVE = {Format.EGREGORA: ("id", "emoji", "scheduled")}
_OURS = {  # what no other format says
    "after": "others are not waited for",
    "deliver": "mail waits until it is called",
    "priority": "there is no order of landing",
    "sparse": "all folders are there",
    "emoji": "it has none",
}
_SAID = {
    NAME: ("name",), DESCRIPTION: ("description",), MODEL: ("model",), ACCESS: ("paths", "commands"),
    TIMEOUT: ("timeout",), ROLE: ("role",), PROMPT: ("prompt",),
}  # fmt: skip


class Exported(NamedTuple):
    """The file of one persona, and the keys of ours that it does not say, each with what that means."""

    sheet: Sheet
    lost: tuple[str, ...]


def exported(persona: Persona, form: Format) -> Exported:
    """Return a persona in the words of a tool.

    What an import kept of that tool's own keys is said again in them, as long as it still means the same.
    """
    extra = persona.extra.get(form.value)
    kept = dict(cast("dict[str, Any]", extra)) if isinstance(extra, dict) else {}
    said = spelled_groups(form, persona)
    keys: dict[str, Any] = {}
    for group, names in GROUPS[form].items():
        before = {key: kept[key] for key in names if key in kept}
        beside = {key: kept[key] for key in _SAID[group] if key in kept}  # of ours, which beat them
        keys |= before if before and _means_it(persona, form, group, beside | before) else said.get(group, {})
    rest = dict(_others(persona, form, kept))
    if form == Format.EGREGORA:
        own = own_keys(persona)
        keys = {key: own[key] for key in NATIVE[form] if own.get(key) not in {None, True}} | keys
    prompt = _prompt(persona, form)
    sheet = Sheet(form, persona.id, keys | rest, composed(keys) if form == Format.CREWAI else prompt)
    return Exported(sheet, tuple(_lost(persona, form, sheet)))


def _others(persona: Persona, form: Format, kept: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the kept keys that nothing comes of, and those of ours that somebody wrote in, as they are now."""
    own = own_keys(persona)
    for key, value in kept.items():
        if any(key in names for names in GROUPS[form].values()):
            continue
        if not is_ours(form, key) or _means_it(persona, form, key, {key: value}):
            yield key, value
        elif key in own:
            yield key, own[key]


def own_keys(persona: Persona) -> dict[str, Any]:
    """Return the front matter of a persona: the keys that are not as they would be without a word."""
    scheduled: Any = "mail" if persona.by_mail and persona.scheduled else persona.scheduled
    front: dict[str, Any] = {"id": persona.id}
    if persona.name != default_name(persona.id):
        front["name"] = persona.name
    for key in ("emoji", "description", "role", "agent", "model"):
        if value := getattr(persona, key):
            front[key] = value
    for key in ("paths", "commands", "sparse"):
        if (globs := getattr(persona, key)) is not None:
            front[key] = [*globs]
    if persona.timeout is not None:
        exact = seconds(text := span(persona.timeout)) == persona.timeout
        front["timeout"] = text if exact else f"{number(persona.timeout)}s"
    front["scheduled"] = scheduled
    front |= {key: value for key in ("priority", "deliver") if (value := getattr(persona, key))}
    if persona.after:
        front["after"] = [*persona.after]
    if persona.template is not True and has_braces(persona.prompt):
        front["template"] = False
    return front


def _means_it(persona: Persona, form: Format, group: str, keys: Mapping[str, Any]) -> bool:
    """Tell whether keys of a tool still say what the persona is."""
    prompt = composed(keys) if group == PROMPT else "a prompt"
    if group == DESCRIPTION and GROUPS[form][NAME]:  # a description that is the name alone is none
        keys = {"name": persona.name, **keys}
    try:
        again = persona_of(Sheet(form, persona.id, keys, prompt)).persona
    except Fault:
        return False
    if group == PROMPT:
        return again.prompt == persona.prompt
    return all(getattr(again, name) == getattr(persona, name) for name in _SAID.get(group, (group,)))


def spelled_groups(form: Format, persona: Persona) -> dict[str, dict[str, Any]]:
    """Return what a tool's words for a persona are, by what they say, for a persona that no file of it was read for."""
    names = GROUPS[form]
    groups: dict[str, dict[str, Any]] = {}
    if names[NAME] and form in _SLUGS | {Format.COPILOT, Format.EGREGORA}:
        groups[NAME] = {"name": persona.id if form in _SLUGS else persona.name}
    if names[DESCRIPTION] and (persona.description or form != Format.EGREGORA):
        groups[DESCRIPTION] = {"description": persona.description or persona.role or persona.name}
    if names[MODEL] and persona.model:
        groups[MODEL] = {names[MODEL][0]: persona.model}
    groups[ACCESS] = spelled_access(form, persona.paths, persona.commands)[0]
    if names[TIMEOUT] and persona.timeout is not None:
        length = persona.timeout / (60 if form == Format.GEMINI else 1)
        rounded = round(length, 3) or 0.001
        groups[TIMEOUT] = {names[TIMEOUT][0]: int(rounded) if rounded == int(rounded) else float(number(rounded))}
    if form == Format.CREWAI:
        groups[ROLE] = {"role": persona.role or persona.name}
        goal = persona.description or persona.role or persona.name
        groups[PROMPT] = parted(persona.prompt) or {"goal": goal, "backstory": persona.prompt.strip("\n")}
    return groups


def _prompt(persona: Persona, form: Format) -> str:
    """Return the prompt: for a tool that renders it, braces that are text are marked as such."""
    raw = form == Format.EGREGORA and persona.template is False and has_braces(persona.prompt)
    text = persona.prompt.strip("\n")
    if raw and "endraw" in text:
        return text.replace("{", "{{ '{' }}")
    return f"{{% raw %}}{text}{{% endraw %}}" if raw else text


def _lost(persona: Persona, form: Format, sheet: Sheet) -> list[str]:
    """Return what the file does not say of the persona."""
    lost = [f"{key}: {why}" for key, why in _OURS.items() if getattr(persona, key) and not _says(form, key)]
    lost += spelled_access(form, persona.paths, persona.commands)[1] if not _says_access(persona, sheet) else []
    if persona.timeout is not None and not GROUPS[form][TIMEOUT]:
        lost.append("timeout: it has none")
    if persona.model and not GROUPS[form][MODEL]:
        lost.append("model: it names none")
    if persona.role and form not in {Format.CREWAI, Format.EGREGORA}:
        lost.append("role: it has none")
    if persona.agent:
        lost.append("agent: the tool itself plays it")
    if persona.scheduled and form != Format.EGREGORA:
        lost.append("scheduled: it is called, and has no standing duty there")
    if persona.template is True and has_braces(persona.prompt) and form != Format.EGREGORA:
        lost.append("prompt: its variables are not filled in there")
    others = [key for key in persona.extra if key != form.value]
    return [*lost, *(f"{key}: is not its own" for key in others)]


def _says(form: Format, key: str) -> bool:
    return form == Format.EGREGORA and key == "emoji"


def _says_access(persona: Persona, sheet: Sheet) -> bool:
    try:
        again = persona_of(replace(sheet, prompt="a prompt")).persona
    except Fault:
        return False
    return (again.paths, again.commands) == (persona.paths, persona.commands)


def written(sheets: Sequence[Sheet]) -> str:
    """Return the text of a file: of one sheet, or of several for CrewAI."""
    sheet = sheets[0]
    if sheet.format == Format.CREWAI:
        return write_crew({each.id: each.keys for each in sheets})
    if sheet.format == Format.CODEX:
        return write_codex(sheet.keys, sheet.prompt)
    return write_markdown(sheet.keys, sheet.prompt)


__all__ = ["FILES", "Exported", "Mapped", "exported", "spelled_groups", "written"]
