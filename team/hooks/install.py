"""Writes the entries of an agent's hooks into its own file, and removes exactly them.

An entry is known by its command, which ends in a comment with the number of levels that were made for it: its list, the
object of hooks, the file, folders. So nothing has to be remembered elsewhere, and what was there before is left.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from ...mail.errors import TeamMailError, UsageError
from ...mail.text.nearest import suggestion
from .agents import AGENTS, PLUGIN, Hooked
from .edit import Document
from .files import delete, missing_folders, read, write

HOOKS = "hooks"
_ENTRY = re.compile(r" hook show \w+(?: --persona (\S+))? \w+(?: \|\| true)?(?: #(\d+))?$")
_PLUGIN = re.compile(r"`team hook uninstall opencode` removes this file\. #(\d+)$", re.MULTILINE)
_PERSONA = re.compile(r'"--persona", "([^"]+)"')
_OBJECT, _FILE = 2, 3  # levels of an entry for which the object of hooks was made, or the file, too


class Place(NamedTuple):
    """Where hooks are: at the top of a checkout, or with `for_user` in a user's home."""

    top: Path
    home: Path
    for_user: bool = False


class Found(NamedTuple):
    """One of our entries: the list that it stands in, its number there, what it is, and what its command says."""

    path: tuple[str | int, ...]
    number: int
    value: Any
    words: re.Match[str]


class State(NamedTuple):
    """Whether an agent's hooks stand in its file, for which persona ("": that of the session), or what is wrong."""

    agent: str
    file: Path
    installed: bool
    persona: str = ""
    problem: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {**self._asdict(), "file": str(self.file)}


def install(agent: str, place: Place, persona: str = "") -> tuple[State, bool]:
    """Write an agent's hooks; return where they are, and whether anything has changed.

    What else the file has stays as it is written. Raises UsageError for a file that cannot be edited, with what to add
    by hand, and CannotWrite.
    """
    _, file = _hooked(agent, place)
    before, folders = read(file), missing_folders(file)
    if agent == "opencode":
        after = _with_plugin(file, before, folders, persona)
    else:
        after = _with_entries(agent, file, before, folders, persona)
    if after != before:
        write(file, after)
    return State(agent, file, installed=True, persona=persona), after != before


def uninstall(agent: str, place: Place) -> tuple[State, bool]:
    """Remove an agent's hooks; return where they were, and whether there were any. Raises UsageError, CannotWrite."""
    hooked, file = _hooked(agent, place)
    before = read(file)
    state = State(agent, file, installed=False)
    if before is None:
        return state, False
    if agent == "opencode":
        made = _PLUGIN.search(before)
        if made:
            delete(file, int(made[1]))
        return state, made is not None
    document, folders = _without_entries(hooked, _document(file, before, agent))
    if document.text == before:
        return state, False
    if folders is None:
        write(file, document.text)
    else:
        delete(file, folders)
    return state, True


def state(agent: str, place: Place) -> State:
    """Say whether an agent's hooks are installed. Raises UsageError for an agent that is not known."""
    hooked, file = _hooked(agent, place)
    try:
        text = read(file)
        if text is None:
            return State(agent, file, installed=False)
        if agent == "opencode":
            return State(agent, file, bool(_PLUGIN.search(text)), "".join(_PERSONA.findall(text)))
        document = Document.of(text)
        _check(hooked, document)
        entries = [*_ours(hooked, document)]
        return State(agent, file, bool(entries), next((entry.words[1] or "" for entry in entries), ""))
    except TeamMailError as error:
        return State(agent, file, installed=False, problem=str(error))


def _hooked(agent: str, place: Place) -> tuple[Hooked, Path]:
    if agent not in AGENTS:
        raise UsageError(f"no hooks for {agent!r}{suggestion(agent, AGENTS)}")
    hooked = AGENTS[agent]
    return hooked, hooked.file(place.top, place.home, for_user=place.for_user)


def _words(agent: str, persona: str) -> list[str]:
    return ["hook", "show", agent, *(["--persona", persona] if persona else [])]


def _program() -> str:
    return str(Path(sys.executable).with_name("team"))


# -- a file with entries


def _with_entries(agent: str, file: Path, before: str | None, folders: int, persona: str) -> str:
    """Return the text of a file with our entries, the same text if it has them already."""
    hooked, levels = AGENTS[agent], _FILE + folders
    document = None if before is None else _document(file, before, agent)
    if document is not None:
        if _has_all(agent, hooked, document, persona):
            return document.text
        document, made = _without_entries(hooked, document)
        document, levels = (document, 0) if made is None else (None, _FILE + made)
    if document is None:
        document = Document("{}\n")
        if hooked.own:
            document = document.added((), "version", 1)
    for event, name in hooked.events.items():
        own = levels
        if document.value((HOOKS,)) is None:
            document, own = document.added((), HOOKS, {}), max(own, _OBJECT)
        if document.value((HOOKS, name)) is None:
            document, own = document.added((HOOKS,), name, []), max(own, 1)
        document = document.added((HOOKS, name), "", _entry(agent, hooked, event, persona, own))
    return document.text


def _entry(agent: str, hooked: Hooked, event: str, persona: str, levels: int) -> dict[str, Any]:
    program = shlex.quote(_program())
    words = f"test ! -x {program} || {program} {shlex.join([*_words(agent, persona), event])} || true #{levels}"
    limit, most = hooked.limit
    command = {"type": "command", hooked.command: words, limit: most}
    return {HOOKS: [command]} if hooked.grouped else command


def _without_entries(hooked: Hooked, document: Document) -> tuple[Document, int | None]:
    """Return a document without our entries and what was made for them.

    If nothing else is left of a file that was made for them, also how many folders were; else None.
    """
    most = 0
    for path, number, _, words in reversed([*_ours(hooked, document)]):
        levels, name = int(words[2] or 0), str(path[1])
        most = max(most, levels)
        document = document.removed(path, number)
        if levels and not document.value((HOOKS, name)):
            document = _without(document, (HOOKS,), name)
        if most >= _OBJECT and not document.value((HOOKS,)):
            document = _without(document, (), HOOKS)
    left = {item.key for item in document.items()} - ({"version"} if hooked.own else set[str]())
    return document, most - _FILE if most >= _FILE and not left else None


def _without(document: Document, path: tuple[str, ...], key: str) -> Document:
    number = next(number for number, item in enumerate(document.items(path)) if item.key == key)
    return document.removed(path, number)


def _ours(hooked: Hooked, document: Document) -> Iterator[Found]:
    """Yield our entries, wherever somebody has moved them: whole ones, and commands in a group with others."""
    for event in document.items((HOOKS,)):
        listed = (HOOKS, event.key)
        for number, item in enumerate(document.items(listed)):
            group = (*listed, number, HOOKS)
            commands = document.items(group) if hooked.grouped else [item]
            for inner, command in enumerate(commands):
                words = _object(command.value).get(hooked.command)
                if isinstance(words, str) and (said := _ENTRY.search(words)):
                    alone = len(commands) == 1
                    yield Found(listed if alone else group, number if alone else inner, item.value, said)


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _has_all(agent: str, hooked: Hooked, document: Document, persona: str) -> bool:
    """Tell whether there are just the entries that would be written, each for its event."""
    ours = {entry.path: entry for entry in _ours(hooked, document)}
    for event, name in hooked.events.items():
        entry = ours.pop((HOOKS, name), None)
        if entry is None or entry.value != _entry(agent, hooked, event, persona, int(entry.words[2] or 0)):
            return False
    return not ours and len([*_ours(hooked, document)]) == len(hooked.events)


def _document(file: Path, text: str, agent: str) -> Document:
    """Read a file of an agent. Raises UsageError, with the entries to add by hand."""
    hooked = AGENTS[agent]
    try:
        document = Document.of(text)
        _check(hooked, document)
    except UsageError as error:
        entries = {name: [_entry(agent, hooked, event, "", 0)] for event, name in hooked.events.items()}
        raise UsageError(f"{file}: {error}; add by hand: {json.dumps({HOOKS: entries})}") from None
    return document


def _check(hooked: Hooked, document: Document) -> None:
    for path, kind, known in (((), dict, {HOOKS}), ((HOOKS,), list, {*hooked.events.values()})):
        for item in document.items(path):
            if item.key in known and not isinstance(item.value, kind):
                raise UsageError(f"its {item.key!r} is no {'object' if kind is dict else 'list'}")


# -- a file that is a plugin


def _with_plugin(file: Path, before: str | None, folders: int, persona: str) -> str:
    """Return the text of the plugin. Raises UsageError for a file of this name that is none of ours."""
    made = None if before is None else _PLUGIN.search(before)
    if before is not None and made is None:
        raise UsageError(f"{file} is there already, and is none of ours: move it away")
    program, words = json.dumps(_program()), json.dumps(_words("opencode", persona))
    return PLUGIN.format(made=made[1] if made else folders, program=program, words=words)
