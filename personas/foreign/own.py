"""A persona as a file of ours, which keeps what its own tool said under that tool's name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import PersonaError
from ..frontmatter import MAX_FRONT, Fault, write_yaml
from ..persona import MAX_FILE, Persona, parse_persona
from .crew import composed
from .exporting import NATIVE, own_keys, spelled_groups
from .mapping import PROMPT, Mapped, grouped
from .markdown import write_markdown
from .sheet import Sheet


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


def _kept(sheet: Sheet, persona: Persona) -> dict[str, Any]:
    """Return the keys that our own words do not say: all of a group, or none, and all that nothing comes of."""
    said, native = spelled_groups(sheet.format, persona), NATIVE.get(sheet.format, ())
    kept: dict[str, Any] = {}
    for group, keys in grouped(sheet).items():
        if group == PROMPT and _is_long(keys) and composed(keys) == composed(said.get(group, {})):
            continue  # at most the spaces around it differ, and twice it would be too long
        if group == "" or keys != said.get(group, {}):
            kept |= {key: value for key, value in keys.items() if key not in native}
    return kept


def _is_long(keys: Mapping[str, Any]) -> bool:
    return len(write_yaml(keys)) > MAX_FRONT // 2
