"""A persona: a role with a prompt, read from a Markdown file with front matter.

Here outside data enters: a file becomes a Persona, or a PersonaError that names file and line, never anything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..mail.directory import EVERYBODY, PROGRAMS, Directory
from ..mail.errors import UsageError
from ..mail.globs import is_from_top
from ..mail.nearest import nearest
from ..mail.render import line
from ..mail.units import seconds
from .errors import PersonaError
from .frontmatter import BOOLEANS, Fault, Part, read_front

MAX_FILE = 256 << 10  # bytes
_KNOWN = frozenset({"schedule", "hired_by", "pronouns", "automation_mode"})  # others' keys, kept without a question


@dataclass(frozen=True)
class Persona:
    """Who works. `prompt` is a Jinja2 template; `line` is where in its file it begins.

    `agent` names a table of `[agents]`, None the team's own; `paths` are globs of what it may change, none for
    everything; `timeout` is in seconds, None the agent's own; one of higher `priority` launches and lands earlier.
    """

    id: str
    name: str
    prompt: str
    emoji: str = ""
    description: str = ""
    role: str = ""
    agent: str | None = None
    paths: tuple[str, ...] = ()
    timeout: float | None = None
    scheduled: bool = True
    priority: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source: Path | None = None
    line: int = 1


def parse_persona(text: str, source: Path, id: str | None = None) -> Persona:
    """Read a persona from its file's text; `id` is its address, by default the file's name.

    Raises PersonaError: file, line, what is wrong and what to write.
    """
    try:
        return _parse(text, source, name_of(source) if id is None else id)
    except Fault as fault:
        raise PersonaError(f"{line(str(source))}:{fault.line}: {line(str(fault))}") from None


def name_of(path: Path) -> str:
    """Return the name that a persona's file or folder gives it: `curator` for `curator.md` and `curator/prompt.md`."""
    return (path.parent if path.name.startswith("prompt.md") else path).name.split(".")[0]


def _parse(text: str, source: Path, id: str) -> Persona:
    parts, prompt, start = read_front(text)
    _check_id(id, parts.get("id"))
    if not prompt.strip():
        missing = "there is no prompt below the front matter" if start > 1 else "the file is empty"
        raise Fault(start, f"{missing}; write what the persona is to do")
    return Persona(
        id,
        _text(parts, "name") or id.replace("-", " ").replace("_", " ").capitalize(),
        prompt.strip("\n") + "\n",
        emoji=_text(parts, "emoji"),
        description=_text(parts, "description"),
        role=_text(parts, "role"),
        agent=_text(parts, "agent") or None,
        paths=_paths(parts.get("paths")),
        timeout=_timeout(parts.get("timeout")),
        scheduled=_scheduled(parts.get("scheduled")) and id not in PROGRAMS,
        priority=_priority(parts.get("priority")),
        extra=_extra(parts),
        source=source,
        line=start + len(prompt) - len(prompt.lstrip("\n")),
    )


def _check_id(id: str, told: Part | None) -> None:
    """See that the address can be written to: `team-mail` takes it from the file's name, not from what stands in it."""
    at = told.line if told else 1
    try:
        valid = Directory().checked(id) == id and id != EVERYBODY
    except UsageError:
        valid = False
    if not valid:
        raise Fault(1, f"{id[:80]!r} is no name for a persona; rename the file: letters, digits, '_', '-', and not all")
    if told and (said := told.text()) != id:
        raise Fault(at, f"id is {said[:80]!r} but its mail goes to {id!r}, the file's name; make them one")


def _text(parts: Mapping[str, Part], key: str) -> str:
    return " ".join(parts[key].text().split()) if key in parts else ""


def _timeout(part: Part | None) -> float | None:
    if part is None or not (text := part.text()):
        return None
    try:
        if length := seconds(float(text) if text.isdecimal() and text.isascii() else text):
            return length
    except ValueError as error:
        raise part.fault(f"{text[:40]!r} {error}") from None
    raise part.fault("0 must be a span of time above 0; leave it out for the agent's own")


def _scheduled(part: Part | None) -> bool:
    if part is None or not (text := part.text()):
        return True
    if text.lower() not in BOOLEANS:
        raise part.fault(f"is {text[:40]!r}; write true or false")
    return BOOLEANS[text.lower()]


def _priority(part: Part | None) -> int:
    if part is None or not (text := part.text()):
        return 0
    if not re.fullmatch(r"[+-]?\d{1,6}", text, re.ASCII):
        raise part.fault(f"is {text[:40]!r}; write a whole number such as 10")
    return int(text)


def _paths(part: Part | None) -> tuple[str, ...]:
    """Read the globs that a persona may change. A list with nothing in it is refused: it would mean everything."""
    if part is None:
        return ()
    globs = tuple(_glob(item) for item in part.items())
    if not globs:
        raise part.fault("is an empty list; name what it may change, or leave it out for everything")
    return globs


def _glob(part: Part) -> str:
    glob = part.text()
    glob += "**" if glob.endswith("/") else ""
    if not is_from_top(glob):
        raise part.fault(f"holds {glob[:80]!r}; write globs from the top of the repository, as docs/** or *.md")
    return glob


def _extra(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Keep what is not ours, but no slip of the pen: `path:` for `paths:` would let a persona change everything."""
    own = sorted({*Persona.__dataclass_fields__} - {"prompt", "extra", "source", "line"})
    extra = {key: part for key, part in parts.items() if key not in own}
    for key, part in extra.items():
        if key not in _KNOWN and (near := nearest(key, own, most=1, cutoff=0.85)):
            raise part.fault(f"is no key; did you mean {near[0]}?")
    return {key: part.plain() for key, part in extra.items()}
