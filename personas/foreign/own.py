"""A persona as a file of ours, which keeps what its own tool said under that tool's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...mail.text.units import span
from ..errors import PersonaError
from ..frontmatter import Fault
from ..persona import MAX_FILE, Persona, default_name, parse_persona
from .exporting import spelled_groups
from .mapping import Mapped, grouped, has_braces
from .markdown import write_markdown
from .sheet import Format, Sheet


def own_file(sheet: Sheet, mapped: Mapped) -> str:
    """Return the file of ours that is written for a persona of another tool. Raises Fault if it cannot be one of ours.

    Keys of the tool that are not said in our own words are kept below its name, for the way back.
    """
    persona = mapped.persona
    kept = _kept(sheet, persona)
    front = own_keys(persona) | ({sheet.format.value: kept} if kept else {})
    text = write_markdown(front, persona.prompt)
    if len(text.encode()) > MAX_FILE:
        raise Fault(1, f"becomes longer than {MAX_FILE >> 10} KiB; a prompt is a page or two")
    try:
        again = parse_persona(text, Path(f"{persona.id}.md"))
    except PersonaError as error:
        raise Fault(1, f"cannot be written as a file of ours: {error}") from None
    if again.prompt != persona.prompt:
        raise Fault(sheet.start, "the prompt cannot be written as a file of ours, because of its line ends")
    return text


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
        front["timeout"] = span(persona.timeout)
    front["scheduled"] = scheduled
    if persona.priority:
        front["priority"] = persona.priority
    if persona.after:
        front["after"] = [*persona.after]
    if persona.template is not True and has_braces(persona.prompt):
        front["template"] = False
    return front


def _kept(sheet: Sheet, persona: Persona) -> dict[str, Any]:
    """Return the keys that our own words do not say: all of a group, or none, and all that nothing comes of."""
    said, own = spelled_groups(sheet.format, persona), own_keys(persona)
    kept: dict[str, Any] = {}
    for group, keys in grouped(sheet).items():
        rest = keys if group else {key: value for key, value in keys.items() if key not in own and key != "template"}
        if group == "" or keys != said.get(group, {}):
            kept |= rest
    return kept


__all__ = ["Format", "own_file", "own_keys"]
