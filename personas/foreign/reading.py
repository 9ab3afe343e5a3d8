"""Which tool a file is written for, and the personas that it holds."""

from __future__ import annotations

from pathlib import Path

from ...mail.team_file import foreign_id
from ..frontmatter import Fault
from .codex import read_codex
from .crew import read_crew
from .mapping import known_keys
from .markdown import Front, read_markdown
from .marks import form_of_keys, form_of_name
from .sheet import Format, NotAPersona, Sheet

_RULES = {"alwaysApply", "globs", "applyTo"}  # keys of the files with rules that editors add to every prompt


def read_sheets(text: str, path: Path, *, form: Format | None = None, id: str | None = None) -> list[Sheet]:
    """Return the personas of a file of another tool. Raises Fault with the line, and NotAPersona.

    `form` is whose it is, by default what its name, its folder and its keys say; `id` is its persona's, by default the
    file's name.
    """
    form, given = form or form_of_name(path), form
    name = id or (path.absolute().parent.name if form == Format.EGREGORA else foreign_id(path.name))
    if form == Format.CREWAI or path.suffix in {".yaml", ".yml"}:
        return read_crew(text, path)
    if form == Format.CODEX and not given and path.suffix != ".toml":
        raise NotAPersona("lies where Codex keeps its agents, and Codex reads TOML alone")
    if form == Format.CODEX or path.suffix == ".toml":
        return [read_codex(text, name, path)]
    front = read_markdown(text, known_keys())
    if not front.found and not (form in {Format.COPILOT, Format.EGREGORA} or name == ""):
        raise NotAPersona("has no front matter, without which no tool takes it for an agent")
    if path.name == "SKILL.md" or "allowed-tools" in front.keys:
        raise NotAPersona("is a skill or a command, and no agent")
    if _RULES & {*front.keys} and "name" not in front.keys:
        raise NotAPersona("is a rule for files, and no agent")
    told = form in {Format.COPILOT, Format.EGREGORA, Format.OPENCODE} or form_of_keys(front.keys)
    if front.found and not told and not {"name", "description"} & {*front.keys}:
        raise NotAPersona("has neither name nor description, without which no tool takes it for an agent")
    if not front.found and not front.prompt.strip():
        raise Fault(1, "the file is empty; write what the persona should do")
    return [_sheet(front, form or form_of_keys(front.keys) or Format.CLAUDE, name, path)]


def read_own(text: str, path: Path, id: str) -> Sheet | None:
    """Return the sheet of a Markdown file in `.team/personas` that another tool's keys are in, None for one of ours.

    A file of ours has a key that is ours alone, or no key of another tool.
    """
    form = form_of_name(path)
    if path.suffix == ".toml" or form == Format.CODEX:
        return read_codex(text, id, path)
    try:
        front = read_markdown(text, known_keys())
    except Fault:
        if form:
            raise
        return None  # the reader of ours says what is wrong
    form = form or form_of_keys(front.keys)
    return _sheet(front, form, id, path) if form else None


def _sheet(front: Front, form: Format, id: str, path: Path) -> Sheet:
    notes = front.notes
    return Sheet(form, id, front.keys, front.prompt, front.lines, front.start, source=path).noted(*notes)
