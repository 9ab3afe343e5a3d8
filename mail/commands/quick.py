"""Plain command lines of `check`, `inbox` and `send`, parsed without Typer, which takes longer to load than the rest.

Whatever is not plain, or not right, is left to Typer: help, joined short options, completion, and every error. A test
holds these options against Typer's. Only `os` is imported, for the reason given in `mail/home.py`.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FLAG, TEXT, TEXTS, NUMBER, FILE, FILES = "flag", "text", "texts", "number", "file", "files"
_COMPLETION = "_TEAM_MAIL_COMPLETE"
BUDGET = 400  # characters that `check` prints at most
_DIGITS = 15  # of a number; Typer says what is wrong with a longer one
OPTIONS: dict[str, dict[str, tuple[str, str]]] = {  # of each command: the option's parameter, and the form of its value
    "check": {
        "--persona": ("persona", TEXT), "-p": ("persona", TEXT), "--budget": ("budget", NUMBER),
        "--json": ("as_json", FLAG),
    },
    "inbox": {
        "--persona": ("persona", TEXT), "-p": ("persona", TEXT), "--unread": ("unread", FLAG), "-u": ("unread", FLAG),
        "--limit": ("limit", NUMBER), "-l": ("limit", NUMBER), "--archived": ("archived", FLAG),
        "--trashed": ("trashed", FLAG), "--all": ("everything", FLAG), "--tag": ("tag", TEXT), "--type": ("kind", TEXT),
        "-t": ("kind", TEXT), "--from": ("sender", TEXT), "--as-of": ("as_of", TEXT),
        "--channel": ("channel", TEXT),
        "--exit-code": ("exit_code", FLAG), "--bodies": ("bodies", FLAG), "--json": ("as_json", FLAG),
    },
    "send": {
        "--to": ("to", TEXTS), "--subject": ("subject", TEXT), "-s": ("subject", TEXT), "--body": ("body", TEXT),
        "-b": ("body", TEXT), "--from": ("sender", TEXT), "-f": ("sender", TEXT), "--attach": ("attach", FILES),
        "-a": ("attach", FILES), "--cc": ("cc", TEXTS), "--body-file": ("body_file", FILE), "--type": ("kind", TEXT),
        "-t": ("kind", TEXT), "--payload": ("payload", TEXT), "--priority": ("priority", TEXT), "--due": ("due", TEXT),
        "--thread": ("thread", TEXT), "--key": ("key", TEXT), "--session": ("session", TEXT),
        "--json": ("as_json", FLAG),
    },
}  # fmt: skip


def parsed(words: Sequence[str]) -> dict[str, Any] | None:
    """Return the values of a command's options by parameter; None for a command line that is Typer's."""
    options = OPTIONS.get(words[0]) if words and _COMPLETION not in os.environ else None
    if options is None:
        return None
    values: dict[str, Any] = {}
    rest = iter(words[1:])
    for word in rest:
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        parameter, form = options.get(name, ("", ""))
        if form == FLAG and not equals:
            values[parameter] = True
            continue
        given = value if equals else next(rest, None)
        if not form or form == FLAG or given is None or not _take(values, parameter, form, given):
            return None
    return values if words[0] != "send" or "to" in values else None


def _take(values: dict[str, Any], parameter: str, form: str, given: str) -> bool:
    """Put a value in its place; return whether it has its form."""
    if form == TEXTS:
        values.setdefault(parameter, []).append(given)
    elif form == NUMBER:
        if not (given.isascii() and given.isdigit() and len(given) <= _DIGITS and int(given)):
            return False
        values[parameter] = int(given)
    elif form in {FILE, FILES}:
        from pathlib import Path

        if form == FILE:
            values[parameter] = Path(given)
        else:
            values.setdefault(parameter, []).append(Path(given))
    else:
        values[parameter] = given
    return True
