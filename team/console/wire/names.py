"""What the personas of an ask are called in its events, each by a name of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ....mail.text.nearest import suggestion

_WORDS = {"complete", "restarted"}  # names of events that are no persona's
_PREFIXES = ("done_", "error_", "tool_", "queued_", "retry_")


class NoPersona(ValueError):
    """There is no such persona; the message says so without what was asked for, where that is no name."""


def persona_of(name: str, known: Sequence[str]) -> str:
    """Return the persona that a name is meant for, whatever its case. Raises NoPersona."""
    if not name or len(name) > 64 or not all(each.isalnum() or each in "_.-" for each in name):  # noqa: PLR2004
        raise NoPersona("is not a name")
    if name in known:
        return name
    matches = [each for each in known if each.casefold() == name.casefold()]
    if len(matches) != 1:
        raise NoPersona(f"there is no persona {name!r}{suggestion(name.lower(), known)}")
    return matches[0]


def wire_names(asked: Iterable[str]) -> list[str]:
    """Return the name of each persona in the events: as it was asked for, `Kart.2` for the second of that name.

    One that could be taken for another event gets a number as well: `complete.1`.
    """
    taken: set[str] = set()
    names: list[str] = []
    for name in asked:
        is_event = name.casefold() in _WORDS or name.casefold().startswith(_PREFIXES)
        number = 1 if is_event else 2
        free = f"{name}.{number}" if is_event else name
        while free.casefold() in taken:
            free = f"{name}.{number}"
            number += 1
        taken.add(free.casefold())
        names.append(free)
    return names
