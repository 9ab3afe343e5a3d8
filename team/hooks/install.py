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
from .edit import Document, Item
from .files import delete, missing_folders, read, write

HOOKS = "hooks"
_ENTRY = re.compile(r" hook show \w+(?: --persona (\S+))? \w+ #(\d+)$")
_PLUGIN = re.compile(r"`team hook uninstall opencode` removes this file\. #(\d+)$", re.MULTILINE)
_PERSONA = re.compile(r'"--persona", "([^"]+)"')
_OBJECT, _FILE = 2, 3  # levels of an entry for which the object of hooks was made, or the file, too


class Place(NamedTuple):
    """Where hooks are: at the top of a checkout, or with `for_user` in a user's home."""

    top: Path
    home: Path
    for_user: bool = False


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
        entries = [entry for event in hooked.events.values() for _, entry in _ours(hooked, document, event)]
        return State(agent, file, bool(entries), next((entry[1] or "" for entry in entries), ""))
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
    words = f"test ! -x {program} || {program} {shlex.join([*_words(agent, persona), event])} #{levels}"
    limit, most = hooked.limit
    command = {"type": "command", hooked.command: words, limit: most}
    return {HOOKS: [command]} if hooked.grouped else command


def _without_entries(hooked: Hooked, document: Document) -> tuple[Document, int | None]:
    """Return a document without our entries and what was made for them.

    If nothing else is left of a file that was made for them, also how many folders were; else None.
    """
    most = 0
    for name in reversed(list(hooked.events.values())):
        for number, entry in reversed([*_ours(hooked, document, name)]):
            levels = int(entry[2])
            most = max(most, levels)
            document = document.removed((HOOKS, name), number)
            if levels and not document.value((HOOKS, name)):
                document = _without(document, (HOOKS,), name)
            if levels >= _OBJECT and not document.value((HOOKS,)):
                document = _without(document, (), HOOKS)
    left = {item.key for item in document.items()} - ({"version"} if hooked.own else set[str]())
    return document, most - _FILE if most >= _FILE and not left else None


def _without(document: Document, path: tuple[str, ...], key: str) -> Document:
    number = next(number for number, item in enumerate(document.items(path)) if item.key == key)
    return document.removed(path, number)


def _ours(hooked: Hooked, document: Document, name: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield our entries of an event: the number of each, and what its command says."""
    for number, item in enumerate(document.items((HOOKS, name))):
        if entry := _ENTRY.search(_command(hooked, item)):
            yield number, entry


def _command(hooked: Hooked, item: Item) -> str:
    """Return the command of an entry that has but one; "" for any other."""
    value = _object(item.value)
    if hooked.grouped:
        commands = value.get(HOOKS)
        listed = cast("list[Any]", commands) if isinstance(commands, list) else []
        value = _object(listed[0]) if len(listed) == 1 else {}
    words = value.get(hooked.command)
    return words if isinstance(words, str) else ""


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _has_all(agent: str, hooked: Hooked, document: Document, persona: str) -> bool:
    """Tell whether each event has just the entry that would be written for it."""
    for event, name in hooked.events.items():
        ours = [*_ours(hooked, document, name)]
        items = document.items((HOOKS, name))
        if len(ours) != 1:
            return False
        number, entry = ours[0]
        if items[number].value != _entry(agent, hooked, event, persona, int(entry[2])):
            return False
    return True


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
