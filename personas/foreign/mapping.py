"""What a persona of ours follows from a file of another tool, and what does not follow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

from ...mail.directory import PROGRAMS
from ...mail.text.units import span
from ..frontmatter import BOOLEANS, Fault, Part, read_parts, write_yaml
from ..persona import OWN_KEYS, Persona, made_persona, meant
from ..prompt import Situation
from . import access
from .reasons import REASONS, why_not
from .sheet import Format, Note, Sheet, spelled

MOST_DESCRIPTION = 300  # letters: all the others read it in their prompts
SCHEDULED = frozenset({Format.EGREGORA})  # whose personas have a standing duty unless they say otherwise
NAME, DESCRIPTION, MODEL, ACCESS, TIMEOUT, ROLE, PROMPT = (
    "name", "description", "model", "access", "timeout", "role", "prompt",
)  # fmt: skip
# The keys of each format by what they say of a persona; the first of each is the one that is written.
GROUPS: Mapping[Format, Mapping[str, tuple[str, ...]]] = {
    form: {
        NAME: () if form == Format.CREWAI else ("name",),
        DESCRIPTION: () if form == Format.CREWAI else ("description",),
        MODEL: {Format.CREWAI: ("llm",), Format.EGREGORA: ()}.get(form, ("model",)),
        ACCESS: access.KEYS[form],
        TIMEOUT: {Format.GEMINI: ("timeout_mins",), Format.CREWAI: ("max_execution_time",)}.get(form, ()),
        ROLE: ("role",) if form == Format.CREWAI else (),
        PROMPT: ("goal", "backstory") if form == Format.CREWAI else (),
    }
    for form in Format
}
# Keys that the formats share with us, each with another meaning.
_THEIRS = {
    Format.COPILOT: {"agent", "model", "name", "description"},
    Format.CREWAI: {"role", "tools", "model", "name", "description"},
}
_PRESETS = {form: form.value for form in (Format.CLAUDE, Format.CODEX, Format.COPILOT, Format.GEMINI, Format.OPENCODE)}
_OURS = re.compile(rf"\{{\{{-?\s*(situation|{'|'.join(Situation.__dataclass_fields__)})\b")  # somebody means a template
_EXAMPLES = re.compile(r"\n\s*\n|<example>|\b[Ee]xamples?:\s|\\n", re.DOTALL)


class Mapped(NamedTuple):
    """A persona, and what became of the keys of its file; `off` tells that its tool would not use it."""

    persona: Persona
    notes: tuple[Note, ...]
    off: bool = False

    @property
    def lost(self) -> tuple[Note, ...]:
        """The notes of what has no effect here."""
        return tuple(note for note in self.notes if note.lost)


def known_keys() -> frozenset[str]:
    """Return every key that a file of any format may have."""
    grouped = {key for groups in GROUPS.values() for keys in groups.values() for key in keys}
    return frozenset({*grouped, *REASONS, *OWN_KEYS, "disable"})


def persona_of(sheet: Sheet, agents: Mapping[str, str] | None = None, *, scheduled: bool = False) -> Mapped:
    """Return the persona that follows from a sheet. Raises Fault with the line of what cannot be read.

    Args:
        sheet: The file as it stands.
        agents: The agent of the team that plays what is written for a preset, by preset; "" for the team's default.
        scheduled: Whether it takes part in sprints if its file does not say so.
    """
    own = _own(sheet)
    base = _base(sheet, own)
    allowed = access.access(sheet)
    (model, of_model), (timeout, of_timeout), (agent, of_agent) = _model(sheet), _timeout(sheet), _agent(sheet, agents)
    by_default = scheduled or sheet.format in SCHEDULED
    persona = replace(
        _worded(sheet, base),
        agent=base.agent or agent,
        model=base.model or model,
        paths=base.paths if "paths" in own else allowed.paths,
        commands=base.commands if "commands" in own else allowed.commands,
        timeout=base.timeout if "timeout" in own else timeout,
        scheduled=base.scheduled if "scheduled" in own else by_default and sheet.id not in PROGRAMS,
        template=base.template if "template" in own or _is_template_file(sheet) else False,
        extra={},
    )
    notes = [*sheet.notes, *allowed.notes, *_of_description(sheet), *of_model, *of_timeout, *of_agent]
    notes += [*_rest(sheet, own), *_template(sheet, own)]
    notes = [note if note.source else replace(note, source=sheet.source) for note in notes]
    return Mapped(persona, tuple(sorted(notes, key=lambda note: note.line)), _is_off(sheet))


def _base(sheet: Sheet, own: Mapping[str, Part]) -> Persona:
    """Return the persona that the prompt and the keys of ours make, before the tool's words. Raises Fault."""
    if not sheet.prompt.strip():
        raise Fault(sheet.start, "there is no prompt; write what the persona should do")
    try:
        return made_persona(sheet.id, own, sheet.prompt, sheet.start, sheet.source)
    except Fault as fault:
        raise Fault(_place(sheet, fault), str(fault)) from None


def _worded(sheet: Sheet, base: Persona) -> Persona:
    """Return the persona as its tool calls and describes it."""
    said = " ".join(sheet.text("name").split())
    name = base.name if said in {"", sheet.id} else said
    description = short(sheet.text("description"))[0]
    if description in {name, short(name)[0]}:
        description = ""
    if sheet.format != Format.CREWAI:
        return replace(base, name=name, description=description)
    role = " ".join(sheet.text("role").split())
    return replace(base, name=name, description=description or short(sheet.text("goal"))[0], role=role)


def _of_description(sheet: Sheet) -> Iterator[Note]:
    """Yield what becomes of a description that is no text, or a long one."""
    if isinstance(sheet.keys.get("description"), dict | list):
        yield sheet.note("description", "is no text; write one line that says what it does")
    if short(sheet.text("description"))[1]:
        yield sheet.note("description", "is shortened: every persona reads it in its prompt", lost=False)


def _is_off(sheet: Sheet) -> bool:
    """Tell whether the tool would not use it."""
    return any(BOOLEANS.get(sheet.text(key).lower(), False) for key in ("disable", "disabled"))


def short(description: str) -> tuple[str, bool]:
    """Return the beginning of a description, without examples, as one line; and whether more was there."""
    if not description.strip():
        return "", False
    whole = " ".join(description.split())
    first = " ".join(_EXAMPLES.split(description.strip(), maxsplit=1)[0].split())
    text = first if len(first) >= 10 else whole  # noqa: PLR2004
    if len(text) > MOST_DESCRIPTION:
        text = text[: MOST_DESCRIPTION - 1].rsplit(" ", 1)[0] + "…"
    return text, text != whole


def _own(sheet: Sheet) -> dict[str, Part]:
    """Return the keys of ours that a file of another tool has, because somebody wrote them in."""
    theirs = {key for keys in GROUPS[sheet.format].values() for key in keys} | _THEIRS.get(sheet.format, set())
    for key in sheet.keys:
        if (
            key not in theirs
            and key not in REASONS
            and key not in OWN_KEYS
            and (near := meant(key)) in {"paths", "commands"}
        ):
            raise Fault(sheet.lines.get(key, 1), f"{key} is not a key; did you mean {near}?")
    chosen = {key: value for key, value in sheet.keys.items() if is_ours(sheet.format, key)}
    chosen.pop("id", None) if sheet.format != Format.EGREGORA else None
    return read_parts(write_yaml(chosen)) if chosen else {}


def is_ours(form: Format, key: str) -> bool:
    """Tell whether a key in a file of another tool is one of ours that somebody wrote in."""
    grouped = any(key in keys for keys in GROUPS[form].values())
    return key in OWN_KEYS and not grouped and key not in _THEIRS.get(form, ())


def _place(sheet: Sheet, fault: Fault) -> int:
    key = str(fault).split(" ", 1)[0]
    return sheet.lines.get(key, 1)


def _model(sheet: Sheet) -> tuple[str, list[Note]]:
    key = next(iter(GROUPS[sheet.format][MODEL]), None)
    value = sheet.keys.get(key) if key else None
    if key is None or value is None or value in ("", [], {}):
        return "", []
    if isinstance(value, dict):
        return "", [sheet.note(key, "has settings of its own; write the model's name into its [agents] table")]
    notes: list[Note] = []
    if isinstance(value, list):
        several = cast("list[Any]", value)
        notes = [sheet.note(key, "the first of several is taken")] if len(several) > 1 else []
        value = several[0]
    name = " ".join(spelled(value).split())
    if name.lower() in {"inherit", "default", "auto"}:
        return "", [*notes, sheet.note(key, f"{name} is the model of its [agents] table", lost=False)]
    model = _of_copilot(name) if sheet.format == Format.COPILOT else name
    return model, [*notes, sheet.note(key, f"{model}, if the agent that plays it has that model", lost=False)]


def _of_copilot(name: str) -> str:
    """Return the name by which Copilot's command knows a model of its menu: `claude-sonnet-4.5`."""
    plain = re.sub(r"\s*\([^)]*\)\s*$", "", name)
    return re.sub(r"\s+", "-", plain.lower()) if " " in plain or plain != plain.lower() else plain


def _timeout(sheet: Sheet) -> tuple[float | None, list[Note]]:
    key = next(iter(GROUPS[sheet.format][TIMEOUT]), None)
    value = sheet.keys.get(key) if key else None
    if key is None or value is None:
        return None, []
    each = 60 if sheet.format == Format.GEMINI else 1
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value * each <= 366 * 86_400:
        return None, [sheet.note(key, "is no span of time; write timeout")]
    length = float(value * each)
    return length, [sheet.note(key, f"timeout: {span(length)}", lost=False)]


def _agent(sheet: Sheet, agents: Mapping[str, str] | None) -> tuple[str | None, list[Note]]:
    preset = _PRESETS.get(sheet.format)
    if agents is None or preset is None:
        return None, []
    if preset not in agents:
        why = f"is written for {preset}, of which team.toml has no table; the team's agent plays it"
        return None, [Note("format", 1, why, lost=False, source=sheet.source)]
    return agents[preset] or None, []


def _rest(sheet: Sheet, own: Mapping[str, Part]) -> Iterator[Note]:
    """Yield what nothing comes of."""
    used = {key for keys in GROUPS[sheet.format].values() for key in keys} | {*own, "disable", "disabled"}
    if sheet.format == Format.EGREGORA:
        used.add("id")
    for key in sheet.keys:
        if key not in used and sheet.keys[key] is not None:
            yield sheet.note(key, why_not(key))


def _is_template_file(sheet: Sheet) -> bool:
    return sheet.format == Format.EGREGORA


def _template(sheet: Sheet, own: Mapping[str, Part]) -> Iterator[Note]:
    if "template" not in own and not _is_template_file(sheet) and has_braces(sheet.prompt):
        why = "braces in it are text, as it was written for another tool; `template: true` renders them"
        yield Note("prompt", sheet.start, why, lost=bool(_OURS.search(sheet.prompt)), source=sheet.source)


def has_braces(text: str) -> bool:
    """Tell whether a text would mean something else as a template."""
    return any(mark in text for mark in ("{{", "{%", "{#"))


def grouped(sheet: Sheet) -> dict[str, dict[str, Any]]:
    """Return the keys of a sheet by what they say; the rest under ""."""
    groups = {
        group: {key: sheet.keys[key] for key in keys if key in sheet.keys}
        for group, keys in GROUPS[sheet.format].items()
    }
    used = {key for keys in groups.values() for key in keys}
    return groups | {"": {key: value for key, value in sheet.keys.items() if key not in used}}
