"""A persona: a role with a prompt, read from a Markdown file with front matter.

The file is outside data: it becomes either a Persona or a PersonaError that names file and line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..mail.directory import EVERYBODY, PROGRAMS, Directory
from ..mail.errors import UsageError
from ..mail.render import line
from ..mail.text.globs import is_from_top, is_path
from ..mail.text.nearest import nearest
from ..mail.text.units import seconds
from .errors import PersonaError
from .frontmatter import BOOLEANS, Fault, Part, read_front
from .running.rules import Rules

DELIVERIES = ("next", "running")
MAX_FILE = 256 << 10  # bytes
LABEL = r"[a-z0-9][a-z0-9_.-]{0,39}"
MOST_LABELS = 6  # of one persona, or one worker
_KNOWN = frozenset({"mode", "schedule", "hired_by", "pronouns", "automation_mode"})  # of other tools, kept as they are
_ALIASES = frozenset({"path", "allowedpaths", "allowpaths", "pathsallowed", "writepaths", "writablepaths"})


@dataclass(frozen=True)
class Persona:
    """A role in the team. `prompt` starts at `line` of its file, `source`.

    It is a Jinja2 template if `template` is True; with None it is one where it can be rendered, else text as it stands.

    `agent` names a table in `[agents]`; None means the team's default. `paths` are globs of the files it may change:
    an empty tuple means none, None means any. `timeout` is in seconds; None means the agent's own. Personas of higher
    `priority` are launched and landed earlier; in each sprint, it starts `after` the work of others is woven. One that
    is scheduled `by_mail` takes part once it has mail. `sparse` are the folders that its workspaces hold; None means
    those of the settings. `model` is the one that its runs ask for, empty for the agent's own. `commands` are globs of
    the commands that an agent which asks may run: an empty tuple means none, None means any. Where runs are offered to
    workers, only one with all of its `labels` takes them. `deliver` is "running" for mail that reaches its runs while
    they go on, "next" for mail that waits; empty means as the settings say. `extra` has the keys that are not ours.
    """

    id: str
    name: str
    prompt: str
    emoji: str = ""
    description: str = ""
    role: str = ""
    agent: str | None = None
    paths: tuple[str, ...] | None = None
    timeout: float | None = None
    scheduled: bool = True
    priority: int = 0
    after: tuple[str, ...] = ()
    by_mail: bool = False
    sparse: tuple[str, ...] | None = None
    model: str = ""
    commands: tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()
    template: bool | None = True
    deliver: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source: Path | None = None
    line: int = 1

    @property
    def asked(self) -> dict[str, Any]:
        """What each of its runs is told of it, as fields of a `Job`."""
        return {"rules": Rules(self.paths, self.commands), "model": self.model}


def parse_persona(text: str, source: Path, id: str | None = None) -> Persona:
    """Parse the text of a persona file. `id` is the persona's address, by default the file's name.

    Raises PersonaError with file, line, what is wrong and what to write.
    """
    try:
        return _parse(text, source, name_of(source) if id is None else id)
    except Fault as fault:
        raise PersonaError(f"{line(str(source))}:{fault.line}: {line(str(fault))}") from None


def name_of(path: Path) -> str:
    """Return a persona's name from its file: `curator` for `curator.md` and `curator/prompt.md`."""
    return (path.parent if path.name.startswith("prompt.md") else path).name.split(".")[0]


def _parse(text: str, source: Path, id: str) -> Persona:
    parts, prompt, start = read_front(text, OWN_KEYS)
    if not prompt.strip():
        missing = "there is no prompt below the front matter" if start > 1 else "the file is empty"
        raise Fault(start, f"{missing}; write what the persona should do")
    return made_persona(id, parts, prompt, start, source)


def made_persona(id: str, parts: Mapping[str, Part], prompt: str, start: int, source: Path | None) -> Persona:
    """Make a persona of the values of its front matter and of its prompt, which starts at line `start`.

    Raises Fault with the line of a value.
    """
    check_id(id, parts.get("id"))
    return Persona(
        id,
        _text(parts, "name") or default_name(id),
        prompt.strip("\n") + "\n",
        emoji=_text(parts, "emoji"),
        description=_text(parts, "description"),
        role=_text(parts, "role"),
        agent=_text(parts, "agent") or None,
        paths=_paths(parts.get("paths")),
        timeout=_timeout(parts.get("timeout")),
        scheduled=_scheduled(parts.get("scheduled")) and id not in PROGRAMS,
        by_mail=_is_by_mail(parts.get("scheduled")),
        priority=_priority(parts.get("priority")),
        after=_after(parts.get("after")),
        sparse=_sparse(parts.get("sparse")),
        model=_model(parts.get("model")),
        commands=_commands(parts.get("commands")),
        labels=_labels(parts.get("labels")),
        template=_is_template(parts.get("template"), source),
        deliver=_deliver(parts.get("deliver")),
        extra=_extra(parts),
        source=source,
        line=start + len(prompt) - len(prompt.lstrip("\n")),
    )


def default_name(id: str) -> str:
    """Return what a persona is called whose file gives it no name: `Code reviewer` for `code-reviewer`."""
    return id.replace("-", " ").replace("_", " ").capitalize()


def check_id(id: str, part: Part | None) -> None:
    """Check that mail can reach the persona: its address is the file's name, whatever `id` in the file says."""
    try:
        valid = Directory().checked(id) == id and id != EVERYBODY
    except UsageError:
        valid = False
    if not valid:
        raise Fault(
            1, f"{id[:80]!r} is not a valid name for a persona; rename the file: letters, digits, '_', '-', not `all`"
        )
    if part and (text := part.text()) != id:
        raise Fault(part.line, f"id is {text[:80]!r} but its mail goes to {id!r}, the file's name; make them equal")


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
    if _is_by_mail(part):
        return True
    if text.lower() not in BOOLEANS:
        raise part.fault(f"is {text[:40]!r}; write true, false, or mail: launched by mail only")
    return BOOLEANS[text.lower()]


def _is_by_mail(part: Part | None) -> bool:
    return part is not None and part.text().lower() == "mail"


def _is_template(part: Part | None, source: Path | None) -> bool:
    """Tell whether a prompt is rendered: as its file says, and without a word every one of ours is."""
    if part is None or not (text := part.text()):
        return True
    if text.lower() not in BOOLEANS:
        raise part.fault(f"is {text[:40]!r}; write true, or false for a prompt whose braces are text")
    if not BOOLEANS[text.lower()] and source and source.name.endswith(".j2"):
        raise part.fault("is false, and a file named .j2 is a template; leave it out, or rename the file")
    return BOOLEANS[text.lower()]


def _deliver(part: Part | None) -> str:
    if part is None or not (text := part.text()):
        return ""
    if text not in DELIVERIES:
        raise part.fault(f"is {text[:40]!r}; write running for mail that reaches its runs, or next")
    return text


def _priority(part: Part | None) -> int:
    if part is None or not (text := part.text()):
        return 0
    if not re.fullmatch(r"[+-]?\d{1,6}", text, re.ASCII):
        raise part.fault(f"is {text[:40]!r}; write a whole number such as 10")
    return int(text)


def _after(part: Part | None) -> tuple[str, ...]:
    """Return the ids of the personas that a persona waits for, each once."""
    items = part.items() if part is not None else []
    return tuple(dict.fromkeys(name for item in items if (name := item.text())))


def _paths(part: Part | None) -> tuple[str, ...] | None:
    """Return the globs of the files a persona may change: none for an empty list, None if all of them."""
    return None if part is None else tuple(_glob(item) for item in part.items())


def _sparse(part: Part | None) -> tuple[str, ...] | None:
    """Return the folders that a persona's workspaces hold: all for an empty list, None for those of the settings."""
    return None if part is None else tuple(_folder(item) for item in part.items())


def _model(part: Part | None) -> str:
    """Return the model that is asked for: of a list, as Copilot has them, the first one."""
    return next((item.text() for item in part.items()), "") if part is not None else ""


def _commands(part: Part | None) -> tuple[str, ...] | None:
    """Return the globs of the commands that a persona may run: none for an empty list, None if all of them."""
    return None if part is None else tuple(_command(item) for item in part.items())


def _labels(part: Part | None) -> tuple[str, ...]:
    """Return the labels that a worker must have, each once."""
    labels = dict.fromkeys(map(_label, part.items() if part is not None else []))
    if part is not None and len(labels) > MOST_LABELS:
        raise part.fault(f"has {len(labels)} labels; write {MOST_LABELS} at most")
    return tuple(labels)


def _label(part: Part) -> str:
    if not re.fullmatch(LABEL, label := part.text()):
        raise part.fault(f"has {label[:80]!r}; write labels such as gpu: small letters, digits, '_', '.' and '-'")
    return label


def _command(part: Part) -> str:
    if not (command := " ".join(part.text().split())):
        raise part.fault("has an empty command; write commands such as `npm test` or `git *`")
    return command


def _folder(part: Part) -> str:
    folder = part.text().rstrip("/")
    if not is_path(folder) or not is_from_top(folder):
        raise part.fault(f"has {folder[:80]!r}; write folders from the top of the repository, such as docs or src/api")
    return folder


def _glob(part: Part) -> str:
    glob = part.text()
    glob += "**" if glob.endswith("/") else ""
    if not is_from_top(glob):
        raise part.fault(
            f"has {glob[:80]!r}; write globs relative to the top of the repository, such as docs/** or *.md"
        )
    return glob


OWN_KEYS = tuple(sorted({*Persona.__dataclass_fields__} - {"prompt", "extra", "source", "line"}))


def _meant(key: str) -> str | None:
    """Return the key of ours that a key resembles, whatever its case and the marks in it."""
    plain = re.sub(r"[\W_]", "", key).lower()
    if plain in _ALIASES or sorted(plain) in (sorted("path"), sorted("paths")):
        return "paths"
    near = nearest(plain, OWN_KEYS, most=1, cutoff=0.8 if plain[:2] == "pa" else 0.85)
    return near[0] if near else None


def meant(key: str) -> str | None:
    """Return the key of ours that a key is a likely typo of, None for one that is known to be another tool's."""
    return None if key in _KNOWN else _meant(key)


def _extra(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Return the keys that are not ours. A likely typo is refused: `path:` for `paths:` would allow every file."""
    extra = {key: part for key, part in parts.items() if key not in OWN_KEYS}
    for key, part in extra.items():
        if near := meant(key):
            raise part.fault(f"is not a key; did you mean {near}?")
    return {key: part.plain() for key, part in extra.items()}
