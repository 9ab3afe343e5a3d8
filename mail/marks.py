"""The marks of a message: which one holds, who gave it first, and which event would give it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .kinds import MailKind
from .log.event import Draft, derived_id

UNDOES = {"unread": "read", "unarchived": "archived", "restored": "trashed"}


class Mark(NamedTuple):
    """A mark of one kind on one message, for one persona.

    `undone` is the seq of the last event that took it away, 0 for none. `by` has seq, ts and run of the first event
    since then that gave it; None if none did.
    """

    undone: int = 0
    by: dict[str, Any] | None = None


def last_marks(rows: Iterable[Mapping[str, Any]], kind: MailKind, ids: Sequence[str]) -> dict[str, Mark]:
    """Return the mark of a kind on each of these messages, from the rows of the projection `marks`."""
    verb = kind.removeprefix("mail.")
    opposite = UNDOES.get(verb) or next((undo for undo, done in UNDOES.items() if done == verb), "")
    last = dict.fromkeys(ids, Mark())
    for row in rows:
        mark = last[row["ref"]]
        if row["kind"] == f"mail.{opposite}":
            last[row["ref"]] = Mark(row["seq"])
        elif row["kind"] == kind and mark.by is None:
            last[row["ref"]] = Mark(mark.undone, {name: row[name] for name in ("seq", "ts", "run")})
    return last


def missing(last: Mapping[str, Mark], persona: str, kind: MailKind, run: str | None) -> list[Draft]:
    """Return the marks of a kind that messages lack.

    The id of a mark is derived from the mark that it undoes, so that of two processes the first one writes it. What
    undoes a mark is written only where there is one.
    """
    undoes = kind.removeprefix("mail.") in UNDOES
    return [
        Draft(kind, persona, ref=ref, run=run, id=derived_id("mark", kind, persona, ref, str(mark.undone)))
        for ref, mark in last.items()
        if mark.by is None and (mark.undone or not undoes)
    ]
